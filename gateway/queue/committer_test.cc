#include "queue/committer.h"

#include <gtest/gtest.h>

#include <future>
#include <latch>

#include "queue/memory_storage.h"

namespace postern::queue {
namespace {

using Status = sdk::UnitResult::Status;

sdk::Unit message(const std::string& id) {
  sdk::EnqueueMessage enqueue;
  enqueue.message.id = id;
  enqueue.work.id = id;
  enqueue.work.message_id = id;
  enqueue.body = std::make_shared<const std::string>("body");
  return {{std::move(enqueue)}};
}

class GroupCommitter : public testing::Test {
 protected:
  // Holds the next commit until released, so that others gather behind it.
  void hold_commits() {
    storage_.before_commit = [this](std::span<const sdk::Unit>) -> std::optional<sdk::StorageError> {
      if (!held_) {
        held_ = true;
        entered_.set_value();
        release_.get_future().wait();
      }
      return std::nullopt;
    };
  }
  MemoryStorage storage_;
  SilentLogger logger_;
  telemetry::Metrics metrics_;
  std::promise<void> entered_;
  std::promise<void> release_;
  bool held_ = false;
};

TEST_F(GroupCommitter, StoresAllThatWaitInOneCommit) {
  hold_commits();
  Committer committer{storage_, logger_, metrics_, {}};
  std::latch done{51};
  const auto count = [&](const Result<sdk::UnitResult>& result) {
    EXPECT_TRUE(result);
    done.count_down();
  };
  ASSERT_TRUE(committer.try_submit(message("first"), 4, count));
  entered_.get_future().wait();
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(committer.try_submit(message(std::to_string(i)), 4, count));
  release_.set_value();
  done.wait();
  EXPECT_EQ(storage_.commits, 2);
  EXPECT_EQ(storage_.rows(), 51U);
}

TEST_F(GroupCommitter, AcksNobodyWhenSyncFails) {
  for (const auto kind : {sdk::StorageError::Kind::unavailable, sdk::StorageError::Kind::unknown}) {
    storage_.before_commit = [kind](std::span<const sdk::Unit>) {
      return std::optional<sdk::StorageError>{{kind, "disk full", 0, 0}};
    };
    Committer committer{storage_, logger_, metrics_, {}};
    std::promise<Result<sdk::UnitResult>> answer;
    ASSERT_TRUE(committer.try_submit(message("a"), 4, [&](Result<sdk::UnitResult> result) {
      answer.set_value(std::move(result));
    }));
    const auto result = answer.get_future().get();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::unavailable);
    EXPECT_GE(result.error().retry_after.count(), 1);
    EXPECT_TRUE(committer.failing());
  }
  EXPECT_EQ(storage_.rows(), 0U);
}

TEST_F(GroupCommitter, FailsOnlyTheUnitWhoseValueStorageRefuses) {
  std::promise<void> gathered;
  auto all_there = gathered.get_future().share();
  storage_.before_commit = [&, all_there](std::span<const sdk::Unit> units) -> std::optional<sdk::StorageError> {
    all_there.wait();
    for (std::size_t i = 0; i < units.size(); ++i) {
      if (std::get<sdk::EnqueueMessage>(units[i].ops[0]).message.id == "bad") {
        return sdk::StorageError{sdk::StorageError::Kind::invalid, "NUL in text", i, 0};
      }
    }
    return std::nullopt;
  };
  Committer committer{storage_, logger_, metrics_, {}};
  std::latch done{5};
  std::mutex mutex;
  std::map<std::string, bool> stored;
  for (const char* id : {"one", "two", "bad", "three", "four"}) {
    ASSERT_TRUE(committer.try_submit(message(id), 4, [&, id](const Result<sdk::UnitResult>& result) {
      {
        const std::lock_guard lock{mutex};
        stored[id] = result.ok();
      }
      done.count_down();
    }));
  }
  gathered.set_value();
  done.wait();
  EXPECT_FALSE(stored["bad"]);
  for (const char* id : {"one", "two", "three", "four"}) EXPECT_TRUE(stored[id]) << id;
  EXPECT_FALSE(committer.failing()) << "a client's bad value is no failure of storage";
}

TEST_F(GroupCommitter, RefusesMoreThanItMayHoldAndNeverAnOutcome) {
  hold_commits();
  CommitterOptions options;
  options.pending_units = 2;
  options.pending_bytes = 100;
  Committer committer{storage_, logger_, metrics_, options};
  std::latch done{4};
  const auto count = [&](const Result<sdk::UnitResult>&) { done.count_down(); };
  ASSERT_TRUE(committer.try_submit(message("held"), 1, count));
  entered_.get_future().wait();
  ASSERT_TRUE(committer.try_submit(message("a"), 90, count));
  EXPECT_FALSE(committer.try_submit(message("b"), 20, count)) << "too many bytes";
  ASSERT_TRUE(committer.try_submit(message("c"), 5, count));
  EXPECT_FALSE(committer.try_submit(message("d"), 1, count)) << "too many units";
  committer.submit(message("outcome"), count);
  release_.set_value();
  done.wait();
  EXPECT_EQ(storage_.rows(), 4U);
}

TEST_F(GroupCommitter, NeverPutsUnitsThatShareAPreconditionInOneCommit) {
  hold_commits();
  std::vector<std::vector<std::string>> groups;
  Committer committer{storage_, logger_, metrics_, {}};
  std::latch done{4};
  const auto count = [&](const Result<sdk::UnitResult>&) { done.count_down(); };
  const auto finish = [&](const char* id) {
    sdk::FinishWork op;
    op.id = id;
    op.fence = 1;
    return sdk::Unit{{op}};
  };
  committer.submit(message("x"), count);
  entered_.get_future().wait();
  committer.submit(finish("x"), count);
  committer.submit(finish("x"), count);
  committer.submit(finish("y"), count);
  release_.set_value();
  done.wait();
  ASSERT_EQ(storage_.group_sizes.size(), 3U);
  EXPECT_EQ(storage_.group_sizes[1], 2U) << "x and y";
  EXPECT_EQ(storage_.group_sizes[2], 1U) << "the second x";
}

TEST_F(GroupCommitter, CommitsWhatWaitsBeforeItStops) {
  std::atomic<int> stored{0};
  {
    Committer committer{storage_, logger_, metrics_, {}};
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(committer.try_submit(message(std::to_string(i)), 1,
                                       [&](const Result<sdk::UnitResult>& r) { stored += r ? 1 : 0; }));
    }
    committer.stop();
    EXPECT_FALSE(committer.try_submit(message("late"), 1, [](const Result<sdk::UnitResult>&) {}));
    bool answered = false;
    committer.submit(message("late"), [&](const Result<sdk::UnitResult>& r) { answered = !r; });
    EXPECT_TRUE(answered);
  }
  EXPECT_EQ(stored, 100);
}

}  // namespace
}  // namespace postern::queue
