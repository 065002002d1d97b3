// http/server.h: one HTTP/1.1 listener. Pistache and Boost.Beast are behind this header alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "http/application.h"
#include "postern/sdk/host.h"

namespace postern::http {

struct Limits {
  std::uint32_t header_bytes = 16 * 1024;  // request line and headers
  std::uint32_t header_count = 100;
  std::uint64_t drain_bytes = 64 * 1024;  // of a refused body that is read to keep the connection
  std::chrono::milliseconds first_byte{10'000};  // of the first request, from the accept
  std::chrono::milliseconds head{10'000};        // from the first byte to the whole head
  std::chrono::milliseconds body{60'000};        // from the head to the whole body
  std::chrono::milliseconds idle{75'000};        // between requests
  std::chrono::milliseconds write{30'000};       // for a client to take an answer
  std::uint64_t body_memory = 256ULL << 20;  // bytes of bodies being read, in all; above: 503
  std::uint32_t connections = 10'000;
  std::uint32_t connections_per_address = 1'000;
};

struct ServerOptions {
  std::string address = "127.0.0.1";  // IPv4, or IPv6 without brackets
  std::uint16_t port = 0;             // 0: a free one
  std::uint32_t workers = 0;          // 0: one a core
  Limits limits{};
};

// start, stop and the destructor are called by one thread.
class Server {
 public:
  // `application`, `clock` and `logger` outlive the server.
  Server(ServerOptions options, Application& application, const Clock& clock, sdk::Logger& logger);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds and accepts; the error names the address and why it can't be had.
  Result<Done> start();
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::uint32_t connections() const;  // open now; thread-safe

  // Turns new connections away with 503, closes idle ones, lets requests in flight finish until
  // `patience` is over (their answers carry Connection: close), then closes the rest, stops
  // listening and ends the threads. The server may be started again.
  void stop(std::chrono::milliseconds patience);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace postern::http
