#include "http/framing.h"

#include <gtest/gtest.h>

#include <string>

namespace postern::http {
namespace {

using namespace std::string_view_literals;

struct Case {
  std::string_view name;
  std::string_view head;
  int status;  // 0: accepted
};

// With "Host: t" already there, what else a request line and headers may hold.
constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: t\r\n";

int status_of(std::string_view head) {
  std::size_t scanned = 0;
  const HeadSize size = find_head(head, scanned, 16 * 1024);
  if (!size) return size.error().status;
  if (*size == 0) return -1;  // not whole
  const auto framing = check_head(head.substr(0, *size), 100);
  return framing ? 0 : framing.error().status;
}

class Heads : public testing::TestWithParam<Case> {};

TEST_P(Heads, AreJudgedAsTheTableSays) {
  EXPECT_EQ(status_of(GetParam().head), GetParam().status) << GetParam().head;
}

constexpr Case kRequestLines[] = {
    {"Plain", "GET / HTTP/1.1\r\nHost: t\r\n\r\n", 0},
    {"Query", "GET /a?b=c&d HTTP/1.1\r\nHost: t\r\n\r\n", 0},
    {"AbsoluteForm", "GET http://t:8025/a?b HTTP/1.1\r\nHost: t\r\n\r\n", 0},
    {"AbsoluteFormWithoutPath", "GET https://t HTTP/1.1\r\nHost: t\r\n\r\n", 0},
    {"AsteriskOptions", "OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n", 0},
    {"AsteriskGet", "GET * HTTP/1.1\r\nHost: t\r\n\r\n", 400},
    {"AuthorityForm", "CONNECT t:443 HTTP/1.1\r\nHost: t\r\n\r\n", 400},
    {"OtherScheme", "GET ftp://t/a HTTP/1.1\r\nHost: t\r\n\r\n", 400},
    {"NoAuthority", "GET http:///a HTTP/1.1\r\nHost: t\r\n\r\n", 400},
    {"UserInAuthority", "GET http://u@t/a HTTP/1.1\r\nHost: t\r\n\r\n", 400},
    {"RelativePath", "GET a HTTP/1.1\r\nHost: t\r\n\r\n", 400},
    {"Fragment", "GET /a#b HTTP/1.1\r\nHost: t\r\n\r\n", 400},
    {"EightBitTarget", "GET /\xc3\xa4 HTTP/1.1\r\nHost: t\r\n\r\n", 400},
    {"TabInTarget", "GET /a\tb HTTP/1.1\r\nHost: t\r\n\r\n", 400},
    {"SpaceInTarget", "GET /a b HTTP/1.1\r\nHost: t\r\n\r\n", 400},
    {"TwoSpaces", "GET  / HTTP/1.1\r\nHost: t\r\n\r\n", 400},
    {"TrailingSpace", "GET / HTTP/1.1 \r\nHost: t\r\n\r\n", 400},
    {"NoVersion", "GET /\r\nHost: t\r\n\r\n", 400},
    {"Garbage", "GARBAGE\r\n\r\n", 400},
    {"LowerCaseVersion", "GET / http/1.1\r\nHost: t\r\n\r\n", 400},
    {"Version10", "GET / HTTP/1.0\r\n\r\n", 0},
    {"Version12", "GET / HTTP/1.2\r\nHost: t\r\n\r\n", 505},
    {"Version2", "PRI * HTTP/2.0\r\n\r\n", 505},
    {"Version11Long", "GET / HTTP/1.10\r\nHost: t\r\n\r\n", 400},
    {"MethodNotAToken", "G(T / HTTP/1.1\r\nHost: t\r\n\r\n", 400},
    {"UnknownMethod", "BREW / HTTP/1.1\r\nHost: t\r\n\r\n", 0},
    {"LeadingSpace", " GET / HTTP/1.1\r\nHost: t\r\n\r\n", 400},
    {"TlsHello", "\x16\x03\x01\x02"sv, 400},
    {"Incomplete", "GET / HTTP/1.1\r\nHost: t\r\n", -1},
};

constexpr Case kLines[] = {
    {"BareLf", "GET / HTTP/1.1\nHost: t\n\n", 400},
    {"BareLfAtTheEnd", "GET / HTTP/1.1\r\nHost: t\r\n\n", 400},
    {"BareLfInAValue", "GET / HTTP/1.1\r\nHost: t\r\nA: b\nC: d\r\n\r\n", 400},
    {"BareCrInAValue", "GET / HTTP/1.1\r\nHost: t\r\nA: b\rC: d\r\n\r\n", 400},
    {"BareCrInTheRequestLine", "GET /\r HTTP/1.1\r\nHost: t\r\n\r\n", 400},
    {"TwoCr", "GET / HTTP/1.1\r\r\nHost: t\r\n\r\n", 400},
    {"CrCrLfEnd", "GET / HTTP/1.1\r\nHost: t\r\r\n\r\n", 400},
    {"Nul", "GET / HTTP/1.1\r\nHost: t\r\nA: \0\r\n\r\n"sv, 400},
    {"NulInTheName", "GET / HTTP/1.1\r\nHost: t\r\nA\0: b\r\n\r\n"sv, 400},
    {"VerticalTab", "GET / HTTP/1.1\r\nHost: t\r\nA: \v\r\n\r\n", 400},
    {"Delete", "GET / HTTP/1.1\r\nHost: t\r\nA: \x7f\r\n\r\n", 400},
    {"TabInAValue", "GET / HTTP/1.1\r\nHost: t\r\nA: b\tc\r\n\r\n", 0},
    {"EightBitValue", "GET / HTTP/1.1\r\nHost: t\r\nA: \xc3\xa4\r\n\r\n", 0},
    {"EmptyValue", "GET / HTTP/1.1\r\nHost: t\r\nA:\r\n\r\n", 0},
    {"Folded", "GET / HTTP/1.1\r\nHost: t\r\nA: b\r\n c\r\n\r\n", 400},
    {"FoldedByTab", "GET / HTTP/1.1\r\nHost: t\r\nA: b\r\n\tc\r\n\r\n", 400},
    {"FoldedFirst", "GET / HTTP/1.1\r\n A: b\r\nHost: t\r\n\r\n", 400},
    {"SpaceBeforeColon", "GET / HTTP/1.1\r\nHost: t\r\nA : b\r\n\r\n", 400},
    {"TabBeforeColon", "GET / HTTP/1.1\r\nHost: t\r\nA\t: b\r\n\r\n", 400},
    {"NoColon", "GET / HTTP/1.1\r\nHost: t\r\nA\r\n\r\n", 400},
    {"NoName", "GET / HTTP/1.1\r\nHost: t\r\n: b\r\n\r\n", 400},
    {"NameNotAToken", "GET / HTTP/1.1\r\nHost: t\r\nA[]: b\r\n\r\n", 400},
};

constexpr Case kFramings[] = {
    {"Length", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\n", 0},
    {"LengthZero", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n", 0},
    {"LengthTwiceTheSame",
     "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", 400},
    {"LengthTwice", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\n",
     400},
    {"LengthList", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5, 5\r\n\r\n", 400},
    {"LengthSigned", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: +5\r\n\r\n", 400},
    {"LengthNegative", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n", 400},
    {"LengthJunk", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5junk\r\n\r\n", 400},
    {"LengthHex", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0x5\r\n\r\n", 400},
    {"LengthEmpty", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length:\r\n\r\n", 400},
    {"LengthInnerSpace", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1 2\r\n\r\n", 400},
    {"LengthSpaceBeforeColon", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length : 5\r\n\r\n", 400},
    {"LengthOverflow", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551616\r\n\r\n",
     413},
    {"Chunked", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n", 0},
    {"ChunkedWithSpace", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding:   chunked \r\n\r\n", 0},
    {"ChunkedOn10", "POST / HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"ChunkedAndLength",
     "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
    {"LengthAndChunked",
     "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"ChunkedTwice",
     "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
     "chunked\r\n\r\n",
     400},
    {"Gzip", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
    {"GzipChunked", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400},
    {"XChunked", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: xchunked\r\n\r\n", 400},
    {"Identity", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: identity\r\n\r\n", 400},
    {"ChunkedQuoted", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", 400},
    {"ChunkedFolded", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", 400},
    {"ChunkedVerticalTab", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: \vchunked\r\n\r\n",
     400},
};

constexpr Case kHosts[] = {
    {"Missing", "GET / HTTP/1.1\r\n\r\n", 400},
    {"MissingOn10", "GET / HTTP/1.0\r\n\r\n", 0},
    {"Twice", "GET / HTTP/1.1\r\nHost: t\r\nHost: t\r\n\r\n", 400},
    {"TwiceOn10", "GET / HTTP/1.0\r\nHost: t\r\nHost: u\r\n\r\n", 400},
    {"Empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 0},
    {"WithPort", "GET / HTTP/1.1\r\nHost: t.example:8025\r\n\r\n", 0},
    {"Ipv6", "GET / HTTP/1.1\r\nHost: [::1]:8025\r\n\r\n", 0},
    {"List", "GET / HTTP/1.1\r\nHost: t,u\r\n\r\n", 400},
    {"Slash", "GET / HTTP/1.1\r\nHost: t/u\r\n\r\n", 400},
    {"User", "GET / HTTP/1.1\r\nHost: u@t\r\n\r\n", 400},
    {"Space", "GET / HTTP/1.1\r\nHost: t u\r\n\r\n", 400},
};

constexpr Case kOthers[] = {
    {"ExpectContinue", "POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-Continue\r\n\r\n", 0},
    {"ExpectOther", "POST / HTTP/1.1\r\nHost: t\r\nExpect: tea\r\n\r\n", 417},
    {"ConnectionGarbage", "GET / HTTP/1.1\r\nHost: t\r\nConnection: close;x\r\n\r\n", 400},
};

const auto kName = [](const testing::TestParamInfo<Case>& info) {
  return std::string(info.param.name);
};
INSTANTIATE_TEST_SUITE_P(RequestLine, Heads, testing::ValuesIn(kRequestLines), kName);
INSTANTIATE_TEST_SUITE_P(Line, Heads, testing::ValuesIn(kLines), kName);
INSTANTIATE_TEST_SUITE_P(BodyFraming, Heads, testing::ValuesIn(kFramings), kName);
INSTANTIATE_TEST_SUITE_P(Host, Heads, testing::ValuesIn(kHosts), kName);
INSTANTIATE_TEST_SUITE_P(Other, Heads, testing::ValuesIn(kOthers), kName);

Framing framing_of(std::string_view head) {
  const auto framing = check_head(head, 100);
  EXPECT_TRUE(framing.ok()) << head;
  return framing ? *framing : Framing{};
}

TEST(Framing, SplitsPathAndQuery) {
  const Framing plain = framing_of("GET /a%20b?c=d?e HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(plain.method, "GET");
  EXPECT_EQ(plain.path, "/a%20b");
  EXPECT_EQ(plain.query, "c=d?e");
  const Framing absolute = framing_of("GET http://u?q HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_EQ(absolute.path, "/");
  EXPECT_EQ(absolute.query, "q");
}

TEST(Framing, KeepsAliveByVersionUnlessConnectionSaysOtherwise) {
  const std::string get11(kGet);
  EXPECT_TRUE(framing_of(get11 + "\r\n").keep_alive);
  EXPECT_FALSE(framing_of(get11 + "Connection: Close\r\n\r\n").keep_alive);
  EXPECT_FALSE(framing_of(get11 + "Connection: x, close\r\n\r\n").keep_alive);
  EXPECT_FALSE(
      framing_of(get11 + "Connection: keep-alive\r\nConnection: close\r\n\r\n").keep_alive);
  EXPECT_FALSE(framing_of("GET / HTTP/1.0\r\n\r\n").keep_alive);
  EXPECT_TRUE(framing_of("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
}

TEST(Framing, ReadsTheLengthAndIgnoresExpectOn10) {
  const Framing framing =
      framing_of("POST / HTTP/1.0\r\nContent-Length: 0042\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(framing.content_length, 42U);
  EXPECT_FALSE(framing.expects_continue);
}

TEST(Framing, CountsHeadersUpToTheLimit) {
  std::string head(kGet);
  for (int i = 0; i < 9; ++i) head += "A: b\r\n";
  EXPECT_TRUE(check_head(head + "\r\n", 10).ok());
  const auto over = check_head(head + "A: b\r\n\r\n", 10);
  ASSERT_FALSE(over.ok());
  EXPECT_EQ(over.error().status, 431);
}

TEST(FindHead, FindsTheSameEndInPiecesOfAnySize) {
  const std::string input = std::string(kGet) + "\r\nBODY\r\n\r\n";
  for (std::size_t piece = 1; piece <= input.size(); ++piece) {
    std::size_t scanned = 0;
    std::size_t found = 0;
    for (std::size_t seen = piece; found == 0 && seen <= input.size() + piece; seen += piece) {
      const HeadSize size = find_head(std::string_view(input).substr(0, seen), scanned, 1024);
      ASSERT_TRUE(size.ok());
      found = *size;
    }
    EXPECT_EQ(found, kGet.size() + 2) << piece;
  }
}

TEST(FindHead, RefusesAHeadOverTheLimitBeforeItEnds) {
  const std::string head = std::string(kGet) + "A: " + std::string(100, 'b');
  std::size_t scanned = 0;
  EXPECT_TRUE(find_head(head, scanned, head.size() + 1).ok());
  scanned = 0;
  const HeadSize over = find_head(head, scanned, head.size());
  ASSERT_FALSE(over.ok());
  EXPECT_EQ(over.error().status, 431);
}

TEST(FindHead, RefusesABareLfAsSoonAsItComes) {
  std::size_t scanned = 0;
  EXPECT_FALSE(find_head("GET / HTTP/1.1\n", scanned, 1024).ok());
}

}  // namespace
}  // namespace postern::http
