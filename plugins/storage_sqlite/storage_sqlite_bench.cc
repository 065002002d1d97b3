// What a message costs the storage: CPU microseconds for accepting one and for finishing one, in
// groups as the gateway's committer makes them. Usage: storage_sqlite_bench [messages] [group].
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "conformance/storage_harness.h"

namespace {

using namespace postern;
using conformance::MessageParts;

struct Cpu {
  double user = 0;
  double system = 0;
};
Cpu cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return {seconds(usage.ru_utime), seconds(usage.ru_stime)};
}

class Meter {
 public:
  void report(const char* what, std::size_t units) const {
    const double wall =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
    const Cpu cpu = cpu_seconds();
    const auto n = static_cast<double>(units);
    std::printf("%-8s %6.1f us of CPU a unit (%.1f user, %.1f system), %8.0f units/s\n", what,
                (cpu.user - cpu_.user + cpu.system - cpu_.system) / n * 1e6,
                (cpu.user - cpu_.user) / n * 1e6, (cpu.system - cpu_.system) / n * 1e6, n / wall);
  }

 private:
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  Cpu cpu_ = cpu_seconds();
};

bool all_stored(const sdk::Stored<std::vector<sdk::UnitResult>>& results) {
  if (!results) {
    std::fprintf(stderr, "%s\n", results.error().message.c_str());
    return false;
  }
  for (const auto& result : *results) {
    if (result.status != sdk::UnitResult::Status::stored) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t total = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 40'000;
  const std::size_t group = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 64;
  const auto& plugin = conformance::load_storage_plugin(POSTERN_TEST_PLUGIN);
  conformance::TemporaryDirectory directory;
  conformance::StorageHost host;
  sdk::StorageOptions options;
  options.settings.set("path", directory.path() + "/bench.db");
  options.settings.set("busy_timeout", std::int64_t{5000});
  options.settings.set("readers", std::int64_t{2});
  options.settings.set("cache_kib", std::int64_t{4096});
  auto opened = plugin.open_storage(options, host.services());
  if (!opened) {
    std::fprintf(stderr, "%s\n", opened.error().message.c_str());
    return 1;
  }
  auto& storage = **opened;

  std::vector<MessageParts> messages(total);
  std::vector<sdk::Unit> accept(total);
  std::vector<sdk::Unit> finish(total);
  for (std::size_t i = 0; i < total; ++i) {
    auto& parts = messages[i];
    parts.addresses = {"user" + std::to_string(i * 7919 % 1'000'003) + "@example.net"};
    parts.body = std::string(2048, 'x');
    auto op = conformance::enqueue(parts);
    op.lease_owner = "gateway-1/0190a000-0000-7000-8000-0000000000cc";
    sdk::UpdateMessage update;
    update.organization = parts.organization;
    update.message_id = parts.id;
    update.status = sdk::MessageStatus::sent;
    update.recipients = op.recipients;
    update.recipients[0].status = sdk::MessageStatus::sent;
    update.recipients[0].detail = "250 2.0.0 Ok: queued as 4F8E21C0D3";
    update.recipients[0].provider_message_id = "4F8E21C0D3" + std::to_string(i);
    update.at = parts.at + 5;
    accept[i].ops = {std::move(op), conformance::event_of(parts, sdk::EventType::queued)};
    finish[i].ops = {sdk::FinishWork{sdk::Queue::deliveries, parts.id, 1}, std::move(update),
                     conformance::event_of(parts, sdk::EventType::sent)};
  }
  for (const auto& [what, units] : {std::pair{"accept", &accept}, std::pair{"finish", &finish}}) {
    const Meter meter;
    for (std::size_t i = 0; i < total; i += group) {
      const auto count = std::min(group, total - i);
      if (!all_stored(storage.commit({units->data() + i, count}))) return 1;
    }
    meter.report(what, total);
  }
  return 0;
}
