// conformance/storage_harness.h: a storage plugin as the gateway would load it, with a host whose
// clock the test moves.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "postern/sdk/plugin.h"

namespace postern::conformance {

// Stands still until told. Thread-safe.
class ManualClock final : public sdk::Clock {
 public:
  [[nodiscard]] sdk::UnixMillis now() const override { return millis_.load(); }
  [[nodiscard]] std::chrono::steady_clock::time_point monotonic() const override {
    return std::chrono::steady_clock::time_point{std::chrono::milliseconds{millis_.load()}};
  }
  void advance(std::chrono::milliseconds by) { millis_ += by.count(); }

 private:
  std::atomic<sdk::UnixMillis> millis_{1'750'000'000'000};
};

// Services for a storage plugin: a clock, a logger that drops what it gets, no network.
class StorageHost {
 public:
  StorageHost();
  ~StorageHost();
  StorageHost(const StorageHost&) = delete;
  StorageHost& operator=(const StorageHost&) = delete;
  sdk::HostServices& services() { return *services_; }
  ManualClock& clock() { return clock_; }

 private:
  ManualClock clock_;
  std::unique_ptr<sdk::Logger> logger_;
  std::unique_ptr<sdk::HttpClient> http_;
  std::unique_ptr<sdk::HostServices> services_;
};

// Loads the library, once a process, and never unloads it. Ends the process with a message when it
// is no storage plugin of this ABI: nothing could be tested.
const sdk::PluginInfo& load_storage_plugin(const std::string& file);

// Removed with all that is in it when destroyed.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A UUIDv7 (RFC 9562 5.7) that sorts behind all that this process made before.
std::string next_uuid();

// A message to `addresses` with body, work that is due at once, and one lane.
struct MessageParts {
  std::string id = next_uuid();
  std::string organization = "0190a000-0000-7000-8000-000000000001";
  std::string account = "0190a000-0000-7000-8000-0000000000aa";
  std::vector<std::string> addresses = {"someone@example.net"};
  std::string body = "Subject: hello\r\n\r\nHello.\r\n";
  sdk::UnixMillis at = 1'750'000'000'000;
};
sdk::EnqueueMessage enqueue(const MessageParts& parts);
sdk::AppendEvent event_of(const MessageParts& parts, sdk::EventType type);

}  // namespace postern::conformance
