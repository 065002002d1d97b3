#include "config/values.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace postern::config {
namespace {

TEST(Size, ReadsBinaryUnitsOnly) {
  EXPECT_EQ(parse_size("35MiB"), 35ULL << 20);
  EXPECT_EQ(parse_size("1KiB"), 1024U);
  EXPECT_EQ(parse_size("2GiB"), 2ULL << 30);
  EXPECT_EQ(parse_size("0B"), 0U);
  EXPECT_EQ(parse_size("17179869183GiB"), 17179869183ULL << 30);
  for (const char* bad : {"", "B", "35", "35MB", "35 MiB", "35mib", "-1B", "+1B", "1.5MiB", "MiB",
                          "17179869184GiB", "99999999999999999999B", "0x1B"}) {
    EXPECT_FALSE(parse_size(bad)) << bad;
  }
}

TEST(Size, IsWrittenAsItWouldBeRead) {
  for (const std::uint64_t bytes :
       {0ULL, 1ULL, 1023ULL, 1024ULL, 1536ULL, 35ULL << 20, 5ULL << 30}) {
    EXPECT_EQ(parse_size(format_size(bytes)), bytes);
  }
  EXPECT_EQ(format_size(1536), "1536B");
}

TEST(Rate, GivesRatePerSecondAndItsNumberAsBurst) {
  EXPECT_DOUBLE_EQ(parse_rate("100/s")->per_second, 100);
  EXPECT_DOUBLE_EQ(parse_rate("100/s")->burst, 100);
  EXPECT_DOUBLE_EQ(parse_rate("20/min")->per_second, 20.0 / 60);
  EXPECT_DOUBLE_EQ(parse_rate("20/min")->burst, 20);
  EXPECT_DOUBLE_EQ(parse_rate("3600/h")->per_second, 1);
  EXPECT_TRUE(parse_rate("1000000/s"));
  for (const char* bad : {"", "100", "0/s", "1000001/s", "-1/s", "1.5/s", "100/m", "100 /s", "/s",
                          "100/sec", "100/d"}) {
    EXPECT_FALSE(parse_rate(bad)) << bad;
  }
}

TEST(EndpointText, NeedsAnAddressAndAPort) {
  EXPECT_EQ(parse_endpoint("127.0.0.1:8025")->address, "127.0.0.1");
  EXPECT_EQ(parse_endpoint("127.0.0.1:8025")->port, 8025);
  EXPECT_EQ(parse_endpoint("[::1]:0")->address, "::1");
  EXPECT_EQ(parse_endpoint("[2001:db8::1]:65535")->port, 65535);
  for (const char* bad :
       {"", ":", ":8025", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "::1:8025",
        "[::1]", "[127.0.0.1]:80", "localhost:80", "*:80", "[]:80", "127.1:80", "1.2.3.4:80:80"}) {
    EXPECT_FALSE(parse_endpoint(bad)) << bad;
  }
}

TEST(Domain, FollowsTheHostNameRules) {
  EXPECT_TRUE(is_domain("example.com", 2));
  EXPECT_TRUE(is_domain("localhost"));
  EXPECT_TRUE(is_domain("xn--bcher-kva.example"));
  EXPECT_TRUE(is_domain(std::string(63, 'a') + ".b"));
  EXPECT_FALSE(is_domain("localhost", 2));
  EXPECT_FALSE(is_domain(std::string(64, 'a') + ".b"));
  EXPECT_FALSE(is_domain(std::string(254, 'a')));
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "-a.b", "a-.b", "a_b.c", "192.0.2.1",
                          "bücher.example", "a b", "a@b"}) {
    EXPECT_FALSE(is_domain(bad)) << bad;
  }
}

TEST(Slug, IsLowerCaseLettersDigitsAndHyphens) {
  EXPECT_TRUE(is_slug("a"));
  EXPECT_TRUE(is_slug("0-a"));
  EXPECT_TRUE(is_slug(std::string(63, 'a')));
  for (const std::string& bad : {std::string{}, std::string{"-a"}, std::string{"A"},
                                 std::string{"a_b"}, std::string(64, 'a'), std::string{"a b"}}) {
    EXPECT_FALSE(is_slug(bad)) << bad;
  }
}

TEST(Slug, SuggestionIsASlugOrNothing) {
  EXPECT_EQ(suggest_slug("My Shop!"), "my-shop");
  EXPECT_EQ(suggest_slug("--x--"), "x");
  EXPECT_EQ(suggest_slug("ü"), "");
  EXPECT_TRUE(is_slug(suggest_slug(std::string(62, 'a') + "--b")));
}

TEST(CidrText, ClearsHostBitsAndSaysWhetherThereWereAny) {
  EXPECT_EQ(parse_cidr("10.0.0.0/8")->network, "10.0.0.0/8");
  EXPECT_TRUE(parse_cidr("10.0.0.0/8")->exact);
  EXPECT_EQ(parse_cidr("10.1.2.3/8")->network, "10.0.0.0/8");
  EXPECT_FALSE(parse_cidr("10.1.2.3/8")->exact);
  EXPECT_EQ(parse_cidr("192.0.2.7")->network, "192.0.2.7/32");
  EXPECT_EQ(parse_cidr("2001:DB8::/32")->network, "2001:db8::/32");
  EXPECT_EQ(parse_cidr("::1")->network, "::1/128");
  EXPECT_EQ(parse_cidr("255.255.255.255/25")->network, "255.255.255.128/25");
  EXPECT_TRUE(parse_cidr("0.0.0.0/0")->exact);
  for (const char* bad : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0/8", "a.b.c.d",
                          "10.0.0.0/8/8", "10.0.0.0/-1", "1.2.3.4 "}) {
    EXPECT_FALSE(parse_cidr(bad)) << bad;
  }
}

TEST(ApiKeyText, NeedsPrefixAndThirtyTwoCharacters) {
  const std::string rest = "abcdefghijklmnopqrstuvwxyzABC_-9";
  ASSERT_EQ(rest.size(), 32U);
  EXPECT_TRUE(is_api_key("ms_live_" + rest));
  EXPECT_TRUE(is_api_key("ms_test_" + rest + "more"));
  EXPECT_FALSE(is_api_key("ms_live_" + rest.substr(1)));
  EXPECT_FALSE(is_api_key("ms_prod_" + rest));
  EXPECT_FALSE(is_api_key("ms_live_" + rest + "\n"));
  EXPECT_FALSE(is_api_key("ms_live_" + rest + "+"));
}

}  // namespace
}  // namespace postern::config
