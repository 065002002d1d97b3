// dispatch/dispatcher.h: calls provider adapters for what the queue holds, within each account's
// concurrency and rate, and records what became of it. One thread owns all decisions; adapters
// answer from theirs.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "dispatch/accounts.h"
#include "dispatch/circuit_breaker.h"
#include "dispatch/outcome_policy.h"
#include "queue/committer.h"
#include "queue/delivery_queue.h"
#include "resources/directory.h"
#include "routing/routing.h"
#include "telemetry/metrics.h"

namespace postern::dispatch {

struct DispatcherOptions {
  RetryPolicy retry;
  std::chrono::milliseconds attempt_timeout{300'000};
  CircuitBreaker::Options breaker;
};

// start, drain and the destructor are called by one thread; wake and organization_changed by any.
class Dispatcher {
 public:
  // References outlive the dispatcher.
  Dispatcher(queue::DeliveryQueue& queue, queue::Committer& committer,
             resources::Directory& directory, ThreadPool& readers, Accounts& accounts,
             const Clock& clock, sdk::Logger& logger, telemetry::Metrics& metrics,
             DispatcherOptions options);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  void start();
  // A lane has something ready.
  void wake();
  // Its accounts may have new settings or be gone.
  void organization_changed(const std::string& organization);

  // Starts nothing new, waits for the attempts in flight and their recording until `patience` is
  // over, then asks the adapters to answer, and ends the thread. Every outcome was handed to the
  // queue by then.
  void drain(std::chrono::milliseconds patience);

 private:
  using Time = std::chrono::steady_clock::time_point;

  struct InFlight {
    std::unique_ptr<queue::Delivery> delivery;
    std::shared_ptr<const OpenAccount> account;  // null: it could not be opened
    std::vector<std::size_t> envelope;           // indexes into delivery->recipients
    std::string attempt_id;
    std::uint32_t number = 1;
    std::string lane;
    std::optional<routing::Traits> traits;  // of the message, once it was read
    bool called = false;  // the provider was asked: its answer says something of the account
  };
  struct Lane {
    std::string organization;
    std::shared_ptr<const OpenAccount> account;
    std::shared_ptr<const resources::OrganizationView> view;  // as it was when it was opened
    std::string problem;       // why there is no account
    bool opening = false;
    bool stale = true;         // must be (re)opened before more is started
    Time open_at{};            // not before
    // Calls whose outcome is not durable yet: at most the account's concurrency, so that no more
    // can be sent twice by a crash.
    std::uint32_t in_flight = 0;
    CircuitBreaker breaker;
    Time blocked_until{};      // breaker open or throttled; the queue is told
    bool blocked = false;
    bool limited = false;      // the queue holds few of its deliveries, until a probe succeeds
    std::uint32_t throttles = 0;  // in a row
    Time next_start{};         // by the account's rate
    Time used_at{};
  };
  struct Answered {
    std::shared_ptr<InFlight> call;
    std::vector<sdk::Outcome> outcomes;
  };
  struct Opened {
    std::string lane;
    std::shared_ptr<const resources::OrganizationView> view;
    Result<std::shared_ptr<const OpenAccount>> account;
  };
  struct Inbox {
    std::vector<Answered> answered;
    std::vector<Opened> opened;
    std::vector<std::shared_ptr<InFlight>> recorded;  // their start is durable, or is not
    std::vector<std::string> changed;
    std::vector<std::string> finished;  // lanes, one entry for each outcome that is durable or lost
    bool ready = false;
    [[nodiscard]] bool empty() const {
      return answered.empty() && opened.empty() && recorded.empty() && changed.empty() && finished.empty() &&
             !ready;
    }
  };

  void run();
  void process(Inbox inbox);
  void pump();
  void pump_lane(const std::string& name, Lane& lane);
  void open(const std::string& name, Lane& lane);
  void opened(Opened message);
  void start_attempt(const std::string& name, Lane& lane,
                     std::unique_ptr<queue::Delivery> delivery);
  std::shared_ptr<InFlight> begin(const std::string& name, Lane& lane,
                                  std::unique_ptr<queue::Delivery> delivery);
  void give_up_old(const std::string& name, Lane& lane);
  void call(std::shared_ptr<InFlight> call);
  Result<routing::Route> other_account(InFlight& attempt, const Lane& lane,
                                       std::uint32_t recipients,
                                       const std::vector<std::string>& tried);
  void complete(const std::shared_ptr<InFlight>& call, std::vector<sdk::Outcome> outcomes);
  void judge_account(const std::string& name, Lane& lane, const std::vector<sdk::Outcome>& outcomes);
  void block(const std::string& name, Lane& lane, Time until);
  void sweep_lanes();
  [[nodiscard]] Time next_wake() const;
  [[nodiscard]] bool quiet() const;
  template <typename Add>
  void post(Add add);

  queue::DeliveryQueue& queue_;
  queue::Committer& committer_;
  resources::Directory& directory_;
  ThreadPool& readers_;
  Accounts& accounts_;
  const Clock& clock_;
  sdk::Logger& logger_;
  telemetry::Metrics& metrics_;
  DispatcherOptions options_;

  std::mutex mutex_;
  std::condition_variable changed_;
  Inbox inbox_;
  bool waiting_ = false;
  bool stopping_ = false;
  Time stop_at_{};

  // the thread's own
  std::unordered_map<std::string, Lane> lanes_;
  std::vector<std::shared_ptr<const OpenAccount>> retired_;
  std::uint32_t calls_ = 0;       // open at a provider
  std::uint32_t unrecorded_ = 0;  // answered, not durable yet
  std::thread thread_;
};

}  // namespace postern::dispatch
