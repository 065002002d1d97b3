#include "http/message.h"

#include <gtest/gtest.h>

namespace postern::http {
namespace {

using namespace std::string_view_literals;

TEST(Head, FindsTheFirstHeaderInAnyCase) {
  Head head;
  head.headers = {{"Accept", "a"}, {"X-Tag", ""}, {"ACCEPT", "b"}};
  EXPECT_EQ(head.header("accept"), "a");
  EXPECT_EQ(head.header("X-Tag"), "");
  EXPECT_TRUE(head.has_header("x-tag"));
  EXPECT_FALSE(head.has_header("tag"));
}

TEST(PercentDecode, DecodesBothCasesOfHex) {
  EXPECT_EQ(percent_decode("a%2fb%2F%C3%a4"), "a/b/\xc3\xa4");
  EXPECT_EQ(percent_decode("a+b"), "a+b");
  EXPECT_EQ(percent_decode("a+b%2B", true), "a b+");
  EXPECT_EQ(percent_decode(""), "");
}

TEST(PercentDecode, RefusesBadEscapesAndNul) {
  for (const auto text : {"%"sv, "%2"sv, "a%"sv, "%g0"sv, "%0g"sv, "%%20"sv, "%00"sv, "a\0b"sv}) {
    EXPECT_FALSE(percent_decode(text).has_value()) << text;
  }
}

TEST(ParseQuery, KeepsOrderAndDecodes) {
  const auto query = parse_query("to=a%40b.test&tag=x+y&flag&&empty=");
  ASSERT_TRUE(query.ok());
  using Pair = std::pair<std::string, std::string>;
  EXPECT_EQ(query->values,
            (std::vector<Pair>{{"to", "a@b.test"}, {"tag", "x y"}, {"flag", ""}, {"empty", ""}}));
  ASSERT_NE(query->find("tag"), nullptr);
  EXPECT_EQ(*query->find("tag"), "x y");
  EXPECT_EQ(query->find("Tag"), nullptr);
}

TEST(ParseQuery, AnEqualsSignMayStandInAValue) {
  const auto query = parse_query("cursor=YQ==");
  ASSERT_TRUE(query.ok());
  EXPECT_EQ(*query->find("cursor"), "YQ==");
}

TEST(ParseQuery, ADuplicateKeyIsAnIssueThatNamesIt) {
  const auto query = parse_query("page=1&p%61ge=2");
  ASSERT_FALSE(query.ok());
  EXPECT_EQ(query.error().kind, ErrorKind::invalid);
  ASSERT_EQ(query.error().issues.size(), 1U);
  EXPECT_EQ(query.error().issues[0].path, "page");
  EXPECT_EQ(query.error().issues[0].code, "duplicate_parameter");
}

TEST(ParseQuery, RefusesWhatIsNoText) {
  EXPECT_FALSE(parse_query("a=%").ok());
  EXPECT_FALSE(parse_query("a=%ff").ok());
  EXPECT_FALSE(parse_query("%zz=1").ok());
}

}  // namespace
}  // namespace postern::http
