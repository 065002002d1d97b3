// queue/delivery_queue.h: the deliveries that this gateway holds. New messages come straight from
// their commit ("born leased"); the rest waits in storage and is leased as there is room, by lane,
// so that one account's backlog delays no other's. Memory is bounded by messages and bytes.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "postern/sdk/storage.h"
#include "queue/committer.h"
#include "queue/delivery_state.h"
#include "submission/submission.h"

namespace postern::queue {

// The lease of one delivery, renewed while it is held. Thread-safe.
class Hold {
 public:
  Hold(std::string work_id, std::uint64_t fence, std::chrono::steady_clock::time_point until)
      : work_id_(std::move(work_id)), fence_(fence), until_(until.time_since_epoch().count()) {}

  [[nodiscard]] const std::string& work_id() const { return work_id_; }
  [[nodiscard]] std::uint64_t fence() const { return fence_.load(); }
  // On the monotonic clock, counted from before the lease was asked for: never later than storage
  // believes.
  [[nodiscard]] std::chrono::steady_clock::time_point until() const {
    return std::chrono::steady_clock::time_point{std::chrono::steady_clock::duration{until_.load()}};
  }
  // Asks the attempt to give up when the lease is lost.
  [[nodiscard]] std::stop_token lost() const { return lost_.get_token(); }

 private:
  friend class DeliveryQueue;
  std::string work_id_;
  std::atomic<std::uint64_t> fence_;
  std::atomic<std::chrono::steady_clock::rep> until_;
  std::atomic<bool> renewing_{false};
  std::stop_source lost_;
};

// One leased delivery in memory. Owned by whoever took it from the queue.
struct Delivery {
  sdk::WorkItem item;
  DeliveryState state;
  std::shared_ptr<Hold> hold;
  bool taken_over = false;  // another holder did not finish: whether it was sent is not known
  sdk::MessageRecord message;
  std::vector<sdk::RecipientRecord> recipients;       // all of the message
  std::optional<submission::Submission> submission;   // of a new message
  std::shared_ptr<const std::string> body;            // of one that was read from storage
  std::uint64_t bytes = 0;                            // counted against the memory bound
};

struct DeliveryQueueOptions {
  std::string node;                          // names this gateway's leases
  std::uint32_t ready_messages = 2'000;      // held in memory, waiting or being sent
  std::uint64_t ready_bytes = 16ULL << 20;
  std::uint64_t max_messages = 0;            // queued in all; 0: no limit
  std::chrono::milliseconds lease{60'000};
  std::chrono::milliseconds poll{500};
};

class DeliveryQueue {
 public:
  // References outlive the queue. It ends after stop(), and after committer and readers were
  // stopped: their callbacks come here.
  DeliveryQueue(Committer& committer, sdk::Storage& storage, ThreadPool& readers,
                const Clock& clock, sdk::Logger& logger, DeliveryQueueOptions options);
  ~DeliveryQueue();
  DeliveryQueue(const DeliveryQueue&) = delete;
  DeliveryQueue& operator=(const DeliveryQueue&) = delete;

  // Takes back what earlier incarnations of this node held, then begins to lease. `on_ready` is
  // called from any thread when a lane that had nothing ready has something.
  Result<Done> start(std::function<void()> on_ready);
  // Stops leasing and gives back what waits in memory. Deliveries that were taken stay their
  // holder's; give_back and finish still work until the committer stops.
  void stop();

  // ---- accepting ----

  // A place in memory for a new message of this lane; nullopt when there is none, or the lane is
  // blocked: the message is then stored unleased and leased later. Thread-safe, cheap.
  class Place;
  std::optional<Place> reserve(const std::string& lane, std::uint64_t bytes);
  [[nodiscard]] const std::string& owner() const { return owner_; }
  [[nodiscard]] std::chrono::milliseconds lease_for() const { return options_.lease; }
  // Makes a stored, born-leased message ready. `asked` is the monotonic time before the commit.
  void push(Place place, Delivery delivery, std::uint64_t fence,
            std::chrono::steady_clock::time_point asked);
  // A message of the lane was stored unleased and is due at `due`: leasing need not wait for the
  // poll.
  void expect(const std::string& lane, UnixMillis due);
  // Whether queue.max_messages is reached. Thread-safe, cheap.
  [[nodiscard]] bool full() const;

  // ---- dispatching (thread-safe) ----

  struct ReadyLane {
    std::string lane;
    std::string organization;
  };
  // Lanes that have something ready.
  [[nodiscard]] std::vector<ReadyLane> ready_lanes() const;
  // The next delivery of the lane: transactional before bulk, then oldest first. Null: nothing.
  std::unique_ptr<Delivery> take(const std::string& lane);
  // The next ready one whose message was accepted before `created_before`. Null: none.
  std::unique_ptr<Delivery> take_older(const std::string& lane, UnixMillis created_before);
  // Nothing of this lane is leased or born ready before `until`; what is ready goes back to storage.
  void block(const std::string& lane, std::chrono::steady_clock::time_point until);
  // `limit` above 0: from now on at most so many are held at once (an account that is probed).
  void unblock(const std::string& lane, std::uint32_t limit = 0);

  // Ends the hold after its attempt: `unit` begins with the FinishWork or RescheduleWork of this
  // work item, whose fence is filled in here. Kept and tried again while storage is unavailable;
  // `done` gets true when it is durable, false when the lease was lost to another.
  void finish(std::unique_ptr<Delivery> delivery, sdk::Unit unit, std::optional<UnixMillis> due,
              std::function<void(bool)> done);
  // Gives the lease back untouched.
  void give_back(std::unique_ptr<Delivery> delivery, UnixMillis due);

  struct Depth {
    std::uint64_t queued = 0;         // in storage, about (counted every few seconds)
    std::uint32_t held = 0;           // in memory
    UnixMillis oldest_due = 0;        // 0: none
  };
  [[nodiscard]] Depth depth() const;

 private:
  struct Lane {
    std::deque<std::unique_ptr<Delivery>> ready[2];  // by priority
    std::uint32_t held = 0;  // places: ready, being committed, or being sent
    std::uint32_t limit = 0;  // 0: lane_limit()
    bool more = false;        // storage has more of it than fits: leased when there is room again
    std::chrono::steady_clock::time_point blocked_until{};
  };

  void run();
  void lease_once();
  void adopt(std::vector<sdk::LeasedWork> leased, std::chrono::steady_clock::time_point asked,
             const sdk::LeaseRequest& request);
  void load(std::vector<sdk::LeasedWork> leased);
  void renew_leases();
  void count_depth();
  void release_place(const std::string& lane, std::uint64_t bytes);
  void make_ready(std::unique_ptr<Delivery> delivery);
  void submit_until_stored(sdk::Unit unit, std::shared_ptr<Hold> hold,
                           std::function<void(bool)> done);
  void forget(const std::string& work_id);
  [[nodiscard]] std::uint32_t lane_limit() const;
  [[nodiscard]] std::uint32_t limit_of(const Lane& lane) const;
  [[nodiscard]] bool has_room() const;
  [[nodiscard]] bool nearly_full(const Lane& lane) const;
  [[nodiscard]] std::chrono::steady_clock::time_point now() const { return clock_.monotonic(); }

  Committer& committer_;
  sdk::Storage& storage_;
  ThreadPool& readers_;
  const Clock& clock_;
  sdk::Logger& logger_;
  DeliveryQueueOptions options_;
  std::string incarnation_;
  std::string owner_;
  std::function<void()> on_ready_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  bool leasing_ = false;            // a lease is under way
  bool storage_may_have_more_ = true;
  UnixMillis next_due_ = 0;         // of what is known to wait in storage; 0: unknown
  std::unordered_map<std::string, Lane> lanes_;
  std::unordered_map<std::string, std::shared_ptr<Hold>> holds_;  // by work id
  std::uint32_t held_ = 0;
  std::uint64_t held_bytes_ = 0;
  struct Retry {
    sdk::Unit unit;
    std::shared_ptr<Hold> hold;
    std::function<void(bool)> done;
  };
  std::vector<Retry> unstored_;     // finishes that storage could not take yet
  std::uint64_t queued_ = 0;        // as counted last
  std::atomic<std::int64_t> queued_since_{0};  // accepted minus finished since then
  UnixMillis oldest_due_ = 0;
  std::thread thread_;
};

// A reserved place; gives itself back unless it is pushed.
class DeliveryQueue::Place {
 public:
  Place(DeliveryQueue* queue, std::string lane, std::uint64_t bytes)
      : queue_(queue), lane_(std::move(lane)), bytes_(bytes) {}
  ~Place() {
    if (queue_ != nullptr) queue_->release_place(lane_, bytes_);
  }
  Place(Place&& other) noexcept
      : queue_(std::exchange(other.queue_, nullptr)),
        lane_(std::move(other.lane_)),
        bytes_(other.bytes_) {}
  Place& operator=(Place&&) = delete;
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

 private:
  friend class DeliveryQueue;
  DeliveryQueue* queue_;
  std::string lane_;
  std::uint64_t bytes_;
};

}  // namespace postern::queue
