#include "queue/delivery_queue.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>

#include "queue/memory_storage.h"

namespace postern::queue {
namespace {

using std::chrono::milliseconds;

class Deliveries : public testing::Test {
 protected:
  Deliveries() : readers_(1, 1000), committer_(storage_, logger_, metrics_, {}) {}

  ~Deliveries() override {
    // What callbacks touch ends after those who call back.
    if (queue_) queue_->stop();
    readers_.stop();
    committer_.stop();
  }

  void start(DeliveryQueueOptions options) {
    options.node = "node";
    options.poll = milliseconds{20};
    queue_ = std::make_unique<DeliveryQueue>(committer_, storage_, readers_, clock_, logger_, options);
    ASSERT_TRUE(queue_->start([this] {
      const std::lock_guard lock{mutex_};
      woken_.notify_all();
    }));
  }
  // Puts a message into storage as an accept without a place in memory does.
  void store(const std::string& id, const std::string& lane, std::uint64_t body_bytes = 10,
             std::uint8_t priority = 0) {
    sdk::EnqueueMessage enqueue;
    enqueue.message.id = id;
    enqueue.body = std::make_shared<const std::string>("{}");
    enqueue.work.id = enqueue.work.message_id = id;
    enqueue.work.lane = lane;
    enqueue.work.priority = priority;
    enqueue.work.due = clock_.now();
    enqueue.work.payload = encode(DeliveryState{body_bytes, false, false, {}});
    const sdk::Unit unit{{std::move(enqueue)}};
    ASSERT_TRUE(storage_.commit({&unit, 1}));
  }
  // The next delivery of the lane; waits for it, up to a deadline that only a failure reaches.
  std::unique_ptr<Delivery> next(const std::string& lane, milliseconds patience = milliseconds{5'000}) {
    std::unique_lock lock{mutex_};
    std::unique_ptr<Delivery> out;
    woken_.wait_for(lock, patience, [&] {
      out = queue_->take(lane);
      return out != nullptr;
    });
    return out;
  }
  void finish(std::unique_ptr<Delivery> delivery) {
    sdk::FinishWork op;
    op.id = delivery->item.id;
    std::promise<bool> done;
    queue_->finish(std::move(delivery), {{op}}, std::nullopt, [&](bool stored) { done.set_value(stored); });
    finished_ = done.get_future().get();
  }

  MemoryStorage storage_;
  SilentLogger logger_;
  telemetry::Metrics metrics_;
  SystemClock clock_;
  ThreadPool readers_;
  Committer committer_;
  std::unique_ptr<DeliveryQueue> queue_;
  std::mutex mutex_;
  std::condition_variable woken_;
  bool finished_ = false;
};

TEST_F(Deliveries, LeasesWhatWaitsInStorageAndFinishesIt) {
  store("a", "lane");
  start({});
  auto delivery = next("lane");
  ASSERT_TRUE(delivery);
  EXPECT_EQ(delivery->item.id, "a");
  EXPECT_FALSE(delivery->taken_over);
  finish(std::move(delivery));
  EXPECT_TRUE(finished_);
  EXPECT_EQ(storage_.rows(), 0U);
}

TEST_F(Deliveries, TakesOverWhatAnEarlierRunLeft) {
  store("a", "lane");
  storage_.edit("a", [&](MemoryStorage::Row& row) {
    row.lease = {"node/earlier", clock_.now() + 3'600'000, 7};
    row.item.due = row.lease.until;
  });
  start({});
  const auto delivery = next("lane");
  ASSERT_TRUE(delivery);
  EXPECT_TRUE(delivery->taken_over);
  EXPECT_EQ(delivery->hold->fence(), 8U);
}

TEST_F(Deliveries, HoldsNoMoreThanItMay) {
  for (int i = 0; i < 100; ++i) store("m" + std::to_string(i), "lane" + std::to_string(i % 5));
  DeliveryQueueOptions options;
  options.ready_messages = 16;
  start(options);
  ASSERT_TRUE(next("lane0"));
  EXPECT_LE(queue_->depth().held, 16U);
  EXPECT_FALSE(queue_->reserve("lane1", 1).has_value() && queue_->depth().held > 16);
}

TEST_F(Deliveries, LeavesRoomForOthersWhenOneLaneHasALongQueue) {
  for (int i = 0; i < 500; ++i) store("busy" + std::to_string(i), "busy");
  DeliveryQueueOptions options;
  options.ready_messages = 40;
  start(options);
  ASSERT_TRUE(next("busy"));
  store("other", "other");
  queue_->expect("other", clock_.now());
  EXPECT_TRUE(next("other")) << "a lane that nobody serves must not fill the memory";
}

TEST_F(Deliveries, GivesABlockedLaneBackAndLeasesNothingOfItMeanwhile) {
  store("a", "lane");
  start({});
  ASSERT_TRUE(next("lane"));
  store("b", "lane");
  queue_->block("lane", clock_.monotonic() + std::chrono::hours{1});
  EXPECT_FALSE(queue_->reserve("lane", 1));
  queue_->expect("lane", clock_.now());
  EXPECT_FALSE(next("lane", milliseconds{200}));
  queue_->unblock("lane");
  EXPECT_TRUE(next("lane"));
}

TEST_F(Deliveries, HoldsFewOfALaneThatIsProbed) {
  for (int i = 0; i < 50; ++i) store("m" + std::to_string(i), "lane");
  start({});
  ASSERT_TRUE(next("lane"));
  queue_->block("lane", clock_.monotonic() + std::chrono::hours{1});
  const auto patience = clock_.monotonic() + std::chrono::seconds{5};
  while (queue_->depth().held > 1 && clock_.monotonic() < patience) std::this_thread::yield();
  ASSERT_EQ(queue_->depth().held, 1U) << "all but the one that was taken went back";
  queue_->unblock("lane", 3);
  int more = 0;
  while (next("lane", milliseconds{200})) ++more;
  EXPECT_GE(more, 1);
  EXPECT_LE(more, 3) << "and none of them was finished";
}

TEST_F(Deliveries, SendsTransactionalMailBeforeBulk) {
  DeliveryQueueOptions options;
  start(options);
  for (int i = 0; i < 3; ++i) {
    const bool bulk = i < 2;
    auto place = queue_->reserve("lane", 1);
    ASSERT_TRUE(place);
    Delivery delivery;
    delivery.item.id = bulk ? "bulk" + std::to_string(i) : "receipt";
    delivery.item.lane = "lane";
    delivery.item.priority = bulk ? 1 : 0;
    queue_->push(std::move(*place), std::move(delivery), 1, clock_.monotonic());
  }
  EXPECT_EQ(queue_->take("lane")->item.id, "receipt");
  EXPECT_EQ(queue_->take("lane")->item.id, "bulk0");
  EXPECT_EQ(queue_->take("lane")->item.id, "bulk1");
}

TEST_F(Deliveries, FindsThoseThatAreTooOldAndLeavesTheOthers) {
  start({});
  for (const auto& [id, created] : {std::pair{"new", 2'000}, {"old", 500}, {"newer", 3'000}}) {
    auto place = queue_->reserve("lane", 1);
    ASSERT_TRUE(place);
    Delivery delivery;
    delivery.item.id = id;
    delivery.item.lane = "lane";
    delivery.message.created_at = created;
    queue_->push(std::move(*place), std::move(delivery), 1, clock_.monotonic());
  }
  EXPECT_EQ(queue_->take_older("lane", 1'000)->item.id, "old");
  EXPECT_FALSE(queue_->take_older("lane", 1'000));
  EXPECT_EQ(queue_->take("lane")->item.id, "new");
}

TEST_F(Deliveries, RecordsAnOutcomeOnceStorageIsBack) {
  store("a", "lane");
  start({});
  auto delivery = next("lane");
  ASSERT_TRUE(delivery);
  std::atomic<int> failures{2};
  storage_.before_commit = [&](std::span<const sdk::Unit> units) -> std::optional<sdk::StorageError> {
    const bool finishing = std::holds_alternative<sdk::FinishWork>(units[0].ops[0]);
    if (!finishing || failures-- <= 0) return std::nullopt;
    return sdk::StorageError{sdk::StorageError::Kind::unavailable, "down", 0, 0};
  };
  finish(std::move(delivery));
  EXPECT_TRUE(finished_);
  EXPECT_EQ(storage_.rows(), 0U);
  EXPECT_LE(failures, 0);
}

TEST_F(Deliveries, SaysSoWhenALeaseWasLostToAnother) {
  store("a", "lane");
  start({});
  auto delivery = next("lane");
  ASSERT_TRUE(delivery);
  storage_.edit("a", [](MemoryStorage::Row& row) { row.lease = {"other/1", 0, 99}; });
  finish(std::move(delivery));
  EXPECT_FALSE(finished_);
  EXPECT_EQ(storage_.rows(), 1U) << "the other holder's work is untouched";
}

TEST_F(Deliveries, KeepsWhatItHoldsWhenItsOwnLeaseRunsOutOnStoragesClock) {
  store("a", "lane");
  start({});
  auto delivery = next("lane");
  ASSERT_TRUE(delivery);
  storage_.edit("a", [&](MemoryStorage::Row& row) { row.item.due = clock_.now() - 1; });
  queue_->expect("lane", clock_.now());
  // It is leased again by this same gateway, and recognized: nobody gets it a second time.
  EXPECT_FALSE(next("lane", milliseconds{200}));
  finish(std::move(delivery));
  EXPECT_TRUE(finished_);
  EXPECT_EQ(storage_.rows(), 0U);
}

TEST_F(Deliveries, RenewsALeaseWhileItIsHeld) {
  store("a", "lane");
  DeliveryQueueOptions options;
  options.lease = milliseconds{200};
  start(options);
  const auto delivery = next("lane");
  ASSERT_TRUE(delivery);
  const auto first = delivery->hold->until();
  const auto patience = clock_.monotonic() + std::chrono::seconds{5};
  while (delivery->hold->until() == first && clock_.monotonic() < patience) std::this_thread::yield();
  EXPECT_GT(delivery->hold->until(), first);
}

TEST_F(Deliveries, GivesBackWhatWaitsWhenItStops) {
  for (int i = 0; i < 10; ++i) store("m" + std::to_string(i), "lane");
  start({});
  auto taken = next("lane");
  ASSERT_TRUE(taken);
  queue_->stop();
  finish(std::move(taken));
  readers_.stop();
  committer_.stop();
  for (int i = 1; i < 10; ++i) {
    const auto row = storage_.row("m" + std::to_string(i));
    ASSERT_TRUE(row);
    EXPECT_TRUE(row->lease.owner.empty());
  }
}

}  // namespace
}  // namespace postern::queue
