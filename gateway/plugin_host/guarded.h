// plugin_host/guarded.h: the barrier around everything that a plugin's code does. What is behind it
// may throw, answer twice, late, never, or from any thread: the gateway sees none of that.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "plugin_host/deadlines.h"
#include "plugin_host/host.h"
#include "postern/sdk/plugin.h"
#include "telemetry/metrics.h"

namespace postern::plugin_host {

// What guards need. All of it outlives them.
struct GuardContext {
  Deadlines& deadlines;
  sdk::Logger& logger;
  telemetry::Metrics& metrics;
  // How long after its deadline a call is still the plugin's to answer.
  std::chrono::milliseconds grace{300};
};

// One account at one provider, guarded. Thread-safe, but for its end.
//
// Every callback runs exactly once: with the plugin's answer, or with the host's own
// (deadline + grace, an exception, an answer that breaks the contract, a callback that the plugin
// dropped, the end of the guard). Later answers are counted, logged and ignored. A callback runs on
// a thread of the plugin, on the timer thread or on the caller's own, before the call returns; it
// must not block and must not throw.
//
// The end of a guard drains the plugin's adapter if drain() was not called, answers what is open,
// and waits for callbacks that are running. When it comes from inside a callback, it answers what
// is open, and the rest happens on a thread of its own once the callback has returned.
class GuardedAdapter final : public sdk::ProviderAdapter {
 public:
  // `owner` is kept alive until the adapter is gone; it may be null.
  GuardedAdapter(std::unique_ptr<sdk::ProviderAdapter> adapter, std::shared_ptr<void> owner,
                 std::string plugin, const GuardContext& context);
  ~GuardedAdapter() override;

  // `done` gets message->recipients.size() outcomes, in order, of known verdicts, their texts valid
  // UTF-8 without control characters. In the plugin's place the host answers deferred and
  // ambiguous.
  void send(std::shared_ptr<const sdk::OutboundMessage> message, const sdk::Attempt& attempt,
            sdk::Completion done) override;
  // In the plugin's place: unreachable.
  void validate(sdk::Deadline deadline, std::function<void(sdk::Validation)> done) override;
  // In the plugin's place: malformed.
  void verify_event(std::shared_ptr<const sdk::HookRequest> request, sdk::Deadline deadline,
                    std::function<void(sdk::HookResult)> done) override;
  // Returns by deadline + grace, whatever the plugin does; then every callback has run. New sends
  // are answered deferred. An adapter whose drain hangs is left to itself and never destroyed.
  void drain(sdk::Deadline deadline) override;

  class State;

 private:
  std::shared_ptr<State> state_;
};

// What one provider plugin shares among its accounts, guarded. Lives as long as any of its
// adapters. Thread-safe.
class GuardedProvider : public std::enable_shared_from_this<GuardedProvider> {
 public:
  GuardedProvider(std::unique_ptr<sdk::Provider> provider, std::string plugin,
                  const GuardContext& context);

  // Errors: invalid, in the plugin's words for the operator; internal when it threw or gave
  // nothing.
  [[nodiscard]] Result<std::shared_ptr<GuardedAdapter>> open(const sdk::ProviderAccount& account);

  [[nodiscard]] const std::string& plugin() const { return plugin_; }

 private:
  std::unique_ptr<sdk::Provider> provider_;
  std::string plugin_;
  GuardContext context_;
};

// Precondition: plugin.kind is provider. Errors as of open().
Result<std::shared_ptr<GuardedProvider>> make_provider(const LoadedPlugin& plugin,
                                                       sdk::HostServices& services,
                                                       const GuardContext& context);

// Precondition: plugin.kind is storage. What is thrown becomes `unusable`; the storage that is
// answered is guarded by guard_storage().
sdk::Stored<std::unique_ptr<sdk::Storage>> open_storage(const LoadedPlugin& plugin,
                                                        const sdk::StorageOptions& options,
                                                        sdk::HostServices& services,
                                                        const GuardContext& context);

// Turns what a storage throws into StorageError::unavailable, and from commit() into unknown; as
// well an answer of commit() that has not one result a unit. Threads as of sdk::Storage.
std::unique_ptr<sdk::Storage> guard_storage(std::unique_ptr<sdk::Storage> storage,
                                            std::string plugin, const GuardContext& context);

// Precondition: plugin.kind is rate_limit. The store that is answered calls `done` exactly once,
// with one answer a request or none at all. Errors as of GuardedProvider::open().
Result<std::unique_ptr<sdk::RateLimitStore>> open_rate_limit(const LoadedPlugin& plugin,
                                                             const sdk::Settings& settings,
                                                             sdk::HostServices& services,
                                                             const GuardContext& context);

}  // namespace postern::plugin_host
