// cli/output.h: what commands print: tables for people, one JSON document for machines.
#pragma once

#include <boost/json/value.hpp>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "postern/sdk/storage.h"

namespace postern::cli {

// Columns as wide as their widest cell, two spaces apart; the last one is not padded. Control
// characters in cells are shown as '?': what comes from mail can't move the cursor.
class Table {
 public:
  explicit Table(std::vector<std::string> head) { rows_.push_back(std::move(head)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] bool empty() const { return rows_.size() == 1; }
  void print(std::ostream& out) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string printable(std::string_view text);
std::string join(const std::vector<std::string>& items, std::string_view separator);

// One line.
void print_json(std::ostream& out, const boost::json::value& value);
// Every issue on a line of its own.
void print_error(std::ostream& err, const Error& error);

boost::json::value json_list(const std::vector<std::string>& items);
boost::json::value json_time(const std::optional<UnixMillis>& at);  // null when there is none
boost::json::value json_or_null(std::string_view text);             // null when empty

// The names of the API: "queued", "DROPPED", "to".
std::string_view name_of(sdk::MessageStatus status);
std::string_view name_of(sdk::EventType type);
std::string_view name_of(sdk::RecipientRole role);
// Whether nothing more happens to it by itself.
bool is_final(sdk::MessageStatus status);

}  // namespace postern::cli
