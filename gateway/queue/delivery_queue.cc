#include "queue/delivery_queue.h"

#include <algorithm>
#include <utility>

#include "base/ids.h"
#include "base/thread_name.h"
#include "queue/crash_point.h"

namespace postern::queue {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kDepthEvery{5'000};
constexpr milliseconds kStoreRetry{500};
constexpr milliseconds kNoRoomRetry{100};
constexpr std::uint32_t kLeaseBatch = 500;

// The fence that a finishing unit was made without is set just before it is submitted.
void set_fence(sdk::Unit& unit, std::uint64_t fence) {
  for (sdk::Op& op : unit.ops) {
    if (auto* finish = std::get_if<sdk::FinishWork>(&op)) finish->fence = fence;
    if (auto* again = std::get_if<sdk::RescheduleWork>(&op)) again->fence = fence;
  }
}

// That an earlier holder may have sent it must not be forgotten when it goes back: the next lease is
// no take-over any more.
std::optional<std::string> with_ambiguity(const std::string& payload) {
  auto state = decode_delivery_state(payload);
  if (!state) return std::nullopt;
  state->ambiguous = true;
  return encode(*state);
}

// Takes the provider's words out of an outcome: where storage refuses them, what happened must be
// recorded all the same. True when there was anything to take out.
bool drop_texts(sdk::Unit& unit) {
  bool dropped = false;
  const auto clear = [&](std::string& text) { dropped = !std::exchange(text, {}).empty() || dropped; };
  for (sdk::Op& op : unit.ops) {
    if (auto* update = std::get_if<sdk::UpdateMessage>(&op)) {
      for (auto& recipient : update->recipients) {
        clear(recipient.enhanced_status);
        clear(recipient.detail);
        clear(recipient.provider_message_id);
      }
    }
    if (auto* append = std::get_if<sdk::AppendEvent>(&op)) clear(append->event.detail_json);
  }
  return dropped;
}

}  // namespace

DeliveryQueue::DeliveryQueue(Committer& committer, sdk::Storage& storage, ThreadPool& readers,
                             const Clock& clock, sdk::Logger& logger, DeliveryQueueOptions options)
    : committer_(committer),
      storage_(storage),
      readers_(readers),
      clock_(clock),
      logger_(logger),
      options_(std::move(options)),
      incarnation_(uuid_v7(clock)),
      owner_(options_.node + "/" + incarnation_) {}

DeliveryQueue::~DeliveryQueue() { stop(); }

Result<Done> DeliveryQueue::start(std::function<void()> on_ready) {
  on_ready_ = std::move(on_ready);
  const auto recovered = storage_.recover(options_.node, incarnation_, clock_.now());
  if (!recovered) {
    return Error{ErrorKind::unavailable,
                 "the queue can't be recovered: " + recovered.error().message, {}, {}};
  }
  if (*recovered != 0) {
    logger_.log(sdk::LogLevel::info, "took back deliveries that an earlier run left",
                {{"deliveries", std::to_string(*recovered)}});
  }
  count_depth();
  thread_ = std::thread{[this] {
    name_thread("queue");
    run();
  }};
  return Done{};
}

void DeliveryQueue::stop() {
  {
    const std::lock_guard lock{mutex_};
    if (stopping_) return;
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();

  // What storage could not take is offered once more: it may be back.
  std::vector<Retry> retries;
  std::vector<std::unique_ptr<Delivery>> waiting;
  {
    const std::lock_guard lock{mutex_};
    retries = std::exchange(unstored_, {});
    for (auto& [name, lane] : lanes_) {
      for (auto& ready : lane.ready) {
        std::move(ready.begin(), ready.end(), std::back_inserter(waiting));
        ready.clear();
      }
    }
  }
  for (Retry& each : retries) {
    submit_until_stored(std::move(each.unit), std::move(each.hold), std::move(each.done));
  }
  for (auto& delivery : waiting) {
    const UnixMillis due = delivery->item.due;
    give_back(std::move(delivery), due);
  }
}

// ---- accepting ----

// A lane may fill the memory but for a quarter, so that there is always room for another's.
std::uint32_t DeliveryQueue::lane_limit() const {
  return std::max<std::uint32_t>(1, options_.ready_messages / 4 * 3);
}
std::uint32_t DeliveryQueue::limit_of(const Lane& lane) const {
  return lane.limit == 0 ? lane_limit() : std::min(lane.limit, lane_limit());
}

std::optional<DeliveryQueue::Place> DeliveryQueue::reserve(const std::string& lane_name,
                                                           std::uint64_t bytes) {
  const std::lock_guard lock{mutex_};
  if (stopping_ || held_ >= options_.ready_messages) return std::nullopt;
  if (held_bytes_ != 0 && held_bytes_ + bytes > options_.ready_bytes) return std::nullopt;
  Lane& lane = lanes_[lane_name];
  if (lane.held >= limit_of(lane) || lane.blocked_until > now()) return std::nullopt;
  ++lane.held;
  ++held_;
  held_bytes_ += bytes;
  return Place{this, lane_name, bytes};
}

void DeliveryQueue::release_place(const std::string& lane, std::uint64_t bytes) {
  const std::lock_guard lock{mutex_};
  const bool had_room = has_room();
  Lane& own = lanes_[lane];
  --own.held;
  --held_;
  held_bytes_ -= bytes;
  bool news = !had_room && has_room();  // a thread that went to sleep without room waits for it
  if (own.more && !nearly_full(own)) {
    own.more = false;
    storage_may_have_more_ = true;
    news = true;
  }
  if (news && !leasing_) changed_.notify_one();
}

// Leasing is worth a transaction only for a batch, in all and of a lane.
bool DeliveryQueue::nearly_full(const Lane& lane) const {
  const std::uint32_t limit = limit_of(lane);
  return lane.held + limit / 4 >= limit && lane.held != 0;
}
bool DeliveryQueue::has_room() const {
  return held_ + options_.ready_messages / 8 <= options_.ready_messages &&
         held_bytes_ < options_.ready_bytes;
}

void DeliveryQueue::push(Place place, Delivery delivery, std::uint64_t fence,
                         steady_clock::time_point asked) {
  place.queue_ = nullptr;  // the delivery carries it from here
  auto owned = std::make_unique<Delivery>(std::move(delivery));
  owned->bytes = place.bytes_;
  owned->hold = std::make_shared<Hold>(owned->item.id, fence, asked + options_.lease);
  ++queued_since_;
  make_ready(std::move(owned));
}

void DeliveryQueue::make_ready(std::unique_ptr<Delivery> delivery) {
  bool was_empty = false;
  {
    const std::lock_guard lock{mutex_};
    holds_[delivery->item.id] = delivery->hold;
    Lane& lane = lanes_[delivery->item.lane];
    const std::size_t ready = lane.ready[0].size() + lane.ready[1].size();
    if (!stopping_ && lane.blocked_until <= now() && ready < limit_of(lane)) {
      was_empty = lane.ready[0].empty() && lane.ready[1].empty();
      lane.ready[delivery->item.priority == 0 ? 0 : 1].push_back(std::move(delivery));
    }
  }
  if (delivery) {
    // The lane was blocked or limited, or leasing ended, while this one was on its way.
    const UnixMillis due = delivery->item.due;
    return give_back(std::move(delivery), due);
  }
  if (was_empty) on_ready_();
}

void DeliveryQueue::expect(const std::string& lane_name, UnixMillis due) {
  ++queued_since_;
  const std::lock_guard lock{mutex_};
  bool news = false;
  const auto lane = lanes_.find(lane_name);
  if (due <= clock_.now() && lane != lanes_.end() && nearly_full(lane->second)) {
    lane->second.more = true;
  } else if (due <= clock_.now()) {
    news = !std::exchange(storage_may_have_more_, true);
  } else if (next_due_ == 0 || due < next_due_) {
    next_due_ = due;
    news = true;
  }
  // Called for every message that is stored unleased: the thread is woken only to do something.
  if (news && !leasing_ && has_room()) changed_.notify_one();
}

bool DeliveryQueue::full() const {
  if (options_.max_messages == 0) return false;
  const Depth now_deep = depth();
  return now_deep.queued >= options_.max_messages;
}

// ---- dispatching ----

std::vector<DeliveryQueue::ReadyLane> DeliveryQueue::ready_lanes() const {
  const std::lock_guard lock{mutex_};
  std::vector<ReadyLane> out;
  for (const auto& [name, lane] : lanes_) {
    const auto& ready = lane.ready[0].empty() ? lane.ready[1] : lane.ready[0];
    if (!ready.empty()) out.push_back({name, ready.front()->item.organization});
  }
  return out;
}

std::unique_ptr<Delivery> DeliveryQueue::take(const std::string& lane_name) {
  const std::lock_guard lock{mutex_};
  const auto found = lanes_.find(lane_name);
  if (found == lanes_.end()) return nullptr;
  for (auto& ready : found->second.ready) {
    if (ready.empty()) continue;
    auto delivery = std::move(ready.front());
    ready.pop_front();
    return delivery;
  }
  return nullptr;
}

std::unique_ptr<Delivery> DeliveryQueue::take_older(const std::string& lane_name,
                                                    UnixMillis created_before) {
  const std::lock_guard lock{mutex_};
  const auto lane = lanes_.find(lane_name);
  if (lane == lanes_.end()) return nullptr;
  for (auto& ready : lane->second.ready) {
    const auto found = std::find_if(ready.begin(), ready.end(), [&](const auto& delivery) {
      return delivery->message.created_at < created_before;
    });
    if (found == ready.end()) continue;
    auto delivery = std::move(*found);
    ready.erase(found);
    return delivery;
  }
  return nullptr;
}

void DeliveryQueue::block(const std::string& lane_name, steady_clock::time_point until) {
  std::vector<std::unique_ptr<Delivery>> waiting;
  {
    const std::lock_guard lock{mutex_};
    Lane& lane = lanes_[lane_name];
    lane.blocked_until = until;
    for (auto& ready : lane.ready) {
      std::move(ready.begin(), ready.end(), std::back_inserter(waiting));
      ready.clear();
    }
  }
  for (auto& delivery : waiting) {
    const UnixMillis due = delivery->item.due;
    give_back(std::move(delivery), due);
  }
}

void DeliveryQueue::unblock(const std::string& lane_name, std::uint32_t limit) {
  const std::lock_guard lock{mutex_};
  Lane& lane = lanes_[lane_name];
  lane.blocked_until = {};
  lane.limit = limit;
  storage_may_have_more_ = true;
  changed_.notify_one();
}

void DeliveryQueue::finish(std::unique_ptr<Delivery> delivery, sdk::Unit unit,
                           std::optional<UnixMillis> due, std::function<void(bool)> done) {
  const std::string lane = delivery->item.lane;
  const std::uint64_t bytes = delivery->bytes;
  auto hold = delivery->hold;
  delivery.reset();  // the body's memory is free before the commit, not after it
  submit_until_stored(
      std::move(unit), std::move(hold),
      [this, lane, bytes, due, done = std::move(done)](bool stored) {
        if (due) expect(lane, *due);
        --queued_since_;
        release_place(lane, bytes);
        done(stored);
      });
}

void DeliveryQueue::give_back(std::unique_ptr<Delivery> delivery, UnixMillis due) {
  sdk::RescheduleWork again;
  again.queue = sdk::Queue::deliveries;
  again.id = delivery->item.id;
  again.due = due;
  if (delivery->taken_over) again.payload = with_ambiguity(delivery->item.payload);
  sdk::Unit unit{{std::move(again)}};
  finish(std::move(delivery), std::move(unit), due, [](bool) {});
}

void DeliveryQueue::submit_until_stored(sdk::Unit unit, std::shared_ptr<Hold> hold,
                                        std::function<void(bool)> done) {
  const std::uint64_t fence = hold->fence();
  set_fence(unit, fence);
  sdk::Unit sent = unit;
  committer_.submit(
      std::move(sent), [this, unit = std::move(unit), hold = std::move(hold), fence,
                        done = std::move(done)](Result<sdk::UnitResult> result) mutable {
        if (result && result->status == sdk::UnitResult::Status::stored) {
          forget(hold->work_id());
          return done(true);
        }
        if (result) {
          // Leased again by ourselves meanwhile (the clock was set, or a renewal was late): the
          // outcome is still the truth, under the new fence.
          if (result->status == sdk::UnitResult::Status::stale_lease && hold->fence() != fence) {
            return submit_until_stored(std::move(unit), std::move(hold), std::move(done));
          }
          logger_.log(sdk::LogLevel::warning, "a delivery's outcome came too late: its lease was lost",
                      {{"work_id", hold->work_id()}});
          forget(hold->work_id());
          return done(false);
        }
        if (result.error().kind != ErrorKind::unavailable) {
          if (drop_texts(unit)) {
            return submit_until_stored(std::move(unit), std::move(hold), std::move(done));
          }
          logger_.log(sdk::LogLevel::error, "a delivery's outcome can't be stored; it will be tried again",
                      {{"work_id", hold->work_id()}, {"error", result.error().message}});
          forget(hold->work_id());
          return done(false);
        }
        const std::lock_guard lock{mutex_};
        if (stopping_) {
          // Nothing can be recorded any more: the lease runs out, and the next start takes over.
          return;
        }
        unstored_.push_back({std::move(unit), std::move(hold), std::move(done)});
        changed_.notify_one();
      });
}

void DeliveryQueue::forget(const std::string& work_id) {
  const std::lock_guard lock{mutex_};
  holds_.erase(work_id);
}

DeliveryQueue::Depth DeliveryQueue::depth() const {
  const std::lock_guard lock{mutex_};
  const std::int64_t about = static_cast<std::int64_t>(queued_) + queued_since_.load();
  return {static_cast<std::uint64_t>(std::max<std::int64_t>(0, about)), held_, oldest_due_};
}

// ---- leasing ----

void DeliveryQueue::run() {
  auto next_renewal = now() + options_.lease / 4;
  auto next_count = now() + kDepthEvery;
  auto next_poll = now();
  auto next_store = now();
  std::unique_lock lock{mutex_};
  while (!stopping_) {
    const auto at = now();
    if (at >= next_renewal) {
      next_renewal = at + options_.lease / 4;
      lock.unlock();
      renew_leases();
      lock.lock();
      continue;
    }
    if (at >= next_count) {
      next_count = at + kDepthEvery;
      lock.unlock();
      const bool queued = readers_.run([this] { count_depth(); });
      if (!queued) next_count = at + milliseconds{500};
      lock.lock();
      continue;
    }
    if (!unstored_.empty() && at >= next_store) {
      next_store = at + kStoreRetry;
      std::vector<Retry> retries = std::exchange(unstored_, {});
      lock.unlock();
      for (Retry& each : retries) {
        submit_until_stored(std::move(each.unit), std::move(each.hold), std::move(each.done));
      }
      lock.lock();
      continue;
    }
    const bool room = has_room();
    const bool due = next_due_ != 0 && next_due_ <= clock_.now();
    if (!leasing_ && room && (storage_may_have_more_ || due || at >= next_poll)) {
      next_poll = at + options_.poll;
      storage_may_have_more_ = false;
      if (due) next_due_ = 0;
      leasing_ = true;
      lock.unlock();
      lease_once();
      lock.lock();
      continue;
    }
    auto until = std::min(next_renewal, next_count);
    if (!unstored_.empty()) until = std::min(until, next_store);
    if (!leasing_ && room) until = std::min(until, next_poll);
    if (!leasing_ && room && next_due_ != 0) {
      until = std::min(until, at + milliseconds{std::max<std::int64_t>(1, next_due_ - clock_.now())});
    }
    changed_.wait_for(lock, until - at);
  }
}

void DeliveryQueue::lease_once() {
  sdk::LeaseRequest request;
  request.queue = sdk::Queue::deliveries;
  request.owner = owner_;
  request.lease_for = options_.lease;
  {
    const std::lock_guard lock{mutex_};
    const auto at = now();
    request.limit = std::min(kLeaseBatch, options_.ready_messages - held_);
    request.lane_quota = std::min(request.limit, lane_limit());
    for (auto it = lanes_.begin(); it != lanes_.end();) {
      const Lane& lane = it->second;
      const bool blocked = lane.blocked_until > at;
      if (!blocked && lane.limit == 0 && lane.held == 0 && lane.ready[0].empty() &&
          lane.ready[1].empty()) {
        it = lanes_.erase(it);  // nothing to remember of it
        continue;
      }
      const std::uint32_t limit = limit_of(lane);
      const bool full = nearly_full(lane);
      const std::uint32_t quota = blocked || full || lane.held >= limit ? 0 : limit - lane.held;
      it->second.more = full;
      request.lane_quotas.emplace_back(it->first, quota);
      ++it;
    }
  }
  committer_.run_as_writer([this, request = std::move(request)](sdk::Storage& storage) mutable {
    {
      const std::lock_guard lock{mutex_};
      if (stopping_) return;  // what is leased now would only have to go back
    }
    const auto asked = now();
    request.now = clock_.now();
    auto leased = storage.lease(request);
    if (!leased) {
      logger_.log(sdk::LogLevel::error, "due deliveries can't be leased",
                  {{"error", leased.error().message}});
      const std::lock_guard lock{mutex_};
      leasing_ = false;
      changed_.notify_one();
      return;
    }
    {
      const std::lock_guard lock{mutex_};
      if (leased->size() >= request.limit) storage_may_have_more_ = true;
      if (leased->empty()) {
        leasing_ = false;
        changed_.notify_one();
        return;
      }
    }
    adopt(*std::move(leased), asked, request);
  });
}

// Counts what was leased against the bounds and has it read; what does not fit goes back at once.
void DeliveryQueue::adopt(std::vector<sdk::LeasedWork> leased, steady_clock::time_point asked,
                          const sdk::LeaseRequest& request) {
  std::vector<sdk::LeasedWork> wanted;
  std::vector<sdk::LeasedWork> excess;
  {
    const std::lock_guard lock{mutex_};
    // A lane that gave all that was asked of it has more.
    std::unordered_map<std::string_view, std::uint32_t> given;
    for (const auto& work : leased) ++given[work.item.lane];
    for (const auto& [lane, count] : given) {
      std::uint32_t quota = request.lane_quota;
      for (const auto& [name, own] : request.lane_quotas) {
        if (name == lane) quota = own;
      }
      if (count >= quota) lanes_[std::string{lane}].more = true;
    }
    for (auto& work : leased) {
      if (const auto held = holds_.find(work.item.id); held != holds_.end()) {
        // Our own: its lease ran out on storage's clock. It is still being handled here.
        held->second->fence_ = work.lease.fence;
        held->second->until_ = (asked + options_.lease).time_since_epoch().count();
        continue;
      }
      const auto state = decode_delivery_state(work.item.payload);
      const std::uint64_t bytes = state ? state->body_bytes : 0;
      if (stopping_ || held_ >= options_.ready_messages ||
          (held_bytes_ != 0 && held_bytes_ + bytes > options_.ready_bytes)) {
        excess.push_back(std::move(work));
        continue;
      }
      ++lanes_[work.item.lane].held;
      ++held_;
      held_bytes_ += bytes;
      holds_[work.item.id] =
          std::make_shared<Hold>(work.item.id, work.lease.fence, asked + options_.lease);
      wanted.push_back(std::move(work));
    }
    // What did not fit is looked at again soon, not at once: asking storage in a loop would only
    // move leases to and fro.
    if (!excess.empty()) next_due_ = clock_.now() + kNoRoomRetry.count();
  }
  for (auto& work : excess) {
    sdk::RescheduleWork again;
    again.queue = work.item.queue;
    again.id = work.item.id;
    again.fence = work.lease.fence;
    again.due = work.item.due;
    if (work.taken_over) again.payload = with_ambiguity(work.item.payload);
    committer_.submit({{std::move(again)}}, [](const Result<sdk::UnitResult>&) {});
  }
  auto job = [this, wanted = std::move(wanted)]() mutable { load(std::move(wanted)); };
  // The pool takes it unless it is overloaded; then the committer's thread reads it itself: leased
  // work must not be dropped.
  auto shared = std::make_shared<decltype(job)>(std::move(job));
  if (!readers_.run([shared] { (*shared)(); })) (*shared)();
}

void DeliveryQueue::load(std::vector<sdk::LeasedWork> leased) {
  std::vector<std::string> ids;
  ids.reserve(leased.size());
  for (const auto& work : leased) ids.push_back(work.item.message_id);
  auto messages = storage_.messages_for_delivery(ids);
  std::unordered_map<std::string, sdk::StoredMessage*> by_id;
  if (messages) {
    for (auto& message : *messages) by_id[message.message.id] = &message;
  } else {
    logger_.log(sdk::LogLevel::error, "leased messages can't be read; they are given back",
                {{"error", messages.error().message}});
  }
  for (auto& work : leased) {
    auto delivery = std::make_unique<Delivery>();
    const auto state = decode_delivery_state(work.item.payload);
    if (state) delivery->state = *state;
    delivery->bytes = delivery->state.body_bytes;
    delivery->taken_over = work.taken_over;
    {
      const std::lock_guard lock{mutex_};
      delivery->hold = holds_[work.item.id];
    }
    delivery->item = std::move(work.item);
    const auto found = by_id.find(delivery->item.message_id);
    const bool whole = found != by_id.end() && found->second->body && state;
    if (!whole) {
      const UnixMillis due = clock_.now() + (messages ? 60'000 : 1'000);
      if (messages) {
        logger_.log(sdk::LogLevel::error, "a queued message is incomplete in storage; run a check",
                    {{"message_id", delivery->item.message_id}});
      }
      give_back(std::move(delivery), due);
      continue;
    }
    delivery->message = std::move(found->second->message);
    delivery->recipients = std::move(found->second->recipients);
    delivery->body = std::move(found->second->body);
    make_ready(std::move(delivery));
  }
  const std::lock_guard lock{mutex_};
  leasing_ = false;
  changed_.notify_one();
}

void DeliveryQueue::renew_leases() {
  std::vector<std::shared_ptr<Hold>> soon;
  {
    const std::lock_guard lock{mutex_};
    const auto at = now();
    for (const auto& [id, hold] : holds_) {
      if (hold->until() - at > options_.lease / 2) continue;
      if (hold->until() <= at) {
        hold->lost_.request_stop();
      }
      if (!hold->renewing_.exchange(true)) soon.push_back(hold);
    }
  }
  for (auto& hold : soon) {
    sdk::RenewLease renew;
    renew.queue = sdk::Queue::deliveries;
    renew.id = hold->work_id();
    renew.fence = hold->fence();
    renew.lease_for = options_.lease;
    const auto asked = now();
    const std::uint64_t fence = renew.fence;
    committer_.submit({{std::move(renew)}}, [this, hold, asked, fence](Result<sdk::UnitResult> result) {
      hold->renewing_ = false;
      if (!result) return;  // storage is down: the next round tries again
      if (result->status == sdk::UnitResult::Status::stored) {
        hold->until_ = (asked + options_.lease).time_since_epoch().count();
      } else if (hold->fence() == fence) {
        hold->lost_.request_stop();
      }
    });
  }
}

void DeliveryQueue::count_depth() {
  const std::int64_t before = queued_since_.load();
  const auto lanes = storage_.depth(sdk::Queue::deliveries, clock_.now());
  if (!lanes) return;
  std::uint64_t total = 0;
  UnixMillis oldest = 0;
  for (const auto& lane : *lanes) {
    total += lane.waiting + lane.leased;
    if (lane.oldest_due != 0 && (oldest == 0 || lane.oldest_due < oldest)) oldest = lane.oldest_due;
  }
  const std::lock_guard lock{mutex_};
  queued_ = total;
  queued_since_ -= before;
  oldest_due_ = oldest;
}

}  // namespace postern::queue
