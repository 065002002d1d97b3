// A provider that breaks its contract in the way that the account's setting `misbehavior` names.
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "postern/sdk/plugin.h"

namespace {

namespace sdk = postern::sdk;

struct NotAnException {};

class Adapter final : public sdk::ProviderAdapter {
 public:
  explicit Adapter(std::string misbehavior) : misbehavior_(std::move(misbehavior)) {}
  ~Adapter() override {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    wake_.notify_all();
    threads_.clear();
  }

  void send(std::shared_ptr<const sdk::OutboundMessage> message, const sdk::Attempt& attempt,
            sdk::Completion done) override {
    std::vector<sdk::Outcome> outcomes(message->recipients.size());
    for (auto& outcome : outcomes) outcome.verdict = sdk::Verdict::accepted;

    if (misbehavior_ == "answers_twice") {
      done(outcomes);
      done(outcomes);
    } else if (misbehavior_ == "never") {
      const std::lock_guard lock(mutex_);
      kept_.push_back(std::move(done));
    } else if (misbehavior_ == "drops") {
      done = nullptr;
    } else if (misbehavior_ == "late") {
      const auto when = attempt.deadline + std::chrono::milliseconds{120};
      const std::lock_guard lock(mutex_);
      threads_.emplace_back([this, when, done = std::move(done), outcomes] {
        std::unique_lock waiting(mutex_);
        wake_.wait_until(waiting, when, [this] { return ended_; });
        waiting.unlock();
        done(outcomes);
      });
    } else if (misbehavior_ == "other_thread") {
      const std::lock_guard lock(mutex_);
      threads_.emplace_back([done = std::move(done), outcomes] { done(outcomes); });
    } else if (misbehavior_ == "before_returning") {
      done(outcomes);
    } else if (misbehavior_ == "throws") {
      throw std::runtime_error("out of order");
    } else if (misbehavior_ == "throws_oddly") {
      throw NotAnException{};
    } else if (misbehavior_ == "answers_and_throws") {
      done(outcomes);
      throw std::runtime_error("after the answer");
    } else if (misbehavior_ == "throws_and_answers") {
      {
        const std::lock_guard lock(mutex_);
        threads_.emplace_back([this, done, outcomes] {
          std::unique_lock waiting(mutex_);
          wake_.wait(waiting, [this] { return ended_; });
          waiting.unlock();
          done(outcomes);
        });
      }
      throw std::runtime_error("before the answer");
    } else if (misbehavior_ == "too_few") {
      outcomes.resize(1);
      done(outcomes);
    } else if (misbehavior_ == "too_many") {
      outcomes.resize(outcomes.size() + 1);
      done(outcomes);
    } else if (misbehavior_ == "unknown_verdict") {
      outcomes[0].verdict = static_cast<sdk::Verdict>(77);
      done(outcomes);
    } else if (misbehavior_ == "bad_text") {
      outcomes[0].enhanced_status = "5.1.1\r\nX: y";
      outcomes[0].detail = std::string{"550 no\r\n\0 \xff user", 15};
      outcomes[0].provider_message_id = std::string(5000, 'x');
      outcomes[0].retry_after = std::chrono::seconds{-5};
      done(outcomes);
    } else {
      done(outcomes);
    }
  }

  void validate(sdk::Deadline, std::function<void(sdk::Validation)> done) override {
    if (misbehavior_ == "throws") throw std::runtime_error("out of order");
    if (misbehavior_ == "drops") return;
    done({sdk::Validation::Result::valid, "fine"});
  }

  void verify_event(std::shared_ptr<const sdk::HookRequest>, sdk::Deadline,
                    std::function<void(sdk::HookResult)> done) override {
    if (misbehavior_ == "throws") throw std::runtime_error("out of order");
    if (misbehavior_ == "drops") return;
    done({sdk::HookResult::Status::verified, {sdk::ProviderEvent{}}, ""});
  }

  void drain(sdk::Deadline) override {
    if (misbehavior_ == "drain_throws") throw std::runtime_error("drain is blocked");
    if (misbehavior_ == "drain_hangs") {
      // For as long as the process lives, or nearly so.
      std::unique_lock waiting(mutex_);
      wake_.wait_for(waiting, std::chrono::hours{1}, [this] { return ended_; });
    }
  }

 private:
  std::string misbehavior_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ended_ = false;
  std::vector<sdk::Completion> kept_;
  std::vector<std::jthread> threads_;
};

class Provider final : public sdk::Provider {
 public:
  sdk::Expected<std::unique_ptr<sdk::ProviderAdapter>, std::string> open(
      const sdk::ProviderAccount& account) override {
    const std::string misbehavior = account.settings.text("misbehavior");
    if (misbehavior == "open_throws") throw std::runtime_error("open is blocked");
    if (misbehavior == "open_refuses") return std::string{"misbehavior can't work"};
    if (misbehavior == "open_null") return std::unique_ptr<sdk::ProviderAdapter>{};
    return std::unique_ptr<sdk::ProviderAdapter>{std::make_unique<Adapter>(misbehavior)};
  }
};

sdk::Expected<std::unique_ptr<sdk::Provider>, std::string> make(sdk::HostServices&) {
  return std::unique_ptr<sdk::Provider>{std::make_unique<Provider>()};
}

const sdk::PluginInfo& info() {
  static const sdk::PluginInfo info = [] {
    sdk::PluginInfo made;
    made.name = "MISBEHAVING";
    made.version = "1.0";
    made.description = "Breaks its contract as it is told to.";
    made.make_provider = &make;
    sdk::Field field;
    field.name = "misbehavior";
    field.required = true;
    made.settings = {field};
    return made;
  }();
  return info;
}

}  // namespace

POSTERN_PLUGIN(info)
