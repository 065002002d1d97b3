// ratelimit/limiter.h: token buckets by key, in the memory of this gateway.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"

namespace postern::ratelimit {

struct Limit {
  double per_second = 0;  // above 0
  double burst = 0;       // at least 1
};

// What the X-RateLimit-* headers say.
struct Decision {
  bool granted = false;
  std::uint64_t limit = 0;               // X-RateLimit-Limit: the burst
  std::uint64_t remaining = 0;           // whole tokens left
  std::int64_t reset = 0;                // Unix seconds at which the bucket is full again
  std::chrono::seconds retry_after{0};   // when not granted; at least 1
};

// Thread-safe: buckets are spread over shards. Full buckets are forgotten, so memory is bounded by
// the keys that were used within the time that a bucket takes to fill; above max_buckets of a
// shard, the fullest are forgotten too.
class Limiter {
 public:
  explicit Limiter(const Clock& clock, std::size_t max_buckets = 100'000);

  // Takes `tokens` when the bucket has them. `may_overdraw`: takes them while the level is above
  // zero, and lets it go negative (a batch).
  Decision take(std::string_view key, const Limit& limit, std::uint32_t tokens = 1,
                bool may_overdraw = false);
  // The same headers without taking.
  Decision look(std::string_view key, const Limit& limit);

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Bucket {
    double level = 0;
    double per_second = 0;
    double burst = 0;
    Time at{};
  };
  struct Shard {
    std::mutex mutex;
    std::unordered_map<std::string, Bucket> buckets;
    std::size_t sweep_at = 1'024;
  };
  Decision decide(std::string_view key, const Limit& limit, std::uint32_t tokens, bool overdraw);
  void sweep(Shard& shard, Time now) const;

  const Clock& clock_;
  std::size_t max_per_shard_;
  std::array<Shard, 16> shards_;
};

}  // namespace postern::ratelimit
