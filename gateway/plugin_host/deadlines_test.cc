#include "plugin_host/deadlines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <vector>

namespace postern::plugin_host {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

Deadlines::Time in(milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

struct Record {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<int> expired;

  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds{20},
                            [&] { return expired.size() >= count; });
  }
  std::vector<int> get() {
    const std::lock_guard lock(mutex);
    return expired;
  }
};

struct Recorded final : Deadlines::Call {
  Recorded(Record& its_record, int its_number) : record(its_record), number(its_number) {}
  void expire() override {
    const std::lock_guard lock(record.mutex);
    record.expired.push_back(number);
    record.changed.notify_all();
  }
  Record& record;
  int number;
};

TEST(Deadlines, ExpiresInOrderOfTime) {
  Record record;
  Deadlines deadlines;
  std::vector<std::shared_ptr<Recorded>> calls;
  const auto base = in(milliseconds{20});
  for (const int number : {3, 1, 2}) {
    calls.push_back(std::make_shared<Recorded>(record, number));
    Deadlines::add(*deadlines.core(), base + milliseconds{number}, calls.back(), nullptr);
  }
  ASSERT_TRUE(record.wait_for(3));
  EXPECT_THAT(record.get(), ElementsAre(1, 2, 3));
  EXPECT_EQ(deadlines.pending(), 0U);
}

TEST(Deadlines, ForgetsWhatWasCanceledAndWhatIsGone) {
  Record record;
  Deadlines deadlines;
  const auto canceled = std::make_shared<Recorded>(record, 1);
  auto gone = std::make_shared<Recorded>(record, 2);
  const auto kept = std::make_shared<Recorded>(record, 3);
  const auto at = in(milliseconds{30});
  const auto ticket = Deadlines::add(*deadlines.core(), at, canceled, nullptr);
  Deadlines::add(*deadlines.core(), at, gone, nullptr);
  Deadlines::add(*deadlines.core(), at + milliseconds{1}, kept, nullptr);
  Deadlines::cancel(*deadlines.core(), ticket);
  Deadlines::cancel(*deadlines.core(), ticket);
  gone.reset();
  ASSERT_TRUE(record.wait_for(1));
  EXPECT_THAT(record.get(), ElementsAre(3));
}

TEST(Deadlines, ExpiresAllOfOneOwnerAtOnce) {
  Record record;
  Deadlines deadlines;
  const int mine = 0;
  const int other = 0;
  const auto first = std::make_shared<Recorded>(record, 1);
  const auto second = std::make_shared<Recorded>(record, 2);
  Deadlines::add(*deadlines.core(), in(hours{1}), first, &mine);
  Deadlines::add(*deadlines.core(), in(hours{1}), second, &other);
  Deadlines::expire_all(*deadlines.core(), &mine);
  EXPECT_THAT(record.get(), ElementsAre(1));
  EXPECT_EQ(deadlines.pending(), 1U);
}

TEST(Deadlines, ExpiresWhatIsLeftAtTheEndAndNothingAfterwards) {
  Record record;
  const auto call = std::make_shared<Recorded>(record, 1);
  std::optional<Deadlines> deadlines(std::in_place);
  const auto core = deadlines->core();
  const auto ticket = Deadlines::add(*core, in(hours{1}), call, nullptr);
  deadlines.reset();
  EXPECT_THAT(record.get(), ElementsAre(1));
  Deadlines::cancel(*core, ticket);
  Deadlines::add(*core, in(milliseconds{-1}), call, nullptr);
  EXPECT_THAT(record.get(), ElementsAre(1));
}

// Waits in expire() until it is told to go on.
struct Slow final : Deadlines::Call {
  void expire() override {
    std::unique_lock lock(mutex);
    entered = true;
    changed.notify_all();
    changed.wait(lock, [&] { return go; });
    ended = true;
  }
  std::mutex mutex;
  std::condition_variable changed;
  bool entered = false, go = false, ended = false;
};

TEST(Deadlines, ExpireAllWaitsForTheOneThatIsExpiringNow) {
  Deadlines deadlines;
  const int owner = 0;
  const auto slow = std::make_shared<Slow>();
  Deadlines::add(*deadlines.core(), in(milliseconds{0}), slow, &owner);
  std::unique_lock lock(slow->mutex);
  ASSERT_TRUE(
      slow->changed.wait_for(lock, std::chrono::seconds{20}, [&] { return slow->entered; }));
  std::thread let_go([&] {
    const std::lock_guard relock(slow->mutex);
    slow->go = true;
    slow->changed.notify_all();
  });
  lock.unlock();
  Deadlines::expire_all(*deadlines.core(), &owner);
  {
    const std::lock_guard relock(slow->mutex);
    EXPECT_TRUE(slow->ended);
  }
  let_go.join();
}

TEST(Deadlines, LosesNoneOfManyFromManyThreads) {
  Record record;
  Deadlines deadlines;
  std::vector<std::vector<std::shared_ptr<Recorded>>> calls(4);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : calls) {
      threads.emplace_back([&] {
        for (int i = 0; i < 2000; ++i) {
          mine.push_back(std::make_shared<Recorded>(record, i));
          const auto ticket =
              Deadlines::add(*deadlines.core(), in(milliseconds{i % 2 == 0 ? 5 : 3'600'000}),
                             mine.back(), nullptr);
          if (i % 2 != 0) Deadlines::cancel(*deadlines.core(), ticket);
        }
      });
    }
  }
  ASSERT_TRUE(record.wait_for(4000));
  EXPECT_EQ(record.get().size(), 4000U);
  EXPECT_EQ(deadlines.pending(), 0U);
}

}  // namespace
}  // namespace postern::plugin_host
