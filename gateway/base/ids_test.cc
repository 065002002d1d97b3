#include "base/ids.h"

#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace postern {
namespace {

TEST(UuidV7, SortsInTheOrderOfCreationAlsoWithinAMillisecond) {
  const ManualClock clock;
  std::string last;
  for (int i = 0; i < 10'000; ++i) {
    std::string id = uuid_v7(clock);
    ASSERT_TRUE(is_uuid(id));
    ASSERT_EQ(id[14], '7');
    ASSERT_LT(last, id);
    last = std::move(id);
  }
}

TEST(UuidV7, IsUniqueAcrossThreads) {
  const SystemClock clock;
  std::mutex mutex;
  std::set<std::string> seen;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2'000; ++i) {
        const std::string id = uuid_v7(clock);
        const std::lock_guard lock{mutex};
        EXPECT_TRUE(seen.insert(id).second);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST(UuidV5, IsStableAndTellsNamesApart) {
  EXPECT_EQ(uuid_v5("demo/provider/outbox"), uuid_v5("demo/provider/outbox"));
  EXPECT_NE(uuid_v5("demo/provider/outbox"), uuid_v5("demo/provider/relay"));
  EXPECT_EQ(uuid_v5("a")[14], '5');
  EXPECT_TRUE(is_uuid(uuid_v5("a")));
}

TEST(Ulid, Has26CharactersAndSortsByTime) {
  ManualClock clock;
  const std::string first = ulid(clock);
  clock.advance(std::chrono::milliseconds{1});
  EXPECT_EQ(first.size(), 26U);
  EXPECT_LT(first.substr(0, 10), ulid(clock).substr(0, 10));
}

TEST(IsUuid, RefusesWhatIsNone) {
  EXPECT_FALSE(is_uuid(""));
  EXPECT_FALSE(is_uuid("01900000-0000-7000-8000-00000000000"));
  EXPECT_FALSE(is_uuid("01900000-0000-7000-8000-00000000000g"));
  EXPECT_FALSE(is_uuid("01900000x0000-7000-8000-000000000000"));
}

}  // namespace
}  // namespace postern
