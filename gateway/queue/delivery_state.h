// queue/delivery_state.h: what a delivery remembers between attempts, kept in its work item's
// payload. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace postern::queue {

// The due time of a held delivery: it waits for an event or the operator, not for time.
inline constexpr std::int64_t kHeldDue = 253'402'300'799'000;  // 9999-12-31T23:59:59Z

struct DeliveryState {
  std::uint64_t body_bytes = 0;       // of the stored body, to bound memory before it is read
  bool ambiguous = false;             // an attempt's outcome is not known: same account only
  bool held = false;                  // waits for the provider's event or the operator
  std::vector<std::string> tried;     // accounts that refused or could not be reached, this round
};

std::string encode(const DeliveryState& state);
// The error is internal and shows what can't be read.
Result<DeliveryState> decode_delivery_state(std::string_view payload);

}  // namespace postern::queue
