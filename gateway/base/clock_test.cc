#include "base/clock.h"

#include <gtest/gtest.h>

#include <array>

namespace postern {
namespace {

TEST(Time, FormatsAndParsesTheSameInstant) {
  EXPECT_EQ(format_time(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(format_time(1'769'851'800'123), "2026-01-31T09:30:00.123Z");
  EXPECT_EQ(parse_time("2026-01-31T09:30:00.123Z"), 1'769'851'800'123);
  EXPECT_EQ(parse_time("2026-01-31T10:30:00.123+01:00"), 1'769'851'800'123);
  EXPECT_EQ(parse_time("2026-01-31T09:30:00Z"), 1'769'851'800'000);
  EXPECT_EQ(format_mail_date(1'769'851'800'123), "Sat, 31 Jan 2026 09:30:00 +0000");
}

TEST(Time, RefusesWhatIsNone) {
  for (const char* bad : {"", "2026-01-31", "2026-02-30T00:00:00Z", "2026-01-31T24:00:00Z",
                          "2026-01-31T09:30:00", "2026-01-31T09:30:00.Z", "2026-01-31 09:30:00Z",
                          "2026-01-31T09:30:00+0100", "2026-01-31T09:30:00Zx"}) {
    EXPECT_FALSE(parse_time(bad)) << bad;
  }
}

TEST(Duration, ReadsItsUnitsAndRefusesOthers) {
  using std::chrono::milliseconds;
  EXPECT_EQ(parse_duration("500ms"), milliseconds{500});
  EXPECT_EQ(parse_duration("30s"), milliseconds{30'000});
  EXPECT_EQ(parse_duration("7d"), milliseconds{604'800'000});
  for (const char* bad : {"", "5", "s", "-5s", "5 s", "5w", "1.5h", "99999999999d"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
  EXPECT_EQ(format_duration(milliseconds{90'000}), "90s");
  EXPECT_EQ(format_duration(milliseconds{0}), "0s");
}

}  // namespace
}  // namespace postern
