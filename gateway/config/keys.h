// config/keys.h: every key that the file can hold. The reader checks against this table and
// config/README.md documents it; a test compares the two cell by cell.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "config/config.h"

namespace postern::config {

enum class Type : std::uint8_t {
  mapping,   // its keys are the section section.name
  mappings,  // a list of mappings; their keys are the section section.name[]
  settings,  // names that a plugin knows, each with text or a list of text
  text,
  texts,  // a list of text
  slug,
  type_name,  // of a provider plugin: "SMTP"
  plugin_name,
  domain,
  endpoint,
  integer,
  boolean,
  choice,
  duration,  // limits are milliseconds
  size,      // limits are bytes
  rate,
  time,
};

// What a key of a fixed section sets. Keys of lists are set by their reader.
using Target = std::variant<std::monostate, std::string& (*)(Config&), std::uint32_t& (*)(Config&),
                            std::uint64_t& (*)(Config&), std::chrono::milliseconds& (*)(Config&),
                            RateLimit& (*)(Config&), Endpoint& (*)(Config&)>;

struct Key {
  std::string_view section;  // "", "server.limits", "organizations[].keys[]"
  std::string_view name;
  Type type = Type::text;
  bool required = false;
  bool secret = false;               // its value is never shown
  std::string_view fallback = {};    // the default as it would be written
  std::string_view default_is = {};  // the default in words, where it can't be written
  std::int64_t min = 0;              // integers, durations, sizes; of text and lists, the length
  std::int64_t max = 0;              // 0: no limits
  std::span<const std::string_view> choices = {};
  Target target = {};
};

std::span<const Key> all_keys();
const Key* find_key(std::string_view section, std::string_view name);
std::span<const std::string_view> permission_names();

// The words of the reference: "duration", "`30s`" or "required", "1s to 1h".
std::string_view type_text(const Key& key);
std::string default_text(const Key& key);
std::string range_text(const Key& key);

}  // namespace postern::config
