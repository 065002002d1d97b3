#include "mail/header_writer.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "mail/encoding.h"
#include "mail/syntax.h"

namespace postern::mail {
namespace {

constexpr std::size_t kFoldAt = 78;           // RFC 5322 2.1.1
constexpr std::size_t kEncodedWordLine = 76;  // RFC 2047 2
constexpr std::size_t kEncodedWord = 75;
constexpr std::string_view kQ = "=?UTF-8?Q?";
constexpr std::string_view kB = "=?UTF-8?B?";
constexpr std::string_view kEncodedEnd = "?=";
constexpr std::string_view kHex = "0123456789ABCDEF";

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

void append_hex(std::string& out, char sign, char c) {
  const auto byte = static_cast<unsigned char>(c);
  out += sign;
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

std::size_t q_width(char c) {
  return c == ' ' || is_phrase_q_char(c) ? 1 : 3;
}

// How many octets of text, in whole characters, a Q word has room for.
std::size_t q_prefix(std::string_view text, std::size_t room) {
  std::size_t taken = 0;
  for (std::size_t width = 0; taken < text.size();) {
    const std::size_t length = character_length(text, taken);
    for (std::size_t i = taken; i < taken + length; ++i) width += q_width(text[i]);
    if (width > room) break;
    taken += length;
  }
  return taken;
}

// The same for a B word: all of the text, or as much as needs no padding; 0 when there is no such.
std::size_t b_prefix(std::string_view text, std::size_t room) {
  const std::size_t most = room / 4 * 3;
  if (text.size() <= most) return text.size();
  std::size_t unpadded = 0;
  for (std::size_t at = 0; at <= most; at += character_length(text, at)) {
    if (at % 3 == 0) unpadded = at;
  }
  return unpadded;
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), is_control);
}

bool needs_encoding(std::string_view word, std::size_t max_raw_word, bool verbatim) {
  if (word.size() > max_raw_word) return true;
  if (std::any_of(word.begin(), word.end(), [](char c) { return is_high(c) || is_control(c); })) {
    return true;
  }
  // What looks like an encoded word would be decoded at the other end.
  return !verbatim && word.find("=?") != std::string_view::npos;
}

// The end of the blanks, or of the other characters, from `at` on.
std::size_t blanks_end(std::string_view text, std::size_t at) {
  while (at < text.size() && is_blank(text[at])) ++at;
  return at;
}
std::size_t word_end(std::string_view text, std::size_t at) {
  while (at < text.size() && !is_blank(text[at])) ++at;
  return at;
}

bool has_long_blanks(std::string_view text, std::size_t most) {
  for (std::size_t at = word_end(text, 0); at < text.size(); at = word_end(text, at)) {
    const std::size_t end = blanks_end(text, at);
    if (end - at > most) return true;
    at = end;
  }
  return false;
}

}  // namespace

void HeaderWriter::append(std::string_view text) {
  out_ += text;
  column_ += text.size();
}

void HeaderWriter::fold() {
  out_ += "\r\n ";
  column_ = 1;
}

void HeaderWriter::begin(std::string_view name) {
  column_ = 0;
  unfolded(name);
  append(":");
}

void HeaderWriter::end() {
  out_ += "\r\n";
}

void HeaderWriter::space_before(std::size_t size) {
  if (column_ > 1 && column_ + 1 + size > kFoldAt) {
    fold();
  } else if (column_ > 1) {
    append(" ");
  }
}

void HeaderWriter::token(std::string_view text) {
  space_before(text.size());
  unfolded(text);
}

void HeaderWriter::unfolded(std::string_view text) {
  if (!has_control(text)) return append(text);
  std::string clean(text);
  std::erase_if(clean, is_control);
  append(clean);
}

void HeaderWriter::encoded_words(std::string_view text) {
  std::size_t q_size = 0;
  for (const char c : text) q_size += q_width(c);
  const bool prefer_q = q_size <= (text.size() + 2) / 3 * 4;
  while (!text.empty()) {
    constexpr std::size_t kAround = kQ.size() + kEncodedEnd.size();
    constexpr std::size_t kLeast = 24;  // a shorter word is not worth its overhead
    if (column_ > 1 && column_ + 1 + kAround + kLeast > kEncodedWordLine) {
      fold();
    } else if (column_ > 1) {
      append(" ");
    }
    const std::size_t room = std::min(kEncodedWordLine - column_, kEncodedWord) - kAround;
    // Some readers (GMime 3.2) lose what follows the padding of a B word, unless that is the last
    // word. Where no whole characters fill one without padding, this word is Q.
    std::size_t taken = prefer_q ? 0 : b_prefix(text, room);
    const bool q = taken == 0;
    if (q) taken = q_prefix(text, room);
    const std::string_view part = text.substr(0, taken);
    const std::size_t start = out_.size();
    if (q) {
      out_ += kQ;
      for (const char c : part) {
        if (c == ' ') {
          out_ += '_';
        } else if (is_phrase_q_char(c)) {
          out_ += c;
        } else {
          append_hex(out_, '=', c);
        }
      }
    } else {
      out_ += kB;
      append_base64(out_, part);
    }
    out_ += kEncodedEnd;
    column_ += out_.size() - start;
    text.remove_prefix(taken);
  }
}

void HeaderWriter::unstructured(std::string_view value, std::size_t max_raw_word, bool verbatim) {
  if (verbatim) value = trim(value);
  // Readers drop blanks at the ends, and some of them change tabs and long runs.
  const bool delicate = !value.empty() && (is_blank(value.front()) || is_blank(value.back()) ||
                                           (!verbatim && value.find('\t') != value.npos));
  const std::size_t most_blanks = verbatim ? 32 : 2;
  if (delicate || has_long_blanks(value, most_blanks)) return encoded_words(value);

  std::string_view blanks = " ";  // before the next word
  for (std::size_t at = 0; at < value.size();) {
    std::size_t end = word_end(value, at);
    if (!needs_encoding(value.substr(at, end - at), max_raw_word, verbatim)) {
      const std::string_view word = value.substr(at, end - at);
      const std::size_t size = blanks.size() + word.size();
      // Right behind the colon a fold must help: some readers take it for an empty line.
      const bool first = at == 0;
      if (column_ + size > kFoldAt && (!first || size <= kFoldAt || column_ + size > kMaxLine)) {
        out_ += "\r\n";
        column_ = 0;
      }
      append(blanks);
      append(word);
    } else {
      // Blanks between two encoded words mean nothing, so neighbours are encoded as one.
      for (std::size_t next = blanks_end(value, end); next < value.size();) {
        const std::size_t next_end = word_end(value, next);
        if (!needs_encoding(value.substr(next, next_end - next), max_raw_word, verbatim)) break;
        end = next_end;
        next = blanks_end(value, end);
      }
      // encoded_words() writes one space itself.
      append(blanks.substr(1));
      encoded_words(value.substr(at, end - at));
    }
    const std::size_t next = blanks_end(value, end);
    blanks = value.substr(end, next - end);
    at = next;
  }
}

void HeaderWriter::phrase(std::string_view name, std::size_t after) {
  bool atoms = true;  // words of atext with single spaces between them
  bool quotable = name.find("=?") == std::string_view::npos;
  std::size_t size = 2;
  char before = ' ';
  for (const char c : name) {
    if (is_high(c) || is_control(c)) quotable = false;
    if (c == ' ' ? before == ' ' : !is_atext(c)) atoms = false;
    size += c == '"' || c == '\\' ? 2 : 1;
    before = c;
  }
  // A name is not folded: some readers keep the line break. Encoded words are folded by all.
  if (!quotable || size > kFoldAt - 1) return encoded_words(name);
  std::string quoted;
  if (!atoms || before == ' ') {
    quoted.reserve(size);
    quoted += '"';
    for (const char c : name) {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += c;
    }
    quoted += '"';
    name = quoted;
  }
  // Name and address stay on one line where they can.
  const bool together = 1 + name.size() + after <= kFoldAt;
  space_before(together ? name.size() + after : name.size());
  append(name);
}

void HeaderWriter::mailboxes(std::span<const sdk::Mailbox> list) {
  std::string address;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const sdk::Mailbox& mailbox = list[i];
    address.clear();
    if (!mailbox.name.empty()) address += '<';
    address += mailbox.address;
    if (!mailbox.name.empty()) address += '>';
    if (i + 1 < list.size()) address += ',';
    if (!mailbox.name.empty()) phrase(mailbox.name, address.size() + 1);
    token(address);
  }
}

void HeaderWriter::parameter(std::string_view name, std::string_view value) {
  append(";");
  bool quotable = true;
  for (const char c : value) {
    quotable = quotable && !is_high(c) && !is_control(c) && c != '"' && c != '\\';
  }
  // Readers that decode encoded words in parameters would change it.
  if (value.find("=?") != std::string_view::npos) quotable = false;
  constexpr std::string_view kCharset = "UTF-8''";
  constexpr std::size_t kLine = kFoldAt - 2;  // room for the space before and the ';' after
  const std::size_t quoted_size = name.size() + 3 + value.size();
  if (quotable && quoted_size <= kLine) {
    space_before(quoted_size + 1);
    append(name);
    append("=\"");
    append(value);
    append("\"");
    return;
  }
  std::string encoded;
  encoded.reserve(value.size() * 3);
  for (const char c : value) {
    if (quotable || is_attribute_char(c)) {
      encoded += c;
    } else {
      append_hex(encoded, '%', c);
    }
  }
  if (!quotable && name.size() + 2 + kCharset.size() + encoded.size() <= kLine) {
    space_before(name.size() + 2 + kCharset.size() + encoded.size() + 1);
    append(name);
    append("*=");
    append(kCharset);
    append(encoded);
    return;
  }
  // RFC 2231 3 and 4.1: segments, each on a line of its own.
  std::size_t section = 0;
  for (std::size_t at = 0, taken = 0; at < value.size(); at += taken, ++section) {
    std::string head(name);
    head += '*';
    head += std::to_string(section);
    head += quotable ? "=\"" : "*=";
    if (!quotable && section == 0) head += kCharset;
    const std::size_t room = kLine - head.size() - (quotable ? 1 : 0);
    std::string body;
    taken = 0;
    while (at + taken < value.size()) {
      const std::size_t length = character_length(value, at + taken);
      std::string character;
      for (std::size_t i = at + taken; i < at + taken + length; ++i) {
        if (quotable || is_attribute_char(value[i])) {
          character += value[i];
        } else {
          append_hex(character, '%', value[i]);
        }
      }
      if (body.size() + character.size() > room) break;
      body += character;
      taken += length;
    }
    if (section > 0) append(";");
    fold();
    append(head);
    append(body);
    if (quotable) append("\"");
  }
}

}  // namespace postern::mail
