#include "mail/content_type.h"

#include <algorithm>

#include "base/bytes.h"
#include "mail/header_writer.h"
#include "mail/message.h"
#include "mail/syntax.h"

namespace postern::mail {
namespace {

constexpr std::size_t kMaxContentType = 512;
constexpr std::size_t kMaxContentId = 200;

// Takes a token from the front of `rest`; empty when there is none.
std::string_view take_token(std::string_view& rest) {
  std::size_t end = 0;
  while (end < rest.size() && is_token_char(rest[end])) ++end;
  const std::string_view token = rest.substr(0, end);
  rest.remove_prefix(end);
  return token;
}

std::string_view take_quoted(std::string_view& rest) {
  for (std::size_t i = 1; i < rest.size(); ++i) {
    if (rest[i] == '\\') {
      ++i;
    } else if (rest[i] == '"') {
      const std::string_view quoted = rest.substr(0, i + 1);
      rest.remove_prefix(i + 1);
      return quoted;
    }
  }
  return {};
}

void skip_spaces(std::string_view& rest) {
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
}

// Calls visit("type/subtype"), then visit("name=value") for each parameter; false where the text
// is no content type.
template <typename Visit>
bool walk(std::string_view text, Visit visit) {
  if (text.size() > kMaxContentType) return false;
  if (std::any_of(text.begin(), text.end(), [](char c) { return is_control(c) || is_high(c); })) {
    return false;
  }
  std::string_view rest = trim(text);
  const std::string_view whole = rest;
  const std::string_view type = take_token(rest);
  if (type.empty() || !rest.starts_with('/') || ascii_iequals(type, "multipart")) return false;
  rest.remove_prefix(1);
  const std::string_view subtype = take_token(rest);
  if (subtype.empty()) return false;
  visit(whole.substr(0, whole.size() - rest.size()));
  for (skip_spaces(rest); !rest.empty(); skip_spaces(rest)) {
    if (rest.front() != ';') return false;
    rest.remove_prefix(1);
    skip_spaces(rest);
    const std::string_view from_name = rest;
    if (take_token(rest).empty() || !rest.starts_with('=')) return false;
    rest.remove_prefix(1);
    if ((rest.starts_with('"') ? take_quoted(rest) : take_token(rest)).empty()) return false;
    visit(from_name.substr(0, from_name.size() - rest.size()));
  }
  return true;
}

}  // namespace

bool is_content_type(std::string_view text) {
  return walk(text, [](std::string_view) {});
}

bool is_content_id(std::string_view text) {
  return !text.empty() && text.size() <= kMaxContentId &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return c > 0x20 && c < 0x7F && c != '<' && c != '>'; });
}

void write_content_type(HeaderWriter& header, std::string_view content_type) {
  bool first = true;
  walk(content_type, [&](std::string_view piece) {
    if (!first) header.unfolded(";");
    header.token(piece);
    first = false;
  });
}

}  // namespace postern::mail
