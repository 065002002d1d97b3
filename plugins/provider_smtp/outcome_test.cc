#include "outcome.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace postern::smtp {
namespace {

using sdk::Outcome;
using sdk::Verdict;

struct Row {
  Stage stage;
  int code;
  const char* text;
  Verdict verdict;
};

constexpr Verdict kDeferred = Verdict::deferred;
constexpr Verdict kRejected = Verdict::rejected;
constexpr Verdict kThrottled = Verdict::throttled;
constexpr Verdict kUnreachable = Verdict::unreachable;
constexpr Verdict kRefused = Verdict::refused;

const std::vector<Row> kReplies{
    // The address is the client's choice, and none of the server's words.
    {Stage::rcpt, 450, "4.1.2 <x@throttle.invalid>: Recipient address rejected: Domain not found",
     Verdict::deferred},
    {Stage::rcpt, 550, "5.1.1 <\"relay access denied>\"@x.example>: no such user", Verdict::rejected},
    {Stage::greeting, 421, "4.3.2 Service shutting down", kUnreachable},
    {Stage::greeting, 421, "4.7.0 Too many connections from your host", kThrottled},
    {Stage::greeting, 554, "No SMTP service here", kUnreachable},
    {Stage::ehlo, 550, "go away", kUnreachable},
    {Stage::tls, 454, "4.7.0 TLS not available due to local problem", kUnreachable},
    {Stage::tls, 502, "5.5.1 no", kUnreachable},
    {Stage::auth, 535, "5.7.8 Error: authentication failed", kRefused},
    {Stage::auth, 534, "5.7.9 Application-specific password required", kRefused},
    {Stage::auth, 538, "5.7.11 Encryption required", kRefused},
    {Stage::auth, 500, "what?", kRefused},
    {Stage::auth, 454, "4.7.0 Too many login attempts, please try again later.", kThrottled},
    {Stage::auth, 454, "4.7.0 Temporary authentication failure", kThrottled},
    {Stage::auth, 421, "4.3.0 closing", kUnreachable},
    {Stage::mail, 530, "5.7.0 Must issue a STARTTLS command first", kRefused},
    {Stage::mail, 530, "5.7.1 Authentication required", kRefused},
    {Stage::mail, 550, "5.7.1 Sender not allowed for this account", kRefused},
    {Stage::mail, 553, "5.7.1 Sender address rejected: not owned by user bob", kRefused},
    {Stage::mail, 550, "sender refused", kRefused},
    {Stage::mail, 501, "5.1.7 Bad sender address syntax", kRejected},
    {Stage::mail, 553, "5.1.8 Sender address rejected: domain not found", kRejected},
    {Stage::mail, 552, "5.3.4 Message size exceeds fixed limit", kRejected},
    {Stage::mail, 503, "5.5.1 Error: nested MAIL command", kDeferred},
    {Stage::mail, 503, "5.5.4 Error: send AUTH first", kRefused},
    {Stage::mail, 452, "4.3.1 Insufficient system storage", kDeferred},
    {Stage::mail, 451, "4.7.1 Rate limit exceeded", kThrottled},
    {Stage::mail, 421, "4.3.2 shutting down", kUnreachable},
    {Stage::mail, 421, "4.7.0 Too many messages, slow down", kThrottled},
    {Stage::mail, 454, "Throttling failure: Daily message quota exceeded.", kThrottled},
    {Stage::rcpt, 550, "5.1.1 No such user", kRejected},
    {Stage::rcpt, 550, "No such user", kRejected},
    {Stage::rcpt, 550, "5.7.1 Message refused by policy", kRejected},
    {Stage::rcpt, 554, "5.7.1 <a@example.org>: Relay access denied", kRefused},
    {Stage::rcpt, 550, "relaying denied", kRefused},
    {Stage::rcpt, 530, "5.7.0 Authentication required", kRefused},
    {Stage::rcpt, 450, "4.7.1 Greylisted, try again later", kDeferred},
    {Stage::rcpt, 450, "4.2.1 Mailbox receives too many messages", kDeferred},
    {Stage::rcpt, 451, "4.7.1 You are sending too quickly", kThrottled},
    {Stage::rcpt, 452, "4.5.3 Too many recipients", kDeferred},
    {Stage::rcpt, 552, "5.5.3 Too many recipients", kDeferred},
    {Stage::rcpt, 552, "5.2.2 Mailbox full", kRejected},
    {Stage::rcpt, 454, "4.7.1 <a@example.org>: Relay access denied", kDeferred},
    {Stage::rcpt, 421, "4.3.2 shutting down", kDeferred},
    {Stage::data, 451, "4.3.0 try later", kDeferred},
    {Stage::data, 554, "5.5.1 no valid recipients", kRejected},
    {Stage::data, 454, "Throttling failure: Maximum sending rate exceeded.", kThrottled},
    {Stage::content, 451, "4.3.0 queue file write error", kDeferred},
    {Stage::content, 421, "4.7.28 Our system has detected an unusual rate of mail", kThrottled},
    {Stage::content, 552, "5.3.4 Message too big", kRejected},
    {Stage::content, 554, "5.7.1 Spam message rejected", kRejected},
    {Stage::content, 554, "Message rejected: Email address is not verified.", kRefused},
    {Stage::content, 554, "Message rejected: Sending paused for this account.", kRefused},
};

TEST(SmtpOutcome, EveryReplyHasTheVerdictOfTheTable) {
  for (const Row& row : kReplies) {
    const Outcome outcome = outcome_of(row.stage, Reply{row.code, row.text});
    EXPECT_EQ(static_cast<int>(outcome.verdict), static_cast<int>(row.verdict))
        << name_of(row.stage) << ' ' << row.code << ' ' << row.text;
    EXPECT_FALSE(outcome.ambiguous) << "the server has answered";
    EXPECT_EQ(outcome.detail, std::to_string(row.code) + " " + row.text);
  }
}

TEST(SmtpOutcome, EveryStageTellsRefusalsFromDelays) {
  for (int stage = 0; stage < kStageCount; ++stage) {
    for (const int code : {421, 450, 451, 452, 454, 455, 500, 501, 530, 535, 550, 552, 553, 554}) {
      const Outcome outcome = outcome_of(static_cast<Stage>(stage), Reply{code, "no"});
      EXPECT_NE(outcome.verdict, Verdict::accepted) << stage << ' ' << code;
      if (code < 500) {
        EXPECT_NE(outcome.verdict, Verdict::rejected) << stage << ' ' << code;
      }
      if (static_cast<Stage>(stage) < Stage::mail) {
        EXPECT_NE(outcome.verdict, Verdict::rejected) << "no recipient was named yet";
      }
    }
  }
}

TEST(SmtpOutcome, OnlyThePositiveReplyToTheContentAccepts) {
  const Reply ok{250, "2.0.0 Ok: queued as 4Xy12"};
  EXPECT_EQ(outcome_of(Stage::content, ok).verdict, Verdict::accepted);
  for (int stage = 0; stage < static_cast<int>(Stage::content); ++stage) {
    EXPECT_NE(outcome_of(static_cast<Stage>(stage), ok).verdict, Verdict::accepted) << stage;
  }
}

TEST(SmtpOutcome, FindsTheQueueIdOfCommonServers) {
  const auto id = [](const char* text) {
    return outcome_of(Stage::content, Reply{250, text}).provider_message_id;
  };
  EXPECT_EQ(id("2.0.0 Ok: queued as 4Xy12"), "4Xy12");
  EXPECT_EQ(id("OK id=1abcDE-000123-4f"), "1abcDE-000123-4f");
  EXPECT_EQ(id("Ok 0102018f3a-77-000000"), "0102018f3a-77-000000");
  EXPECT_EQ(id("2.0.0 Ok"), "");
  EXPECT_EQ(id("Ok thank you"), "");
  EXPECT_EQ(id(""), "");
}

TEST(SmtpOutcome, KeepsTheEnhancedStatusOfTheServer) {
  EXPECT_EQ(outcome_of(Stage::rcpt, Reply{550, "5.1.1 unknown"}).enhanced_status, "5.1.1");
  EXPECT_EQ(outcome_of(Stage::rcpt, Reply{550, "unknown"}).enhanced_status, "");
  EXPECT_EQ(outcome_of(Stage::rcpt, Reply{550, "4.1.1 contradicts itself"}).enhanced_status, "");
}

TEST(SmtpOutcome, IsAmbiguousOnlyWhenTheEndMayHaveLeft) {
  for (int stage = 0; stage < kStageCount; ++stage) {
    for (int fault = 0; fault < kFaultCount; ++fault) {
      for (const bool end_left : {false, true}) {
        const Stage at = static_cast<Stage>(stage);
        const Outcome outcome = outcome_of(at, static_cast<Fault>(fault), end_left, "why");
        EXPECT_EQ(outcome.ambiguous, at == Stage::content && end_left) << stage << ' ' << fault;
        EXPECT_NE(outcome.verdict, Verdict::accepted);
        EXPECT_NE(outcome.verdict, Verdict::rejected);
        EXPECT_EQ(outcome.detail, "why");
      }
    }
  }
}

TEST(SmtpOutcome, FaultsBeforeTheContentLeaveTheAccountUnreachable) {
  for (const Fault fault : {Fault::lost, Fault::timeout, Fault::malformed, Fault::tls}) {
    EXPECT_EQ(outcome_of(Stage::connect, fault, false, "").verdict, Verdict::unreachable);
    EXPECT_EQ(outcome_of(Stage::data, fault, false, "").verdict, Verdict::unreachable);
    EXPECT_EQ(outcome_of(Stage::content, fault, true, "").verdict, Verdict::deferred);
  }
  EXPECT_EQ(outcome_of(Stage::auth, Fault::auth, false, "").verdict, Verdict::refused);
  EXPECT_EQ(outcome_of(Stage::rcpt, Fault::canceled, false, "").verdict, Verdict::deferred);
}

}  // namespace
}  // namespace postern::smtp
