// What a test needs to run a provider plugin as the gateway would: the library loaded by its entry
// point, host services, settings completed by the plugin's schema, and calls that collect answers.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "postern/sdk/plugin.h"

namespace postern::conformance {

// Loads the library and calls its entry point. Throws std::runtime_error with the reason. The
// library stays loaded.
const sdk::PluginInfo& load_plugin(const std::string& path);

// A logger that keeps what it was told. Thread-safe.
class RecordingLogger : public sdk::Logger {
 public:
  void log(sdk::LogLevel level, std::string_view message,
           const std::vector<std::pair<std::string_view, std::string>>& fields) override;
  // Every line so far, with its fields.
  [[nodiscard]] std::string text() const;

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

class SystemClock : public sdk::Clock {
 public:
  [[nodiscard]] sdk::UnixMillis now() const override;
  [[nodiscard]] std::chrono::steady_clock::time_point monotonic() const override;
};

// Answers every request with `not_sent`, at once.
class NoHttp : public sdk::HttpClient {
 public:
  void start(sdk::HttpRequest request, std::stop_token cancel,
             std::function<void(sdk::HttpResponse)> done) override;
};

// Host services that live as long as the object.
struct TestHost {
  RecordingLogger logger;
  SystemClock clock;
  NoHttp http;
  sdk::HostServices services{logger, clock, http, "gateway.test"};
};

// Written settings as the gateway would hand them over: typed by the schema, defaults filled in.
// Throws std::runtime_error on an unknown name or a bad value.
using Written = std::vector<std::pair<std::string, std::string>>;
sdk::Settings complete(const sdk::Schema& schema, const Written& written);

// A small composed mail to these recipients.
std::shared_ptr<sdk::OutboundMessage> make_message(std::vector<std::string> recipients);
// The same with this body; lines end with CRLF.
std::shared_ptr<sdk::OutboundMessage> make_message(std::vector<std::string> recipients,
                                                   std::string_view body);

sdk::Attempt make_attempt(std::chrono::milliseconds until_deadline, std::stop_token cancel = {});

// Answers of one call, collected. Thread-safe; outlives the call by being shared.
class Collected {
 public:
  // A completion for send(); counts how often it ran.
  static std::pair<std::shared_ptr<Collected>, sdk::Completion> make();

  // The outcomes of the first answer, or none within `timeout`.
  std::optional<std::vector<sdk::Outcome>> wait(std::chrono::milliseconds timeout);
  [[nodiscard]] int calls() const;
  [[nodiscard]] std::chrono::steady_clock::time_point answered_at() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int calls_ = 0;
  std::vector<sdk::Outcome> outcomes_;
  std::chrono::steady_clock::time_point answered_at_;
};

// send() and wait; fails the test when there is no answer soon after the deadline.
std::vector<sdk::Outcome> send_and_wait(sdk::ProviderAdapter& adapter,
                                        std::shared_ptr<const sdk::OutboundMessage> message,
                                        std::chrono::milliseconds until_deadline);
sdk::Validation validate_and_wait(sdk::ProviderAdapter& adapter,
                                  std::chrono::milliseconds until_deadline);

}  // namespace postern::conformance
