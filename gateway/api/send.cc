#include "api/send.h"

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "api/message_json.h"
#include "base/ids.h"
#include "dispatch/outbound.h"
#include "mail/address.h"
#include "mail/message.h"
#include "queue/crash_point.h"
#include "routing/routing.h"

namespace postern::api {
namespace {

namespace bj = boost::json;

std::string metadata_json(const submission::Submission& submission) {
  if (submission.metadata.empty()) return {};
  bj::object out;
  for (const auto& [key, value] : submission.metadata) out[key] = value;
  return bj::serialize(out);
}

Error busy(std::string message) {
  return {ErrorKind::unavailable, std::move(message), {}, std::chrono::seconds{2}};
}

}  // namespace

// What is kept between the submission to the committer and its answer.
struct SendEmail::Accepted {
  Answer answer;
  Shape shape;
  std::chrono::steady_clock::time_point received;
  std::chrono::steady_clock::time_point asked;
  std::optional<queue::DeliveryQueue::Place> place;
  queue::Delivery delivery;
  sdk::EventRecord queued;
  std::string key_id;
};

void SendEmail::operator()(Call call, Shape shape) {
  const auth::Principal& caller = *call.principal;
  auto submission = submission::parse(call.body, limits_);  // every issue, not the first
  if (!submission) return call.answer.problem(submission.error());
  if (call.head->has_header("idempotency-key")) {
    return call.answer.problem({ErrorKind::impossible,
                                "Request can't be fulfilled",
                                {{"Idempotency-Key", "capability_unsupported",
                                  "Idempotency keys are not supported by this gateway yet"}},
                                {}});
  }

  const std::string sender_domain{mail::domain_of(submission->from.address)};
  if (auto allowed = caller.check_sender_domain(sender_domain); !allowed) {
    return call.answer.problem(allowed.error());
  }
  const UnixMillis now = clock_.now();
  auto recipients = dispatch::recipients_of(*submission, now);
  const auto route = routing::choose(
      caller.organization(),
      dispatch::traits_of(*submission, caller.test(), recipients.size(), call.body.size()),
      [this](const std::string& type) { return accounts_.capabilities(type); });
  if (!route) return call.answer.problem(route.error());  // 422 no_active_provider
  if (queue_.full()) return call.answer.problem(busy("The queue is full; try again later"));

  // A place in memory makes the message born leased; without one it waits in storage.
  const std::uint64_t bytes = call.body.size();
  auto accepted = std::make_shared<Accepted>(Accepted{call.answer,
                                                      shape,
                                                      call.head->received,
                                                      {},
                                                      queue_.reserve(route->account, bytes),
                                                      {},
                                                      {},
                                                      caller.key().id});
  queue::Delivery& delivery = accepted->delivery;
  sdk::MessageRecord& message = delivery.message;
  message.id = uuid_v7(clock_);
  message.organization = caller.organization_id();
  message.test = caller.test();
  message.stream = submission->stream;
  message.account = route->account;
  message.provider_type = route->provider_type;
  message.from = submission->from.address;
  message.sender_domain = sender_domain;
  message.subject = submission->subject;
  message.message_id_header = mail::make_message_id(message.id, sender_domain);
  message.tags = submission->tags;
  message.metadata_json = metadata_json(*submission);
  message.recipient_count = static_cast<std::uint32_t>(recipients.size());
  message.created_at = message.updated_at = now;

  delivery.state.body_bytes = call.body.size();
  sdk::WorkItem& work = delivery.item;
  work.id = message.id;
  work.message_id = message.id;
  work.organization = message.organization;
  work.lane = route->account;
  work.priority = message.stream == "bulk" ? 1 : 0;
  work.due = now;
  work.payload = queue::encode(delivery.state);

  accepted->queued.id = uuid_v7(clock_);
  accepted->queued.message_id = message.id;
  accepted->queued.organization = message.organization;
  accepted->queued.at = now;
  accepted->queued.account = route->account;

  sdk::EnqueueMessage enqueue;
  enqueue.message = message;
  enqueue.recipients = recipients;
  enqueue.body = std::make_shared<const std::string>(std::move(call.body));
  enqueue.work = work;
  enqueue.lease_for = queue_.lease_for();
  if (accepted->place) enqueue.lease_owner = queue_.owner();
  delivery.recipients = std::move(recipients);
  if (accepted->place) delivery.submission = *std::move(submission);

  sdk::Unit unit;
  unit.ops.reserve(2);
  unit.ops.emplace_back(std::move(enqueue));
  unit.ops.emplace_back(sdk::AppendEvent{accepted->queued});
  accepted->asked = clock_.monotonic();
  queue::crash_point(queue::CrashPoint::accept);
  const bool taken =
      committer_.try_submit(std::move(unit), bytes, [this, accepted](Result<sdk::UnitResult> result) {
        stored(accepted, result);
      });
  if (!taken) call.answer.problem(busy("Too many messages wait to be stored; try again"));
}

// On the committer's thread, after the fsync or its failure.
void SendEmail::stored(const std::shared_ptr<Accepted>& accepted,
                       const Result<sdk::UnitResult>& result) {
  if (!result) return accepted->answer.problem(result.error());
  const sdk::MessageRecord& message = accepted->delivery.message;
  if (result->status != sdk::UnitResult::Status::stored) {
    logger_.log(sdk::LogLevel::error, "storage refused a new message",
                {{"request_id", accepted->answer.request_id()},
                 {"message_id", message.id},
                 {"status", std::to_string(static_cast<int>(result->status))}});
    return accepted->answer.problem({ErrorKind::internal, "The message could not be stored", {}, {}});
  }
  if (accepted->shape == Shape::resource) {
    accepted->answer.json(201, message_answer({message, accepted->delivery.recipients, {accepted->queued}}));
  } else {
    accepted->answer.json(202, bj::serialize(bj::object{{"messageId", message.id},
                                                        {"providerId", message.account},
                                                        {"providerType", message.provider_type},
                                                        {"status", "queued"},
                                                        {"domainVerified", false},
                                                        {"suppressedCount", 0},
                                                        {"mode", message.test ? "test" : "live"}}));
  }
  // The client has its answer; now the rest.
  logger_.log(sdk::LogLevel::info, "accepted",
              {{"request_id", accepted->answer.request_id()},
               {"message_id", message.id},
               {"organization", message.organization},
               {"key_id", accepted->key_id},
               {"provider_id", message.account},
               {"recipients", std::to_string(message.recipient_count)}});
  metrics_.accept_seconds.observe(
      std::chrono::duration<double>(clock_.monotonic() - accepted->received).count());
  if (accepted->place && !result->fences.empty()) {
    queue_.push(*std::move(accepted->place), std::move(accepted->delivery), result->fences.front(),
                accepted->asked);
  } else {
    queue_.expect(message.account, accepted->delivery.item.due);
  }
}

}  // namespace postern::api
