// queue/crash_point.h: places where a test can make the process die as if by kill -9. A crash test
// names one in the environment (POSTERN_CRASH_POINT=after_send:3: at the third passage); without
// it a passage costs one load.
#pragma once

#include <atomic>
#include <cstdint>

namespace postern::queue {

enum class CrashPoint : std::uint8_t {
  none,
  accept,         // a send was validated, nothing is stored
  before_commit,
  after_commit,   // durable, nobody was answered
  before_send,    // claimed, the provider was not called
  after_send,     // the provider answered
  before_finish,  // the outcome is known and not yet submitted
  after_finish,   // the outcome is durable
};

namespace detail {
extern std::atomic<CrashPoint> armed;
void pass(CrashPoint point);
}  // namespace detail

// Reads the environment; called once, before threads start. An unknown name ends the process with
// a message: a crash test that tests nothing must not pass.
void arm_crash_point();

inline void crash_point(CrashPoint point) {
  if (detail::armed.load(std::memory_order_relaxed) == point) detail::pass(point);
}

}  // namespace postern::queue
