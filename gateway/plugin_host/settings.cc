#include "plugin_host/settings.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "base/bytes.h"
#include "base/clock.h"

namespace postern::plugin_host {
namespace {

using sdk::Field;
using sdk::FieldType;
using Raw = std::variant<std::string, std::vector<std::string>>;
using Value = sdk::Settings::Value;

struct Refusal {
  std::string code;
  std::string message;
};
using Parsed = std::variant<Value, Refusal>;

constexpr std::size_t kShownBytes = 60;

std::string join(std::string_view prefix, std::string_view name) {
  std::string out{prefix};
  if (!out.empty()) out += '.';
  out += name;
  return out;
}

std::string list_of(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

// ", not "x"", or nothing for a secret.
std::string but_not(std::string_view value, bool secret) {
  if (secret) return {};
  std::string shown{value.substr(0, kShownBytes)};
  if (value.size() > kShownBytes) shown += "...";
  return ", not \"" + shown + "\"";
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool fit_for_text(std::string_view text) {
  return is_utf8(text) && text.find('\0') == std::string_view::npos;
}

std::string shown_bound(const Field& field, std::int64_t bound) {
  return field.type == FieldType::duration ? format_duration(std::chrono::milliseconds{bound})
                                           : std::to_string(bound);
}

Parsed in_range(const Field& field, std::int64_t value, std::string_view text, bool secret) {
  if (value >= field.min && value <= field.max) return Value{value};
  const bool low = field.min != INT64_MIN;
  const bool high = field.max != INT64_MAX;
  std::string bounds;
  if (low && high) {
    bounds =
        "must be from " + shown_bound(field, field.min) + " to " + shown_bound(field, field.max);
  } else if (low) {
    bounds = "must be at least " + shown_bound(field, field.min);
  } else {
    bounds = "must be at most " + shown_bound(field, field.max);
  }
  return Refusal{"out_of_range", bounds + but_not(text, secret)};
}

Parsed parse_scalar(const Field& field, const std::string& text, std::string_view base_directory,
                    bool secret) {
  if (!fit_for_text(text)) return Refusal{"bad_text", "must be UTF-8 text without NUL"};
  switch (field.type) {
    case FieldType::text:
      return Value{text};
    case FieldType::integer: {
      const auto value = parse_integer(text);
      if (!value) return Refusal{"wrong_type", "must be an integer" + but_not(text, secret)};
      return in_range(field, *value, text, secret);
    }
    case FieldType::boolean:
      if (text == "true") return Value{true};
      if (text == "false") return Value{false};
      return Refusal{"wrong_type", "must be true or false" + but_not(text, secret)};
    case FieldType::duration: {
      const auto value = parse_duration(text);
      if (!value) {
        return Refusal{"wrong_type", "must be a duration such as 500ms, 30s, 5m, 24h or 7d" +
                                         but_not(text, secret)};
      }
      return in_range(field, value->count(), text, secret);
    }
    case FieldType::choice: {
      if (std::find(field.choices.begin(), field.choices.end(), text) != field.choices.end()) {
        return Value{text};
      }
      std::string message = "must be one of " + list_of(field.choices) + but_not(text, secret);
      const std::string meant = secret ? std::string{} : nearest(text, field.choices);
      if (!meant.empty()) message += "; did you mean \"" + meant + "\"?";
      return Refusal{"unknown_choice", message};
    }
    case FieldType::path: {
      if (text.empty()) return Refusal{"wrong_type", "must be a path, not empty"};
      const std::filesystem::path path{text};
      const auto whole = path.is_absolute() ? path : std::filesystem::path{base_directory} / path;
      return Value{whole.lexically_normal().string()};
    }
    case FieldType::text_list:
      break;
  }
  return Refusal{"wrong_type", "must be a list of texts"};
}

Parsed parse_value(const Field& field, const Raw& raw, std::string_view base_directory,
                   bool secret) {
  if (const auto* list = std::get_if<std::vector<std::string>>(&raw)) {
    if (field.type != FieldType::text_list) {
      return Refusal{"wrong_type", "must be a single value, not a list"};
    }
    if (!std::all_of(list->begin(), list->end(), fit_for_text)) {
      return Refusal{"bad_text", "must be UTF-8 text without NUL"};
    }
    return Value{*list};
  }
  return parse_scalar(field, std::get<std::string>(raw), base_directory, secret);
}

// A default as it would stand in YAML; a list is "[a, b]".
Raw raw_default(const Field& field) {
  if (field.type != FieldType::text_list) return field.default_value;
  std::string_view text = trim(field.default_value);
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return field.default_value;
  text = text.substr(1, text.size() - 2);
  std::vector<std::string> list;
  while (!trim(text).empty()) {
    const auto comma = text.find(',');
    list.emplace_back(trim(text.substr(0, comma)));
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
  }
  return list;
}

bool is_empty(const Raw& raw) {
  return std::visit([](const auto& value) { return value.empty(); }, raw);
}

bool is_lower_snake_case(std::string_view name) {
  if (name.empty() || name.size() > 64 || name.front() < 'a' || name.front() > 'z') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

}  // namespace

Result<sdk::Settings> resolve(const sdk::Schema& schema,
                              const std::vector<sdk::RawSetting>& settings,
                              std::string_view base_directory, std::string_view path_prefix,
                              bool all_secret) {
  sdk::Settings resolved;
  std::vector<Issue> issues;
  std::set<std::string_view> seen;
  std::vector<std::string> known;
  for (const Field& field : schema) known.push_back(field.name);

  for (const sdk::RawSetting& raw : settings) {
    const std::string path = join(path_prefix, raw.name);
    if (!seen.insert(raw.name).second) {
      issues.push_back({path, "duplicate", "is given twice"});
      continue;
    }
    const auto field = std::find_if(schema.begin(), schema.end(),
                                    [&](const Field& f) { return f.name == raw.name; });
    if (field == schema.end()) {
      const std::string meant = nearest(raw.name, known);
      std::string message = "is not known here";
      if (!meant.empty()) {
        message += "; did you mean \"" + meant + "\"?";
      } else {
        message += known.empty() ? "; there are no settings" : "; known are " + list_of(known);
      }
      issues.push_back({path, "unknown_key", message});
      continue;
    }
    if (is_empty(raw.value) && field->required) {
      issues.push_back({path, "required", "must not be empty"});
      continue;
    }
    Parsed parsed = parse_value(*field, raw.value, base_directory, all_secret || field->secret);
    if (auto* refusal = std::get_if<Refusal>(&parsed)) {
      issues.push_back({path, std::move(refusal->code), std::move(refusal->message)});
    } else {
      resolved.set(field->name, std::move(std::get<Value>(parsed)));
    }
  }

  for (const Field& field : schema) {
    if (seen.contains(field.name)) continue;
    if (field.required) {
      std::string message = "is required";
      if (!field.description.empty()) message += ": " + field.description;
      issues.push_back({join(path_prefix, field.name), "required", std::move(message)});
    } else if (!field.default_value.empty()) {
      Parsed parsed = parse_value(field, raw_default(field), base_directory, true);
      if (auto* value = std::get_if<Value>(&parsed)) resolved.set(field.name, std::move(*value));
    }
  }
  if (issues.empty()) return resolved;
  const std::string what = path_prefix.empty() ? std::string{"settings"} : std::string{path_prefix};
  return Error{ErrorKind::invalid, what + " can't be used as they are", std::move(issues), {}};
}

std::vector<Issue> check_schema(const sdk::Schema& schema, std::string_view path_prefix) {
  std::vector<Issue> issues;
  std::set<std::string_view> names;
  const auto report = [&](const Field& field, std::string_view what, std::string message) {
    issues.push_back({join(join(path_prefix, field.name), what), "bad_schema", std::move(message)});
  };
  for (const Field& field : schema) {
    if (!is_lower_snake_case(field.name)) {
      report(field, "name",
             "is \"" + field.name + "\", a name must be lower_snake_case of 1 to 64 characters");
    }
    if (!names.insert(field.name).second) {
      report(field, "name", "is \"" + field.name + "\", and so is that of an earlier field");
    }
    if (field.type > FieldType::path) {
      report(field, "type",
             "is " + std::to_string(static_cast<unsigned>(field.type)) +
                 ", the last type that is known is " +
                 std::to_string(static_cast<unsigned>(FieldType::path)));
      continue;
    }
    if (field.min > field.max) {
      report(field, "min",
             "is " + std::to_string(field.min) + ", above max " + std::to_string(field.max));
    }
    if (field.type == FieldType::choice) {
      const std::set<std::string_view> different(field.choices.begin(), field.choices.end());
      if (field.choices.empty()) {
        report(field, "choices", "has 0 entries, a choice needs at least 1");
      } else if (different.size() != field.choices.size() || different.contains("")) {
        report(field, "choices",
               "is \"" + list_of(field.choices) + "\", choices must differ and not be empty");
      }
    } else if (!field.choices.empty()) {
      report(field, "choices",
             "has " + std::to_string(field.choices.size()) +
                 " entries, a field that is no choice must have 0");
    }
    if (field.required && !field.default_value.empty()) {
      report(field, "required",
             "is true, and default_value is \"" + field.default_value + "\": only one can be");
    }
    if (!field.default_value.empty()) {
      const Parsed parsed = parse_value(field, raw_default(field), "/", false);
      if (const auto* refusal = std::get_if<Refusal>(&parsed)) {
        report(field, "default_value",
               "is \"" + field.default_value + "\", but its own field " + refusal->message);
      }
    }
  }
  return issues;
}

}  // namespace postern::plugin_host
