// One account: its queue, its pool of connections, its answers.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "connection.h"
#include "engine.h"

namespace postern::smtp {

class Account : public ConnectionOwner, public std::enable_shared_from_this<Account> {
 public:
  Account(Engine& engine, Config config);

  // From any thread; as the ProviderAdapter's.
  void submit(std::shared_ptr<const sdk::OutboundMessage> message, const sdk::Attempt& attempt,
              sdk::Completion done);
  void validate(sdk::Deadline deadline, std::function<void(sdk::Validation)> done);
  void drain(sdk::Deadline deadline);
  // Drains at once and lets go of every connection, so that nothing refers to the account any more.
  void stop();

  // ConnectionOwner; of the I/O thread, like all below.
  [[nodiscard]] const Config& config() const override { return config_; }
  sdk::Expected<TlsClient*, std::string> tls() override;
  void resolve(std::function<void(const Endpoints&, const std::string&)> done) override;
  void log(sdk::LogLevel level, std::string_view message, std::string detail) override;
  void ready(const std::shared_ptr<Connection>& connection) override;
  void open_failed(Connection& connection, const sdk::Outcome& outcome) override;
  void give_back(JobPtr job, bool connection_was_stale) override;
  void finish(const JobPtr& job) override;
  JobPtr take_next(const Job& current) override;
  void closed(const std::shared_ptr<Connection>& connection) override;

 private:
  class Validator;
  using Connections = std::unordered_set<std::shared_ptr<Connection>>;

  bool admit();  // counts one call that must be answered; false when draining
  void answered();
  void collect();
  void pump();
  void open_connections();
  void cancel(const JobPtr& job);
  void watch_queue(sdk::Deadline deadline);
  void expire_queue();
  void fail_queue(const sdk::Outcome& outcome);
  void start_drain(sdk::Deadline deadline);
  void abandon_all();
  void quit_idle();

  Engine& engine_;
  const Config config_;

  std::mutex mutex_;  // of the five below
  std::condition_variable all_answered_;
  std::vector<JobPtr> inbox_;
  std::size_t outstanding_ = 0;
  bool closed_ = false;

  std::unique_ptr<TlsClient> tls_;
  std::deque<JobPtr> queue_;
  Connections connections_;
  std::size_t opening_ = 0;
  std::vector<std::shared_ptr<Connection>> idle_;  // the last used one is taken first
  std::unordered_set<std::shared_ptr<Connection>> validating_;
  bool pumping_ = false;
  bool draining_ = false;
  bool abandoned_ = false;

  // While some connections work, others that can't be opened are tried less and less often.
  std::chrono::steady_clock::time_point no_opening_before_;
  std::chrono::milliseconds opening_pause_{0};

  boost::asio::steady_timer queue_timer_;
  sdk::Deadline queue_timer_at_ = sdk::Deadline::max();
  boost::asio::steady_timer drain_timer_;

  Endpoints endpoints_;
  std::chrono::steady_clock::time_point endpoints_until_;
  bool resolving_ = false;
  std::vector<std::function<void(const Endpoints&, const std::string&)>> resolve_waiters_;
};

}  // namespace postern::smtp
