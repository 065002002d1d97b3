#include "dispatch/outcome_policy.h"

#include <gtest/gtest.h>

namespace postern::dispatch {
namespace {

using sdk::EventType;
using sdk::MessageStatus;
using sdk::Verdict;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Row {
  const char* what;
  Verdict verdict;
  bool ambiguous;
  bool final_delivery;
  bool hold_unknown;
  bool too_old;
  Action action;
  MessageStatus status;
  EventType event;
  bool spends_attempt;
  bool account_fault;
};

const Row kRows[] = {
    {"accepted", Verdict::accepted, false, false, false, false, Action::finish, MessageStatus::sent,
     EventType::sent, true, false},
    {"accepted at its destination", Verdict::accepted, false, true, false, false, Action::finish,
     MessageStatus::delivered, EventType::delivered, true, false},
    {"accepted however old", Verdict::accepted, false, false, false, true, Action::finish,
     MessageStatus::sent, EventType::sent, true, false},
    {"deferred", Verdict::deferred, false, false, false, false, Action::retry,
     MessageStatus::deferred, EventType::deferred, true, false},
    {"deferred for too long", Verdict::deferred, false, false, false, true, Action::fail,
     MessageStatus::failed, EventType::dropped, true, false},
    {"rejected", Verdict::rejected, false, false, false, false, Action::fail, MessageStatus::bounced,
     EventType::bounced, true, false},
    {"throttled spends no attempt", Verdict::throttled, false, false, false, false,
     Action::fail_over, MessageStatus::deferred, EventType::deferred, false, false},
    {"unreachable", Verdict::unreachable, false, false, false, false, Action::fail_over,
     MessageStatus::deferred, EventType::deferred, true, true},
    {"refused", Verdict::refused, false, false, false, false, Action::fail_over,
     MessageStatus::deferred, EventType::deferred, true, true},
    {"refused for too long", Verdict::refused, false, false, false, true, Action::fail,
     MessageStatus::failed, EventType::dropped, true, true},
    {"ambiguous stays with its account", Verdict::deferred, true, false, false, false, Action::retry,
     MessageStatus::deferred, EventType::deferred, true, false},
    {"ambiguous never fails over, whatever the verdict", Verdict::unreachable, true, false, false,
     false, Action::retry, MessageStatus::deferred, EventType::deferred, true, true},
    {"ambiguous and throttled stays too", Verdict::throttled, true, false, false, false,
     Action::retry, MessageStatus::deferred, EventType::deferred, true, false},
    {"ambiguous is held where the organization says so", Verdict::deferred, true, false, true, false,
     Action::hold, MessageStatus::deferred, EventType::deferred, true, false},
    {"held is never given up by age", Verdict::deferred, true, false, true, true, Action::hold,
     MessageStatus::deferred, EventType::deferred, true, false},
    {"ambiguous for too long", Verdict::deferred, true, false, false, true, Action::fail,
     MessageStatus::failed, EventType::dropped, true, false},
};

TEST(OutcomePolicy, DecidesEveryRowOfItsTable) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.what);
    RetryPolicy policy;
    policy.hold_unknown = row.hold_unknown;
    sdk::Outcome outcome;
    outcome.verdict = row.verdict;
    outcome.ambiguous = row.ambiguous;
    const Decision decision =
        decide(outcome, row.final_delivery, policy, row.too_old ? hours{25} : hours{1});
    EXPECT_EQ(decision.action, row.action);
    EXPECT_EQ(decision.status, row.status);
    EXPECT_EQ(decision.event, row.event);
    EXPECT_EQ(decision.spends_attempt, row.spends_attempt);
    EXPECT_EQ(decision.account_fault, row.account_fault);
    EXPECT_EQ(decision.pauses_account, row.verdict == Verdict::throttled);
  }
}

TEST(OutcomePolicy, BacksOffExponentiallyUpToItsCeiling) {
  RetryPolicy policy;
  EXPECT_EQ(backoff(policy, 1, seconds{0}, 0.5), seconds{60});
  EXPECT_EQ(backoff(policy, 2, seconds{0}, 0.5), seconds{120});
  EXPECT_EQ(backoff(policy, 4, seconds{0}, 0.5), seconds{480});
  EXPECT_EQ(backoff(policy, 1'000, seconds{0}, 0.5), hours{1});
  EXPECT_EQ(backoff(policy, 1, seconds{0}, 0.0), seconds{45});
  EXPECT_EQ(backoff(policy, 0, seconds{0}, 0.5), seconds{60});
}

TEST(OutcomePolicy, NeverComesBackBeforeTheProviderSaid) {
  EXPECT_EQ(backoff({}, 1, seconds{7'200}, 0.99), seconds{7'200});
}

TEST(MessageStatus, IsUnfinishedWhileAnyRecipientIs) {
  const auto of = [](std::initializer_list<MessageStatus> statuses) {
    std::vector<sdk::RecipientRecord> recipients;
    for (const auto status : statuses) {
      recipients.emplace_back();
      recipients.back().status = status;
    }
    return message_status(recipients);
  };
  EXPECT_EQ(of({MessageStatus::sent, MessageStatus::queued}), MessageStatus::queued);
  EXPECT_EQ(of({MessageStatus::bounced, MessageStatus::deferred}), MessageStatus::deferred);
  EXPECT_EQ(of({MessageStatus::sent, MessageStatus::bounced}), MessageStatus::bounced);
  EXPECT_EQ(of({MessageStatus::sent, MessageStatus::delivered}), MessageStatus::sent);
  EXPECT_EQ(of({MessageStatus::suppressed, MessageStatus::sent}), MessageStatus::sent);
  EXPECT_EQ(of({MessageStatus::suppressed}), MessageStatus::suppressed);
}

}  // namespace
}  // namespace postern::dispatch
