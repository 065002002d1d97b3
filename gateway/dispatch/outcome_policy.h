// dispatch/outcome_policy.h: all retry and failover policy. Pure: a table from what a provider
// said to what becomes of the recipient, and from the recipients to what becomes of the delivery.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "postern/sdk/provider.h"
#include "postern/sdk/storage.h"

namespace postern::dispatch {

struct RetryPolicy {
  std::chrono::milliseconds first{60'000};          // backoff, doubling
  std::chrono::milliseconds most{3'600'000};
  std::chrono::milliseconds give_up_after{86'400'000};  // since the message was accepted
  std::chrono::milliseconds unknown_retry{300'000};     // after an ambiguous outcome
  bool hold_unknown = false;                            // wait for the operator instead
};

// What becomes of one recipient.
enum class Action : std::uint8_t {
  finish,     // accepted, or delivered where the account is the final destination
  fail,       // permanently: bounced (the recipient's side) or failed (ours)
  retry,      // the same account, later
  fail_over,  // another account at once; where there is none, the same one later
  hold,       // until its event or the operator says
};

struct Decision {
  Action action = Action::retry;
  sdk::MessageStatus status = sdk::MessageStatus::deferred;  // of the recipient
  sdk::EventType event = sdk::EventType::deferred;
  bool spends_attempt = true;   // counts towards the backoff
  bool account_fault = false;   // consecutive ones open the account's circuit breaker
  bool pauses_account = false;  // throttled
};

// `age` is the time since the message was accepted.
Decision decide(const sdk::Outcome& outcome, bool final_delivery, const RetryPolicy& policy,
                std::chrono::milliseconds age);

// How long until attempt number `attempts` + 1 (attempts >= 1 were made), jittered by `jitter` in
// [0, 1): between 0.75 and 1.25 of the backoff. A provider's own delay is a minimum.
std::chrono::milliseconds backoff(const RetryPolicy& policy, std::uint32_t attempts,
                                  std::chrono::seconds retry_after, double jitter);

// A message's status from its recipients': any unfinished one keeps it unfinished; when all are
// final, the worst shows (api.md).
sdk::MessageStatus message_status(const std::vector<sdk::RecipientRecord>& recipients);
bool is_final(sdk::MessageStatus status);

std::string_view name_of(sdk::Verdict verdict);  // "accepted"
std::string_view name_of(Action action);         // "fail_over"

}  // namespace postern::dispatch
