#include "telemetry/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <mutex>
#include <utility>

namespace postern::telemetry {
namespace {

constexpr std::array<std::string_view, sdk::kVerdictCount> kVerdicts = {
    "accepted", "deferred", "rejected", "throttled", "unreachable", "refused"};
constexpr std::array<std::string_view, 3> kQueues = {"deliveries", "webhooks", "jobs"};
constexpr std::array<std::string_view, kPluginFaultCount> kFaults = {
    "threw", "answered_twice", "answered_late", "never_answered", "wrong_count"};

// From a quarter of a millisecond, the best a commit can do, to what a client stops waiting for.
const prometheus::Histogram::BucketBoundaries kSeconds = {
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
const prometheus::Histogram::BucketBoundaries kGroupSizes = {1,  2,   5,   10,  20,
                                                             50, 100, 200, 500, 1000};

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double total = 0;
  double resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

void Counter::add(double amount) const {
  if (counter_ != nullptr && amount > 0) counter_->Increment(amount);
}
void Gauge::set(double value) const {
  if (gauge_ != nullptr) gauge_->Set(value);
}
void Gauge::add(double amount) const {
  if (gauge_ != nullptr) gauge_->Increment(amount);
}
void Histogram::observe(double value) const {
  if (histogram_ != nullptr) histogram_->Observe(value);
}

std::string_view to_string(PluginFault fault) {
  return kFaults[static_cast<std::size_t>(fault)];
}

struct Metrics::Families {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests =
      prometheus::BuildCounter()
          .Name("postern_http_requests_total")
          .Help("HTTP requests by method, route and status")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& plugin_faults =
      prometheus::BuildCounter()
          .Name("postern_plugin_faults_total")
          .Help("Breaches of its contract by a plugin, which the host survived")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& outcomes =
      prometheus::BuildCounter()
          .Name("postern_outcomes_total")
          .Help("Outcomes of provider calls, one a recipient")
          .Register(registry);
  prometheus::Family<prometheus::Gauge>& queues = prometheus::BuildGauge()
                                                      .Name("postern_queue_items")
                                                      .Help("Items that wait, by queue")
                                                      .Register(registry);
  prometheus::Gauge& resident = prometheus::BuildGauge()
                                    .Name("process_resident_memory_bytes")
                                    .Help("Resident memory size in bytes")
                                    .Register(registry)
                                    .Add({});
  prometheus::Gauge& cpu = prometheus::BuildGauge()
                               .Name("process_cpu_seconds")
                               .Help("User and system CPU time spent in seconds")
                               .Register(registry)
                               .Add({});

  std::mutex mutex;  // of the maps
  std::map<std::pair<std::string, std::string>, std::unique_ptr<RouteMetrics>> routes;
  std::map<std::string, std::unique_ptr<PluginMetrics>, std::less<>> plugins;

  Histogram histogram(const char* name, const char* help,
                      const prometheus::Histogram::BucketBoundaries& buckets) {
    return Histogram{
        &prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({}, buckets)};
  }
  Counter counter(const char* name, const char* help) {
    return Counter{&prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({})};
  }
  Gauge gauge(const char* name, const char* help) {
    return Gauge{&prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({})};
  }
};

Metrics::Metrics() : families_(std::make_unique<Families>()) {
  Families& f = *families_;
  accept_seconds = f.histogram("postern_accept_seconds",
                               "Seconds from a complete send request to its answer", kSeconds);
  commit_seconds =
      f.histogram("postern_commit_seconds", "Seconds of one group's transaction", kSeconds);
  commit_group_size =
      f.histogram("postern_commit_group_size", "Units committed in one transaction", kGroupSizes);
  auto& commits = prometheus::BuildCounter()
                      .Name("postern_commits_total")
                      .Help("Transactions of the group committer by result")
                      .Register(f.registry);
  commits_stored = Counter{&commits.Add({{"result", "stored"}})};
  commits_failed = Counter{&commits.Add({{"result", "failed"}})};
  connections_open = f.gauge("postern_http_connections", "Open HTTP connections");
  connections_accepted =
      f.counter("postern_http_connections_accepted_total", "HTTP connections accepted");
  connections_refused =
      f.counter("postern_http_connections_refused_total", "HTTP connections refused by a limit");
  deliveries_in_flight =
      f.gauge("postern_deliveries_in_flight", "Provider calls that have not been answered");
  for (std::size_t i = 0; i < kVerdicts.size(); ++i) {
    for (const bool ambiguous : {false, true}) {
      outcomes_[i][ambiguous ? 1 : 0] = Counter{&f.outcomes.Add(
          {{"verdict", std::string{kVerdicts[i]}}, {"ambiguous", ambiguous ? "true" : "false"}})};
    }
  }
  for (std::size_t i = 0; i < kQueues.size(); ++i) {
    queues_[i] = Gauge{&f.queues.Add({{"queue", std::string{kQueues[i]}}})};
  }
}

Metrics::~Metrics() = default;

RouteMetrics& Metrics::route(std::string_view method, std::string_view path_template) {
  const std::lock_guard lock(families_->mutex);
  std::pair<std::string, std::string> key{method, path_template};
  if (!families_->routes.contains(key) && families_->routes.size() >= kMostRoutes) {
    key = {"other", "other"};
  }
  auto& slot = families_->routes[key];
  if (!slot) {
    slot = std::make_unique<RouteMetrics>();
    slot->owner_ = this;
    slot->method_ = key.first;
    slot->route_ = key.second;
  }
  return *slot;
}

PluginMetrics& Metrics::plugin(std::string_view name) {
  const std::lock_guard lock(families_->mutex);
  std::string key{name};
  if (!families_->plugins.contains(key) && families_->plugins.size() >= kMostPlugins) key = "other";
  auto& slot = families_->plugins[key];
  if (!slot) {
    slot = std::make_unique<PluginMetrics>();
    for (std::size_t i = 0; i < kFaults.size(); ++i) {
      slot->faults[i] = Counter{
          &families_->plugin_faults.Add({{"plugin", key}, {"fault", std::string{kFaults[i]}}})};
    }
  }
  return *slot;
}

Counter Metrics::outcome(sdk::Verdict verdict, bool ambiguous) const {
  const auto index = static_cast<std::size_t>(verdict);
  return index < outcomes_.size() ? outcomes_[index][ambiguous ? 1 : 0] : Counter{};
}

Gauge Metrics::queue_depth(sdk::Queue queue) const {
  const auto index = static_cast<std::size_t>(queue);
  return index < queues_.size() ? queues_[index] : Gauge{};
}

prometheus::Counter* Metrics::request_counter(const RouteMetrics& route, int status) {
  return &families_->requests.Add(
      {{"method", route.method_}, {"route", route.route_}, {"status", std::to_string(status)}});
}

void RouteMetrics::count(int status) {
  if (status < 100 || status > 599) status = 500;
  auto& slot = by_status_[static_cast<std::size_t>(status - 100)];
  prometheus::Counter* counter = slot.load(std::memory_order_acquire);
  if (counter == nullptr) {
    // Two threads that come here at once get the same counter from the family.
    counter = owner_->request_counter(*this, status);
    slot.store(counter, std::memory_order_release);
  }
  counter->Increment();
}

std::string Metrics::expose() {
  families_->resident.Set(resident_bytes());
  families_->cpu.Set(cpu_seconds());
  return prometheus::TextSerializer{}.Serialize(families_->registry.Collect());
}

}  // namespace postern::telemetry
