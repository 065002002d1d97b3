// One send() on its way. Lives on the I/O thread, but for its construction.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "postern/sdk/provider.h"

namespace postern::smtp {

struct Job {
  using CancelCallback = std::stop_callback<std::function<void()>>;

  std::shared_ptr<const sdk::OutboundMessage> message;
  sdk::Completion done;
  std::vector<sdk::Outcome> outcomes;     // one a recipient
  std::vector<std::uint32_t> unanswered;  // indices of recipients without an outcome
  sdk::Deadline deadline;                 // some time before the attempt's
  bool retried = false;                   // a pooled connection was found dead once already
  bool finished = false;
  std::optional<std::string> transparent;  // the content, when it can't go out as it is
  bool checked = false;                    // `transparent` says the truth
  std::stop_token stop;
  std::unique_ptr<CancelCallback> cancel;

  // Answers the recipient at place `at` of `unanswered`, and all of them.
  void answer_all(const sdk::Outcome& outcome) {
    for (const std::uint32_t index : unanswered) outcomes[index] = outcome;
    unanswered.clear();
  }
  [[nodiscard]] std::string_view content() {
    return transparent ? std::string_view{*transparent} : std::string_view{*message->mime};
  }
};
using JobPtr = std::shared_ptr<Job>;

}  // namespace postern::smtp
