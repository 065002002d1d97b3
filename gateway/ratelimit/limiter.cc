#include "ratelimit/limiter.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

namespace postern::ratelimit {
namespace {

double seconds_between(std::chrono::steady_clock::time_point from,
                       std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

Limiter::Limiter(const Clock& clock, std::size_t max_buckets)
    : clock_(clock), max_per_shard_(std::max<std::size_t>(1, max_buckets / shards_.size())) {}

Decision Limiter::take(std::string_view key, const Limit& limit, std::uint32_t tokens,
                       bool may_overdraw) {
  return decide(key, limit, tokens, may_overdraw);
}

Decision Limiter::look(std::string_view key, const Limit& limit) {
  return decide(key, limit, 0, false);
}

Decision Limiter::decide(std::string_view key, const Limit& limit, std::uint32_t tokens,
                         bool overdraw) {
  const Time now = clock_.monotonic();
  Shard& shard = shards_[std::hash<std::string_view>{}(key) % shards_.size()];
  Decision out;
  out.limit = static_cast<std::uint64_t>(limit.burst);
  double level = limit.burst;
  {
    const std::lock_guard lock{shard.mutex};
    if (shard.buckets.size() >= shard.sweep_at) sweep(shard, now);
    const auto [found, added] = shard.buckets.try_emplace(std::string{key});
    Bucket& bucket = found->second;
    if (added) {
      bucket = {limit.burst, limit.per_second, limit.burst, now};
    } else {
      // A limit that was changed meanwhile holds from now on.
      bucket.level = std::min(limit.burst, bucket.level + seconds_between(bucket.at, now) * limit.per_second);
      bucket.per_second = limit.per_second;
      bucket.burst = limit.burst;
      bucket.at = now;
    }
    const double wanted = tokens;
    out.granted = overdraw ? bucket.level > 0 : bucket.level >= wanted;
    if (out.granted) bucket.level -= wanted;
    level = bucket.level;
    if (!out.granted) {
      const double missing = overdraw ? -level : wanted - level;
      out.retry_after = std::chrono::seconds{
          std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(missing / limit.per_second)))};
    }
  }
  out.remaining = level > 0 ? static_cast<std::uint64_t>(level) : 0;
  out.reset = static_cast<std::int64_t>(std::ceil(static_cast<double>(clock_.now()) / 1000.0 +
                                                  (limit.burst - level) / limit.per_second));
  return out;
}

void Limiter::sweep(Shard& shard, Time now) const {
  const auto level_of = [&](const Bucket& b) {
    return std::min(b.burst, b.level + seconds_between(b.at, now) * b.per_second);
  };
  std::erase_if(shard.buckets, [&](const auto& entry) {
    return level_of(entry.second) >= entry.second.burst;
  });
  if (shard.buckets.size() > max_per_shard_) {
    // Under a flood of addresses the emptiest buckets, those that hold somebody back, are kept.
    std::vector<std::pair<double, std::string>> by_level;
    by_level.reserve(shard.buckets.size());
    for (const auto& [key, bucket] : shard.buckets) {
      by_level.emplace_back(level_of(bucket) / bucket.burst, key);
    }
    const auto keep = by_level.begin() + static_cast<std::ptrdiff_t>(max_per_shard_ / 2);
    std::nth_element(by_level.begin(), keep, by_level.end());
    std::for_each(keep, by_level.end(), [&](const auto& each) { shard.buckets.erase(each.second); });
  }
  shard.sweep_at = std::max<std::size_t>(1'024, shard.buckets.size() * 2);
}

}  // namespace postern::ratelimit
