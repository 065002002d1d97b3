// config/yaml.h: YAML text as a tree that knows where each value stands. yaml.cc alone includes
// yaml-cpp, and uses its events rather than its nodes: those drop duplicate keys in silence, expand
// aliases without limit and lose half of the marks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern::config {

struct Mark {
  int line = 0;    // 1-based; 0: nowhere
  int column = 0;  // 1-based, in characters, not bytes
};

struct Node {
  enum class Kind : std::uint8_t { null, scalar, list, mapping };
  struct Entry {
    std::string key;
    Mark mark;  // of the key
    std::shared_ptr<const Node> value;
  };

  Kind kind = Kind::null;
  Mark mark;
  std::string text;                                // scalar
  std::vector<std::shared_ptr<const Node>> items;  // list
  std::vector<Entry> entries;                      // mapping, in order; keys are unique
  std::size_t weight = 1;                          // nodes in it, aliases expanded
  std::size_t height = 1;                          // levels in it

  // The value of a key, or nullptr.
  [[nodiscard]] const Entry* find(std::string_view key) const;
};

struct YamlProblem {
  Mark mark;
  std::string path;  // "organizations[0].name"; empty for a mistake of syntax
  std::string message;
  std::string hint;
};

struct Tree {
  std::shared_ptr<const Node> root;   // nullptr when the text is not YAML or breaks a limit
  std::vector<YamlProblem> problems;  // with a root: duplicate keys, which keep their first value
};

inline constexpr std::size_t kMaxFileBytes = 4U << 20;
inline constexpr std::size_t kMaxDepth = 16;       // nested lists and mappings
inline constexpr std::size_t kMaxNodes = 500'000;  // with aliases expanded
inline constexpr std::size_t kMaxKeyBytes = 128;

// One YAML 1.2 document in UTF-8. Aliases are understood; merge keys ("<<"), tags, keys that are
// not text and second documents are refused. Never throws. No problem quotes a value.
Tree parse_yaml(std::string_view text);

// "a.b" + "c" gives "a.b.c"; a key that is not a plain word is quoted: a["b c"].
std::string join_path(std::string_view path, std::string_view key);
std::string join_path(std::string_view path, std::size_t index);

}  // namespace postern::config
