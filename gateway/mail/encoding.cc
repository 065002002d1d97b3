#include "mail/encoding.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "mail/syntax.h"

namespace postern::mail {
namespace {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kHex = "0123456789ABCDEF";
constexpr std::size_t kEncodedLine = 76;
constexpr std::size_t kBytesPerLine = kEncodedLine / 4 * 3;

std::uint32_t byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

// True when all eight bytes are printable ASCII: one comparison for most of a text.
bool all_printable(const char* eight) {
  std::uint64_t word = 0;
  std::memcpy(&word, eight, sizeof word);
  constexpr std::uint64_t kOnes = 0x0101010101010101U;
  constexpr std::uint64_t kHigh = kOnes * 0x80;
  const std::uint64_t high = word & kHigh;
  const std::uint64_t low = (word - kOnes * 0x20) & ~word & kHigh;
  const std::uint64_t del = word ^ (kOnes * 0x7F);
  return (high | low | ((del - kOnes) & ~del & kHigh)) == 0;
}

char* encode_base64(char* to, std::string_view bytes) {
  std::size_t i = 0;
  for (; i + 2 < bytes.size(); i += 3) {
    const std::uint32_t v =
        byte_at(bytes, i) << 16 | byte_at(bytes, i + 1) << 8 | byte_at(bytes, i + 2);
    *to++ = kBase64[v >> 18];
    *to++ = kBase64[(v >> 12) & 63];
    *to++ = kBase64[(v >> 6) & 63];
    *to++ = kBase64[v & 63];
  }
  if (i < bytes.size()) {
    const bool two = i + 1 < bytes.size();
    const std::uint32_t v = byte_at(bytes, i) << 16 | (two ? byte_at(bytes, i + 1) << 8 : 0);
    *to++ = kBase64[v >> 18];
    *to++ = kBase64[(v >> 12) & 63];
    *to++ = two ? kBase64[(v >> 6) & 63] : '=';
    *to++ = '=';
  }
  return to;
}

}  // namespace

std::string_view name_of(TransferEncoding encoding) {
  switch (encoding) {
    case TransferEncoding::seven_bit:
      return "7bit";
    case TransferEncoding::quoted_printable:
      return "quoted-printable";
    case TransferEncoding::base64:
      break;
  }
  return "base64";
}

TextShape shape_of(std::string_view text) {
  TextShape shape;
  std::size_t line_start = 0;
  const auto end_line = [&](std::size_t at) {
    shape.longest_line = std::max(shape.longest_line, at - line_start);
    ++shape.line_ends;
  };
  for (std::size_t i = 0; i < text.size();) {
    if (i + 8 <= text.size() && all_printable(text.data() + i)) {
      i += 8;
      continue;
    }
    const char c = text[i];
    if (c == '\r' || c == '\n') {
      const bool pair = c == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
      shape.crlf_only = shape.crlf_only && pair;
      end_line(i);
      i += pair ? 2 : 1;
      line_start = i;
      continue;
    }
    if (is_high(c) || (is_control(c) && c != '\t')) ++shape.escapes;
    ++i;
  }
  shape.longest_line = std::max(shape.longest_line, text.size() - line_start);
  shape.plain = shape.escapes == 0;
  return shape;
}

bool fits_seven_bit(const TextShape& shape) {
  return shape.plain && shape.longest_line <= kMaxLine;
}

void append_with_crlf(std::string& out, std::string_view text) {
  // find(char) is memchr, many times as fast as find_first_of.
  while (!text.empty()) {
    const std::size_t lf = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, lf);
    for (std::size_t cr = line.find('\r'); cr != std::string_view::npos; cr = line.find('\r')) {
      out += line.substr(0, cr);
      line.remove_prefix(cr + 1);
      if (line.empty() && lf < text.size()) break;  // the CR of a CRLF
      out += "\r\n";
    }
    out += line;
    if (lf == text.size()) return;
    out += "\r\n";
    text.remove_prefix(lf + 1);
  }
}

bool append_quoted_printable(std::string& out, std::string_view text, std::size_t limit) {
  const std::size_t start = out.size();
  std::array<char, kEncodedLine + 4> line;
  std::size_t column = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c > ' ' && c < '\x7F' && c != '=' && column < kEncodedLine - 1) {
      line[column++] = c;
      continue;
    }
    if (c == '\r' || c == '\n') {
      if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
      line[column] = '\r';
      line[column + 1] = '\n';
      out.append(line.data(), column + 2);
      column = 0;
      continue;
    }
    const bool blank = c == ' ' || c == '\t';
    // White space at the end of a line is lost on the way (RFC 2045 6.7 (3)).
    const bool last = i + 1 == text.size() || text[i + 1] == '\r' || text[i + 1] == '\n';
    const bool literal = blank ? !last : !is_high(c) && !is_control(c) && c != '=';
    if (column + (literal ? 1 : 3) > kEncodedLine - 1) {
      line[column] = '=';
      line[column + 1] = '\r';
      line[column + 2] = '\n';
      out.append(line.data(), column + 3);
      column = 0;
      if (out.size() - start > limit) break;
    }
    if (literal) {
      line[column++] = c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      line[column++] = '=';
      line[column++] = kHex[byte >> 4];
      line[column++] = kHex[byte & 15];
    }
  }
  out.append(line.data(), column);
  if (out.size() - start <= limit) return true;
  out.resize(start);
  return false;
}

void append_base64_lines(std::string& out, std::string_view bytes) {
  std::array<char, kEncodedLine + 2> line;
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, kBytesPerLine);
    bytes.remove_prefix(part.size());
    char* end = encode_base64(line.data(), part);
    if (!bytes.empty()) {
      *end++ = '\r';
      *end++ = '\n';
    }
    out.append(line.data(), static_cast<std::size_t>(end - line.data()));
  }
}

std::size_t base64_lines_size(std::size_t bytes) {
  if (bytes == 0) return 0;
  return (bytes + 2) / 3 * 4 + (bytes - 1) / kBytesPerLine * 2;
}

void append_base64(std::string& out, std::string_view bytes) {
  const std::size_t start = out.size();
  out.resize(start + (bytes.size() + 2) / 3 * 4);
  encode_base64(out.data() + start, bytes);
}

}  // namespace postern::mail
