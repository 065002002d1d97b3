// plugin_host/deadlines.h: one timer thread for all calls that a plugin may never answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>

namespace postern::plugin_host {

// Thread-safe. add() and cancel() take a mutex for the time of one look-up in an ordered map, and
// wake the timer thread only when a new deadline is the earliest. Outlives every guard; calls may
// outlive it.
class Deadlines {
 public:
  using Time = std::chrono::steady_clock::time_point;

  class Call {
   public:
    virtual ~Call() = default;
    virtual void expire() = 0;  // must not block: everybody's deadlines wait for it
  };
  struct Ticket {
    Time at;
    std::uint64_t number = 0;
    auto operator<=>(const Ticket&) const = default;
  };

  // What calls share, so that a late one finds something to cancel with.
  class Core;

  Deadlines();
  // Expires everything that is left.
  ~Deadlines();
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;

  [[nodiscard]] const std::shared_ptr<Core>& core() const { return core_; }
  [[nodiscard]] std::size_t pending() const;

  // Calls expire() from the timer thread at `at` unless canceled or gone by then. `owner` is a name
  // for expire_all() and is never dereferenced. After the end of the Deadlines nothing expires.
  static Ticket add(Core& core, Time at, std::weak_ptr<Call> call, const void* owner);
  // Does nothing when it has expired.
  static void cancel(Core& core, const Ticket& ticket);
  // Expires all calls of an owner at once, from this thread; when it returns, none of them is
  // being expired by the timer thread either.
  static void expire_all(Core& core, const void* owner);

 private:
  std::shared_ptr<Core> core_;
  std::thread thread_;
};

}  // namespace postern::plugin_host
