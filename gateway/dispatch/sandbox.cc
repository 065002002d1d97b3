#include "dispatch/sandbox.h"

namespace postern::dispatch {

const sdk::Capabilities& sandbox_capabilities() {
  static const sdk::Capabilities kAll = [] {
    sdk::Capabilities all;
    all.supports_smtputf8 = true;
    all.independent_envelope = true;
    all.final_delivery = true;
    return all;
  }();
  return kAll;
}

void Sandbox::send(std::shared_ptr<const sdk::OutboundMessage> message, const sdk::Attempt&,
                   sdk::Completion done) {
  std::vector<sdk::Outcome> outcomes(message->recipients.size());
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    sdk::Outcome& outcome = outcomes[i];
    if (message->recipients[i] == "bounce@sandbox.invalid") {
      outcome.verdict = sdk::Verdict::rejected;
      outcome.enhanced_status = "5.1.1";
      outcome.detail = "sandbox: no such user";
    } else if (message->recipients[i] == "defer@sandbox.invalid") {
      outcome.verdict = sdk::Verdict::deferred;
      outcome.enhanced_status = "4.2.2";
      outcome.detail = "sandbox: mailbox full";
    } else {
      outcome.verdict = sdk::Verdict::accepted;
      outcome.enhanced_status = "2.0.0";
      outcome.detail = "sandbox: accepted, not sent anywhere";
    }
  }
  done(std::move(outcomes));
}

void Sandbox::validate(sdk::Deadline, std::function<void(sdk::Validation)> done) { done({}); }

void Sandbox::verify_event(std::shared_ptr<const sdk::HookRequest>, sdk::Deadline,
                           std::function<void(sdk::HookResult)> done) {
  done({sdk::HookResult::Status::ignored, {}, "the sandbox has no events"});
}

void Sandbox::drain(sdk::Deadline) {}

}  // namespace postern::dispatch
