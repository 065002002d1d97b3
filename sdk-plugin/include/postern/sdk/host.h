// postern/sdk/host.h: what the gateway offers to a plugin. All of it is thread-safe and outlives
// every object that the plugin made.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::sdk {

using UnixMillis = std::int64_t;  // milliseconds since 1970-01-01T00:00:00Z
using Deadline = std::chrono::steady_clock::time_point;

enum class LogLevel : std::uint8_t { debug, info, warning, error };

class Logger {
 public:
  virtual ~Logger() = default;
  // Fields are name and value. Never pass a secret or the body of a mail.
  virtual void log(LogLevel level, std::string_view message,
                   const std::vector<std::pair<std::string_view, std::string>>& fields) = 0;
};

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual UnixMillis now() const = 0;                                // wall clock
  [[nodiscard]] virtual std::chrono::steady_clock::time_point monotonic() const = 0;
};

struct HttpRequest {
  std::string method = "POST";
  std::string url;  // http or https
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::string proxy;                                 // empty: none
  std::chrono::milliseconds connect_timeout{10'000};
  Deadline deadline;                                 // for the whole exchange
  std::size_t max_response_bytes = 1 << 20;
  bool verify_peer = true;
  std::string pool;                                  // requests of one pool share max_per_pool
  std::uint32_t max_per_pool = 0;                    // connections at once; 0: no limit
};

enum class HttpFailure : std::uint8_t {
  none,
  not_sent,    // no connection, no TLS, no name: nothing of the request left
  unanswered,  // some or all of it left, and no whole answer came
  canceled,    // by the stop token; `sent` says whether bytes had left
};

struct HttpResponse {
  HttpFailure failure = HttpFailure::none;
  bool sent = false;   // bytes of the request body or head have left
  int status = 0;      // 100..599 when failure is none
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::string error;   // what failed, for the log
};

// One client for all providers; never blocks the caller. Redirects are not followed.
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  // Calls `done` exactly once, from the client's own thread, by request.deadline.
  virtual void start(HttpRequest request, std::stop_token cancel,
                     std::function<void(HttpResponse)> done) = 0;
};

// The services by name; the references stay valid until the process ends.
struct HostServices {
  Logger& logger;
  Clock& clock;
  HttpClient& http;
  std::string hostname;  // of this gateway, for EHLO and Message-ID; a valid domain
};

}  // namespace postern::sdk
