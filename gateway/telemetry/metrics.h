// telemetry/metrics.h: what the process counts, for Prometheus. prometheus-cpp is behind this
// header alone.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "postern/sdk/provider.h"
#include "postern/sdk/storage.h"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace postern::telemetry {

// Handles are as small as a pointer, copied freely, thread-safe, and valid as long as the Metrics
// that gave them. A default-made one counts nothing.
class Counter {
 public:
  Counter() = default;
  explicit Counter(prometheus::Counter* counter) : counter_(counter) {}
  void add(double amount = 1) const;  // amount >= 0

 private:
  prometheus::Counter* counter_ = nullptr;
};

class Gauge {
 public:
  Gauge() = default;
  explicit Gauge(prometheus::Gauge* gauge) : gauge_(gauge) {}
  void set(double value) const;
  void add(double amount) const;  // may be negative

 private:
  prometheus::Gauge* gauge_ = nullptr;
};

class Histogram {
 public:
  Histogram() = default;
  explicit Histogram(prometheus::Histogram* histogram) : histogram_(histogram) {}
  void observe(double value) const;

 private:
  prometheus::Histogram* histogram_ = nullptr;
};

class Metrics;

// Requests of one route by status. Thread-safe.
class RouteMetrics {
 public:
  void count(int status);  // outside 100..599 counts as 500

 private:
  friend class Metrics;
  static constexpr int kStatuses = 500;  // 100..599
  Metrics* owner_ = nullptr;
  std::string method_;
  std::string route_;
  std::array<std::atomic<prometheus::Counter*>, kStatuses> by_status_{};
};

// What a plugin did that its contract forbids.
enum class PluginFault : std::uint8_t {
  threw,  // an exception left a call
  answered_twice,
  answered_late,   // after the host had answered in its place
  never_answered,  // the host answered in its place
  wrong_count,     // not one outcome a recipient
};
inline constexpr std::size_t kPluginFaultCount = 5;
std::string_view to_string(PluginFault fault);

// The faults of one plugin. Thread-safe.
struct PluginMetrics {
  std::array<Counter, kPluginFaultCount> faults;
  void count(PluginFault fault) const { faults[static_cast<std::size_t>(fault)].add(); }
};

// One a process. No label is taken from a request: routes are templates of the router, plugins are
// those that are loaded, and each has a ceiling, beyond which it counts as "other". Thread-safe.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Made once per route and kept by the caller; the same names give the same object.
  RouteMetrics& route(std::string_view method, std::string_view path_template);
  PluginMetrics& plugin(std::string_view name);

  Counter outcome(sdk::Verdict verdict, bool ambiguous) const;  // recipients' outcomes of attempts
  Gauge queue_depth(sdk::Queue queue) const;                    // items waiting

  Histogram accept_seconds;     // request complete to answer, of the send routes
  Histogram commit_seconds;     // one group's transaction
  Histogram commit_group_size;  // units in a group
  Counter commits_stored;
  Counter commits_failed;
  Gauge connections_open;  // HTTP
  Counter connections_accepted;
  Counter connections_refused;  // by a limit
  Gauge deliveries_in_flight;   // provider calls

  // The text format of Prometheus (version 0.0.4).
  [[nodiscard]] std::string expose();

  static constexpr std::size_t kMostRoutes = 256;
  static constexpr std::size_t kMostPlugins = 64;

 private:
  friend class RouteMetrics;
  prometheus::Counter* request_counter(const RouteMetrics& route, int status);

  struct Families;
  std::unique_ptr<Families> families_;
  std::array<std::array<Counter, 2>, sdk::kVerdictCount> outcomes_;
  std::array<Gauge, 3> queues_;
};

}  // namespace postern::telemetry
