// plugin_host/call.h: one call into a plugin that answers through a callback. Private to the
// module.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "plugin_host/deadlines.h"
#include "plugin_host/guarded.h"

namespace postern::plugin_host {

// What went wrong behind a barrier, in words. Call it in a catch block.
inline std::string current_exception_text() {
  try {
    throw;
  } catch (const std::exception& thrown) {
    return thrown.what();
  } catch (...) {
    return "something that is no std::exception";
  }
}

// Runs `body`; what it throws becomes `on_throw(text)`.
template <typename Body, typename OnThrow>
auto barrier(Body&& body, OnThrow&& on_throw) -> decltype(body()) {
  try {
    return body();
  } catch (...) {
    return on_throw(current_exception_text());
  }
}

// What a guard and its calls share; calls that a plugin still holds keep it alive after the guard.
class Guard {
 public:
  Guard(std::string plugin, const GuardContext& context)
      : plugin_(std::move(plugin)),
        core_(context.deadlines.core()),
        logger_(context.logger),
        metrics_(context.metrics.plugin(plugin_)),
        grace_(context.grace) {}

  [[nodiscard]] const std::string& plugin() const { return plugin_; }
  [[nodiscard]] Deadlines::Core& core() const { return *core_; }
  [[nodiscard]] std::chrono::milliseconds grace() const { return grace_; }
  [[nodiscard]] Deadlines::Time with_grace(Deadlines::Time deadline) const {
    return deadline > Deadlines::Time::max() - grace_ ? Deadlines::Time::max() : deadline + grace_;
  }

  // Counts a breach of the contract. Each kind is logged the 1st, 2nd, 4th, 8th… time, so that a
  // broken plugin does not fill the log.
  void fault(telemetry::PluginFault fault, std::string_view call, std::string_view detail);

  // Answers everything that is open and waits until no callback runs, but for those that this very
  // thread is in. Afterwards the logger and the metrics are not touched any more.
  void close();

  // Whether this thread runs a callback of this guard.
  [[nodiscard]] bool inside_callback() const { return own_frames() != 0; }

  // While one lives, close() waits.
  class Running {
   public:
    explicit Running(Guard& guard) : guard_(guard), outer_(innermost()) {
      guard_.running_.fetch_add(1);
      innermost() = this;
    }
    ~Running() {
      innermost() = outer_;
      guard_.running_.fetch_sub(1);
      if (guard_.closed_.load()) guard_.running_.notify_all();
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    friend class Guard;
    static Running*& innermost() {
      thread_local Running* frame = nullptr;
      return frame;
    }
    Guard& guard_;
    Running* outer_;
  };

 private:
  [[nodiscard]] std::uint32_t own_frames() const;

  std::string plugin_;
  std::shared_ptr<Deadlines::Core> core_;
  sdk::Logger& logger_;
  telemetry::PluginMetrics& metrics_;
  std::chrono::milliseconds grace_;
  std::array<std::atomic<std::uint64_t>, telemetry::kPluginFaultCount> faults_{};
  std::atomic<std::uint32_t> running_{0};
  std::atomic<bool> closed_{false};
};

// One call that waits for its answer. The plugin's callback holds it, the timer knows it weakly: a
// plugin that drops its callback thereby answers at once that it never will.
//
// Policy: `Answer stand_in(std::string why)`, what the host answers in the plugin's place, and
// `std::string accept(Answer&)`, which cleans an answer or says why it can't be used.
template <typename Answer, typename Policy>
class Call final : public Deadlines::Call,
                   public std::enable_shared_from_this<Call<Answer, Policy>> {
 public:
  using Done = std::function<void(Answer)>;

  Call(std::shared_ptr<Guard> guard, const char* name, Policy policy, Done done)
      : guard_(std::move(guard)), name_(name), policy_(std::move(policy)), done_(std::move(done)) {}

  ~Call() override {
    if (state_.load() != kOpen) return;
    stand_in(telemetry::PluginFault::never_answered, "dropped its callback without an answer",
             true);
  }

  // Arms the deadline, then runs `body(callback)`, which calls the plugin.
  template <typename Body>
  void run(Deadlines::Time deadline, Body&& body) {
    const auto self = this->shared_from_this();  // so that an exception is told before the drop
    ticket_ = Deadlines::add(guard_->core(), guard_->with_grace(deadline), self, guard_.get());
    try {
      body([self](Answer answer) { self->answered(std::move(answer)); });
    } catch (...) {
      stand_in(telemetry::PluginFault::threw, "threw: " + current_exception_text(), true);
    }
  }

  void expire() override {
    stand_in(telemetry::PluginFault::never_answered, "did not answer in time", false);
  }

 private:
  enum State : std::uint8_t { kOpen, kByPlugin, kByHost };

  void answered(Answer answer) {
    const Guard::Running running(*guard_);
    State was = kOpen;
    if (!state_.compare_exchange_strong(was, kByPlugin)) {
      const bool twice = was == kByPlugin;
      guard_->fault(
          twice ? telemetry::PluginFault::answered_twice : telemetry::PluginFault::answered_late,
          name_, twice ? "answered twice" : "answered after the host did in its place");
      return;
    }
    Deadlines::cancel(guard_->core(), ticket_);
    const std::string unusable = policy_.accept(answer);
    if (!unusable.empty()) {
      guard_->fault(telemetry::PluginFault::wrong_count, name_, unusable);
      answer = policy_.stand_in("plugin " + guard_->plugin() + " " + unusable);
    }
    finish(std::move(answer));
  }

  void stand_in(telemetry::PluginFault fault, const std::string& why, bool cancel) {
    const Guard::Running running(*guard_);
    State was = kOpen;
    const bool mine = state_.compare_exchange_strong(was, kByHost);
    // What is thrown after the answer is a fault as well.
    if (mine || fault == telemetry::PluginFault::threw) guard_->fault(fault, name_, why);
    if (!mine) return;
    if (cancel) Deadlines::cancel(guard_->core(), ticket_);
    finish(policy_.stand_in("plugin " + guard_->plugin() + " " + why));
  }

  void finish(Answer answer) {
    const Done done = std::move(done_);
    try {
      done(std::move(answer));
    } catch (...) {
      // The gateway's own callback threw; it must not unwind into the plugin.
      guard_->fault(telemetry::PluginFault::threw, name_,
                    "the callback of the host threw: " + current_exception_text());
    }
  }

  std::shared_ptr<Guard> guard_;
  const char* name_;
  Policy policy_;
  Done done_;
  Deadlines::Ticket ticket_;
  std::atomic<State> state_{kOpen};
};

}  // namespace postern::plugin_host
