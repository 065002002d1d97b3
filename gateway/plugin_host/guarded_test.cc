// What bad plugins can't show: the end of guards, races, and many calls at once. The guard around
// plugins that misbehave is tested in tests/bad_plugins.
#include "plugin_host/guarded.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

namespace postern::plugin_host {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::SizeIs;

struct CountingLog final : sdk::Logger {
  void log(sdk::LogLevel, std::string_view,
           const std::vector<std::pair<std::string_view, std::string>>&) override {
    ++records;
  }
  std::atomic<int> records{0};
};

// Keeps every callback where the test finds it.
struct Kept {
  std::mutex mutex;
  std::vector<sdk::Completion> callbacks;
  std::atomic<int> drains{0};
  std::atomic<bool> destroyed{false};
};

class Keeping final : public sdk::ProviderAdapter {
 public:
  explicit Keeping(std::shared_ptr<Kept> kept) : kept_(std::move(kept)) {}
  ~Keeping() override {
    kept_->destroyed = true;
    kept_->destroyed.notify_all();
  }
  void send(std::shared_ptr<const sdk::OutboundMessage>, const sdk::Attempt&,
            sdk::Completion done) override {
    const std::lock_guard lock(kept_->mutex);
    kept_->callbacks.push_back(std::move(done));
  }
  void validate(sdk::Deadline, std::function<void(sdk::Validation)> done) override {
    done({static_cast<sdk::Validation::Result>(50), ""});
  }
  void verify_event(std::shared_ptr<const sdk::HookRequest>, sdk::Deadline,
                    std::function<void(sdk::HookResult)> done) override {
    sdk::HookResult result;
    result.status = sdk::HookResult::Status::forged;
    result.events.resize(3);
    done(std::move(result));
  }
  void drain(sdk::Deadline) override { ++kept_->drains; }

 private:
  std::shared_ptr<Kept> kept_;
};

class Guarded : public ::testing::Test {
 protected:
  std::shared_ptr<GuardedAdapter> make(std::shared_ptr<void> owner = nullptr) {
    return std::make_shared<GuardedAdapter>(std::make_unique<Keeping>(kept_), std::move(owner),
                                            "KEEPING", context_);
  }
  static std::shared_ptr<const sdk::OutboundMessage> message() {
    auto made = std::make_shared<sdk::OutboundMessage>();
    made->recipients = {"a@example.com"};
    return made;
  }
  static sdk::Attempt attempt(milliseconds time) {
    sdk::Attempt made;
    made.deadline = std::chrono::steady_clock::now() + time;
    return made;
  }
  static std::vector<sdk::Outcome> accepted() {
    std::vector<sdk::Outcome> outcomes(1);
    outcomes[0].verdict = sdk::Verdict::accepted;
    return outcomes;
  }

  CountingLog log_;
  telemetry::Metrics metrics_;
  Deadlines deadlines_;
  GuardContext context_{deadlines_, log_, metrics_, milliseconds{20}};
  std::shared_ptr<Kept> kept_ = std::make_shared<Kept>();
};

TEST_F(Guarded, AnswersWhatIsOpenAtItsEndAndIgnoresWhatComesAfter) {
  auto adapter = make();
  int calls = 0;
  std::vector<sdk::Outcome> got;
  adapter->send(message(), attempt(std::chrono::hours{1}), [&](std::vector<sdk::Outcome> outcomes) {
    ++calls;
    got = std::move(outcomes);
  });
  EXPECT_EQ(calls, 0);
  adapter.reset();
  EXPECT_EQ(calls, 1);
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_TRUE(got[0].ambiguous);
  EXPECT_EQ(kept_->drains, 1);
  EXPECT_TRUE(kept_->destroyed);
  const int records = log_.records;
  kept_->callbacks.at(0)(accepted());
  kept_->callbacks.clear();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(log_.records, records);  // the logger might be gone by then
  EXPECT_EQ(deadlines_.pending(), 0U);
}

TEST_F(Guarded, DrainAnswersWhatIsOpen) {
  auto adapter = make();
  int calls = 0;
  adapter->send(message(), attempt(std::chrono::hours{1}),
                [&](const std::vector<sdk::Outcome>&) { ++calls; });
  adapter->drain(std::chrono::steady_clock::now());
  EXPECT_EQ(calls, 1);
  adapter->drain(std::chrono::steady_clock::now());
  adapter.reset();
  EXPECT_EQ(kept_->drains, 1);
  EXPECT_EQ(calls, 1);
}

TEST_F(Guarded, KeepsItsOwnerUntilTheAdapterIsGone) {
  struct Owner {
    std::shared_ptr<Kept> kept;
    bool* in_order;
    ~Owner() { *in_order = kept->destroyed; }
  };
  bool in_order = false;
  auto adapter = make(std::shared_ptr<Owner>(new Owner{kept_, &in_order}));
  adapter.reset();
  EXPECT_TRUE(in_order);
}

TEST_F(Guarded, OutlivesTheCallbackThatHoldsItsLastReference) {
  auto adapter = make();
  bool destroyed_too_early = true;
  adapter->send(message(), attempt(std::chrono::hours{1}), [&](const std::vector<sdk::Outcome>&) {
    adapter.reset();
    destroyed_too_early = kept_->destroyed;
  });
  const auto callback = std::move(kept_->callbacks.at(0));
  callback(accepted());
  EXPECT_FALSE(destroyed_too_early);
  kept_->destroyed.wait(false);
  EXPECT_EQ(kept_->drains, 1);
}

TEST_F(Guarded, CallsBackExactlyOnceWhenAnswersAndDeadlinesRace) {
  constexpr int kSends = 2000;
  auto adapter = make();
  std::vector<std::atomic<int>> calls(kSends);
  std::atomic<bool> ended{false};
  std::vector<std::jthread> plugin_threads;
  for (int t = 0; t < 2; ++t) {
    plugin_threads.emplace_back([&] {
      while (!ended) {
        sdk::Completion done;
        {
          const std::lock_guard lock(kept_->mutex);
          if (kept_->callbacks.empty()) continue;
          done = kept_->callbacks.back();  // a copy: the other thread may answer it as well
          if (kept_->callbacks.size() % 3 != 0) kept_->callbacks.pop_back();
        }
        done(accepted());
      }
    });
  }
  for (int i = 0; i < kSends; ++i) {
    // The host's own answer is due at about the time that the plugin's comes.
    adapter->send(message(), attempt(milliseconds{-20}),
                  [&calls, i](const std::vector<sdk::Outcome>& outcomes) {
                    calls[static_cast<std::size_t>(i)] += outcomes.size() == 1 ? 1 : 100;
                  });
  }
  adapter.reset();
  ended = true;
  plugin_threads.clear();
  for (const auto& count : calls) ASSERT_EQ(count, 1);
}

TEST_F(Guarded, IgnoresAnswersThatComeAfterTheDeadlineAndCountsThem) {
  auto adapter = make();
  std::atomic<int> calls{0};
  adapter->send(message(), attempt(milliseconds{-100}), [&](const std::vector<sdk::Outcome>&) {
    ++calls;
    calls.notify_all();
  });
  calls.wait(0);
  kept_->callbacks.at(0)(accepted());
  EXPECT_EQ(calls, 1);
  EXPECT_THAT(metrics_.expose(), HasSubstr(R"(fault="answered_late",plugin="KEEPING"} 1)"));
}

TEST_F(Guarded, NeverExpiresADeadlineAtTheEndOfTime) {
  auto adapter = make();
  int calls = 0;
  sdk::Attempt forever;
  forever.deadline = sdk::Deadline::max();
  adapter->send(message(), forever, [&](const std::vector<sdk::Outcome>&) { ++calls; });
  EXPECT_EQ(deadlines_.pending(), 1U);
  kept_->callbacks.at(0)(accepted());
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(deadlines_.pending(), 0U);
}

TEST_F(Guarded, SurvivesACallbackOfTheHostThatThrows) {
  auto adapter = make();
  adapter->send(message(), attempt(std::chrono::hours{1}),
                [](const std::vector<sdk::Outcome>&) { throw std::runtime_error("ours"); });
  EXPECT_NO_THROW(kept_->callbacks.at(0)(accepted()));
}

TEST_F(Guarded, DoesNotTrustResultsThatItDoesNotKnow) {
  auto adapter = make();
  sdk::Validation validation;
  adapter->validate(sdk::Deadline::max(), [&](sdk::Validation answer) { validation = answer; });
  EXPECT_EQ(validation.result, sdk::Validation::Result::unreachable);
  sdk::HookResult hook;
  adapter->verify_event(std::make_shared<sdk::HookRequest>(), sdk::Deadline::max(),
                        [&](sdk::HookResult answer) { hook = std::move(answer); });
  EXPECT_EQ(hook.status, sdk::HookResult::Status::forged);
  EXPECT_THAT(hook.events, SizeIs(0));  // events count only when verified
}

TEST_F(Guarded, LogsABrokenPluginLessAndLess) {
  auto adapter = make();
  adapter->send(message(), attempt(std::chrono::hours{1}), [](const std::vector<sdk::Outcome>&) {});
  for (int i = 0; i < 1001; ++i) kept_->callbacks.at(0)(accepted());
  EXPECT_EQ(log_.records, 10);  // 1, 2, 4 … 512
  EXPECT_THAT(metrics_.expose(), HasSubstr(R"(fault="answered_twice",plugin="KEEPING"} 1000)"));
}

}  // namespace
}  // namespace postern::plugin_host
