// http/server_fixture.h: for the server's tests: a client that speaks bytes, and an application
// whose behaviour a test writes down.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "http/server.h"

namespace postern::http {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

// How long a test waits for what must happen before it fails.
constexpr milliseconds kPatience{10'000};

struct Received {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// One connection to 127.0.0.1 (or ::1). Every wait ends after kPatience.
class Client {
 public:
  explicit Client(std::uint16_t port, bool six = false, int receive_buffer = 0) {
    fd_ = ::socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in6 to6{};
    to6.sin6_family = AF_INET6;
    to6.sin6_port = htons(port);
    to6.sin6_addr = in6addr_loopback;
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = (six ? ::connect(fd_, reinterpret_cast<sockaddr*>(&to6), sizeof to6)
                      : ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to)) == 0;
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] bool connected() const { return connected_; }

  // False when the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void finish() { ::shutdown(fd_, SHUT_WR); }
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  // The next answer; nullopt when the connection ended or nothing came in time. 100 Continue is an
  // answer too.
  std::optional<Received> receive(bool head_only = false) {
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!more()) return std::nullopt;
    }
    Received out;
    std::string_view head = std::string_view(buffer_).substr(0, end + 2);
    if (!head.starts_with("HTTP/1.1 ")) return std::nullopt;
    out.status = std::atoi(std::string(head.substr(9, 3)).c_str());
    head.remove_prefix(head.find("\r\n") + 2);
    while (!head.empty()) {
      const std::string_view line = head.substr(0, head.find("\r\n"));
      head.remove_prefix(line.size() + 2);
      const std::size_t colon = line.find(':');
      out.headers[ascii_lower(line.substr(0, colon))] = std::string(trim(line.substr(colon + 1)));
    }
    buffer_.erase(0, end + 4);
    if (head_only || !out.headers.contains("content-length")) return out;
    const auto length = static_cast<std::size_t>(std::atoll(out.headers["content-length"].c_str()));
    while (buffer_.size() < length) {
      if (!more()) return std::nullopt;
    }
    out.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
    return out;
  }
  std::optional<Received> ask(std::string_view request) {
    return send(request) ? receive() : std::nullopt;
  }

  // True when the server ends the connection without another byte, in time, and without RST.
  bool ended() {
    while (more()) {
    }
    return buffer_.empty() && end_seen_;
  }
  // True when nothing can be read now.
  bool silent() {
    pollfd ready{fd_, POLLIN, 0};
    return buffer_.empty() && ::poll(&ready, 1, 0) == 0;
  }

 private:
  bool more() {
    pollfd ready{fd_, POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>(kPatience.count())) <= 0) return false;
    char bytes[16384];
    const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
    if (got == 0) end_seen_ = true;
    if (got <= 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  int fd_ = -1;
  bool connected_ = false;
  bool end_seen_ = false;
  std::string buffer_;
};

inline std::string get(std::string_view path, std::string_view more_headers = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: t\r\n" + std::string(more_headers) +
         "\r\n";
}

inline std::string post(std::string_view path, std::string_view body,
                        std::string_view more_headers = "") {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(more_headers) + "\r\n" + std::string(body);
}

inline Response text(int status, std::string body) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

// Accepts everything and echoes "METHOD path body", unless a test sets something else before the
// server starts.
class ScriptedApplication final : public Application {
 public:
  std::function<void(std::shared_ptr<const Head>, Admission)> on_admit =
      [](const std::shared_ptr<const Head>&, const Admission& admission) { admission.accept({}); };
  std::function<void(Request, Reply)> on_handle = [](const Request& request, const Reply& reply) {
    reply.send(text(200, request.head->method + ' ' + request.head->path + ' ' + request.body));
  };

  void admit(std::shared_ptr<const Head> head, Admission admission) override {
    on_admit(std::move(head), std::move(admission));
  }
  void handle(Request request, Reply reply) override {
    on_handle(std::move(request), std::move(reply));
  }
  Response refused(const Head& partial, const Error& error) override {
    return text(400, "{\"refused\":\"" + error.message + "\",\"to\":\"" + partial.client_address +
                         "\",\"request_id\":\"" + partial.request_id + "\"}");
  }
};

class SilentLogger final : public sdk::Logger {
 public:
  void log(sdk::LogLevel, std::string_view message,
           const std::vector<std::pair<std::string_view, std::string>>&) override {
    const std::lock_guard lock(mutex_);
    messages_.emplace_back(message);
  }
  bool said(std::string_view message) {
    const std::lock_guard lock(mutex_);
    for (const std::string& said : messages_) {
      if (said == message) return true;
    }
    return false;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> messages_;
};

// Calls `done` until it is true; false when it never was.
inline bool eventually(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

class ServerTest : public testing::Test {
 protected:
  void TearDown() override { server_.reset(); }  // before the clock of a derived fixture goes
  void start() {
    server_.emplace(options_, application_, *clock_, logger_);
    const auto started = server_->start();
    ASSERT_TRUE(started.ok()) << started.error().message;
  }
  // With time that only `clock.advance` moves.
  void start(ManualClock& clock) {
    clock_ = &clock;
    start();
  }
  [[nodiscard]] std::uint16_t port() const { return server_->port(); }

  static const Clock& system_clock() {
    static const SystemClock clock;
    return clock;
  }

  ScriptedApplication application_;
  SilentLogger logger_;
  const Clock* clock_ = &system_clock();
  ServerOptions options_{.workers = 2};
  std::optional<Server> server_;
};

}  // namespace postern::http
