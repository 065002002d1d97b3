#include "cli/output.h"

#include <gtest/gtest.h>

#include <sstream>

namespace postern::cli {
namespace {

TEST(Table, AlignsColumnsByCharactersNotBytes) {
  Table table{{"A", "B"}};
  table.add({"gr\xc3\xbc\xc3\x9f", "x"});
  table.add({"abc", "y"});
  std::ostringstream out;
  table.print(out);
  EXPECT_EQ(out.str(), "A     B\ngr\xc3\xbc\xc3\x9f  x\nabc   y\n");
}

TEST(Table, ShowsNoControlCharacterOfACell) {
  Table table{{"A"}};
  table.add({"a\x1b[2J\nb\xc2\x9b"});
  std::ostringstream out;
  table.print(out);
  EXPECT_EQ(out.str(), "A\na?[2J?b?\n");
}

TEST(Output, PrintsEveryIssueOfAnErrorOnALineOfItsOwn) {
  std::ostringstream err;
  print_error(
      err,
      {ErrorKind::invalid, "it is wrong", {{"to[0]", "x", "no address"}, {"", "y", "else"}}, {}});
  EXPECT_EQ(err.str(), "postern: it is wrong\n  to[0]: no address\n  else\n");
}

TEST(Output, CallsExactlyTheUnfinishedStatusesNotFinal) {
  using enum sdk::MessageStatus;
  for (const auto status : {scheduled, queued, sending, deferred}) {
    EXPECT_FALSE(is_final(status)) << name_of(status);
  }
  for (const auto status : {sent, delivered, bounced, complained, failed, canceled, suppressed}) {
    EXPECT_TRUE(is_final(status)) << name_of(status);
  }
}

}  // namespace
}  // namespace postern::cli
