// Replies, content and AUTH: what is pure in the protocol.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "auth.h"
#include "config.h"
#include "content.h"
#include "reply.h"

namespace postern::smtp {
namespace {

using Status = ReplyParser::Status;

void feed(ReplyParser& parser, std::string_view text) {
  ASSERT_LE(text.size(), parser.room_size());
  std::memcpy(parser.room(), text.data(), text.size());
  parser.commit(text.size());
}

TEST(SmtpReply, JoinsTheLinesOfOneReply) {
  ReplyParser parser;
  feed(parser, "250-peer.test\r\n250-SIZE 100\r\n250 HELP\r\n220");
  ASSERT_EQ(parser.next(), Status::reply);
  EXPECT_EQ(parser.reply().code, 250);
  EXPECT_EQ(parser.reply().text, "peer.test\nSIZE 100\nHELP");
  EXPECT_EQ(parser.next(), Status::need_more);
  feed(parser, " x\n");
  ASSERT_EQ(parser.next(), Status::reply);
  EXPECT_EQ(parser.reply().code, 220);
  EXPECT_EQ(parser.reply().text, "x");
}

TEST(SmtpReply, IsTheSameHoweverTheStreamIsCut) {
  const std::string stream = "250-a\r\n250-b\r\n250 c\r\n354\r\n550 5.1.1 no\r\n";
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    ReplyParser parser;
    std::string seen;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      feed(parser, std::string_view{stream}.substr(at, piece));
      while (parser.next() == Status::reply) seen += describe(parser.reply()) + ";";
    }
    EXPECT_EQ(seen, "250 a b c;354;550 5.1.1 no;") << "in pieces of " << piece;
  }
}

TEST(SmtpReply, RefusesWhatIsNoReply) {
  for (const char* text : {"HTTP/1.1 400 Bad Request\r\n", "\r\n", "25\r\n", "999 x\r\n",
                           "150 x\r\n", "250x\r\n", "250-a\r\n251 b\r\n", "2a0 x\r\n"}) {
    ReplyParser parser;
    feed(parser, text);
    EXPECT_EQ(parser.next(), Status::malformed) << text;
  }
}

TEST(SmtpReply, BoundsLinesAndReplies) {
  ReplyParser line;
  feed(line, "250 " + std::string(ReplyParser::kMaxLine, 'x'));
  EXPECT_EQ(line.next(), Status::malformed);

  ReplyParser endless;
  const std::string more = "250-" + std::string(1000, 'x') + "\r\n";
  Status status = Status::need_more;
  for (int i = 0; i < 1000 && status == Status::need_more; ++i) {
    feed(endless, more);
    status = endless.next();
  }
  EXPECT_EQ(status, Status::malformed);
}

TEST(SmtpReply, DescribesForeignTextPrintably) {
  EXPECT_EQ(describe({550,
                      "a\x01"
                      "b\r\x7f"
                      "c\nd"}),
            "550 a b  c d");
  EXPECT_EQ(describe({550,
                      "Gr\xc3\xbc\xc3\x9f"
                      "e"}),
            "550 Gr\xc3\xbc\xc3\x9f"
            "e");
  EXPECT_EQ(describe({550, "\xfc\xc3"}), "550 ??");
  EXPECT_EQ(describe({550, "\xc2\x85x"}), "550  x");
  EXPECT_EQ(describe({550, std::string(5000, 'x')}).size(), 512U);
  EXPECT_EQ(describe({250, ""}), "250");
}

TEST(SmtpReply, ReadsEnhancedStatusCodes) {
  const auto status = [](int code, const char* text) {
    return std::string{enhanced_status_of({code, text})};
  };
  EXPECT_EQ(status(550, "5.1.1 x"), "5.1.1");
  EXPECT_EQ(status(450, "4.7.650 x"), "4.7.650");
  EXPECT_EQ(status(250, "2.0.0"), "2.0.0");
  EXPECT_EQ(status(250, "2.0.0\nmore"), "2.0.0");
  EXPECT_EQ(status(550, "5.1.1x"), "");
  EXPECT_EQ(status(550, "5.1 x"), "");
  EXPECT_EQ(status(550, "5.1.1234 x"), "");
  EXPECT_EQ(status(550, "4.1.1 x"), "");
  EXPECT_EQ(status(354, "3.0.0 x"), "");
}

// What a server makes of it, RFC 5321 4.5.2; stops at the end of data.
std::string received(const std::string& sent, std::string& rest) {
  std::string out;
  std::size_t at = 0;
  while (true) {
    const std::size_t end = sent.find("\r\n", at);
    if (end == std::string::npos) return "no end of data: " + out;
    std::string line = sent.substr(at, end - at);
    at = end + 2;
    if (line == ".") break;
    if (line.starts_with('.')) line.erase(0, 1);
    out += line + "\r\n";
  }
  rest = sent.substr(at);
  return out;
}

TEST(SmtpContent, ArrivesAsItWas) {
  std::mt19937 random{7};
  const std::vector<std::string> pieces{".", "\r\n", "x", "..", "\r\n.", "\r\n.\r\n", "y\r\n", " "};
  for (int round = 0; round < 3000; ++round) {
    std::string content;
    for (unsigned i = random() % 12; i > 0; --i) content += pieces[random() % pieces.size()];
    const std::string sent = is_transparent(content) ? content : make_transparent(content);
    std::string rest;
    const std::string got = received(sent + std::string{end_of_data(sent)} + "QUIT", rest);
    const bool whole = content.empty() || content.ends_with("\r\n");
    EXPECT_EQ(got, whole ? content : content + "\r\n");
    EXPECT_EQ(rest, "QUIT");
  }
}

TEST(SmtpContent, GoesOutUncopiedWhereItCan) {
  EXPECT_TRUE(is_transparent(""));
  EXPECT_TRUE(is_transparent("a: b\r\n\r\nx.\r\n y\r\nno end"));
  for (const char* content : {".", "a\r\n.b\r\n", "a\nb\r\n", "a\r\n\n", "\n", "a\rb\r\n", "a\r",
                              "a\r\r\n", "x\n.\r\n"}) {
    EXPECT_FALSE(is_transparent(content)) << content;
  }
}

TEST(SmtpContent, LeavesNoLoneCarriageReturnOrLineFeed) {
  EXPECT_EQ(make_transparent("a\n.\r\nb\r.\rc"), "a\r\n..\r\nb\r\n..\r\nc");
  EXPECT_EQ(make_transparent("\n.\n"), "\r\n..\r\n");
  EXPECT_TRUE(is_transparent(make_transparent("\r\r\n\n\r")));
}

Config credentials() {
  Config config;
  config.username = "tim";
  config.password = "tanstaaftanstaaf";
  return config;
}

TEST(SmtpAuth, AnswersTheCramMd5ExampleOfRfc2195) {
  const Config config = credentials();
  AuthExchange exchange{Mechanism::cram_md5, config};
  EXPECT_EQ(exchange.start(), "AUTH CRAM-MD5");
  EXPECT_EQ(exchange.answer("PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"),
            "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw");
  EXPECT_EQ(exchange.answer("PDE4OTY+"), std::nullopt);
}

TEST(SmtpAuth, SendsPlainAtOnceWhenItFitsTheLine) {
  const Config config = credentials();
  AuthExchange exchange{Mechanism::plain, config};
  EXPECT_EQ(exchange.start(), "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm");
  EXPECT_EQ(exchange.answer(""), std::nullopt);

  Config lengthy = credentials();
  lengthy.password = std::string(600, 'p');
  AuthExchange late{Mechanism::plain, lengthy};
  EXPECT_EQ(late.start(), "AUTH PLAIN");
  using namespace std::string_literals;
  EXPECT_EQ(unbase64(*late.answer("")), "\0tim\0"s + lengthy.password);
}

TEST(SmtpAuth, TakesTheStrongestThatIsOffered) {
  Config config = credentials();
  const Mechanisms all{.plain = true, .login = true, .cram_md5 = true, .xoauth2 = true};
  EXPECT_EQ(choose_mechanism(config, all), Mechanism::cram_md5);
  EXPECT_EQ(choose_mechanism(config, {.plain = true, .login = true}), Mechanism::plain);
  EXPECT_EQ(choose_mechanism(config, {.login = true}), Mechanism::login);
  EXPECT_EQ(choose_mechanism(config, {.xoauth2 = true}), std::nullopt);
  config.access_token = "token";
  EXPECT_EQ(choose_mechanism(config, all), Mechanism::xoauth2);
  config.auth = AuthChoice::login;
  EXPECT_EQ(choose_mechanism(config, all), Mechanism::login);
  EXPECT_EQ(choose_mechanism(config, {.plain = true}), std::nullopt);
}

sdk::ProviderAccount written(std::vector<std::pair<std::string, sdk::Settings::Value>> settings,
                             std::vector<std::pair<std::string, sdk::Settings::Value>> secrets) {
  sdk::ProviderAccount account;
  account.settings.set("host", std::string{"mail.example.com"});
  for (auto& [name, value] : settings) account.settings.set(name, value);
  for (auto& [name, value] : secrets) account.credentials.set(name, value);
  return account;
}

TEST(SmtpConfig, TakesThePortFromTheSecurity) {
  const auto port = [](const char* security) {
    return read_config(written({{"security", std::string{security}}}, {}), "gw.test")->port;
  };
  EXPECT_EQ(port("starttls"), 587);
  EXPECT_EQ(port("tls"), 465);
  EXPECT_EQ(port("opportunistic"), 25);
  EXPECT_EQ(port("none"), 25);
  EXPECT_EQ(read_config(written({{"port", std::int64_t{2525}}}, {}), "gw.test")->port, 2525);
}

TEST(SmtpConfig, RefusesWhatCannotWork) {
  const std::string user = "u";
  const std::string secret = "very-secret";
  const std::vector<sdk::ProviderAccount> bad{
      written({{"host", std::string{}}}, {}),
      written({{"host", std::string{"a b"}}}, {}),
      written({{"ehlo_name", std::string{"x\r\nRCPT"}}}, {}),
      written({}, {{"password", secret}}),
      written({}, {{"username", user}}),
      written({{"auth", std::string{"none"}}}, {{"username", user}, {"password", secret}}),
      written({{"auth", std::string{"xoauth2"}}}, {{"username", user}, {"password", secret}}),
      written({{"auth", std::string{"plain"}}}, {}),
      written({{"auth", std::string{"plain"}}}, {{"username", user}, {"access_token", secret}}),
      written({{"security", std::string{"none"}}}, {{"username", user}, {"password", secret}}),
  };
  for (std::size_t i = 0; i < bad.size(); ++i) {
    const auto config = read_config(bad[i], "gw.test");
    ASSERT_FALSE(config.ok()) << i;
    EXPECT_EQ(config.error().find(secret), std::string::npos) << config.error();
  }
}

}  // namespace
}  // namespace postern::smtp
