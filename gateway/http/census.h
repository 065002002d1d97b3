// http/census.h: how many connections there are, in all and by client address. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

namespace postern::http {

class Census {
 public:
  Census(std::uint32_t limit, std::uint32_t limit_per_address)
      : limit_(limit), limit_per_address_(limit_per_address) {}

  enum class Verdict : std::uint8_t {
    welcome,
    too_many,               // in all: tell the client why
    too_many_from_address,  // tell the client why
    flood,                  // far too many even to be told
  };
  // Counts the connection, whatever the verdict; leave() for each.
  Verdict enter(const std::string& address);
  void leave(const std::string& address);

  [[nodiscard]] std::uint32_t total() const { return total_.load(); }
  // Returns when nobody is left, or at the deadline: false.
  bool wait_until_empty(std::chrono::steady_clock::time_point deadline);

 private:
  const std::uint32_t limit_;
  const std::uint32_t limit_per_address_;
  std::atomic<std::uint32_t> total_{0};
  std::mutex mutex_;
  std::condition_variable empty_;
  std::unordered_map<std::string, std::uint32_t> by_address_;
};

}  // namespace postern::http
