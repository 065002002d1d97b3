// base/bytes.h: encodings of bytes as text, and UTF-8.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace postern {

std::string hex_encode(std::string_view bytes);
std::string base64_encode(std::string_view bytes);  // RFC 4648 4, padded
// RFC 4648 4 and 5 alphabets; padding may be absent; white space is refused unless `allow_space`.
std::optional<std::string> base64_decode(std::string_view text, bool allow_space = false);

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);
std::size_t utf8_length(std::string_view text);  // code points of valid UTF-8
bool is_ascii(std::string_view text);
std::string ascii_lower(std::string_view text);
bool ascii_iequals(std::string_view a, std::string_view b);
std::string_view trim(std::string_view text);    // spaces, tabs, CR, LF

// The candidate with the smallest edit distance to `word`, if it is near enough to be what was
// meant; else empty. For "did you mean …?".
template <typename Range>
std::string nearest(std::string_view word, const Range& candidates);
std::size_t edit_distance(std::string_view a, std::string_view b);

template <typename Range>
std::string nearest(std::string_view word, const Range& candidates) {
  std::string best;
  std::size_t best_distance = word.size() / 3 + 2;
  for (const auto& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace postern
