// api/send.h: POST /v1/send and POST /v1/messages. One submission, two shapes of answer.
#pragma once

#include "api/call.h"
#include "base/clock.h"
#include "dispatch/accounts.h"
#include "queue/committer.h"
#include "queue/delivery_queue.h"
#include "submission/submission.h"
#include "telemetry/metrics.h"

namespace postern::api {

class SendEmail {
 public:
  enum class Shape : std::uint8_t {
    receipt,   // 202, flat (POST /v1/send)
    resource,  // 201 {"data": Message} (POST /v1/messages)
  };

  // References outlive it. Thread-safe.
  SendEmail(dispatch::Accounts& accounts, queue::Committer& committer, queue::DeliveryQueue& queue,
            const Clock& clock, sdk::Logger& logger, telemetry::Metrics& metrics,
            submission::SubmissionLimits limits)
      : accounts_(accounts),
        committer_(committer),
        queue_(queue),
        clock_(clock),
        logger_(logger),
        metrics_(metrics),
        limits_(limits) {}

  // Answers after the message is durable: 2xx means that it survives power loss.
  void operator()(Call call, Shape shape);

 private:
  struct Accepted;
  void stored(const std::shared_ptr<Accepted>& accepted, const Result<sdk::UnitResult>& result);

  dispatch::Accounts& accounts_;
  queue::Committer& committer_;
  queue::DeliveryQueue& queue_;
  const Clock& clock_;
  sdk::Logger& logger_;
  telemetry::Metrics& metrics_;
  submission::SubmissionLimits limits_;
};

}  // namespace postern::api
