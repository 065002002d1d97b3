// Account type MAILDIR.
#include "postern/sdk/plugin.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "maildir.h"

namespace postern::maildir {
namespace {

using sdk::Outcome;
using sdk::Validation;

// The disk work of one account, one thing after the other, on a thread of its own.
class Worker {
 public:
  // One thing to do; `run` with false answers without touching the disk. Answers exactly once.
  struct Task {
    sdk::Deadline deadline;
    std::stop_token cancel;
    std::function<void(const char* refused)> run;  // null: do it
  };

  explicit Worker(sdk::Logger& logger) : logger_{logger}, thread_{[this] { loop(); }} {}
  ~Worker() {
    drain(std::chrono::steady_clock::now());
    {
      const std::lock_guard lock{mutex_};
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void add(Task task) {
    {
      const std::lock_guard lock{mutex_};
      if (!draining_) {
        tasks_.push_back(std::move(task));
        changed_.notify_all();
        return;
      }
    }
    task.run(kClosing);
  }

  void drain(sdk::Deadline deadline) {
    std::unique_lock lock{mutex_};
    draining_ = true;
    changed_.wait_until(lock, deadline - kMargin, [&] { return tasks_.empty() && !busy_; });
    abandoned_ = true;
    // A system call that hangs can't be left behind: the callback may still come from it.
    changed_.wait(lock, [&] { return tasks_.empty() && !busy_; });
  }

 private:
  static constexpr const char* kClosing = "the account is being closed";
  // Answers are given this long before the host would give one by itself.
  static constexpr std::chrono::milliseconds kMargin{25};

  void loop() {
    std::unique_lock lock{mutex_};
    while (true) {
      changed_.wait(lock, [&] { return stop_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      busy_ = true;
      {
        const Task task = std::move(tasks_.front());
        tasks_.pop_front();
        const char* refused = abandoned_ ? kClosing : nullptr;
        lock.unlock();
        if (task.cancel.stop_requested()) refused = "canceled";
        if (std::chrono::steady_clock::now() >= task.deadline - kMargin) {
          refused = "the deadline of the attempt passed while it waited for the disk";
        }
        try {
          task.run(refused);
        } catch (const std::exception& error) {
          logger_.log(sdk::LogLevel::error, "maildir: the host's callback threw",
                      {{"detail", error.what()}});
        }
      }
      lock.lock();
      busy_ = false;
      changed_.notify_all();
    }
  }

  sdk::Logger& logger_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool busy_ = false;
  bool draining_ = false;
  bool abandoned_ = false;
  bool stop_ = false;
  std::thread thread_;
};

class Adapter : public sdk::ProviderAdapter {
 public:
  Adapter(Options options, sdk::Logger& logger) : options_{std::move(options)}, worker_{logger} {}

  void send(std::shared_ptr<const sdk::OutboundMessage> message, const sdk::Attempt& attempt,
            sdk::Completion done) override {
    if (message->recipients.empty()) return done({});
    worker_.add({attempt.deadline, attempt.cancel,
                 [this, message = std::move(message), done = std::move(done),
                  is_retry = attempt.number > 1](const char* refused) {
                   Outcome outcome;
                   if (refused != nullptr) {
                     outcome.detail = refused;
                   } else if (!message->mime) {
                     outcome.detail = "the message was not composed";
                   } else {
                     outcome = deliver(options_, *message, is_retry);
                   }
                   done(std::vector<Outcome>(message->recipients.size(), outcome));
                 }});
  }

  void validate(sdk::Deadline deadline, std::function<void(Validation)> done) override {
    worker_.add(
        {deadline, {}, [this, done = std::move(done)](const char* refused) {
           const std::string problem = refused != nullptr ? refused : check(options_);
           done({problem.empty() ? Validation::Result::valid : Validation::Result::unreachable,
                 problem});
         }});
  }

  void verify_event(std::shared_ptr<const sdk::HookRequest> /*request*/, sdk::Deadline /*deadline*/,
                    std::function<void(sdk::HookResult)> done) override {
    done({sdk::HookResult::Status::ignored, {}, "MAILDIR accounts receive no events"});
  }

  void drain(sdk::Deadline deadline) override { worker_.drain(deadline); }

 private:
  const Options options_;
  Worker worker_;
};

class MaildirProvider : public sdk::Provider {
 public:
  explicit MaildirProvider(sdk::HostServices& host) : logger_{host.logger} {}

  sdk::Expected<std::unique_ptr<sdk::ProviderAdapter>, std::string> open(
      const sdk::ProviderAccount& account) override {
    Options options;
    options.path = account.settings.text("path");
    if (options.path.empty()) return std::string{"path: must not be empty"};
    if (account.settings.has("fsync")) options.fsync = account.settings.flag("fsync");
    return std::unique_ptr<sdk::ProviderAdapter>{
        std::make_unique<Adapter>(std::move(options), logger_)};
  }

 private:
  sdk::Logger& logger_;
};

sdk::Expected<std::unique_ptr<sdk::Provider>, std::string> make_provider(sdk::HostServices& host) {
  return std::unique_ptr<sdk::Provider>{std::make_unique<MaildirProvider>(host)};
}

sdk::Schema settings_schema() {
  sdk::Field path;
  path.name = "path";
  path.type = sdk::FieldType::path;
  path.required = true;
  path.description = "The maildir; made on first use where its parent exists.";
  sdk::Field fsync;
  fsync.name = "fsync";
  fsync.type = sdk::FieldType::boolean;
  fsync.default_value = "true";
  fsync.description = "Whether a mail must be on disk before it counts as delivered.";
  return {path, fsync};
}

const sdk::PluginInfo& info() {
  static const sdk::PluginInfo plugin = [] {
    sdk::PluginInfo made;
    made.kind = sdk::PluginKind::provider;
    made.name = "MAILDIR";
    made.version = POSTERN_VERSION;
    made.description = "Delivers into a maildir on this machine.";
    made.settings = settings_schema();
    made.capabilities.supports_smtputf8 = true;
    made.capabilities.independent_envelope = true;
    made.capabilities.deduplicates = true;
    made.capabilities.final_delivery = true;
    made.make_provider = &make_provider;
    return made;
  }();
  return plugin;
}

}  // namespace
}  // namespace postern::maildir

POSTERN_PLUGIN(postern::maildir::info)
