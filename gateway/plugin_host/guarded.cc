#include "plugin_host/guarded.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "plugin_host/call.h"

namespace postern::plugin_host {
namespace {

using telemetry::PluginFault;

constexpr std::size_t kMostDetailBytes = 2000;
constexpr std::size_t kMostIdBytes = 998;
constexpr std::chrono::seconds kMostRetryAfter = std::chrono::hours{24 * 7};

// Storage and clients get these texts: a byte that they refuse must not cost the whole answer.
void clean(std::string& text, std::size_t most) {
  const bool fine = text.size() <= most && std::all_of(text.begin(), text.end(), [](char c) {
                      const auto byte = static_cast<unsigned char>(c);
                      return byte >= 0x20 && byte < 0x7f;
                    });
  if (fine) return;
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const std::string_view sequence = std::string_view{text}.substr(at, length);
    std::string_view add = sequence;
    if (!is_utf8(sequence)) {
      add = "?";
      at += 1;
    } else {
      if (lead < 0x20 || lead == 0x7f) add = " ";
      at += length;
    }
    if (out.size() + add.size() > most) break;
    out += add;
  }
  text = std::move(out);
}

// RFC 3463 2: class "." subject "." detail, of 1, 1 to 3 and 1 to 3 digits.
bool is_enhanced_status(std::string_view text) {
  std::array<std::size_t, 3> digits{};
  std::size_t part = 0;
  for (const char c : text) {
    if (c == '.') {
      if (digits[part] == 0 || ++part == digits.size()) return false;
    } else if (c < '0' || c > '9' || ++digits[part] > 3) {
      return false;
    }
  }
  return part == 2 && digits[2] > 0 && digits[0] == 1 &&
         (text[0] == '2' || text[0] == '4' || text[0] == '5');
}

struct SendPolicy {
  std::size_t recipients;

  [[nodiscard]] std::vector<sdk::Outcome> stand_in(const std::string& why) const {
    sdk::Outcome outcome;
    outcome.verdict = sdk::Verdict::deferred;
    outcome.ambiguous = true;
    outcome.detail = why;
    clean(outcome.detail, kMostDetailBytes);
    return std::vector<sdk::Outcome>(recipients, outcome);
  }
  std::string accept(std::vector<sdk::Outcome>& outcomes) const {
    if (outcomes.size() != recipients) {
      return "answered " + std::to_string(outcomes.size()) + " outcomes for " +
             std::to_string(recipients) + " recipients";
    }
    for (sdk::Outcome& outcome : outcomes) {
      if (static_cast<std::size_t>(outcome.verdict) >= sdk::kVerdictCount) {
        return "answered verdict " + std::to_string(static_cast<unsigned>(outcome.verdict)) +
               ", which is none";
      }
      if (!outcome.enhanced_status.empty() && !is_enhanced_status(outcome.enhanced_status)) {
        outcome.enhanced_status.clear();
      }
      clean(outcome.detail, kMostDetailBytes);
      clean(outcome.provider_message_id, kMostIdBytes);
      outcome.retry_after =
          std::clamp(outcome.retry_after, std::chrono::seconds{0}, kMostRetryAfter);
    }
    return {};
  }
};

struct ValidatePolicy {
  static sdk::Validation stand_in(std::string why) {
    clean(why, kMostDetailBytes);
    return {sdk::Validation::Result::unreachable, std::move(why)};
  }
  static std::string accept(sdk::Validation& validation) {
    if (validation.result > sdk::Validation::Result::unreachable) return "answered no known result";
    clean(validation.detail, kMostDetailBytes);
    return {};
  }
};

struct VerifyPolicy {
  static sdk::HookResult stand_in(std::string why) {
    clean(why, kMostDetailBytes);
    return {sdk::HookResult::Status::malformed, {}, std::move(why)};
  }
  static std::string accept(sdk::HookResult& result) {
    if (result.status > sdk::HookResult::Status::ignored) return "answered no known status";
    for (const sdk::ProviderEvent& event : result.events) {
      if (event.type > sdk::ProviderEventType::other) return "answered no known type of event";
    }
    if (result.status != sdk::HookResult::Status::verified) result.events.clear();
    for (sdk::ProviderEvent& event : result.events) {
      for (std::string* text : {&event.deduplication_key, &event.message_id,
                                &event.provider_message_id, &event.recipient}) {
        clean(*text, kMostIdBytes);
      }
      clean(event.detail, kMostDetailBytes);
      if (!event.enhanced_status.empty() && !is_enhanced_status(event.enhanced_status)) {
        event.enhanced_status.clear();
      }
    }
    clean(result.detail, kMostDetailBytes);
    return {};
  }
};

struct TakePolicy {
  std::size_t requests;

  static std::vector<sdk::BucketAnswer> stand_in(const std::string&) { return {}; }
  [[nodiscard]] std::string accept(const std::vector<sdk::BucketAnswer>& answers) const {
    if (answers.empty() || answers.size() == requests) return {};
    return "answered " + std::to_string(answers.size()) + " buckets for " +
           std::to_string(requests) + " requests";
  }
};

using SendCall = Call<std::vector<sdk::Outcome>, SendPolicy>;
using ValidateCall = Call<sdk::Validation, ValidatePolicy>;
using VerifyCall = Call<sdk::HookResult, VerifyPolicy>;
using TakeCall = Call<std::vector<sdk::BucketAnswer>, TakePolicy>;

Error failed(ErrorKind kind, std::string message) {
  return Error{kind, std::move(message), {}, {}};
}

Error threw(const std::string& plugin, std::string_view call, const std::string& what) {
  return failed(ErrorKind::internal,
                "plugin " + plugin + " threw in " + std::string{call} + ": " + what);
}

}  // namespace

void Guard::fault(PluginFault fault, std::string_view call, std::string_view detail) {
  const Running running(*this);
  if (closed_.load()) return;
  metrics_.count(fault);
  const auto count = faults_[static_cast<std::size_t>(fault)].fetch_add(1) + 1;
  if (!std::has_single_bit(count)) return;
  logger_.log(sdk::LogLevel::error, "plugin broke its contract",
              {{"plugin", plugin_},
               {"call", std::string{call}},
               {"fault", std::string{telemetry::to_string(fault)}},
               {"detail", std::string{detail}},
               {"count", std::to_string(count)}});
}

std::uint32_t Guard::own_frames() const {
  std::uint32_t own = 0;
  for (const Running* frame = Running::innermost(); frame != nullptr; frame = frame->outer_) {
    if (&frame->guard_ == this) ++own;
  }
  return own;
}

void Guard::close() {
  Deadlines::expire_all(*core_, this);
  closed_.store(true);
  const std::uint32_t own = own_frames();
  for (std::uint32_t now = running_.load(); now > own; now = running_.load()) running_.wait(now);
}

// The adapter in its own object: a drain that hangs keeps it, and what it needs, alive.
class GuardedAdapter::State {
 public:
  State(std::unique_ptr<sdk::ProviderAdapter> its_adapter, std::shared_ptr<void> its_owner,
        std::string plugin, const GuardContext& context)
      : owner(std::move(its_owner)),
        adapter(std::move(its_adapter)),
        guard(std::make_shared<Guard>(std::move(plugin), context)) {}

  static void drain(const std::shared_ptr<State>& state, sdk::Deadline deadline);

  std::shared_ptr<void> owner;  // destroyed after the adapter
  std::unique_ptr<sdk::ProviderAdapter> adapter;
  std::shared_ptr<Guard> guard;
  std::atomic<bool> draining{false};

  std::mutex mutex;
  std::condition_variable ended;
  bool drained = false;
};

GuardedAdapter::GuardedAdapter(std::unique_ptr<sdk::ProviderAdapter> adapter,
                               std::shared_ptr<void> owner, std::string plugin,
                               const GuardContext& context)
    : state_(std::make_shared<State>(std::move(adapter), std::move(owner), std::move(plugin),
                                     context)) {}

GuardedAdapter::~GuardedAdapter() {
  const auto end = [](const std::shared_ptr<State>& state) {
    State::drain(state, std::chrono::steady_clock::now());
    state->guard->close();
  };
  if (!state_->guard->inside_callback()) {
    end(state_);
    return;
  }
  // The callback held the last reference. The plugin is beneath us on the stack: it can neither
  // drain nor be destroyed before we return to it.
  Deadlines::expire_all(state_->guard->core(), state_->guard.get());
  std::thread([end, state = std::move(state_)] { end(state); }).detach();
}

void GuardedAdapter::send(std::shared_ptr<const sdk::OutboundMessage> message,
                          const sdk::Attempt& attempt, sdk::Completion done) {
  const SendPolicy policy{message->recipients.size()};
  if (state_->draining.load()) {
    auto outcomes = policy.stand_in("the account is being closed");
    for (sdk::Outcome& outcome : outcomes) outcome.ambiguous = false;  // the plugin never saw it
    done(std::move(outcomes));
    return;
  }
  const auto call = std::make_shared<SendCall>(state_->guard, "send", policy, std::move(done));
  call->run(attempt.deadline, [&](sdk::Completion callback) {
    state_->adapter->send(std::move(message), attempt, std::move(callback));
  });
}

void GuardedAdapter::validate(sdk::Deadline deadline, std::function<void(sdk::Validation)> done) {
  const auto call =
      std::make_shared<ValidateCall>(state_->guard, "validate", ValidatePolicy{}, std::move(done));
  call->run(deadline, [&](std::function<void(sdk::Validation)> callback) {
    state_->adapter->validate(deadline, std::move(callback));
  });
}

void GuardedAdapter::verify_event(std::shared_ptr<const sdk::HookRequest> request,
                                  sdk::Deadline deadline,
                                  std::function<void(sdk::HookResult)> done) {
  const auto call =
      std::make_shared<VerifyCall>(state_->guard, "verify_event", VerifyPolicy{}, std::move(done));
  call->run(deadline, [&](std::function<void(sdk::HookResult)> callback) {
    state_->adapter->verify_event(std::move(request), deadline, std::move(callback));
  });
}

void GuardedAdapter::drain(sdk::Deadline deadline) {
  State::drain(state_, deadline);
}

void GuardedAdapter::State::drain(const std::shared_ptr<State>& state, sdk::Deadline deadline) {
  if (state->draining.exchange(true)) return;
  // On a thread of its own: whether drain() comes back is the plugin's doing.
  std::thread thread([state, deadline] {
    try {
      state->adapter->drain(deadline);
    } catch (...) {
      state->guard->fault(PluginFault::threw, "drain", "threw: " + current_exception_text());
    }
    const std::lock_guard lock(state->mutex);
    state->drained = true;
    state->ended.notify_all();
  });
  const Deadlines::Time latest =
      std::max(state->guard->with_grace(deadline),
               state->guard->with_grace(std::chrono::steady_clock::now()));
  bool drained = false;
  {
    std::unique_lock lock(state->mutex);
    drained = state->ended.wait_until(lock, latest, [&] { return state->drained; });
  }
  if (drained) {
    thread.join();  // so that it is not the one to hold the last reference
  } else {
    thread.detach();
    state->guard->fault(PluginFault::never_answered, "drain", "did not return in time");
  }
  Deadlines::expire_all(state->guard->core(), state->guard.get());
}

GuardedProvider::GuardedProvider(std::unique_ptr<sdk::Provider> provider, std::string plugin,
                                 const GuardContext& context)
    : provider_(std::move(provider)), plugin_(std::move(plugin)), context_(context) {}

Result<std::shared_ptr<GuardedAdapter>> GuardedProvider::open(const sdk::ProviderAccount& account) {
  using Opened = Result<std::shared_ptr<GuardedAdapter>>;
  return barrier(
      [&]() -> Opened {
        auto adapter = provider_->open(account);
        if (!adapter) return failed(ErrorKind::invalid, std::move(adapter.error()));
        if (!*adapter) {
          return failed(ErrorKind::internal,
                        "plugin " + plugin_ + " opened account " + account.id + " as nothing");
        }
        return std::make_shared<GuardedAdapter>(*std::move(adapter), shared_from_this(), plugin_,
                                                context_);
      },
      [&](const std::string& what) -> Opened {
        context_.metrics.plugin(plugin_).count(PluginFault::threw);
        return threw(plugin_, "open of account " + account.id, what);
      });
}

Result<std::shared_ptr<GuardedProvider>> make_provider(const LoadedPlugin& plugin,
                                                       sdk::HostServices& services,
                                                       const GuardContext& context) {
  using Made = Result<std::shared_ptr<GuardedProvider>>;
  return barrier(
      [&]() -> Made {
        auto provider = plugin.info->make_provider(services);
        if (!provider) return failed(ErrorKind::invalid, std::move(provider.error()));
        if (!*provider) {
          return failed(ErrorKind::internal,
                        "plugin " + plugin.name + " made nothing in make_provider");
        }
        return std::make_shared<GuardedProvider>(*std::move(provider), plugin.name, context);
      },
      [&](const std::string& what) -> Made {
        context.metrics.plugin(plugin.name).count(PluginFault::threw);
        return threw(plugin.name, "make_provider", what);
      });
}

namespace {

class GuardedRateLimit final : public sdk::RateLimitStore {
 public:
  GuardedRateLimit(std::unique_ptr<sdk::RateLimitStore> store, std::string plugin,
                   const GuardContext& context)
      : guard_(std::make_shared<Guard>(std::move(plugin), context)), store_(std::move(store)) {}
  ~GuardedRateLimit() override {
    // The store first: its end is what stops its threads.
    store_.reset();
    guard_->close();
  }

  void take(std::vector<sdk::BucketRequest> requests, sdk::Deadline deadline,
            std::function<void(std::vector<sdk::BucketAnswer>)> done) override {
    const auto call =
        std::make_shared<TakeCall>(guard_, "take", TakePolicy{requests.size()}, std::move(done));
    call->run(deadline, [&](std::function<void(std::vector<sdk::BucketAnswer>)> callback) {
      store_->take(std::move(requests), deadline, std::move(callback));
    });
  }

 private:
  std::shared_ptr<Guard> guard_;
  std::unique_ptr<sdk::RateLimitStore> store_;
};

}  // namespace

Result<std::unique_ptr<sdk::RateLimitStore>> open_rate_limit(const LoadedPlugin& plugin,
                                                             const sdk::Settings& settings,
                                                             sdk::HostServices& services,
                                                             const GuardContext& context) {
  using Opened = Result<std::unique_ptr<sdk::RateLimitStore>>;
  return barrier(
      [&]() -> Opened {
        auto store = plugin.info->open_rate_limit(settings, services);
        if (!store) return failed(ErrorKind::invalid, std::move(store.error()));
        if (!*store) {
          return failed(ErrorKind::internal,
                        "plugin " + plugin.name + " made nothing in open_rate_limit");
        }
        return std::unique_ptr<sdk::RateLimitStore>(
            std::make_unique<GuardedRateLimit>(*std::move(store), plugin.name, context));
      },
      [&](const std::string& what) -> Opened {
        context.metrics.plugin(plugin.name).count(PluginFault::threw);
        return threw(plugin.name, "open_rate_limit", what);
      });
}

}  // namespace postern::plugin_host
