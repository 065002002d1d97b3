// dispatch/circuit_breaker.h: stops calling an account that fails at every call, and tries it again
// with one call at a time. Not thread-safe: the dispatcher's thread owns it.
#pragma once

#include <chrono>
#include <cstdint>

namespace postern::dispatch {

class CircuitBreaker {
 public:
  using Time = std::chrono::steady_clock::time_point;
  enum class State : std::uint8_t { closed, open, half_open };

  struct Options {
    std::uint32_t failures = 5;                  // in a row, to open
    std::chrono::milliseconds first{5'000};      // open for so long, doubling with every failed probe
    std::chrono::milliseconds most{300'000};
  };

  CircuitBreaker() = default;
  explicit CircuitBreaker(Options options) : options_(options) {}

  // open becomes half_open when its time is over.
  State state(Time now);
  [[nodiscard]] Time open_until() const { return open_until_; }

  void succeeded();         // the account answered as it should
  void failed(Time now);    // unreachable or refused

 private:
  Options options_;
  State state_ = State::closed;
  std::uint32_t failures_ = 0;
  std::uint32_t openings_ = 0;
  Time open_until_{};
};

}  // namespace postern::dispatch
