#include "account.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <exception>
#include <future>
#include <utility>

namespace postern::smtp {

namespace asio = boost::asio;
using sdk::Outcome;
using sdk::Validation;
using sdk::Verdict;
using std::chrono::steady_clock;

namespace {

// Answers are given this long before the host would give one by itself.
constexpr std::chrono::milliseconds kMargin{25};
constexpr std::chrono::seconds kAddressesKept{30};
constexpr std::chrono::milliseconds kFirstPause{1'000};
constexpr std::chrono::milliseconds kLongestPause{30'000};

Outcome deferred(std::string detail) {
  Outcome outcome;
  outcome.verdict = Verdict::deferred;
  outcome.detail = std::move(detail);
  return outcome;
}

}  // namespace

void Engine::run() {
  while (true) {
    try {
      io.run();
      return;
    } catch (const std::exception& error) {
      logger.log(sdk::LogLevel::error, "smtp: exception on the I/O thread",
                 {{"detail", error.what()}});
    }
  }
}

// Opens one connection and says what came of it.
class Account::Validator : public ConnectionOwner {
 public:
  Validator(std::shared_ptr<Account> account, std::function<void(Validation)> done)
      : account_{std::move(account)}, done_{std::move(done)} {}

  [[nodiscard]] const Config& config() const override { return account_->config(); }
  sdk::Expected<TlsClient*, std::string> tls() override { return account_->tls(); }
  void resolve(std::function<void(const Endpoints&, const std::string&)> done) override {
    account_->resolve(std::move(done));
  }
  void log(sdk::LogLevel level, std::string_view message, std::string detail) override {
    account_->log(level, message, std::move(detail));
  }
  void ready(const std::shared_ptr<Connection>& connection) override {
    connection->quit();
    answer({Validation::Result::valid, {}});
  }
  void open_failed(Connection& /*connection*/, const Outcome& outcome) override {
    answer({outcome.verdict == Verdict::refused ? Validation::Result::invalid_credentials
                                                : Validation::Result::unreachable,
            outcome.detail});
  }
  void give_back(JobPtr /*job*/, bool /*connection_was_stale*/) override {}
  void finish(const JobPtr& /*job*/) override {}
  JobPtr take_next(const Job& /*current*/) override { return nullptr; }
  void closed(const std::shared_ptr<Connection>& connection) override {
    account_->validating_.erase(connection);
  }

 private:
  void answer(Validation validation) {
    if (!done_) return;
    {
      const auto done = std::exchange(done_, nullptr);
      try {
        done(std::move(validation));
      } catch (const std::exception& error) {
        log(sdk::LogLevel::error, "smtp: the host's callback threw", error.what());
      }
    }
    account_->answered();
  }

  std::shared_ptr<Account> account_;
  std::function<void(Validation)> done_;
};

Account::Account(Engine& engine, Config config)
    : engine_{engine},
      config_{std::move(config)},
      queue_timer_{engine.io},
      drain_timer_{engine.io} {}

// ---------------------------------------------------------------- from any thread

bool Account::admit() {
  const std::lock_guard lock{mutex_};
  if (closed_) return false;
  ++outstanding_;
  return true;
}

void Account::answered() {
  const std::lock_guard lock{mutex_};
  if (--outstanding_ == 0) all_answered_.notify_all();
}

void Account::submit(std::shared_ptr<const sdk::OutboundMessage> message,
                     const sdk::Attempt& attempt, sdk::Completion done) {
  const std::size_t recipients = message->recipients.size();
  const auto refuse = [&](std::string why) {
    done(std::vector<Outcome>(recipients, deferred(std::move(why))));
  };
  if (recipients == 0) return done({});
  if (!message->mime) return refuse("the message was not composed");

  auto job = std::make_shared<Job>();
  job->message = std::move(message);
  job->outcomes.resize(recipients);
  job->unanswered.resize(recipients);
  for (std::uint32_t i = 0; i < recipients; ++i) job->unanswered[i] = i;
  job->deadline = attempt.deadline - kMargin;
  if (!admit()) return refuse("the account is being closed");
  job->done = std::move(done);
  if (attempt.cancel.stop_possible()) {
    job->stop = attempt.cancel;
    job->cancel = std::make_unique<Job::CancelCallback>(
        attempt.cancel, [weak = weak_from_this(), weak_job = std::weak_ptr<Job>{job}] {
          const auto self = weak.lock();
          const auto canceled = weak_job.lock();
          if (self && canceled) {
            asio::post(self->engine_.io, [self, canceled] { self->cancel(canceled); });
          }
        });
  }
  bool first = false;
  {
    const std::lock_guard lock{mutex_};
    first = inbox_.empty();
    inbox_.push_back(std::move(job));
  }
  if (first) asio::post(engine_.io, [self = shared_from_this()] { self->collect(); });
}

void Account::validate(sdk::Deadline deadline, std::function<void(Validation)> done) {
  if (!admit()) return done({Validation::Result::unreachable, "the account is being closed"});
  asio::post(engine_.io, [self = shared_from_this(), deadline, done = std::move(done)]() mutable {
    auto connection = std::make_shared<Connection>(
        self->engine_.io, std::make_shared<Validator>(self, std::move(done)));
    self->validating_.insert(connection);
    connection->open(deadline - kMargin);
    if (self->abandoned_) connection->abandon("the account is being closed");
  });
}

void Account::drain(sdk::Deadline deadline) {
  {
    const std::lock_guard lock{mutex_};
    closed_ = true;
  }
  asio::post(engine_.io, [self = shared_from_this(), deadline] { self->start_drain(deadline); });
  std::unique_lock lock{mutex_};
  all_answered_.wait(lock, [&] { return outstanding_ == 0; });
}

void Account::stop() {
  drain(steady_clock::now());
  std::promise<void> stopped;
  asio::post(engine_.io, [self = shared_from_this(), &stopped] {
    self->abandon_all();
    self->resolve_waiters_.clear();
    self->queue_timer_.cancel();
    self->drain_timer_.cancel();
    stopped.set_value();
  });
  stopped.get_future().wait();
}

// ---------------------------------------------------------------- the queue

void Account::collect() {
  std::vector<JobPtr> jobs;
  {
    const std::lock_guard lock{mutex_};
    jobs.swap(inbox_);
  }
  for (JobPtr& job : jobs) {
    if (abandoned_) {
      job->answer_all(deferred("the account is being closed"));
      finish(job);
    } else if (job->stop.stop_requested()) {
      job->answer_all(deferred("canceled"));
      finish(job);
    } else {
      watch_queue(job->deadline);
      queue_.push_back(std::move(job));
    }
  }
  pump();
}

void Account::pump() {
  if (std::exchange(pumping_, true)) return;
  struct Reset {
    bool& flag;
    ~Reset() { flag = false; }
  } const reset{pumping_};
  while (!queue_.empty() && !idle_.empty()) {
    const auto connection = std::move(idle_.back());
    idle_.pop_back();
    JobPtr job = std::move(queue_.front());
    queue_.pop_front();
    connection->begin(std::move(job));
  }
  open_connections();
}

void Account::open_connections() {
  while (opening_ < queue_.size() && connections_.size() < config_.max_connections) {
    if (!connections_.empty() && steady_clock::now() < no_opening_before_) return;
    auto connection = std::make_shared<Connection>(engine_.io, shared_from_this());
    connections_.insert(connection);
    ++opening_;
    connection->open(queue_[opening_ - 1]->deadline);
  }
}

JobPtr Account::take_next(const Job& current) {
  if (!idle_.empty() || queue_.size() <= opening_) return nullptr;
  if (queue_.front()->deadline < current.deadline) return nullptr;
  JobPtr job = std::move(queue_.front());
  queue_.pop_front();
  return job;
}

void Account::give_back(JobPtr job, bool connection_was_stale) {
  if (abandoned_ || job->stop.stop_requested()) {
    job->answer_all(deferred(abandoned_ ? "the account is being closed" : "canceled"));
    finish(job);
    return;
  }
  watch_queue(job->deadline);
  queue_.push_front(std::move(job));
  if (connection_was_stale) quit_idle();  // they are as old
  pump();
}

void Account::finish(const JobPtr& job) {
  if (job->finished) return;
  job->finished = true;
  job->cancel.reset();
  {
    const auto done = std::exchange(job->done, nullptr);
    try {
      done(std::move(job->outcomes));
    } catch (const std::exception& error) {
      log(sdk::LogLevel::error, "smtp: the host's callback threw", error.what());
    }
  }
  answered();
}

void Account::cancel(const JobPtr& job) {
  const auto queued = std::find(queue_.begin(), queue_.end(), job);
  if (queued != queue_.end()) {
    queue_.erase(queued);
    job->answer_all(deferred("canceled"));
    finish(job);
    return;
  }
  if (job->finished) return;
  const std::vector<std::shared_ptr<Connection>> all{connections_.begin(), connections_.end()};
  for (const auto& connection : all) connection->cancel(job);
}

void Account::watch_queue(sdk::Deadline deadline) {
  if (deadline >= queue_timer_at_) return;
  queue_timer_at_ = deadline;
  queue_timer_.expires_at(deadline);
  queue_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error) return;
    self->queue_timer_at_ = sdk::Deadline::max();
    self->expire_queue();
  });
}

void Account::expire_queue() {
  const auto now = steady_clock::now();
  const bool any_established =
      std::any_of(connections_.begin(), connections_.end(),
                  [](const auto& connection) { return connection->established(); });
  std::vector<JobPtr> late;
  std::erase_if(queue_, [&](const JobPtr& job) {
    if (job->deadline > now) return false;
    late.push_back(job);
    return true;
  });
  Outcome outcome = deferred("no connection was free before the deadline of the attempt");
  if (!any_established) {
    const Stage stage = connections_.empty() ? Stage::connect : (*connections_.begin())->stage();
    outcome = outcome_of(stage, Fault::timeout, false,
                         printable(config_.host + ":" + std::to_string(config_.port) + ", at " +
                                   std::string{name_of(stage)} + ": no answer in time"));
  }
  for (const JobPtr& job : late) {
    job->answer_all(outcome);
    finish(job);
  }
  for (const JobPtr& job : queue_) watch_queue(job->deadline);
}

void Account::fail_queue(const Outcome& outcome) {
  std::deque<JobPtr> jobs;
  jobs.swap(queue_);
  for (const JobPtr& job : jobs) {
    job->answer_all(outcome);
    finish(job);
  }
}

// ---------------------------------------------------------------- connections

void Account::ready(const std::shared_ptr<Connection>& connection) {
  if (connection->first_ready()) {
    --opening_;
    opening_pause_ = {};
    no_opening_before_ = {};
  }
  if (!connection->can_carry_more() || (draining_ && queue_.empty())) {
    connection->quit();
    return;
  }
  idle_.push_back(connection);
  pump();
}

void Account::open_failed(Connection& /*connection*/, const Outcome& outcome) {
  opening_pause_ = std::clamp(opening_pause_ * 2, kFirstPause, kLongestPause);
  no_opening_before_ = steady_clock::now() + opening_pause_;
  // Others that are open, or may be soon, will take what waits.
  if (connections_.size() > 1) {
    log(sdk::LogLevel::info, "smtp: one connection more can't be opened", outcome.detail);
    return;
  }
  fail_queue(outcome);
}

void Account::closed(const std::shared_ptr<Connection>& connection) {
  if (connections_.erase(connection) == 0) return;
  if (!connection->established()) --opening_;
  std::erase(idle_, connection);
  pump();
}

void Account::quit_idle() {
  const bool was_pumping = std::exchange(pumping_, true);
  const auto idle = std::exchange(idle_, {});
  for (const auto& connection : idle) connection->quit();
  pumping_ = was_pumping;
}

sdk::Expected<TlsClient*, std::string> Account::tls() {
  if (!tls_) {
    // Opportunistic TLS without credentials would take plaintext too, so any certificate will do.
    const bool verify = config_.verify_certificate &&
                        (config_.security != Security::opportunistic || config_.has_credentials());
    auto made = TlsClient::make(config_, verify, engine_.trust_stores);
    if (!made) return made.error();
    tls_ = *std::move(made);
  }
  return tls_.get();
}

void Account::resolve(std::function<void(const Endpoints&, const std::string&)> done) {
  if (!endpoints_.empty() && steady_clock::now() < endpoints_until_) {
    done(endpoints_, {});
    return;
  }
  resolve_waiters_.push_back(std::move(done));
  if (resolving_) return;
  resolving_ = true;
  engine_.resolver.resolve(
      config_.host, config_.port,
      [self = shared_from_this()](Endpoints endpoints, const std::string& error) {
        self->resolving_ = false;
        self->endpoints_ = std::move(endpoints);
        self->endpoints_until_ = steady_clock::now() + kAddressesKept;
        const auto waiters = std::exchange(self->resolve_waiters_, {});
        const Endpoints found = self->endpoints_;
        for (const auto& waiter : waiters) waiter(found, error);
      });
}

void Account::log(sdk::LogLevel level, std::string_view message, std::string detail) {
  engine_.logger.log(level, message, {{"account", config_.account}, {"detail", printable(detail)}});
}

// ---------------------------------------------------------------- the end

void Account::start_drain(sdk::Deadline deadline) {
  draining_ = true;
  if (queue_.empty()) quit_idle();
  drain_timer_.expires_at(deadline - kMargin);
  drain_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error) self->abandon_all();
  });
}

void Account::abandon_all() {
  abandoned_ = true;
  const std::string why = "the account is being closed";
  fail_queue(deferred(why));
  const std::vector<std::shared_ptr<Connection>> all{connections_.begin(), connections_.end()};
  for (const auto& connection : all) connection->abandon(why);
  const std::vector<std::shared_ptr<Connection>> validating{validating_.begin(), validating_.end()};
  for (const auto& connection : validating) connection->abandon(why);
  fail_queue(deferred(why));
}

}  // namespace postern::smtp
