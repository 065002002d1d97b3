// A small real HTTP server on loopback for the client's tests, with faults by path.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace postern::sdk_http {

// One thread a connection. What a path does:
//   /echo         200 with method, headers and body of the request in the body
//   /status/N     status N with a Location header
//   /empty        204
//   /silent       reads the request, never answers
//   /cut-early    reads the head, closes before the body
//   /cut-before   reads the request, closes without a byte
//   /cut-in-head  closes in the middle of the head
//   /cut-in-body  closes in the middle of the body
//   /stall        head and half of the body, then nothing
//   /big/N        a body of N bytes
//   /big-head     endless headers
//   /interim      103, then 200
//   /wait         answers 200 when release() was called
class TestServer {
 public:
  enum class Tls : std::uint8_t { off, on };
  explicit TestServer(Tls tls = Tls::off);
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  [[nodiscard]] std::string url(const std::string& path) const;
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string certificate() const { return certificate_; }  // PEM

  void release();
  bool wait_for_requests(std::size_t count);  // false after 20 s
  [[nodiscard]] std::size_t requests() const;
  [[nodiscard]] std::size_t most_at_once() const;  // requests that were being answered together
  [[nodiscard]] std::size_t connections() const;

 private:
  class Connection;
  void accept_all();
  void serve(int fd);
  bool answer(Connection& connection, const std::string& head, const std::string& path,
              const std::string& body);

  struct TlsState;
  std::unique_ptr<TlsState> tls_;
  std::string certificate_;
  int listener_ = -1;
  std::uint16_t port_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool released_ = false;
  bool ending_ = false;
  std::size_t requests_ = 0;
  std::size_t connections_ = 0;
  std::size_t now_ = 0;
  std::size_t most_at_once_ = 0;
  std::set<int> open_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace postern::sdk_http
