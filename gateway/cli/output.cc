#include "cli/output.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <ostream>

#include "base/bytes.h"

namespace postern::cli {

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are control characters, too (ECMA-48).
    const bool second_set =
        c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (c < 0x20 || c == 0x7F || second_set) {
      out += '?';
      if (second_set) ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string join(const std::vector<std::string>& items, std::string_view separator) {
  std::string out;
  for (const auto& item : items) {
    if (!out.empty()) out += separator;
    out += item;
  }
  return out;
}

void Table::print(std::ostream& out) const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], utf8_length(printable(row[i])));
    }
  }
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      const std::string cell = printable(row[i]);
      line += cell;
      if (i + 1 < row.size()) line.append(widths[i] - utf8_length(cell) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
  }
}

void print_json(std::ostream& out, const boost::json::value& value) {
  out << boost::json::serialize(value) << '\n';
}

void print_error(std::ostream& err, const Error& error) {
  err << "postern: " << error.message << '\n';
  for (const Issue& issue : error.issues) {
    err << "  " << (issue.path.empty() ? "" : issue.path + ": ") << issue.message << '\n';
  }
}

boost::json::value json_list(const std::vector<std::string>& items) {
  boost::json::array out;
  for (const auto& item : items) out.emplace_back(item);
  return out;
}

boost::json::value json_time(const std::optional<UnixMillis>& at) {
  if (!at) return nullptr;
  return boost::json::value(format_time(*at));
}

boost::json::value json_or_null(std::string_view text) {
  if (text.empty()) return nullptr;
  return boost::json::value(text);
}

std::string_view name_of(sdk::MessageStatus status) {
  static constexpr std::array<std::string_view, 11> kNames{
      "scheduled", "queued",     "sending", "sent",     "delivered", "deferred",
      "bounced",   "complained", "failed",  "canceled", "suppressed"};
  return kNames.at(static_cast<std::size_t>(status));
}

std::string_view name_of(sdk::EventType type) {
  static constexpr std::array<std::string_view, 10> kNames{
      "QUEUED",  "SENT",       "DELIVERED",    "OPENED",  "CLICKED",
      "BOUNCED", "COMPLAINED", "UNSUBSCRIBED", "DROPPED", "DEFERRED"};
  return kNames.at(static_cast<std::size_t>(type));
}

std::string_view name_of(sdk::RecipientRole role) {
  static constexpr std::array<std::string_view, 3> kNames{"to", "cc", "bcc"};
  return kNames.at(static_cast<std::size_t>(role));
}

bool is_final(sdk::MessageStatus status) {
  using enum sdk::MessageStatus;
  return status != scheduled && status != queued && status != sending && status != deferred;
}

}  // namespace postern::cli
