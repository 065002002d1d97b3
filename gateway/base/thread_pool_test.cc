#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace postern {
namespace {

TEST(ThreadPool, RunsWhatIsQueuedBeforeItEnds) {
  std::atomic<int> ran{0};
  {
    ThreadPool pool{2, 100};
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(pool.run([&] { ++ran; }));
  }
  EXPECT_EQ(ran.load(), 50);
}

TEST(ThreadPool, RefusesMoreThanItMayQueue) {
  std::promise<void> gate;
  std::promise<void> started;
  ThreadPool pool{1, 1};
  ASSERT_TRUE(pool.run([&] {
    started.set_value();
    gate.get_future().wait();
  }));
  started.get_future().wait();
  EXPECT_TRUE(pool.run([] {}));
  EXPECT_FALSE(pool.run([] {}));
  gate.set_value();
}

}  // namespace
}  // namespace postern
