// queue/committer.h: one durable commit for everybody who is waiting. The only writer of storage.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "postern/sdk/host.h"
#include "postern/sdk/storage.h"
#include "telemetry/metrics.h"

namespace postern::queue {

struct CommitterOptions {
  std::uint32_t group_units = 500;            // of one commit at most
  std::uint64_t group_bytes = 64ULL << 20;    // of one commit, unless a single unit has more
  std::uint32_t pending_units = 10'000;       // waiting; above: try_submit refuses
  std::uint64_t pending_bytes = 256ULL << 20;
};

// Thread-safe. Callbacks run on the committer's thread, in the order of submission within a group,
// after the commit is durable or has failed; they must be short and must not throw.
class Committer {
 public:
  // What storage said of the unit, or why the commit failed: unavailable (nothing stored, or not
  // known: the message says which), or internal (this unit's own values can't be stored).
  using OnStored = std::function<void(Result<sdk::UnitResult>)>;

  // References outlive the committer.
  Committer(sdk::Storage& storage, sdk::Logger& logger, telemetry::Metrics& metrics,
            CommitterOptions options);
  ~Committer();
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  // `bytes` is what the unit's bodies weigh. False, and `done` is never called: too much waits
  // already, or the committer has stopped.
  [[nodiscard]] bool try_submit(sdk::Unit unit, std::uint64_t bytes, OnStored done);
  // Never refused for load: what must be recorded because it has happened (the end of an attempt).
  // After stop() it answers unavailable at once.
  void submit(sdk::Unit unit, OnStored done);

  // Runs on the committer's thread between two commits: leases, purges. Dropped after stop().
  void run_as_writer(std::function<void(sdk::Storage&)> job);

  // True while the last commit failed, until one works again. Readiness shows it.
  [[nodiscard]] bool failing() const { return failing_.load(std::memory_order_relaxed); }

  // Commits what waits, then ends the thread.
  void stop();

 private:
  struct Pending {
    sdk::Unit unit;
    std::uint64_t bytes = 0;
    OnStored done;
  };

  void run();
  std::vector<Pending> take_group();
  void commit_group(std::vector<Pending> group);

  sdk::Storage& storage_;
  sdk::Logger& logger_;
  telemetry::Metrics& metrics_;
  CommitterOptions options_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Pending> pending_;
  std::deque<std::function<void(sdk::Storage&)>> jobs_;
  std::uint64_t pending_bytes_ = 0;
  bool stopping_ = false;
  bool waiting_ = false;  // the thread sleeps: only then is a notification needed
  std::atomic<bool> failing_{false};
  std::thread thread_;
};

// The keys on which a unit's preconditions rest: two units that share one may not be in the same
// commit (sdk::Storage::commit). Ids that this gateway just made are left out: they are unique.
std::vector<std::string> precondition_keys(const sdk::Unit& unit);

}  // namespace postern::queue
