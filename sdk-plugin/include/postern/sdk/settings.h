// postern/sdk/settings.h: how a plugin says what it can be configured with, and how it gets it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace postern::sdk {

enum class FieldType : std::uint8_t {
  text,
  integer,   // within [min, max]
  boolean,   // true or false
  duration,  // "500ms", "30s", "5m", "24h", "7d"; the plugin gets milliseconds as an integer
  choice,    // one of `choices`
  text_list,
  path,      // relative ones are relative to the file that names them; the plugin gets an absolute one
};

// One key that a plugin understands. Keys are lower_snake_case.
struct Field {
  std::string name;
  FieldType type = FieldType::text;
  bool required = false;
  bool secret = false;        // never logged, never returned, sealed in storage
  std::string default_value;  // as it would be written in YAML; empty: no default
  std::int64_t min = INT64_MIN;
  std::int64_t max = INT64_MAX;
  std::vector<std::string> choices;
  std::string description;    // one sentence for the operator
};
using Schema = std::vector<Field>;

// A setting as the operator wrote it, before the schema gave it a type.
struct RawSetting {
  std::string name;
  std::variant<std::string, std::vector<std::string>> value;
};

// Settings that the host has checked against the plugin's schema and completed with its defaults.
// A reader names a key of its own schema with its own type; anything else is the plugin's mistake
// and gives the empty value.
class Settings {
 public:
  using Value = std::variant<std::string, std::int64_t, bool, std::vector<std::string>>;

  void set(std::string name, Value value) { values_[std::move(name)] = std::move(value); }

  [[nodiscard]] bool has(std::string_view name) const { return values_.find(name) != values_.end(); }
  [[nodiscard]] std::string text(std::string_view name) const { return get<std::string>(name); }
  [[nodiscard]] std::int64_t integer(std::string_view name) const {
    return get<std::int64_t>(name);
  }
  [[nodiscard]] bool flag(std::string_view name) const { return get<bool>(name); }
  [[nodiscard]] std::vector<std::string> list(std::string_view name) const {
    return get<std::vector<std::string>>(name);
  }
  [[nodiscard]] const std::map<std::string, Value, std::less<>>& values() const { return values_; }

 private:
  template <typename T>
  [[nodiscard]] T get(std::string_view name) const {
    const auto found = values_.find(name);
    if (found == values_.end()) return T{};
    const T* value = std::get_if<T>(&found->second);
    return value ? *value : T{};
  }
  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace postern::sdk
