// mail/syntax.h: the character classes of mail syntax. Bytes above 127 belong to none of them.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace postern::mail {

namespace syntax_detail {

enum : std::uint8_t { kAtext = 1, kToken = 2, kAttribute = 4, kPhraseQ = 8 };

constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> table{};
  const auto mark = [&table](std::string_view characters, std::uint8_t bit) {
    for (const char c : characters) table[static_cast<unsigned char>(c)] |= bit;
  };
  constexpr std::string_view kAlnum =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  for (const std::uint8_t bit : {kAtext, kToken, kAttribute, kPhraseQ}) mark(kAlnum, bit);
  mark("!#$%&'*+-/=?^_`{|}~", kAtext);
  mark("!#$%&'*+-.^_`{|}~", kToken);
  mark("!#$&+-.^_`{|}~", kAttribute);
  mark("!*+-/", kPhraseQ);
  return table;
}
inline constexpr auto kClasses = make_classes();

constexpr bool in(char c, std::uint8_t bit) {
  return (kClasses[static_cast<unsigned char>(c)] & bit) != 0;
}

}  // namespace syntax_detail

constexpr bool is_high(char c) {
  return static_cast<unsigned char>(c) >= 0x80;
}
constexpr bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7F;
}
// RFC 5322 3.2.3.
constexpr bool is_atext(char c) {
  return syntax_detail::in(c, syntax_detail::kAtext);
}
// RFC 2045 5.1.
constexpr bool is_token_char(char c) {
  return syntax_detail::in(c, syntax_detail::kToken);
}
// RFC 2231 7: what needs no percent-encoding.
constexpr bool is_attribute_char(char c) {
  return syntax_detail::in(c, syntax_detail::kAttribute);
}
// RFC 2047 5 (3): what stands for itself in the Q encoding wherever encoded words may stand.
constexpr bool is_phrase_q_char(char c) {
  return syntax_detail::in(c, syntax_detail::kPhraseQ);
}

// How many bytes the UTF-8 character at text[at] has; 1 for a byte that starts none.
constexpr std::size_t character_length(std::string_view text, std::size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  return at + length <= text.size() ? length : 1;
}

}  // namespace postern::mail
