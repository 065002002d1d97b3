#include "submission/json.h"

#include <algorithm>
#include <boost/json/parser.hpp>

namespace postern::json {

Result<boost::json::value> parse(std::string_view text, boost::json::storage_ptr memory) {
  boost::json::parse_options options;
  options.max_depth = 32;
  unsigned char buffer[4096];
  boost::json::parser parser({}, options, buffer, sizeof buffer);
  parser.reset(std::move(memory));
  boost::system::error_code error;
  const std::size_t used = parser.write_some(text.data(), text.size(), error);
  if (!error && used == text.size()) return parser.release();

  const std::string_view before = text.substr(0, std::min(used, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const auto last_break = before.rfind('\n');
  const auto column = 1 + before.size() - (last_break == std::string_view::npos ? 0 : last_break + 1);
  std::string what = text.empty() ? "the body is empty"
                     : !error     ? "there is text after the end of the JSON value"
                                  : error.message();
  const std::string where = "line " + std::to_string(line) + ", column " + std::to_string(column);
  return Error{ErrorKind::invalid,
               "Malformed JSON at " + where,
               {{"", "malformed_json", where + ": " + what}},
               {}};
}

}  // namespace postern::json
