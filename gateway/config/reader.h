// config/reader.h: a typed walk over the tree. Every mistake becomes a Problem and the walk goes
// on, so that one run tells all of them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.h"
#include "config/keys.h"
#include "config/yaml.h"

namespace postern::config {

// Durations are milliseconds, sizes bytes, times UnixMillis.
using Value = std::variant<std::string, std::int64_t, bool, RateLimit, Endpoint>;

struct Scalar {
  std::string text;
  bool shown = true;  // false: it came from outside or is a secret, so no problem may quote it
};

// A mapping whose keys have been checked against those of a section.
struct Mapping {
  const Node* node = nullptr;
  std::string path;          // "organizations[0].keys[1]"
  std::string_view section;  // "organizations[].keys[]"
};

class Reader {
 public:
  Reader(std::string file, std::string directory)
      : file_(std::move(file)), directory_(std::move(directory)) {}

  void problem(const Mark& mark, std::string path, std::string message, std::string hint = "");
  // At the value of a key of the mapping, or at the mapping where it has no such key.
  void problem(const Mapping& in, std::string_view name, std::string message,
               std::string hint = "");

  // Reports what is no mapping, unknown keys and missing required ones. A null is an empty mapping.
  std::optional<Mapping> mapping(const Node& node, std::string path, std::string_view section,
                                 const Mark& mark);
  // The mapping under a key; an empty one when it is absent.
  std::optional<Mapping> mapping(const Mapping& in, std::string_view name);
  // The mappings of the list under a key; those with the wrong type are reported and left out.
  std::vector<Mapping> mappings(const Mapping& in, std::string_view name);

  // The value under a key, if it is there and right by its entry in the table of keys.
  std::optional<Value> value(const Mapping& in, std::string_view name);
  template <typename T>
  std::optional<T> get(const Mapping& in, std::string_view name) {
    auto found = value(in, name);
    if (!found) return std::nullopt;
    return std::get<T>(*std::move(found));
  }
  // The text of a key before its type is looked at, interpolated.
  std::optional<Scalar> scalar(const Mapping& in, std::string_view name);

  struct Item {
    Mark mark;
    std::string path;
    Scalar scalar;
  };
  std::vector<Item> texts(const Mapping& in, std::string_view name);
  std::vector<sdk::RawSetting> settings(const Mapping& in, std::string_view name);

  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] std::map<std::string, Location, std::less<>> take_locations() {
    return std::move(locations_);
  }
  std::vector<Problem> take_problems();  // in the order of the file

 private:
  std::optional<Scalar> scalar(const Node& node, const Mark& mark, const std::string& path,
                               bool secret);
  std::optional<Value> typed(const Key& key, const Scalar& scalar, const Mark& mark,
                             const std::string& path);
  std::vector<Item> items(const Node& node, const Mark& mark, const std::string& path, bool secret);
  void locate(const std::string& path, const Mark& mark);

  std::string file_;
  std::string directory_;
  std::vector<Problem> problems_;
  std::map<std::string, Location, std::less<>> locations_;
};

// ', is "abc"', shortened; empty when the value must not be shown.
std::string is_shown(const Scalar& scalar);
// 'did you mean "x"?', or empty.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace postern::config
