// base/clock.h: time as a dependency, so that tests own it.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "postern/sdk/host.h"

namespace postern {

using sdk::Clock;
using sdk::UnixMillis;

class SystemClock final : public Clock {
 public:
  [[nodiscard]] UnixMillis now() const override;
  [[nodiscard]] std::chrono::steady_clock::time_point monotonic() const override;
};

// For tests: stands still until told. Thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(UnixMillis start = 1'750'000'000'000) : millis_(start), start_(start) {}
  [[nodiscard]] UnixMillis now() const override { return millis_.load(); }
  [[nodiscard]] std::chrono::steady_clock::time_point monotonic() const override {
    return std::chrono::steady_clock::time_point{std::chrono::milliseconds{millis_.load() - start_}};
  }
  void advance(std::chrono::milliseconds by) { millis_ += by.count(); }

 private:
  std::atomic<UnixMillis> millis_;
  UnixMillis start_;
};

// ISO 8601 in UTC with milliseconds: "2026-01-31T09:30:00.000Z".
std::string format_time(UnixMillis time);
// RFC 3339 date-time with any offset; nullopt when it is none.
std::optional<UnixMillis> parse_time(std::string_view text);
// RFC 5322 3.3 in UTC: "Sat, 31 Jan 2026 09:30:00 +0000".
std::string format_mail_date(UnixMillis time);

// "500ms", "30s", "5m", "24h", "7d"; nullopt when it is none, negative, or above 10 years.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
std::string format_duration(std::chrono::milliseconds duration);

}  // namespace postern
