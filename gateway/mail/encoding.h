// mail/encoding.h: the content transfer encodings of RFC 2045 6, written straight into the mail.
// Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace postern::mail {

inline constexpr std::size_t kMaxLine = 998;  // RFC 5322 2.1.1, without CRLF

enum class TransferEncoding : std::uint8_t { seven_bit, quoted_printable, base64 };
std::string_view name_of(TransferEncoding encoding);

// What a text is made of. A line end is CRLF, or CR or LF alone.
struct TextShape {
  bool plain = true;             // ASCII without controls other than tabs and line ends
  std::size_t longest_line = 0;  // octets
  std::size_t line_ends = 0;
  std::size_t escapes = 0;  // octets that quoted-printable must write as three
  bool crlf_only = true;    // no CR or LF stands alone
};
TextShape shape_of(std::string_view text);

// 7bit where RFC 2045 2.7 allows it, with no controls that a relay might change.
bool fits_seven_bit(const TextShape& shape);

// Appends the text with every line end as CRLF.
void append_with_crlf(std::string& out, std::string_view text);

// RFC 2045 6.7: lines of at most 76 octets, line ends as CRLF. Stops and returns false, with `out`
// as it was, as soon as more than `limit` octets would be written.
bool append_quoted_printable(std::string& out, std::string_view text, std::size_t limit);

// RFC 2045 6.8: lines of 76 characters, CRLF between them, none at the end.
void append_base64_lines(std::string& out, std::string_view bytes);
std::size_t base64_lines_size(std::size_t bytes);

// Without line breaks: RFC 2047's B encoding.
void append_base64(std::string& out, std::string_view bytes);

}  // namespace postern::mail
