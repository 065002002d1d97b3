#include "dispatch/outcome_policy.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace postern::dispatch {
namespace {

using sdk::EventType;
using sdk::MessageStatus;
using sdk::Verdict;

// By verdict, for an outcome that is not ambiguous.
constexpr std::array<Decision, sdk::kVerdictCount> kTable{{
    // accepted
    {Action::finish, MessageStatus::sent, EventType::sent, true, false, false},
    // deferred
    {Action::retry, MessageStatus::deferred, EventType::deferred, true, false, false},
    // rejected: the recipient's side never fails over
    {Action::fail, MessageStatus::bounced, EventType::bounced, true, false, false},
    // throttled
    {Action::fail_over, MessageStatus::deferred, EventType::deferred, false, false, true},
    // unreachable
    {Action::fail_over, MessageStatus::deferred, EventType::deferred, true, true, false},
    // refused
    {Action::fail_over, MessageStatus::deferred, EventType::deferred, true, true, false},
}};

// Worse ones first: the first that any recipient has is the message's.
constexpr std::array kUnfinished{MessageStatus::sending, MessageStatus::deferred,
                                 MessageStatus::queued, MessageStatus::scheduled};
constexpr std::array kFinal{MessageStatus::complained, MessageStatus::bounced,
                            MessageStatus::failed,     MessageStatus::canceled,
                            MessageStatus::sent,       MessageStatus::delivered,
                            MessageStatus::suppressed};

}  // namespace

Decision decide(const sdk::Outcome& outcome, bool final_delivery, const RetryPolicy& policy,
                std::chrono::milliseconds age) {
  Decision decision = kTable[static_cast<std::size_t>(outcome.verdict)];
  if (decision.action == Action::finish) {
    if (final_delivery) {
      decision.status = MessageStatus::delivered;
      decision.event = EventType::delivered;
    }
    return decision;
  }
  if (decision.action == Action::fail) return decision;
  if (outcome.ambiguous) {
    // It may have been sent: another account could send it twice, and so never gets it.
    decision.action = policy.hold_unknown ? Action::hold : Action::retry;
    decision.spends_attempt = true;
    if (decision.action == Action::hold) return decision;
  }
  if (age >= policy.give_up_after) {
    decision.action = Action::fail;
    decision.status = MessageStatus::failed;
    decision.event = EventType::dropped;
  }
  return decision;
}

std::chrono::milliseconds backoff(const RetryPolicy& policy, std::uint32_t attempts,
                                  std::chrono::seconds retry_after, double jitter) {
  const std::uint32_t doublings = std::min<std::uint32_t>(attempts == 0 ? 0 : attempts - 1, 30);
  const double grown = static_cast<double>(policy.first.count()) * std::ldexp(1.0, static_cast<int>(doublings));
  const double bounded = std::min(grown, static_cast<double>(policy.most.count()));
  const auto jittered = std::chrono::milliseconds{
      static_cast<std::int64_t>(bounded * (0.75 + 0.5 * jitter))};
  return std::max<std::chrono::milliseconds>(jittered, retry_after);
}

bool is_final(MessageStatus status) {
  return std::find(kFinal.begin(), kFinal.end(), status) != kFinal.end();
}

MessageStatus message_status(const std::vector<sdk::RecipientRecord>& recipients) {
  const auto any = [&](MessageStatus status) {
    return std::any_of(recipients.begin(), recipients.end(),
                       [&](const sdk::RecipientRecord& r) { return r.status == status; });
  };
  for (const MessageStatus status : kUnfinished) {
    if (any(status)) return status;
  }
  for (const MessageStatus status : kFinal) {
    if (any(status)) return status;
  }
  return MessageStatus::failed;
}

std::string_view name_of(Verdict verdict) {
  static constexpr std::array<std::string_view, sdk::kVerdictCount> kNames{
      "accepted", "deferred", "rejected", "throttled", "unreachable", "refused"};
  return kNames[static_cast<std::size_t>(verdict)];
}

std::string_view name_of(Action action) {
  static constexpr std::array<std::string_view, 5> kNames{"finish", "fail", "retry", "fail_over",
                                                          "hold"};
  return kNames[static_cast<std::size_t>(action)];
}

}  // namespace postern::dispatch
