// A valid file, cut and changed at every byte: loading must always come back with a config or with
// problems that stand in the file.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "config/test_files.h"

namespace postern::config {
namespace {

constexpr std::string_view kValid =
    R"(# ü
server: { api: { listen: "[::1]:8025" }, limits: { body: 1MiB, idle_timeout: 75s } }
plugins: { directories: [../lib, "${env:HOME}/p"] }
storage: &s
  plugin: sqlite
  settings: { path: 'a b', many: [1, *n, "\u20ac"] }
secrets:
  master_key: |
    0123456789abcdef0123456789abcdef
organizations:
- id: demo
  name: &n >-
    folded
    text
  rate_limits: { send: 10/s }
  keys:
  - { name: k, key: ms_live_0123456789abcdef0123456789abcdef, permissions: [SEND] }
  providers:
  - id: a
    type: SMTP
    settings: { host: h }
    credentials: { password: "$${x" }
)";

int lines_of(std::string_view text) {
  return static_cast<int>(std::count(text.begin(), text.end(), '\n')) + 1;
}

void expect_sound(const std::string& text) {
  const Loaded loaded = load_text(text, "f", "/nowhere");
  ASSERT_NE(loaded.config.has_value(), !loaded.problems.empty()) << text;
  const int lines = lines_of(text);
  int last = 0;
  for (const Problem& problem : loaded.problems) {
    ASSERT_FALSE(problem.message.empty()) << text;
    ASSERT_LE(problem.where.line, lines) << text;
    ASSERT_GE(problem.where.line, last) << text;
    last = problem.where.line;
  }
}

TEST(Fuzz, SurvivesTheFileCutAtEveryByte) {
  for (std::size_t length = 0; length <= kValid.size(); ++length) {
    expect_sound(std::string{kValid.substr(0, length)});
    expect_sound(std::string{kValid.substr(length)});
  }
}

TEST(Fuzz, SurvivesEveryByteReplacedOrInserted) {
  constexpr std::string_view kBytes{"\0\n\t :-?*&!|>'\"%@`{}[],#$\\\x04\x7F\x80\xC3\xFF~a", 33};
  for (std::size_t at = 0; at < kValid.size(); ++at) {
    for (const char byte : kBytes) {
      std::string text{kValid};
      text[at] = byte;
      expect_sound(text);
      text = kValid;
      text.insert(at, 1, byte);
      expect_sound(text);
    }
    std::string text{kValid};
    text.erase(at, 1);
    expect_sound(text);
  }
}

TEST(Fuzz, SurvivesRandomTextOfYamlsOwnCharacters) {
  constexpr std::string_view kPieces = "\n\n\n  :: -?*&!|>'\"%@{}[],#ab<0.$";
  std::mt19937 random{20260101};  // fixed: a failure must come again
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    const std::size_t length = random() % 60;
    for (std::size_t i = 0; i < length; ++i) text += kPieces[random() % kPieces.size()];
    expect_sound(text);
  }
}

}  // namespace
}  // namespace postern::config
