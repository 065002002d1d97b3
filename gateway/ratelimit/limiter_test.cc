#include "ratelimit/limiter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace postern::ratelimit {
namespace {

using std::chrono::milliseconds;

TEST(Limiter, GrantsTheBurstThenTheRate) {
  ManualClock clock;
  Limiter limiter{clock};
  const Limit limit{10, 3};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.take("a", limit).granted);
  const Decision refused = limiter.take("a", limit);
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.retry_after.count(), 1);
  EXPECT_EQ(refused.remaining, 0U);
  clock.advance(milliseconds{100});
  EXPECT_TRUE(limiter.take("a", limit).granted);
  EXPECT_FALSE(limiter.take("a", limit).granted);
}

TEST(Limiter, KeepsKeysApart) {
  ManualClock clock;
  Limiter limiter{clock};
  const Limit limit{1, 1};
  EXPECT_TRUE(limiter.take("a", limit).granted);
  EXPECT_FALSE(limiter.take("a", limit).granted);
  EXPECT_TRUE(limiter.take("b", limit).granted);
}

TEST(Limiter, LetsABatchOverdrawAndWaitsUntilItIsPaidBack) {
  ManualClock clock;
  Limiter limiter{clock};
  const Limit limit{10, 10};
  EXPECT_TRUE(limiter.take("a", limit, 100, true).granted);
  const Decision refused = limiter.take("a", limit);
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.retry_after.count(), 10);
  clock.advance(milliseconds{9'000});
  EXPECT_FALSE(limiter.take("a", limit, 5, true).granted);
  clock.advance(milliseconds{100});
  EXPECT_TRUE(limiter.take("a", limit, 5, true).granted);
}

TEST(Limiter, TellsWhenTheBucketIsFullAgain) {
  ManualClock clock{1'750'000'000'000};
  Limiter limiter{clock};
  const Decision decision = limiter.take("a", {2, 10}, 4);
  EXPECT_EQ(decision.limit, 10U);
  EXPECT_EQ(decision.remaining, 6U);
  EXPECT_EQ(decision.reset, 1'750'000'002);
}

TEST(Limiter, ForgetsFullBucketsAndKeepsEmptyOnesUnderAFlood) {
  ManualClock clock;
  Limiter limiter{clock, 16 * 64};
  const Limit limit{0.001, 10};
  while (limiter.take("offender", limit).granted) {
  }
  for (int i = 0; i < 100'000; ++i) limiter.take("10.0." + std::to_string(i), limit);
  EXPECT_FALSE(limiter.take("offender", limit).granted);
}

TEST(Limiter, GrantsNoMoreThanTheBurstToManyThreads) {
  ManualClock clock;
  Limiter limiter{clock};
  std::atomic<int> granted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1'000; ++i) granted += limiter.take("a", {1, 500}).granted ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(granted.load(), 500);
}

}  // namespace
}  // namespace postern::ratelimit
