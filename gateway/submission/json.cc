#include "submission/json.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>
#include <optional>
#include <vector>

namespace postern::json {
namespace {

namespace bj = boost::json;
using boost::system::error_code;

// Builds the value as boost::json::parser does, and notices a key that stands twice in its object:
// of two values one would be dropped silently.
class Handler {
 public:
  static constexpr std::size_t max_object_size = bj::object::max_size();
  static constexpr std::size_t max_array_size = bj::array::max_size();
  static constexpr std::size_t max_key_size = bj::string::max_size();
  static constexpr std::size_t max_string_size = bj::string::max_size();

  explicit Handler(bj::storage_ptr memory, unsigned char* buffer, std::size_t size)
      : stack_({}, buffer, size) {
    stack_.reset(std::move(memory));
  }
  bj::value release() { return stack_.release(); }
  [[nodiscard]] const std::optional<std::string>& duplicate() const { return duplicate_; }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) {
    objects_.push_back(keys_.size());
    return true;
  }
  bool on_object_end(std::size_t count, error_code& error) {
    const auto first = keys_.begin() + static_cast<std::ptrdiff_t>(objects_.back());
    objects_.pop_back();
    std::sort(first, keys_.end());
    const auto twice = std::adjacent_find(first, keys_.end());
    if (twice != keys_.end()) {
      duplicate_ = *twice;
      error = bj::error::syntax;
      return false;
    }
    keys_.erase(first, keys_.end());
    stack_.push_object(count);
    return true;
  }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(std::size_t count, error_code&) {
    stack_.push_array(count);
    return true;
  }
  bool on_key_part(bj::string_view text, std::size_t, error_code&) {
    key_.append(text.data(), text.size());
    stack_.push_chars(text);
    return true;
  }
  bool on_key(bj::string_view text, std::size_t, error_code&) {
    key_.append(text.data(), text.size());
    keys_.push_back(std::move(key_));
    key_.clear();
    stack_.push_key(text);
    return true;
  }
  bool on_string_part(bj::string_view text, std::size_t, error_code&) {
    stack_.push_chars(text);
    return true;
  }
  bool on_string(bj::string_view text, std::size_t, error_code&) {
    stack_.push_string(text);
    return true;
  }
  bool on_number_part(bj::string_view, error_code&) { return true; }
  bool on_int64(std::int64_t number, bj::string_view, error_code&) {
    stack_.push_int64(number);
    return true;
  }
  bool on_uint64(std::uint64_t number, bj::string_view, error_code&) {
    stack_.push_uint64(number);
    return true;
  }
  bool on_double(double number, bj::string_view, error_code&) {
    stack_.push_double(number);
    return true;
  }
  bool on_bool(bool value, error_code&) {
    stack_.push_bool(value);
    return true;
  }
  bool on_null(error_code&) {
    stack_.push_null();
    return true;
  }
  bool on_comment_part(bj::string_view, error_code&) { return true; }
  bool on_comment(bj::string_view, error_code&) { return true; }

 private:
  bj::value_stack stack_;
  std::string key_;
  std::vector<std::string> keys_;      // of all open objects, the innermost's last
  std::vector<std::size_t> objects_;   // where each open object's keys begin
  std::optional<std::string> duplicate_;
};

}  // namespace

Result<bj::value> parse(std::string_view text, bj::storage_ptr memory) {
  bj::parse_options options;
  options.max_depth = 32;
  unsigned char buffer[4096];
  bj::basic_parser<Handler> parser{options, std::move(memory), buffer, sizeof buffer};
  error_code error;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), error);
  if (!error && used == text.size()) return parser.handler().release();

  if (const auto& key = parser.handler().duplicate()) {
    return Error{ErrorKind::invalid,
                 "Request validation failed",
                 {{key->substr(0, 64), "duplicate_field", "Stands twice in the same object"}},
                 {}};
  }
  const std::string_view before = text.substr(0, std::min(used, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const auto last_break = before.rfind('\n');
  const auto column = 1 + before.size() - (last_break == std::string_view::npos ? 0 : last_break + 1);
  const std::string what = text.empty() ? "the body is empty"
                           : !error     ? "there is text after the end of the JSON value"
                                        : error.message();
  const std::string where = "line " + std::to_string(line) + ", column " + std::to_string(column);
  return Error{ErrorKind::invalid,
               "Malformed JSON at " + where,
               {{"", "malformed_json", where + ": " + what}},
               {}};
}

}  // namespace postern::json
