#include "mail/encoding.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "base/bytes.h"

namespace postern::mail {
namespace {

std::string quoted_printable(std::string_view text) {
  std::string out;
  EXPECT_TRUE(append_quoted_printable(out, text, std::string::npos));
  return out;
}

// A decoder that knows only RFC 2045 6.7.
std::string decode_quoted_printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') {
      out += text[i];
    } else if (text.substr(i + 1, 2) == "\r\n") {
      i += 2;
    } else {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    }
  }
  return out;
}

TEST(QuotedPrintable, EncodesWhatRfc2045Names) {
  const std::pair<std::string, std::string> table[] = {
      {"", ""},
      {"plain", "plain"},
      {"a=b", "a=3Db"},
      {"é", "=C3=A9"},
      {"a ", "a=20"},
      {"a \nb", "a=20\r\nb"},
      {"a\t\r\nb", "a=09\r\nb"},
      {"a b", "a b"},
      {"a\rb\nc\r\nd", "a\r\nb\r\nc\r\nd"},
      {"\r\r\n\n", "\r\n\r\n\r\n"},
      {std::string("\0\x01\x7F", 3), "=00=01=7F"},
      {std::string(75, 'a'), std::string(75, 'a')},
      {std::string(76, 'a'), std::string(75, 'a') + "=\r\na"},
      {std::string(74, 'a') + "=", std::string(74, 'a') + "=\r\n=3D"},
  };
  for (const auto& [text, wanted] : table) EXPECT_EQ(quoted_printable(text), wanted) << text;
}

TEST(QuotedPrintable, GivesBackAnyBytesInLinesOfAtMost76) {
  std::mt19937_64 engine(7);
  for (int round = 0; round < 2000; ++round) {
    std::string text(engine() % 400, '\0');
    for (char& c : text) {
      c = engine() % 3 == 0 ? " \t=.\xC3"[engine() % 5] : static_cast<char>(engine() % 256);
    }
    const std::string encoded = quoted_printable(text);
    std::string normal;
    append_with_crlf(normal, text);
    EXPECT_EQ(decode_quoted_printable(encoded), normal);
    EXPECT_TRUE(is_ascii(encoded));
    for (std::size_t at = 0; at <= encoded.size();) {
      const std::size_t end = std::min(encoded.find("\r\n", at), encoded.size());
      EXPECT_LE(end - at, 76U);
      const char last = end > at ? encoded[end - 1] : 'x';
      EXPECT_FALSE(last == ' ' || last == '\t');
      at = end + 2;
    }
  }
}

TEST(QuotedPrintable, StopsAtTheLimitAndLeavesNothingBehind) {
  const std::string text(400, '\xC3');
  std::string out = "before";
  EXPECT_FALSE(append_quoted_printable(out, text, 1000));
  EXPECT_EQ(out, "before");
  const std::size_t size = quoted_printable(text).size();
  EXPECT_TRUE(append_quoted_printable(out, text, size));
  out = "before";
  EXPECT_FALSE(append_quoted_printable(out, text, size - 1));
  EXPECT_EQ(out, "before");
}

TEST(Base64Lines, AgreeWithPlainBase64CutAt76) {
  std::mt19937_64 engine(8);
  for (std::size_t size = 0; size < 400; ++size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(engine() % 256);
    std::string lines;
    append_base64_lines(lines, bytes);
    EXPECT_EQ(lines.size(), base64_lines_size(size));
    std::string wanted;
    const std::string plain = base64_encode(bytes);
    for (std::size_t at = 0; at < plain.size(); at += 76) {
      if (at > 0) wanted += "\r\n";
      wanted += plain.substr(at, 76);
    }
    EXPECT_EQ(lines, wanted);
  }
}

TEST(AppendWithCrlf, MakesEveryLineEndCrlf) {
  const std::pair<std::string, std::string> table[] = {
      {"", ""},
      {"a", "a"},
      {"\r", "\r\n"},
      {"\n", "\r\n"},
      {"\r\n", "\r\n"},
      {"\n\r", "\r\n\r\n"},
      {"a\rb", "a\r\nb"},
      {"\r\r\n", "\r\n\r\n"},
      {"a\r\r\nb\r", "a\r\n\r\nb\r\n"},
      {"\n\n", "\r\n\r\n"},
  };
  for (const auto& [text, wanted] : table) {
    std::string out;
    append_with_crlf(out, text);
    EXPECT_EQ(out, wanted);
  }
}

TEST(ShapeOf, SeesWhatMakesATextUnfitForSevenBit) {
  EXPECT_TRUE(fits_seven_bit(shape_of("")));
  EXPECT_TRUE(fits_seven_bit(shape_of("a\tb\r\nc\nd\re")));
  EXPECT_TRUE(fits_seven_bit(shape_of(std::string(998, 'x') + "\n" + std::string(998, 'y'))));
  EXPECT_FALSE(fits_seven_bit(shape_of(std::string(999, 'x'))));
  EXPECT_FALSE(fits_seven_bit(shape_of("a\n" + std::string(999, 'x') + "\nb")));
  // Wherever in a word of eight it stands.
  for (std::size_t at = 0; at < 40; ++at) {
    for (const char c : {'\0', '\x01', '\x0B', '\x1F', '\x7F', '\x80', '\xFF'}) {
      std::string text(40, 'x');
      text[at] = c;
      EXPECT_FALSE(fits_seven_bit(shape_of(text))) << at << ' ' << int{c};
    }
    std::string text(40, ' ');
    text[at] = '~';
    EXPECT_TRUE(fits_seven_bit(shape_of(text)));
  }
}

TEST(ShapeOf, CountsLineEndsAndSeesLoneOnes) {
  EXPECT_EQ(shape_of("a\r\nb\nc\r").line_ends, 3U);
  EXPECT_TRUE(shape_of("a\r\nb\r\n").crlf_only);
  EXPECT_FALSE(shape_of("a\nb\r\n").crlf_only);
  EXPECT_FALSE(shape_of("a\r").crlf_only);
  EXPECT_EQ(shape_of("abc\r\nab").longest_line, 3U);
}

}  // namespace
}  // namespace postern::mail
