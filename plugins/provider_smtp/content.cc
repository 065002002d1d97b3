#include "content.h"

#include <cstring>

namespace postern::smtp {

bool is_transparent(std::string_view content) {
  const char* at = content.data();
  const char* const end = at + content.size();
  if (at == end) return true;
  if (*at == '.' || *at == '\n') return false;
  for (const char* from = at; from < end;) {
    const void* found = std::memchr(from, '\n', static_cast<std::size_t>(end - from));
    if (found == nullptr) break;
    const char* const line_feed = static_cast<const char*>(found);
    if (line_feed[-1] != '\r') return false;
    from = line_feed + 1;
    if (from < end && (*from == '.' || *from == '\n')) return false;
  }
  for (const char* from = at; from < end;) {
    const void* found = std::memchr(from, '\r', static_cast<std::size_t>(end - from));
    if (found == nullptr) break;
    from = static_cast<const char*>(found) + 1;
    if (from == end || *from != '\n') return false;
    ++from;
  }
  return true;
}

std::string make_transparent(std::string_view content) {
  std::string out;
  out.reserve(content.size() + content.size() / 32 + 2);
  bool line_start = true;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const char c = content[i];
    if (c == '\r' || c == '\n') {
      if (c == '\r' && i + 1 < content.size() && content[i + 1] == '\n') ++i;
      out += "\r\n";
      line_start = true;
      continue;
    }
    if (line_start && c == '.') out += '.';
    out += c;
    line_start = false;
  }
  return out;
}

std::string_view end_of_data(std::string_view content) {
  return content.empty() || content.ends_with("\r\n") ? ".\r\n" : "\r\n.\r\n";
}

}  // namespace postern::smtp
