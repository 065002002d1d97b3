#include "telemetry/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/bytes.h"
#include "base/clock.h"

namespace postern::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

struct Captured {
  std::vector<std::string> lines;
  std::shared_ptr<Log> log;
  explicit Captured(LogFormat format, sdk::LogLevel level = sdk::LogLevel::debug)
      : log(Log::make(level, format, [this](std::string_view line) { lines.emplace_back(line); })) {
  }
};

TEST(Log, WritesTextAsTimeLevelMessageAndFields) {
  Captured out(LogFormat::text);
  out.log->info("listening", {{"address", "127.0.0.1:80"}, {"note", "two words"}, {"empty", ""}});
  ASSERT_THAT(out.lines, SizeIs(1));
  const std::string& line = out.lines[0];
  EXPECT_TRUE(parse_time(line.substr(0, 24))) << line;
  EXPECT_EQ(line.substr(24), " INFO listening address=127.0.0.1:80 note=\"two words\" empty=\"\"");
}

TEST(Log, WritesJsonWithTheSameContent) {
  Captured out(LogFormat::json);
  out.log->error("it \"failed\"", {{"path", "a\\b"}});
  ASSERT_THAT(out.lines, SizeIs(1));
  const std::string& line = out.lines[0];
  EXPECT_EQ(line.substr(0, 9), "{\"time\":\"");
  EXPECT_TRUE(parse_time(line.substr(9, 24))) << line;
  EXPECT_EQ(line.substr(33), R"(","level":"error","message":"it \"failed\"","path":"a\\b"})");
}

TEST(Log, KeepsARecordOnOneLineWhateverItHolds) {
  for (const LogFormat format : {LogFormat::text, LogFormat::json}) {
    Captured out(format);
    out.log->info("a\nb\r\x1b[31m",
                  {{"f\nx", "c\n2026 ERROR forged\x7f \xc2\x85 \xe2\x80\xa8 end"}});
    ASSERT_THAT(out.lines, SizeIs(1));
    for (const char c : out.lines[0]) {
      EXPECT_GE(static_cast<unsigned char>(c), 0x20U) << out.lines[0];
      EXPECT_NE(c, '\x7f');
    }
    EXPECT_THAT(out.lines[0], HasSubstr(R"(a\nb\r\u001b[31m)"));
    EXPECT_THAT(out.lines[0], HasSubstr(R"(c\n2026 ERROR forged\u007f \u0085 \u2028 end)"));
  }
}

TEST(Log, ReplacesBytesThatAreNoUtf8AndKeepsThoseThatAre) {
  Captured out(LogFormat::json);
  out.log->info("gr\xc3\xbc\xc3\x9f \xff\xc3( \xe2\x82");
  EXPECT_THAT(out.lines[0], HasSubstr("gr\xc3\xbc\xc3\x9f \xef\xbf\xbd\xef\xbf\xbd("));
  EXPECT_TRUE(is_utf8(out.lines[0]));
}

TEST(Log, MasksFieldsNamedLikeSecrets) {
  for (const LogFormat format : {LogFormat::text, LogFormat::json}) {
    Captured out(format);
    for (const char* name : {"password", "smtp_password", "access_token", "Authorization", "key",
                             "api_key", "X-Api-Key", "apiKey", "client-secret", "Set-Cookie"}) {
      out.log->child({{name, "hunter2"}})->info("x", {{name, "hunter2"}});
      EXPECT_THAT(out.lines.back(), Not(HasSubstr("hunter2"))) << name;
      EXPECT_THAT(out.lines.back(), HasSubstr("***")) << name;
    }
    for (const char* name : {"key_id", "monkey", "organization", "tokens", "request_id"}) {
      out.log->info("x", {{name, "visible"}});
      EXPECT_THAT(out.lines.back(), HasSubstr("visible")) << name;
    }
  }
}

TEST(Log, ChildrenCarryTheirFieldsAndTheirParents) {
  Captured out(LogFormat::text);
  std::shared_ptr<Log> grandchild;
  {
    const auto child = out.log->child({{"component", "queue"}});
    grandchild = child->child({{"request_id", "r1"}});
  }
  grandchild->info("hello", {{"n", "1"}});
  out.log->info("plain");
  EXPECT_THAT(out.lines[0], HasSubstr("INFO hello component=queue request_id=r1 n=1"));
  EXPECT_THAT(out.lines[1], Not(HasSubstr("component")));
}

TEST(Log, DropsRecordsBelowTheLevelAndFollowsItsChange) {
  Captured out(LogFormat::text, sdk::LogLevel::warning);
  const auto child = out.log->child({{"component", "x"}});
  child->info("one");
  EXPECT_THAT(out.lines, SizeIs(0));
  EXPECT_FALSE(child->enabled(sdk::LogLevel::info));
  out.log->set_level(sdk::LogLevel::debug);
  child->debug("two");
  EXPECT_THAT(out.lines, SizeIs(1));
}

TEST(Log, DoesNotLetAFieldReplaceTheRecordsOwn) {
  Captured out(LogFormat::json);
  out.log->info("real", {{"message", "forged"}, {"level", "error"}, {"time", "0"}});
  EXPECT_THAT(out.lines[0], HasSubstr(R"("_message":"forged","_level":"error","_time":"0"})"));
}

TEST(Log, TakesTheNamesOfTheConfigurationAndRefusesOthers) {
  EXPECT_TRUE(Log::make("warning", "json").ok());
  EXPECT_FALSE(Log::make("loud", "json").ok());
  EXPECT_FALSE(Log::make("info", "xml").ok());
}

TEST(Log, IsUsableFromManyThreads) {
  Captured out(LogFormat::json);
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) out.log->info("m", {{"i", std::to_string(i)}});
    });
  }
  threads.clear();
  EXPECT_THAT(out.lines, SizeIs(800));
}

}  // namespace
}  // namespace postern::telemetry
