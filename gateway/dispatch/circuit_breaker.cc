#include "dispatch/circuit_breaker.h"

#include <algorithm>

namespace postern::dispatch {

CircuitBreaker::State CircuitBreaker::state(Time now) {
  if (state_ == State::open && now >= open_until_) state_ = State::half_open;
  return state_;
}

void CircuitBreaker::succeeded() {
  state_ = State::closed;
  failures_ = 0;
  openings_ = 0;
}

void CircuitBreaker::failed(Time now) {
  // Calls that were under way when it opened tell nothing new.
  if (state_ == State::open) return;
  ++failures_;
  if (state_ == State::closed && failures_ < options_.failures) return;
  auto pause = options_.first;
  for (std::uint32_t i = 0; i < openings_ && pause < options_.most; ++i) pause *= 2;
  pause = std::min(pause, options_.most);
  ++openings_;
  state_ = State::open;
  open_until_ = now + pause;
}

}  // namespace postern::dispatch
