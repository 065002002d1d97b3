// postern/sdk/rate_limit.h: the contract of a store of token buckets that several gateways share.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "postern/sdk/host.h"

namespace postern::sdk {

// A bucket that refills at `rate` per second up to `burst`. All gateways name the same numbers.
struct BucketRequest {
  std::string key;
  double rate = 0;          // tokens a second, above 0
  double burst = 0;         // at least 1
  std::uint32_t tokens = 1; // wanted
  bool may_overdraw = false;  // grant while the level is positive, and let it go negative
};

struct BucketAnswer {
  bool granted = false;
  double level = 0;                          // left after this request
  std::chrono::milliseconds retry_after{0};  // when not granted
};

// Thread-safe.
class RateLimitStore {
 public:
  virtual ~RateLimitStore() = default;
  // Calls `done` exactly once by `deadline`, from any thread; an empty vector says that the store
  // can't be asked now, else answers[i] is that of requests[i].
  virtual void take(std::vector<BucketRequest> requests, Deadline deadline,
                    std::function<void(std::vector<BucketAnswer>)> done) = 0;
};

}  // namespace postern::sdk
