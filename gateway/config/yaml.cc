#include "config/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <istream>
#include <map>
#include <optional>
#include <streambuf>
#include <utility>

#include "base/bytes.h"

namespace postern::config {
namespace {

// What ends the parse: thrown through yaml-cpp, caught in parse_yaml.
struct Stop {
  YamlProblem problem;
};

// yaml-cpp counts lines from 0 and columns in bytes from 0. Marks come nearly in order, so the last
// place is kept: long lines are not counted again from their start for every node.
class Places {
 public:
  explicit Places(std::string_view text) : text_(text) {
    starts_.push_back(0);
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') starts_.push_back(i + 1);
    }
  }

  Mark mark(const YAML::Mark& at) {
    if (at.line < 0 || at.column < 0) return {};
    return locate(line_index(at), offset(at));
  }

  Mark mark(std::size_t offset) {
    const auto after = std::upper_bound(starts_.begin(), starts_.end(), offset);
    return locate(static_cast<std::size_t>(after - starts_.begin()) - 1, offset);
  }

  [[nodiscard]] std::size_t offset(const YAML::Mark& at) const {
    if (at.line < 0 || at.column < 0) return 0;
    const std::size_t line = line_index(at);
    const std::size_t end = line + 1 < starts_.size() ? starts_[line + 1] - 1 : text_.size();
    return std::min(starts_[line] + static_cast<std::size_t>(at.column), end);
  }

  [[nodiscard]] std::string_view line(int number) const {
    if (number < 1 || static_cast<std::size_t>(number) > starts_.size()) return {};
    const std::size_t start = starts_[static_cast<std::size_t>(number) - 1];
    return text_.substr(start, std::min(text_.find('\n', start), text_.size()) - start);
  }

 private:
  [[nodiscard]] std::size_t line_index(const YAML::Mark& at) const {
    return std::min(static_cast<std::size_t>(at.line), starts_.size() - 1);
  }

  Mark locate(std::size_t line, std::size_t offset) {
    if (line != line_ || offset < offset_) {
      line_ = line;
      offset_ = starts_[line];
      column_ = 1;
    }
    for (; offset_ < offset; ++offset_) {
      if ((static_cast<unsigned char>(text_[offset_]) & 0xC0) != 0x80) ++column_;
    }
    return {static_cast<int>(line_) + 1, column_};
  }

  std::string_view text_;
  std::vector<std::size_t> starts_;
  std::size_t line_ = 0;
  std::size_t offset_ = 0;
  int column_ = 1;
};

std::string line_of(const Mark& mark) {
  return "line " + std::to_string(mark.line);
}

class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(Places& places) : places_(places) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& at, YAML::anchor_t anchor) override {
    auto node = std::make_shared<Node>();
    node->mark = places_.mark(at);
    count(1, node->mark);
    keep(anchor, node);
    add(std::move(node));
  }

  void OnScalar(const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    auto node = std::make_shared<Node>();
    node->kind = Node::Kind::scalar;
    node->mark = places_.mark(at);
    node->text = value;
    last_quoted_ = tag == "!" ? std::optional{places_.offset(at)} : std::nullopt;
    refuse_tag(tag, node->mark);
    count(1, node->mark);
    keep(anchor, node);
    add(std::move(node));
  }

  void OnAlias(const YAML::Mark& at, YAML::anchor_t anchor) override {
    const Mark mark = places_.mark(at);
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      throw Stop{{mark, path(), "an alias stands inside the value that it names", ""}};
    }
    count(found->second->weight, mark);
    if (open_.size() + found->second->height > kMaxDepth) too_deep(mark);
    add(found->second, mark);
  }

  void OnSequenceStart(const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    start(Node::Kind::list, at, tag, anchor);
  }
  void OnSequenceEnd() override { finish(); }
  void OnMapStart(const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    start(Node::Kind::mapping, at, tag, anchor);
  }
  void OnMapEnd() override { finish(); }

  std::shared_ptr<const Node> root;
  std::vector<YamlProblem> problems;

  // Where the last scalar begins, if it is quoted.
  [[nodiscard]] std::optional<std::size_t> last_quoted() const { return last_quoted_; }

 private:
  struct Open {
    std::shared_ptr<Node> node;
    YAML::anchor_t anchor = 0;
    std::optional<Node::Entry> entry;  // a key that waits for its value
    std::map<std::string, Mark, std::less<>> keys;
    bool discard = false;  // the waiting key is a duplicate
  };

  // Of the value that comes next.
  [[nodiscard]] std::string path() const {
    std::string path;
    for (const Open& level : open_) {
      if (level.node->kind == Node::Kind::list) {
        path = join_path(path, level.node->items.size());
      } else if (level.entry) {
        path = join_path(path, level.entry->key);
      }
    }
    return path;
  }

  void count(std::size_t nodes, const Mark& mark) {
    if (nodes > kMaxNodes - std::min(total_, kMaxNodes)) {
      throw Stop{
          {mark, path(),
           "the file holds more than " + std::to_string(kMaxNodes) + " values, aliases expanded",
           ""}};
    }
    total_ += nodes;
  }

  [[noreturn]] void too_deep(const Mark& mark) const {
    throw Stop{{mark, path(),
                "lists and mappings are nested more than " + std::to_string(kMaxDepth) + " deep",
                ""}};
  }

  void refuse_tag(const std::string& tag, const Mark& mark) const {
    if (tag.empty() || tag == "?" || tag == "!") return;
    throw Stop{
        {mark, path(), "tags are not understood", "a value that begins with \"!\" needs quotes"}};
  }

  void start(Node::Kind kind, const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor) {
    auto node = std::make_shared<Node>();
    node->kind = kind;
    node->mark = places_.mark(at);
    if (expects_key()) bad_key(node->mark);
    refuse_tag(tag, node->mark);
    count(1, node->mark);
    if (open_.size() >= kMaxDepth) too_deep(node->mark);
    open_.push_back({.node = std::move(node), .anchor = anchor, .entry = {}, .keys = {}});
  }

  void finish() {
    Open level = std::move(open_.back());
    open_.pop_back();
    keep(level.anchor, level.node);
    add(std::move(level.node));
  }

  void keep(YAML::anchor_t anchor, std::shared_ptr<const Node> node) {
    if (anchor != 0) anchors_[anchor] = std::move(node);
  }

  [[nodiscard]] bool expects_key() const {
    return !open_.empty() && open_.back().node->kind == Node::Kind::mapping && !open_.back().entry;
  }

  [[noreturn]] void bad_key(const Mark& mark) const {
    throw Stop{{mark, path(), "a key must be one word of text",
                "a value that begins with \"{\" or \"[\" needs quotes, and so does ${…} inside "
                "{ } or [ ]"}};
  }

  void add(std::shared_ptr<const Node> node) {
    const Mark mark = node->mark;
    add(std::move(node), mark);
  }

  void add(std::shared_ptr<const Node> node, const Mark& mark) {
    if (open_.empty()) {
      root = std::move(node);
      return;
    }
    Open& level = open_.back();
    if (expects_key()) {
      add_key(level, *node, mark);
      return;
    }
    level.node->weight += node->weight;
    level.node->height = std::max(level.node->height, node->height + 1);
    if (level.node->kind == Node::Kind::list) {
      level.node->items.push_back(std::move(node));
      return;
    }
    if (!level.discard) {
      level.entry->value = std::move(node);
      level.node->entries.push_back(*std::move(level.entry));
    }
    level.entry.reset();
    level.discard = false;
  }

  void add_key(Open& level, const Node& key, const Mark& mark) {
    if (key.kind != Node::Kind::scalar) bad_key(mark);
    if (key.text == "<<") {
      throw Stop{{mark, path(), "merge keys (\"<<\") are not understood",
                  "write the keys out, or give the whole value an alias"}};
    }
    if (key.text.size() > kMaxKeyBytes) {
      throw Stop{
          {mark, path(), "a key is longer than " + std::to_string(kMaxKeyBytes) + " bytes", ""}};
    }
    level.entry = Node::Entry{key.text, mark, nullptr};
    const auto [first, is_new] = level.keys.emplace(key.text, mark);
    if (!is_new) {
      level.discard = true;
      problems.push_back({mark, path(), "is given twice; the first is on " + line_of(first->second),
                          "remove one of them"});
    }
  }

  Places& places_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, std::shared_ptr<const Node>> anchors_;
  std::size_t total_ = 0;
  std::optional<std::size_t> last_quoted_;
};

struct Words {
  std::string_view library;  // how yaml-cpp's message begins
  std::string_view plain;
  std::string_view hint;
};

// yaml-cpp's own words are never shown: some quote what the file holds.
constexpr std::array kWords{
    Words{"end of map not found", "this mapping goes on with a line that is not \"key: value\"",
          "check the indentation, and the line before"},
    Words{"end of map flow not found", "\"{\" is not closed by \"}\"", ""},
    Words{"end of sequence not found",
          "this list goes on with a line that does not begin with \"-\"",
          "check the indentation, and the line before"},
    Words{"end of sequence flow not found", "\"[\" is not closed by \"]\"", ""},
    Words{"illegal map value", "\":\" is not expected here",
          "a value that holds \": \" needs quotes"},
    Words{"illegal map key", "a key is not expected here", "check the indentation"},
    Words{"illegal block entry", "\"- \" is not expected here", "check the indentation"},
    Words{"illegal flow end", "\"}\" or \"]\" closes nothing", ""},
    Words{"illegal tab", "a tab indents this line", "indent with spaces"},
    Words{"illegal EOF in scalar", "the quote is not closed", ""},
    Words{"illegal document indicator", "the quote is not closed before \"---\" or \"...\"", ""},
    Words{"unknown escape character", "unknown escape after \"\\\"",
          "use single quotes, where \"\\\" means itself"},
    Words{"bad character found while scanning hex", "unknown escape after \"\\\"",
          "use single quotes, where \"\\\" means itself"},
    Words{"invalid unicode", "the escape is no Unicode character", ""},
    Words{"unknown token", "a value can't begin with this character", "put it in quotes"},
    Words{"the referenced anchor is not defined", "the alias names no anchor",
          "a value that begins with \"*\" needs quotes"},
    Words{"alias not found", "\"*\" is not followed by a name",
          "a value that begins with \"*\" needs quotes"},
    Words{"anchor not found", "\"&\" is not followed by a name",
          "a value that begins with \"&\" needs quotes"},
    Words{"illegal character found while scanning alias", "the alias's name is not a word",
          "a value that begins with \"*\" needs quotes"},
    Words{"illegal character found while scanning anchor", "the anchor's name is not a word",
          "a value that begins with \"&\" needs quotes"},
    Words{"illegal character found while scanning tag", "tags are not understood",
          "a value that begins with \"!\" needs quotes"},
    Words{"unexpected character in block scalar", "text after \"|\" or \">\" on the same line",
          "begin it on the next line, indented"},
};

YamlProblem syntax_problem(Places& places, const YAML::Exception& error) {
  YamlProblem problem{places.mark(error.mark), "", "not valid YAML here", ""};
  for (const Words& words : kWords) {
    if (!error.msg.starts_with(words.library)) continue;
    problem.message = words.plain;
    problem.hint = words.hint;
    break;
  }
  const bool in_quotes = problem.message.starts_with("the quote");
  if (!in_quotes && places.line(problem.mark.line).find("${") != std::string_view::npos) {
    problem.hint = "inside { } or [ ], ${…} needs quotes: \"${env:NAME}\"";
  }
  return problem;
}

// yaml-cpp replaces what is not UTF-8 and takes byte 4 for the end of the file.
std::optional<std::size_t> bad_byte(std::string_view text) {
  const auto control = std::find_if(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\n' && c != '\t' && c != '\r') || byte == 0x7F;
  });
  const auto found = static_cast<std::size_t>(control - text.begin());
  if (is_utf8(text)) {
    return control == text.end() ? std::nullopt : std::optional{found};
  }
  std::size_t good = 0;  // where the first character that is not UTF-8 begins
  while (good < text.size()) {
    std::size_t length = 1;
    while (length <= 4 && !is_utf8(text.substr(good, length))) ++length;
    if (length > 4) break;
    good += length;
  }
  return std::min(good, found);
}

// yaml-cpp takes the end of the file for the end of a quoted scalar when a newline comes before it:
// a file that was cut off would look whole. `at` may be that of an anchor before the scalar.
std::optional<std::size_t> unclosed_quote(std::string_view text, std::size_t at) {
  while (at < text.size() && text[at] == '&') {
    at = text.find_first_of(" \t\r\n", at);
    at = text.find_first_not_of(" \t\r\n", at);
  }
  if (at >= text.size() || (text[at] != '"' && text[at] != '\'')) return std::nullopt;
  const char quote = text[at];
  for (std::size_t i = at + 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      if (quote == '"' || i + 1 >= text.size() || text[i + 1] != quote) return std::nullopt;
      ++i;
    }
  }
  return at;
}

// Reads a view in place: std::istringstream would copy it.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // streambuf's interface; it is only read
    setg(begin, begin, begin + text.size());
  }
};

}  // namespace

const Node::Entry* Node::find(std::string_view key) const {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

std::string join_path(std::string_view path, std::string_view key) {
  const bool plain = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
  std::string out{path};
  if (plain) {
    if (!out.empty()) out += '.';
    out += key;
    return out;
  }
  out += "[\"";
  for (const char c : key) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  }
  return out + "\"]";
}

std::string join_path(std::string_view path, std::size_t index) {
  return std::string{path} + '[' + std::to_string(index) + ']';
}

Tree parse_yaml(std::string_view text) {
  Tree tree;
  if (text.size() > kMaxFileBytes) {
    tree.problems.push_back(
        {{}, "", "the file is larger than " + std::to_string(kMaxFileBytes >> 20) + " MiB", ""});
    return tree;
  }
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  Places places{text};
  if (const auto at = bad_byte(text)) {
    const bool control = static_cast<unsigned char>(text[*at]) < 0x80;
    tree.problems.push_back({places.mark(*at), "",
                             control ? "a control character" : "this is not UTF-8",
                             control ? "remove it" : "save the file as UTF-8"});
    return tree;
  }

  Builder builder{places};
  try {
    ViewBuffer buffer{text};
    std::istream stream{&buffer};
    YAML::Parser parser{stream};
    parser.HandleNextDocument(builder);
    if (builder.root) {
      Builder second{places};
      if (parser.HandleNextDocument(second)) {
        tree.problems = std::move(builder.problems);
        tree.problems.push_back({second.root ? second.root->mark : Mark{}, "",
                                 "a second document begins here",
                                 "a configuration is one document: remove the \"---\""});
        return tree;
      }
    }
  } catch (const Stop& stop) {
    tree.problems = std::move(builder.problems);
    tree.problems.push_back(stop.problem);
    return tree;
  } catch (const YAML::Exception& error) {
    tree.problems = std::move(builder.problems);
    tree.problems.push_back(syntax_problem(places, error));
    return tree;
  } catch (const std::exception&) {
    tree.problems.push_back({{}, "", "this is not YAML", ""});
    return tree;
  }
  tree.problems = std::move(builder.problems);
  if (const auto start = builder.last_quoted()) {
    if (const auto quote = unclosed_quote(text, *start)) {
      tree.problems.push_back({places.mark(*quote), "", "the quote is not closed", ""});
      return tree;
    }
  }
  tree.root = std::move(builder.root);
  if (!tree.root) {
    auto empty = std::make_shared<Node>();
    empty->mark = {1, 1};
    tree.root = std::move(empty);
  }
  return tree;
}

}  // namespace postern::config
