#include "queue/committer.h"

#include <iterator>
#include <unordered_set>
#include <utility>

#include "base/thread_name.h"
#include "queue/crash_point.h"

namespace postern::queue {
namespace {

template <typename... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

Error unavailable(std::string message) {
  return {ErrorKind::unavailable, std::move(message), {}, std::chrono::seconds{5}};
}

std::string work_key(sdk::Queue queue, const std::string& id) {
  return "w" + std::to_string(static_cast<int>(queue)) + "/" + id;
}

}  // namespace

std::vector<std::string> precondition_keys(const sdk::Unit& unit) {
  std::vector<std::string> keys;
  for (const sdk::Op& op : unit.ops) {
    std::visit(
        Overloaded{
            [&](const sdk::PutDocument& put) {
              keys.push_back("d" + put.document.kind + "/" + put.document.id);
              if (!put.document.unique_key.empty()) {
                keys.push_back("u" + put.document.kind + "/" + put.document.unique_key);
              }
            },
            [&](const sdk::DeleteDocument& remove) {
              keys.push_back("d" + remove.kind + "/" + remove.id);
            },
            [&](const sdk::ClaimIdempotency& claim) {
              keys.push_back("i" + claim.scope + "/" + claim.key);
            },
            [&](const sdk::AppendEvent& append) {
              if (!append.event.deduplication_key.empty()) {
                keys.push_back("e" + append.event.organization + "/" +
                               append.event.deduplication_key);
              }
            },
            [&](const sdk::FinishWork& finish) { keys.push_back(work_key(finish.queue, finish.id)); },
            [&](const sdk::RescheduleWork& again) { keys.push_back(work_key(again.queue, again.id)); },
            [&](const sdk::RenewLease& renew) { keys.push_back(work_key(renew.queue, renew.id)); },
            [](const sdk::EnqueueMessage&) {}, [](const sdk::PutWork&) {},
            [](const sdk::UpdateMessage&) {}, [](const sdk::AddMetrics&) {},
        },
        op);
  }
  return keys;
}

Committer::Committer(sdk::Storage& storage, sdk::Logger& logger, telemetry::Metrics& metrics,
                     CommitterOptions options)
    : storage_(storage), logger_(logger), metrics_(metrics), options_(options), thread_([this] {
        name_thread("committer");
        run();
      }) {}

Committer::~Committer() { stop(); }

bool Committer::try_submit(sdk::Unit unit, std::uint64_t bytes, OnStored done) {
  bool notify = false;
  {
    const std::lock_guard lock{mutex_};
    if (stopping_ || pending_.size() >= options_.pending_units ||
        (pending_bytes_ != 0 && pending_bytes_ + bytes > options_.pending_bytes)) {
      return false;
    }
    pending_bytes_ += bytes;
    pending_.push_back({std::move(unit), bytes, std::move(done)});
    notify = std::exchange(waiting_, false);
  }
  if (notify) changed_.notify_one();
  return true;
}

void Committer::submit(sdk::Unit unit, OnStored done) {
  bool notify = false;
  {
    std::unique_lock lock{mutex_};
    if (stopping_) {
      lock.unlock();
      return done(unavailable("The gateway is stopping"));
    }
    pending_.push_back({std::move(unit), 0, std::move(done)});
    notify = std::exchange(waiting_, false);
  }
  if (notify) changed_.notify_one();
}

void Committer::run_as_writer(std::function<void(sdk::Storage&)> job) {
  bool notify = false;
  {
    const std::lock_guard lock{mutex_};
    if (stopping_) return;
    jobs_.push_back(std::move(job));
    notify = std::exchange(waiting_, false);
  }
  if (notify) changed_.notify_one();
}

void Committer::stop() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    waiting_ = false;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Committer::run() {
  for (;;) {
    std::function<void(sdk::Storage&)> job;
    std::vector<Pending> group;
    {
      std::unique_lock lock{mutex_};
      while (pending_.empty() && jobs_.empty()) {
        if (stopping_) return;
        waiting_ = true;
        changed_.wait(lock, [this] { return !waiting_; });
      }
      if (!jobs_.empty()) {
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      group = take_group();
    }
    if (!group.empty()) commit_group(std::move(group));
    if (job) job(storage_);
  }
}

// Called with the lock held. Units whose preconditions meet wait for the next commit, and so does
// everything behind them that shares a key, so that order is kept per key.
std::vector<Committer::Pending> Committer::take_group() {
  std::vector<Pending> group;
  std::deque<Pending> left;
  std::unordered_set<std::string> keys;
  std::uint64_t bytes = 0;
  while (!pending_.empty() && group.size() < options_.group_units) {
    Pending& next = pending_.front();
    if (!group.empty() && bytes + next.bytes > options_.group_bytes) break;
    auto own = precondition_keys(next.unit);
    bool meets = false;
    for (const auto& key : own) meets = meets || keys.contains(key);
    keys.insert(std::make_move_iterator(own.begin()), std::make_move_iterator(own.end()));
    if (meets) {
      left.push_back(std::move(next));
    } else {
      bytes += next.bytes;
      pending_bytes_ -= next.bytes;
      group.push_back(std::move(next));
    }
    pending_.pop_front();
  }
  while (!left.empty()) {
    pending_.push_front(std::move(left.back()));
    left.pop_back();
  }
  return group;
}

void Committer::commit_group(std::vector<Pending> group) {
  while (!group.empty()) {
    std::vector<sdk::Unit> units;
    units.reserve(group.size());
    for (Pending& each : group) units.push_back(std::move(each.unit));
    crash_point(CrashPoint::before_commit);
    const auto began = std::chrono::steady_clock::now();
    auto stored = storage_.commit(units);
    metrics_.commit_seconds.observe(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    crash_point(CrashPoint::after_commit);

    if (stored && stored->size() == group.size()) {
      failing_ = false;
      metrics_.commits_stored.add();
      metrics_.commit_group_size.observe(static_cast<double>(group.size()));
      for (std::size_t i = 0; i < group.size(); ++i) group[i].done(std::move((*stored)[i]));
      return;
    }
    metrics_.commits_failed.add();
    if (!stored && stored.error().kind == sdk::StorageError::Kind::invalid &&
        stored.error().unit < group.size()) {
      // One unit's impossible value fails that unit alone; the others are tried again without it.
      const std::size_t bad = stored.error().unit;
      logger_.log(sdk::LogLevel::error, "storage refuses a value; only its own request fails",
                  {{"error", stored.error().message}, {"op", std::to_string(stored.error().op)}});
      for (std::size_t i = 0; i < group.size(); ++i) group[i].unit = std::move(units[i]);
      Pending refused = std::move(group[bad]);
      group.erase(group.begin() + static_cast<std::ptrdiff_t>(bad));
      refused.done(Error{ErrorKind::internal, "A value of the request can't be stored", {}, {}});
      continue;
    }
    failing_ = true;
    const bool unknown = !stored && stored.error().kind == sdk::StorageError::Kind::unknown;
    const std::string detail =
        stored ? "storage answered " + std::to_string(stored->size()) + " results to " +
                     std::to_string(group.size()) + " units"
               : stored.error().message;
    logger_.log(sdk::LogLevel::error, "commit failed; nobody was answered success",
                {{"error", detail},
                 {"units", std::to_string(group.size())},
                 {"stored", unknown || stored ? "unknown" : "no"}});
    for (Pending& each : group) {
      each.done(unavailable(unknown || stored
                                ? "Storage failed while committing; whether it was stored is not known"
                                : "Storage can't store now; nothing was stored"));
    }
    return;
  }
}

}  // namespace postern::queue
