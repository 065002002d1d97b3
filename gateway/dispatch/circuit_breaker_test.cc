#include "dispatch/circuit_breaker.h"

#include <gtest/gtest.h>

namespace postern::dispatch {
namespace {

using State = CircuitBreaker::State;
using std::chrono::milliseconds;

class Breaker : public testing::Test {
 protected:
  void fail(int times) {
    for (int i = 0; i < times; ++i) breaker_.failed(now_);
  }
  CircuitBreaker::Time now_{std::chrono::hours{1}};
  CircuitBreaker breaker_{{3, milliseconds{100}, milliseconds{300}}};
};

TEST_F(Breaker, OpensOnlyAfterFailuresInARow) {
  fail(2);
  breaker_.succeeded();
  fail(2);
  EXPECT_EQ(breaker_.state(now_), State::closed);
  fail(1);
  EXPECT_EQ(breaker_.state(now_), State::open);
}

TEST_F(Breaker, ProbesWhenItsTimeIsOverAndClosesOnSuccess) {
  fail(3);
  EXPECT_EQ(breaker_.state(now_ + milliseconds{99}), State::open);
  EXPECT_EQ(breaker_.state(now_ + milliseconds{100}), State::half_open);
  breaker_.succeeded();
  EXPECT_EQ(breaker_.state(now_), State::closed);
}

TEST_F(Breaker, WaitsLongerAfterEveryFailedProbeUpToItsCeiling) {
  fail(3);
  for (const int pause : {200, 300, 300}) {
    now_ = breaker_.open_until();
    ASSERT_EQ(breaker_.state(now_), State::half_open);
    fail(1);
    EXPECT_EQ(breaker_.open_until() - now_, milliseconds{pause});
  }
}

TEST_F(Breaker, IsNotProlongedByCallsThatWereUnderWay) {
  fail(3);
  const auto until = breaker_.open_until();
  now_ += milliseconds{50};
  fail(10);
  EXPECT_EQ(breaker_.open_until(), until);
}

}  // namespace
}  // namespace postern::dispatch
