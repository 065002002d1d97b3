#include "http/census.h"

namespace postern::http {
namespace {

// So many more than the limit may hold a connection for the moment it takes to say 503.
constexpr std::uint32_t kRoomToRefuse = 64;

}  // namespace

Census::Verdict Census::enter(const std::string& address) {
  const std::lock_guard lock(mutex_);
  const std::uint32_t total = ++total_;
  const std::uint32_t here = ++by_address_[address];
  if (total > limit_ + kRoomToRefuse || here > limit_per_address_ + kRoomToRefuse) {
    return Verdict::flood;
  }
  if (total > limit_) return Verdict::too_many;
  return here > limit_per_address_ ? Verdict::too_many_from_address : Verdict::welcome;
}

void Census::leave(const std::string& address) {
  const std::lock_guard lock(mutex_);
  if (const auto found = by_address_.find(address); found != by_address_.end()) {
    if (--found->second == 0) by_address_.erase(found);
  }
  if (--total_ == 0) empty_.notify_all();
}

bool Census::wait_until_empty(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return empty_.wait_until(lock, deadline, [&] { return total_.load() == 0; });
}

}  // namespace postern::http
