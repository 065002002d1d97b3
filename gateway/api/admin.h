// api/admin.h: the admin listener's application: health, readiness, metrics. No keys: it listens
// where only the operator can reach it.
#pragma once

#include <atomic>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "http/application.h"
#include "http/router.h"
#include "postern/sdk/storage.h"
#include "queue/committer.h"
#include "queue/delivery_queue.h"
#include "telemetry/metrics.h"

namespace postern::api {

// Thread-safe.
class Admin final : public http::Application {
 public:
  // References outlive it.
  Admin(sdk::Storage& storage, ThreadPool& readers, queue::Committer& committer,
        queue::DeliveryQueue& queue, telemetry::Metrics& metrics);

  // From now on not ready: a load balancer looks elsewhere while requests finish.
  void set_draining() { draining_ = true; }

  void admit(std::shared_ptr<const http::Head> head, http::Admission admission) override;
  void handle(http::Request request, http::Reply reply) override;
  http::Response refused(const http::Head& partial, const Error& error) override;

 private:
  void ready(const http::Reply& reply);
  std::string expose();

  sdk::Storage& storage_;
  ThreadPool& readers_;
  queue::Committer& committer_;
  queue::DeliveryQueue& queue_;
  telemetry::Metrics& metrics_;
  http::Router router_;
  std::atomic<bool> draining_{false};
};

}  // namespace postern::api
