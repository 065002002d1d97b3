// The guard around real plugins that misbehave, loaded as the gateway loads them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "base/clock.h"
#include "plugin_host/guarded.h"
#include "plugin_host/host.h"

namespace postern::plugin_host {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

struct NoHttp final : sdk::HttpClient {
  void start(sdk::HttpRequest, std::stop_token, std::function<void(sdk::HttpResponse)>) override {}
};
struct NoLog final : sdk::Logger {
  void log(sdk::LogLevel, std::string_view,
           const std::vector<std::pair<std::string_view, std::string>>&) override {}
};

class GuardedPlugin : public ::testing::Test {
 protected:
  GuardedPlugin() : plugin_(loaded("misbehaving")) {}

  static LoadedPlugin loaded(const std::string& name) {
    Inspection inspection = inspect(std::string{BAD_PLUGINS} + "/" + name + ".so");
    if (!inspection.plugin) throw std::runtime_error(to_text(inspection.problems.at(0)));
    return *inspection.plugin;
  }

  Result<std::shared_ptr<GuardedAdapter>> open(const std::string& misbehavior) {
    auto provider = make_provider(plugin_, services_, context_);
    if (!provider) return std::move(provider.error());
    sdk::ProviderAccount account;
    account.id = "relay";
    account.settings.set("misbehavior", misbehavior);
    return (*provider)->open(account);
  }

  // What the gateway gets for a message to two recipients.
  std::vector<sdk::Outcome> send(GuardedAdapter& adapter,
                                 milliseconds timeout = milliseconds{20'000}) {
    auto message = std::make_shared<sdk::OutboundMessage>();
    message->recipients = {"a@example.com", "b@example.com"};
    sdk::Attempt attempt;
    attempt.deadline = std::chrono::steady_clock::now() + timeout;
    auto answer = std::make_shared<std::promise<std::vector<sdk::Outcome>>>();
    auto future = answer->get_future();
    // A second call would throw future_error out of set_value; calls_ tells of it.
    adapter.send(message, attempt, [this, answer](std::vector<sdk::Outcome> outcomes) {
      if (calls_.fetch_add(1) == 0) answer->set_value(std::move(outcomes));
    });
    if (future.wait_for(std::chrono::seconds{30}) != std::future_status::ready) {
      throw std::runtime_error("no answer");
    }
    return future.get();
  }

  static void expect_stand_in(const std::vector<sdk::Outcome>& outcomes,
                              const std::string& detail) {
    ASSERT_THAT(outcomes, SizeIs(2));
    for (const auto& outcome : outcomes) {
      EXPECT_EQ(outcome.verdict, sdk::Verdict::deferred);
      EXPECT_TRUE(outcome.ambiguous);
      EXPECT_THAT(outcome.detail, AllOf(HasSubstr("MISBEHAVING"), HasSubstr(detail)));
    }
  }
  static void expect_accepted(const std::vector<sdk::Outcome>& outcomes) {
    ASSERT_THAT(outcomes, SizeIs(2));
    for (const auto& outcome : outcomes) EXPECT_EQ(outcome.verdict, sdk::Verdict::accepted);
  }
  void expect_fault(const std::string& fault, int count,
                    const std::string& plugin = "MISBEHAVING") {
    EXPECT_THAT(metrics_.expose(),
                HasSubstr("postern_plugin_faults_total{fault=\"" + fault + "\",plugin=\"" + plugin +
                          "\"} " + std::to_string(count) + "\n"));
  }

  NoHttp http_;
  NoLog log_;
  SystemClock clock_;
  sdk::HostServices services_{log_, clock_, http_, "gateway.example"};
  telemetry::Metrics metrics_;
  Deadlines deadlines_;
  GuardContext context_{deadlines_, log_, metrics_, milliseconds{50}};
  LoadedPlugin plugin_;
  std::atomic<int> calls_{0};
};

TEST_F(GuardedPlugin, PassesAnAnswerFromAnyThreadAndBeforeReturning) {
  for (const char* fine : {"other_thread", "before_returning", "none"}) {
    SCOPED_TRACE(fine);
    calls_ = 0;
    auto adapter = open(fine);
    ASSERT_TRUE(adapter.ok());
    expect_accepted(send(**adapter));
    EXPECT_EQ(calls_, 1);
  }
  EXPECT_EQ(deadlines_.pending(), 0U);
  expect_fault("threw", 0);
}

TEST_F(GuardedPlugin, IgnoresASecondAnswer) {
  auto adapter = open("answers_twice");
  ASSERT_TRUE(adapter.ok());
  expect_accepted(send(**adapter));
  EXPECT_EQ(calls_, 1);
  expect_fault("answered_twice", 1);
}

TEST_F(GuardedPlugin, AnswersInPlaceOfOneThatNeverDoes) {
  auto adapter = open("never");
  ASSERT_TRUE(adapter.ok());
  const auto before = std::chrono::steady_clock::now();
  expect_stand_in(send(**adapter, milliseconds{30}), "did not answer in time");
  EXPECT_GE(std::chrono::steady_clock::now() - before, milliseconds{80});  // deadline and grace
  EXPECT_EQ(calls_, 1);
  expect_fault("never_answered", 1);
}

TEST_F(GuardedPlugin, IgnoresALateAnswer) {
  auto adapter = open("late");
  ASSERT_TRUE(adapter.ok());
  expect_stand_in(send(**adapter, milliseconds{30}), "did not answer in time");
  adapter->reset();  // the plugin's end joins its thread, which answers at last
  EXPECT_EQ(calls_, 1);
}

TEST_F(GuardedPlugin, AnswersAtOnceWhenTheCallbackIsDropped) {
  auto adapter = open("drops");
  ASSERT_TRUE(adapter.ok());
  expect_stand_in(send(**adapter, std::chrono::hours{1}), "dropped its callback");
  EXPECT_EQ(calls_, 1);
  EXPECT_EQ(deadlines_.pending(), 0U);
}

TEST_F(GuardedPlugin, TakesWhatIsThrownForDeferredAndAmbiguous) {
  auto adapter = open("throws");
  ASSERT_TRUE(adapter.ok());
  expect_stand_in(send(**adapter), "threw: out of order");
  adapter = open("throws_oddly");
  ASSERT_TRUE(adapter.ok());
  calls_ = 0;
  expect_stand_in(send(**adapter), "threw: something that is no std::exception");
  EXPECT_EQ(calls_, 1);
  expect_fault("threw", 2);
  EXPECT_EQ(deadlines_.pending(), 0U);
}

TEST_F(GuardedPlugin, KeepsTheFirstOfAnAnswerAndAnException) {
  auto adapter = open("answers_and_throws");
  ASSERT_TRUE(adapter.ok());
  expect_accepted(send(**adapter));
  EXPECT_EQ(calls_, 1);
  expect_fault("threw", 1);

  calls_ = 0;
  adapter = open("throws_and_answers");
  ASSERT_TRUE(adapter.ok());
  expect_stand_in(send(**adapter), "before the answer");
  adapter->reset();
  EXPECT_EQ(calls_, 1);
}

TEST_F(GuardedPlugin, RefusesAnAnswerThatDoesNotFitTheRecipients) {
  auto adapter = open("too_few");
  ASSERT_TRUE(adapter.ok());
  expect_stand_in(send(**adapter), "answered 1 outcomes for 2 recipients");
  adapter = open("too_many");
  ASSERT_TRUE(adapter.ok());
  calls_ = 0;
  expect_stand_in(send(**adapter), "answered 3 outcomes for 2 recipients");
  adapter = open("unknown_verdict");
  ASSERT_TRUE(adapter.ok());
  calls_ = 0;
  expect_stand_in(send(**adapter), "verdict 77");
  expect_fault("wrong_count", 3);
}

TEST_F(GuardedPlugin, CleansTheTextsOfAnOutcome) {
  auto adapter = open("bad_text");
  ASSERT_TRUE(adapter.ok());
  const auto outcomes = send(**adapter);
  ASSERT_THAT(outcomes, SizeIs(2));
  EXPECT_EQ(outcomes[0].verdict, sdk::Verdict::accepted);
  EXPECT_EQ(outcomes[0].enhanced_status, "");
  EXPECT_EQ(outcomes[0].detail, "550 no    ? use");
  EXPECT_THAT(outcomes[0].provider_message_id, SizeIs(998));
  EXPECT_EQ(outcomes[0].retry_after.count(), 0);
}

TEST_F(GuardedPlugin, TakesAFailedValidationForUnreachable) {
  for (const char* misbehavior : {"throws", "drops"}) {
    SCOPED_TRACE(misbehavior);
    auto adapter = open(misbehavior);
    ASSERT_TRUE(adapter.ok());
    std::vector<sdk::Validation> answers;
    (*adapter)->validate(std::chrono::steady_clock::now() + std::chrono::seconds{20},
                         [&](sdk::Validation validation) { answers.push_back(validation); });
    ASSERT_THAT(answers, SizeIs(1));
    EXPECT_EQ(answers[0].result, sdk::Validation::Result::unreachable);
  }
}

TEST_F(GuardedPlugin, TakesAFailedVerificationForMalformed) {
  for (const char* misbehavior : {"throws", "drops"}) {
    SCOPED_TRACE(misbehavior);
    auto adapter = open(misbehavior);
    ASSERT_TRUE(adapter.ok());
    std::vector<sdk::HookResult> answers;
    (*adapter)->verify_event(std::make_shared<sdk::HookRequest>(),
                             std::chrono::steady_clock::now() + std::chrono::seconds{20},
                             [&](sdk::HookResult result) { answers.push_back(std::move(result)); });
    ASSERT_THAT(answers, SizeIs(1));
    EXPECT_EQ(answers[0].status, sdk::HookResult::Status::malformed);
  }
}

TEST_F(GuardedPlugin, SurvivesADrainThatThrows) {
  auto adapter = open("drain_throws");
  ASSERT_TRUE(adapter.ok());
  (*adapter)->drain(std::chrono::steady_clock::now());
  expect_fault("threw", 1);
}

TEST_F(GuardedPlugin, ReturnsFromADrainThatHangs) {
  auto adapter = open("drain_hangs");
  ASSERT_TRUE(adapter.ok());
  (*adapter)->drain(std::chrono::steady_clock::now() + milliseconds{20});
  expect_fault("never_answered", 1);
  const auto outcomes = send(**adapter);
  ASSERT_THAT(outcomes, SizeIs(2));
  EXPECT_EQ(outcomes[0].verdict, sdk::Verdict::deferred);
  EXPECT_FALSE(outcomes[0].ambiguous);
}

TEST_F(GuardedPlugin, MakesErrorsOfAccountsThatCannotBeOpened) {
  auto thrown = open("open_throws");
  ASSERT_FALSE(thrown.ok());
  EXPECT_EQ(thrown.error().kind, ErrorKind::internal);
  EXPECT_THAT(thrown.error().message,
              AllOf(HasSubstr("MISBEHAVING"), HasSubstr("relay"), HasSubstr("open is blocked")));
  auto refused = open("open_refuses");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
  EXPECT_EQ(refused.error().message, "misbehavior can't work");
  auto nothing = open("open_null");
  ASSERT_FALSE(nothing.ok());
  EXPECT_EQ(nothing.error().kind, ErrorKind::internal);
}

TEST_F(GuardedPlugin, MakesErrorsOfFactoriesThatThrow) {
  auto provider = make_provider(loaded("throwing_factories"), services_, context_);
  ASSERT_FALSE(provider.ok());
  EXPECT_THAT(provider.error().message, AllOf(HasSubstr("THROWING"), HasSubstr("no trust store")));
  auto storage = open_storage(loaded("throwing_storage"), {}, services_, context_);
  ASSERT_FALSE(storage.ok());
  EXPECT_EQ(storage.error().kind, sdk::StorageError::Kind::unusable);
  EXPECT_THAT(storage.error().message, AllOf(HasSubstr("throwing"), HasSubstr("disk on fire")));
}

}  // namespace
}  // namespace postern::plugin_host
