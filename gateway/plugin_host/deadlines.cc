#include "plugin_host/deadlines.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <vector>

namespace postern::plugin_host {

class Deadlines::Core {
 public:
  struct Entry {
    std::weak_ptr<Call> call;
    const void* owner = nullptr;
  };

  void run() {
    std::unique_lock lock(mutex);
    timer = std::this_thread::get_id();
    while (!stopping) {
      if (entries.empty()) {
        changed.wait(lock);
        continue;
      }
      const auto first = entries.begin();
      if (const Time at = first->first.at; at > std::chrono::steady_clock::now()) {
        changed.wait_until(lock, at);
        continue;
      }
      std::shared_ptr<Call> call = first->second.call.lock();
      expiring = first->second.owner;
      entries.erase(first);
      lock.unlock();
      if (call) call->expire();
      call.reset();  // its end may cancel, which takes the lock
      lock.lock();
      expiring = nullptr;
      idle.notify_all();
    }
  }

  std::mutex mutex;
  std::condition_variable changed;  // a new earliest deadline, or the end
  std::condition_variable idle;     // `expiring` is null again
  std::map<Ticket, Entry> entries;
  std::uint64_t last_number = 0;
  const void* expiring = nullptr;  // the owner whose call the timer thread expires now
  std::thread::id timer;
  bool stopping = false;
};

Deadlines::Deadlines()
    : core_(std::make_shared<Core>()), thread_([core = core_] { core->run(); }) {}

Deadlines::~Deadlines() {
  {
    const std::lock_guard lock(core_->mutex);
    core_->stopping = true;
  }
  core_->changed.notify_all();
  thread_.join();
  std::map<Ticket, Core::Entry> left;
  {
    const std::lock_guard lock(core_->mutex);
    left.swap(core_->entries);
  }
  for (const auto& [ticket, entry] : left) {
    if (const auto call = entry.call.lock()) call->expire();
  }
}

std::size_t Deadlines::pending() const {
  const std::lock_guard lock(core_->mutex);
  return core_->entries.size();
}

Deadlines::Ticket Deadlines::add(Core& core, Time at, std::weak_ptr<Call> call, const void* owner) {
  bool earliest = false;
  Ticket ticket{at, 0};
  {
    const std::lock_guard lock(core.mutex);
    ticket.number = ++core.last_number;
    if (core.stopping) return ticket;
    const auto added = core.entries.emplace(ticket, Core::Entry{std::move(call), owner}).first;
    earliest = added == core.entries.begin();
  }
  if (earliest) core.changed.notify_one();
  return ticket;
}

void Deadlines::cancel(Core& core, const Ticket& ticket) {
  decltype(core.entries)::node_type gone;  // freed after the lock
  const std::lock_guard lock(core.mutex);
  gone = core.entries.extract(ticket);
}

void Deadlines::expire_all(Core& core, const void* owner) {
  std::vector<std::weak_ptr<Call>> calls;
  {
    std::unique_lock lock(core.mutex);
    for (auto entry = core.entries.begin(); entry != core.entries.end();) {
      if (entry->second.owner == owner) {
        calls.push_back(std::move(entry->second.call));
        entry = core.entries.erase(entry);
      } else {
        ++entry;
      }
    }
    if (std::this_thread::get_id() != core.timer) {
      core.idle.wait(lock, [&] { return core.expiring != owner; });
    }
  }
  for (const auto& weak : calls) {
    if (const auto call = weak.lock()) call->expire();
  }
}

}  // namespace postern::plugin_host
