#include "config/reader.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/clock.h"
#include "config/interpolate.h"
#include "config/values.h"

namespace postern::config {
namespace {

constexpr std::size_t kMaxProblems = 1000;

std::string_view kind_text(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::null:
      return "nothing";
    case Node::Kind::scalar:
      return "text";
    case Node::Kind::list:
      return "a list";
    case Node::Kind::mapping:
      return "a mapping";
  }
  return "";
}

// Where a problem with the value of an entry is shown: a list or mapping at its key.
Mark value_mark(const Node::Entry& entry) {
  return entry.value->kind == Node::Kind::scalar ? entry.value->mark : entry.mark;
}

std::string quote(std::string_view text) {
  return "\"" + std::string{text} + "\"";
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7F;
  });
}

bool is_name(std::string_view text, char first, char last) {
  return !text.empty() && text.size() <= 63 && text.front() >= first && text.front() <= last &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return (c >= first && c <= last) || (c >= '0' && c <= '9') || c == '_';
         });
}

std::string ascii_upper(std::string_view text) {
  std::string out{text};
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

std::string list_of(std::span<const std::string_view> words) {
  std::string out;
  for (const std::string_view word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

std::vector<std::string_view> names_of(std::string_view section) {
  std::vector<std::string_view> names;
  for (const Key& key : all_keys()) {
    if (key.section == section) names.push_back(key.name);
  }
  return names;
}

std::string section_of(const Mapping& in, std::string_view name) {
  return in.section.empty() ? std::string{name} : std::string{in.section} + '.' + std::string{name};
}

// The value, or what is wrong with it.
struct Checked {
  std::optional<Value> value;
  std::string message;
  std::string hint;
};

Checked wrong(std::string message, const Scalar& scalar, std::string hint = "") {
  return {{}, std::move(message) + is_shown(scalar), std::move(hint)};
}

template <typename T>
Checked within(const Key& key, const std::optional<T>& number, std::string_view what,
               const Scalar& scalar, std::string hint) {
  if (!number) return wrong("must be " + std::string{what}, scalar, std::move(hint));
  const auto in_range = [&] {
    if constexpr (std::is_unsigned_v<T>) {
      return *number >= static_cast<T>(key.min) && *number <= static_cast<T>(key.max);
    } else {
      return *number >= key.min && *number <= key.max;
    }
  };
  if (!in_range()) return wrong("must be " + range_text(key), scalar);
  return {Value{static_cast<std::int64_t>(*number)}, "", ""};
}

std::string integer_hint(const Scalar& scalar) {
  std::string digits;
  for (const char c : scalar.text) {
    if (c != '_' && c != ',' && c != '\'' && c != ' ') digits += c;
  }
  if (!scalar.shown || digits == scalar.text || !parse_integer(digits)) return "";
  return "write " + digits;
}

std::string size_hint(const Scalar& scalar) {
  constexpr std::string_view kUnits = "use B, KiB, MiB or GiB, without a space: 35MiB";
  if (scalar.shown && parse_integer(scalar.text)) {
    return "add the unit: " + scalar.text + "B, KiB, MiB or GiB";
  }
  return std::string{kUnits};
}

std::string boolean_hint(const Scalar& scalar) {
  static constexpr std::array<std::string_view, 5> kYes{"yes", "on", "1", "y", "true"};
  static constexpr std::array<std::string_view, 5> kNo{"no", "off", "0", "n", "false"};
  const std::string word = ascii_lower(scalar.text);
  if (!scalar.shown) return "";
  if (std::find(kYes.begin(), kYes.end(), word) != kYes.end()) return "write true";
  if (std::find(kNo.begin(), kNo.end(), word) != kNo.end()) return "write false";
  return "";
}

std::string endpoint_hint(const Scalar& scalar) {
  if (!scalar.shown) return "";
  const std::string& text = scalar.text;
  const std::size_t colon = text.rfind(':');
  const std::string port = colon == std::string::npos ? "8025" : text.substr(colon + 1);
  const auto number = parse_integer(port);
  if (!number || *number < 0 || *number > 65535) return "a port is 0 to 65535";
  const std::string host = colon == std::string::npos ? text : text.substr(0, colon);
  if (host.empty() || host == "*") return "for every interface, write \"0.0.0.0:" + port + "\"";
  if (host == "localhost") return "write \"127.0.0.1:" + port + "\"";
  if (host.find(':') != std::string::npos && host.front() != '[') {
    return "IPv6 needs brackets: \"[::1]:" + port + "\"";
  }
  return "an address such as 127.0.0.1 or [::1], no name";
}

Checked check(const Key& key, const Scalar& scalar) {
  const std::string& text = scalar.text;
  switch (key.type) {
    case Type::text: {
      const auto length =
          static_cast<std::int64_t>(is_utf8(text) ? utf8_length(text) : text.size());
      if (key.max != 0 && (length < key.min || length > key.max)) {
        if (length == 0) return {{}, "must not be empty", ""};
        return {{}, "must have " + range_text(key) + ", has " + std::to_string(length), ""};
      }
      if (!key.secret && (has_control(text) || !is_utf8(text))) {
        return {{}, "must be one line of UTF-8 text", ""};
      }
      return {Value{text}, "", ""};
    }
    case Type::slug: {
      if (is_slug(text)) return {Value{text}, "", ""};
      const std::string slug = scalar.shown ? suggest_slug(text) : "";
      return wrong("must be 1 to 63 of a-z, 0-9 and \"-\", not \"-\" first", scalar,
                   slug.empty() ? "" : "did you mean " + quote(slug) + "?");
    }
    case Type::type_name: {
      if (is_name(text, 'A', 'Z')) return {Value{text}, "", ""};
      const std::string upper = ascii_upper(text);
      return wrong(
          "must be the name of a provider type, such as SMTP", scalar,
          scalar.shown && is_name(upper, 'A', 'Z') ? "did you mean " + quote(upper) + "?" : "");
    }
    case Type::plugin_name: {
      if (is_name(text, 'a', 'z')) return {Value{text}, "", ""};
      const std::string lower = ascii_lower(text);
      return wrong(
          "must be the name of a storage plugin, such as sqlite", scalar,
          scalar.shown && is_name(lower, 'a', 'z') ? "did you mean " + quote(lower) + "?" : "");
    }
    case Type::domain:
      if (is_domain(text)) return {Value{ascii_lower(text)}, "", ""};
      return wrong("must be a domain name, such as mail.example.com", scalar,
                   is_ascii(text) ? "" : "write it in its ASCII form, xn--…");
    case Type::endpoint:
      if (auto endpoint = parse_endpoint(text)) return {Value{*std::move(endpoint)}, "", ""};
      return wrong("must be an address and a port", scalar, endpoint_hint(scalar));
    case Type::integer:
      return within(key, parse_integer(text), "a whole number", scalar, integer_hint(scalar));
    case Type::boolean:
      if (const auto flag = parse_boolean(text)) return {Value{*flag}, "", ""};
      return wrong("must be true or false", scalar, boolean_hint(scalar));
    case Type::choice:
      if (std::find(key.choices.begin(), key.choices.end(), text) != key.choices.end()) {
        return {Value{text}, "", ""};
      }
      return wrong("must be one of " + list_of(key.choices), scalar,
                   scalar.shown ? did_you_mean(ascii_lower(text), key.choices) : "");
    case Type::duration: {
      const auto duration = parse_duration(text);
      std::optional<std::int64_t> millis;
      if (duration) millis = duration->count();
      return within(key, millis, "a duration", scalar, "such as 500ms, 30s, 5m, 24h or 7d");
    }
    case Type::size:
      return within(key, parse_size(text), "a size", scalar, size_hint(scalar));
    case Type::rate:
      if (const auto rate = parse_rate(text)) return {Value{*rate}, "", ""};
      return wrong("must be a rate", scalar,
                   "a whole number from 1 to 1000000 a unit: 100/s, 20/min or 3600/h");
    case Type::time:
      if (const auto time = parse_time(text)) return {Value{std::int64_t{*time}}, "", ""};
      return wrong("must be a time", scalar, "such as 2030-12-31T23:59:59Z");
    case Type::mapping:
    case Type::mappings:
    case Type::settings:
    case Type::texts:
      break;  // not scalars
  }
  return {{}, "must not be text", ""};
}

}  // namespace

std::string is_shown(const Scalar& scalar) {
  if (!scalar.shown) return "";
  if (scalar.text.empty()) return ", is empty";
  constexpr std::size_t kMost = 60;
  std::string text;
  for (const char c : scalar.text.substr(0, kMost)) {
    text += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
  }
  while (!is_utf8(text)) text.pop_back();
  if (scalar.text.size() > kMost) text += "…";
  return ", is " + quote(text);
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates) {
  if (word.size() > 2 * kMaxKeyBytes) return "";
  std::string best = nearest(word, candidates);
  if (best.empty() && word.size() >= 3) {  // "warn" is far from "warning", yet means it
    const auto longer = std::find_if(candidates.begin(), candidates.end(),
                                     [&](std::string_view name) { return name.starts_with(word); });
    if (longer != candidates.end()) best = *longer;
  }
  return best.empty() ? "" : "did you mean " + quote(best) + "?";
}

void Reader::problem(const Mark& mark, std::string path, std::string message, std::string hint) {
  problems_.push_back(
      {{file_, mark.line, mark.column}, std::move(path), std::move(message), std::move(hint)});
}

void Reader::problem(const Mapping& in, std::string_view name, std::string message,
                     std::string hint) {
  const Node::Entry* entry = in.node->find(name);
  problem(entry ? value_mark(*entry) : in.node->mark, join_path(in.path, name), std::move(message),
          std::move(hint));
}

void Reader::locate(const std::string& path, const Mark& mark) {
  locations_.emplace(path, Location{file_, mark.line, mark.column});
}

std::optional<Mapping> Reader::mapping(const Node& node, std::string path, std::string_view section,
                                       const Mark& mark) {
  if (node.kind != Node::Kind::mapping && node.kind != Node::Kind::null) {
    problem(mark, path, "must be a mapping, is " + std::string{kind_text(node.kind)},
            "its keys: " + list_of(names_of(section)));
    return std::nullopt;
  }
  for (const Node::Entry& entry : node.entries) {
    const std::string child = join_path(path, entry.key);
    if (find_key(section, entry.key)) {
      locate(child, value_mark(entry));
      continue;
    }
    const std::vector<std::string_view> names = names_of(section);
    std::string hint = did_you_mean(entry.key, names);
    if (hint.empty()) hint = "known here: " + list_of(names);
    problem(entry.mark, child, "unknown key", std::move(hint));
  }
  for (const Key& key : all_keys()) {
    if (key.section == section && key.required && node.find(key.name) == nullptr) {
      problem(mark, join_path(path, key.name), "is required");
    }
  }
  return Mapping{&node, std::move(path), section};
}

std::optional<Mapping> Reader::mapping(const Mapping& in, std::string_view name) {
  const Node::Entry* entry = in.node->find(name);
  // A section that is absent still has keys that are required.
  static const Node kEmpty;
  const Key* key = nullptr;
  const std::string section = section_of(in, name);
  for (const Key& candidate : all_keys()) {
    if (candidate.section == section) key = &candidate;
  }
  if (key == nullptr) return std::nullopt;
  if (entry != nullptr) {
    return mapping(*entry->value, join_path(in.path, name), key->section, value_mark(*entry));
  }
  return mapping(kEmpty, join_path(in.path, name), key->section, in.node->mark);
}

std::vector<Mapping> Reader::mappings(const Mapping& in, std::string_view name) {
  const Node::Entry* entry = in.node->find(name);
  if (entry == nullptr || entry->value->kind == Node::Kind::null) return {};
  const std::string path = join_path(in.path, name);
  if (entry->value->kind != Node::Kind::list) {
    problem(value_mark(*entry), path,
            "must be a list, is " + std::string{kind_text(entry->value->kind)},
            "begin each of its items with \"- \"");
    return {};
  }
  const std::string items = section_of(in, name) + "[]";
  std::string_view section;
  for (const Key& key : all_keys()) {
    if (key.section == items) section = key.section;
  }
  std::vector<Mapping> found;
  for (std::size_t i = 0; i < entry->value->items.size(); ++i) {
    const Node& item = *entry->value->items[i];
    locate(join_path(path, i), item.mark);
    if (auto one = mapping(item, join_path(path, i), section, item.mark)) {
      found.push_back(*std::move(one));
    }
  }
  return found;
}

std::optional<Scalar> Reader::scalar(const Node& node, const Mark& mark, const std::string& path,
                                     bool secret) {
  if (node.kind == Node::Kind::null) {
    problem(mark, path, "has no value", "give it one, or remove the key");
    return std::nullopt;
  }
  if (node.kind != Node::Kind::scalar) {
    problem(mark, path, "must be text, is " + std::string{kind_text(node.kind)});
    return std::nullopt;
  }
  Interpolation result = interpolate(node.text, directory_);
  for (std::string& message : result.problems) problem(mark, path, std::move(message), result.hint);
  if (!result.problems.empty()) return std::nullopt;
  return Scalar{std::move(result.text), !secret && !result.replaced};
}

std::optional<Scalar> Reader::scalar(const Mapping& in, std::string_view name) {
  const Node::Entry* entry = in.node->find(name);
  const Key* key = find_key(in.section, name);
  if (entry == nullptr || key == nullptr) return std::nullopt;
  return scalar(*entry->value, value_mark(*entry), join_path(in.path, name), key->secret);
}

std::optional<Value> Reader::typed(const Key& key, const Scalar& scalar, const Mark& mark,
                                   const std::string& path) {
  Checked checked = check(key, scalar);
  if (!checked.value) problem(mark, path, std::move(checked.message), std::move(checked.hint));
  return std::move(checked.value);
}

std::optional<Value> Reader::value(const Mapping& in, std::string_view name) {
  const Node::Entry* entry = in.node->find(name);
  const Key* key = find_key(in.section, name);
  if (entry == nullptr || key == nullptr) return std::nullopt;
  const auto text = scalar(in, name);
  if (!text) return std::nullopt;
  return typed(*key, *text, value_mark(*entry), join_path(in.path, name));
}

std::vector<Reader::Item> Reader::items(const Node& node, const Mark& mark, const std::string& path,
                                        bool secret) {
  std::vector<Item> found;
  if (node.kind != Node::Kind::list) {
    const bool value = node.kind == Node::Kind::scalar && !secret &&
                       node.text.find("${") == std::string::npos && node.text.size() <= 60;
    problem(mark, path, "must be a list, is " + std::string{kind_text(node.kind)},
            value ? "write [" + node.text + "]" : "");
    return found;
  }
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const Node& item = *node.items[i];
    std::string item_path = join_path(path, i);
    locate(item_path, item.mark);
    if (auto text = scalar(item, item.mark, item_path, secret)) {
      found.push_back({item.mark, std::move(item_path), *std::move(text)});
    }
  }
  return found;
}

std::vector<Reader::Item> Reader::texts(const Mapping& in, std::string_view name) {
  const Node::Entry* entry = in.node->find(name);
  const Key* key = find_key(in.section, name);
  if (entry == nullptr || key == nullptr) return {};
  const Mark mark = value_mark(*entry);
  const std::string path = join_path(in.path, name);
  if (entry->value->kind == Node::Kind::null && key->min == 0) return {};
  std::vector<Item> found = items(*entry->value, mark, path, key->secret);
  if (entry->value->kind != Node::Kind::list) return found;
  const auto count = static_cast<std::int64_t>(entry->value->items.size());
  if (count < key->min || count > key->max) {
    problem(mark, path, "must have " + range_text(*key) + ", has " + std::to_string(count));
  }
  return found;
}

std::vector<sdk::RawSetting> Reader::settings(const Mapping& in, std::string_view name) {
  std::vector<sdk::RawSetting> found;
  const Node::Entry* entry = in.node->find(name);
  const Key* key = find_key(in.section, name);
  if (entry == nullptr || key == nullptr || entry->value->kind == Node::Kind::null) return found;
  const std::string path = join_path(in.path, name);
  if (entry->value->kind != Node::Kind::mapping) {
    problem(value_mark(*entry), path,
            "must be a mapping, is " + std::string{kind_text(entry->value->kind)});
    return found;
  }
  for (const Node::Entry& setting : entry->value->entries) {
    const std::string child = join_path(path, setting.key);
    const Mark mark = value_mark(setting);
    locate(child, mark);
    if (setting.value->kind == Node::Kind::mapping) {
      problem(mark, child, "must be text or a list of text, is a mapping");
    } else if (setting.value->kind == Node::Kind::list) {
      std::vector<std::string> list;
      for (Item& item : items(*setting.value, mark, child, key->secret)) {
        list.push_back(std::move(item.scalar.text));
      }
      found.push_back({setting.key, std::move(list)});
    } else if (auto text = scalar(*setting.value, mark, child, key->secret)) {
      found.push_back({setting.key, std::move(text->text)});
    }
  }
  return found;
}

std::vector<Problem> Reader::take_problems() {
  std::stable_sort(problems_.begin(), problems_.end(), [](const Problem& a, const Problem& b) {
    return std::pair{a.where.line, a.where.column} < std::pair{b.where.line, b.where.column};
  });
  if (problems_.size() > kMaxProblems) {
    const std::size_t more = problems_.size() - kMaxProblems;
    problems_.resize(kMaxProblems);
    problems_.push_back({{file_, 0, 0}, "", "and " + std::to_string(more) + " more problems", ""});
  }
  return std::move(problems_);
}

}  // namespace postern::config
