#include "reply.h"

#include <algorithm>
#include <cstring>

namespace postern::smtp {
namespace {

constexpr std::size_t kMaxDescription = 512;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// The octets of the well-formed UTF-8 sequence at the start of `text` (RFC 3629), or 0.
std::size_t utf8_sequence(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  std::size_t size = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xbf;
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) {
    size = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    size = 3;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    size = 4;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  if (text.size() < size || at(1) < low || at(1) > high) return 0;
  for (std::size_t i = 2; i < size; ++i) {
    if (at(i) < 0x80 || at(i) > 0xbf) return 0;
  }
  return size;
}

void append_printable(std::string& out, std::string_view text) {
  while (!text.empty() && out.size() < kMaxDescription) {
    const auto byte = static_cast<unsigned char>(text.front());
    if (byte < 0x80) {
      out += byte < 0x20 || byte == 0x7f ? ' ' : text.front();
      text.remove_prefix(1);
      continue;
    }
    const std::size_t size = utf8_sequence(text);
    // U+0080 to U+009F are control characters as well.
    const bool control = size == 2 && byte == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
    if (size == 0 || control) {
      out += control ? ' ' : '?';
      text.remove_prefix(std::max<std::size_t>(size, 1));
      continue;
    }
    if (out.size() + size > kMaxDescription) return;
    out.append(text.substr(0, size));
    text.remove_prefix(size);
  }
}

}  // namespace

std::string_view enhanced_status_of(const Reply& reply) {
  const std::string_view text = reply.text;
  if (text.empty() || text[0] != '0' + reply.code / 100) return {};
  if (text[0] != '2' && text[0] != '4' && text[0] != '5') return {};
  std::size_t at = 1;
  for (int part = 0; part < 2; ++part) {
    if (at >= text.size() || text[at] != '.') return {};
    const std::size_t start = ++at;
    while (at < text.size() && at - start < 3 && is_digit(text[at])) ++at;
    if (at == start) return {};
  }
  if (at < text.size() && text[at] != ' ' && text[at] != '\n') return {};
  return text.substr(0, at);
}

std::string describe(const Reply& reply) {
  std::string out = std::to_string(reply.code);
  out.reserve(out.size() + 1 + std::min(reply.text.size(), kMaxDescription));
  if (!reply.text.empty()) out += ' ';
  append_printable(out, reply.text);
  return out;
}

std::string printable(std::string_view text) {
  std::string out;
  append_printable(out, text);
  return out;
}

void ReplyParser::discard() {
  begin_ = end_ = scanned_ = 0;
  in_reply_ = false;
}

ReplyParser::Status ReplyParser::next() {
  if (!in_reply_) reply_.text.clear();
  while (true) {
    const char* const start = buffer_.data() + begin_;
    const void* found =
        scanned_ < end_ ? std::memchr(buffer_.data() + scanned_, '\n', end_ - scanned_) : nullptr;
    if (found == nullptr) {
      if (end_ - begin_ > kMaxLine) return Status::malformed;
      if (begin_ == end_) {
        begin_ = end_ = 0;
      } else if (begin_ > 0) {
        std::memmove(buffer_.data(), start, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
      }
      scanned_ = end_;
      return Status::need_more;
    }
    const auto length = static_cast<std::size_t>(static_cast<const char*>(found) - start);
    begin_ += length + 1;
    scanned_ = begin_;
    std::string_view line{start, length};
    if (line.size() > kMaxLine) return Status::malformed;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() < 3 || line[0] < '2' || line[0] > '5' || !is_digit(line[1]) ||
        !is_digit(line[2])) {
      return Status::malformed;
    }
    const int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    const char separator = line.size() > 3 ? line[3] : ' ';
    if (separator != ' ' && separator != '-') return Status::malformed;
    if (in_reply_ && code != reply_.code) return Status::malformed;
    if (in_reply_) reply_.text += '\n';
    reply_.code = code;
    if (line.size() > 4) reply_.text.append(line.substr(4));
    if (reply_.text.size() > kMaxReply) return Status::malformed;
    in_reply_ = separator == '-';
    if (!in_reply_) return Status::reply;
  }
}

}  // namespace postern::smtp
