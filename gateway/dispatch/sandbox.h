// dispatch/sandbox.h: the built-in account of test keys. Accepts like a provider would; nothing
// leaves the machine.
#pragma once

#include "postern/sdk/provider.h"

namespace postern::dispatch {

// What a test message may use: everything.
const sdk::Capabilities& sandbox_capabilities();

// Addresses at the reserved domain `sandbox.invalid` choose their outcome by local part: "bounce@"
// is rejected, "defer@" deferred; all others are accepted. Thread-safe, answers at once.
class Sandbox final : public sdk::ProviderAdapter {
 public:
  void send(std::shared_ptr<const sdk::OutboundMessage> message, const sdk::Attempt& attempt,
            sdk::Completion done) override;
  void validate(sdk::Deadline deadline, std::function<void(sdk::Validation)> done) override;
  void verify_event(std::shared_ptr<const sdk::HookRequest> request, sdk::Deadline deadline,
                    std::function<void(sdk::HookResult)> done) override;
  void drain(sdk::Deadline deadline) override;
};

}  // namespace postern::dispatch
