// http_load PORT COUNT CONNECTIONS FILE: sends the bytes of FILE (one whole HTTP/1.1 request)
// exactly COUNT times to 127.0.0.1:PORT over CONNECTIONS kept connections, one request at a time on
// each, and prints one JSON object: how many answers had which status, the seconds from the first
// byte sent to the last answer, and percentiles of the time of an answer in milliseconds. wrk
// measures rates, but can't be told how many requests to send. Exit status 1: not every answer was
// a 2xx.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kMostHead = 64 * 1024;

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "http_load: %s\n", why.c_str());
  std::exit(2);
}

// One connection, which always has a request in flight.
struct Client {
  int fd = -1;
  std::string in;
  Clock::time_point asked;
};

class Load {
 public:
  Load(std::uint16_t port, std::uint64_t count, std::size_t connections, std::string request)
      : count_(count), request_(std::move(request)), clients_(connections) {
    latencies_.reserve(count);
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) fail("epoll_create1: " + std::string{std::strerror(errno)});
    for (Client& client : clients_) connect(client, port);
  }

  void run() {
    started_ = Clock::now();
    for (Client& client : clients_) {
      if (sent_ < count_) ask(client);
    }
    std::vector<epoll_event> events(clients_.size());
    while (latencies_.size() < count_) {
      const int ready = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 30'000);
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0) fail("no answer for 30 s");
      for (int i = 0; i < ready; ++i)
        read(*static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr));
    }
    ended_ = Clock::now();
  }

  // True when every answer was a 2xx.
  bool report() {
    std::sort(latencies_.begin(), latencies_.end());
    const auto percentile = [this](double share) {
      const auto at = static_cast<std::size_t>(share * static_cast<double>(latencies_.size() - 1));
      return latencies_.empty() ? 0.0 : static_cast<double>(latencies_[at]) / 1e6;
    };
    std::string statuses;
    bool good = true;
    for (const auto& [status, answers] : statuses_) {
      statuses += (statuses.empty() ? "\"" : ",\"") + std::to_string(status) +
                  "\":" + std::to_string(answers);
      good = good && status / 100 == 2;
    }
    std::printf("{\"statuses\":{%s},\"seconds\":%.6f,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
                statuses.c_str(), std::chrono::duration<double>(ended_ - started_).count(),
                percentile(0.5), percentile(0.99));
    return good;
  }

 private:
  void connect(Client& client, std::uint16_t port) {
    client.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (client.fd < 0 || ::connect(client.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
      fail("connect: " + std::string{std::strerror(errno)});
    }
    const int on = 1;
    setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &client;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, client.fd, &event) != 0) {
      fail("epoll_ctl: " + std::string{std::strerror(errno)});
    }
  }

  // The socket blocks: a request is small, and the one before it was answered.
  void ask(Client& client) {
    ++sent_;
    client.asked = Clock::now();
    std::size_t done = 0;
    while (done < request_.size()) {
      const ssize_t n =
          send(client.fd, request_.data() + done, request_.size() - done, MSG_NOSIGNAL);
      if (n < 0) fail("send: " + std::string{std::strerror(errno)});
      done += static_cast<std::size_t>(n);
    }
  }

  void read(Client& client) {
    char buffer[16 * 1024];
    const ssize_t n = recv(client.fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) fail("the server closed a connection");
    client.in.append(buffer, static_cast<std::size_t>(n));
    const std::size_t head = client.in.find("\r\n\r\n");
    if (head == std::string::npos) {
      if (client.in.size() > kMostHead) fail("an answer's head has no end");
      return;
    }
    const std::size_t whole = head + 4 + content_length(client.in.substr(0, head + 2));
    if (client.in.size() < whole) return;
    if (client.in.size() > whole) fail("more than one answer to one request");
    // "HTTP/1.1 202 …"
    ++statuses_[std::atoi(client.in.c_str() + 9)];
    latencies_.push_back((Clock::now() - client.asked).count());
    client.in.clear();
    if (sent_ < count_) ask(client);
  }

  static std::size_t content_length(std::string head) {
    static constexpr char kName[] = "\r\ncontent-length:";
    std::transform(head.begin(), head.end(), head.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const std::size_t at = head.find(kName);
    if (at == std::string::npos) fail("an answer without Content-Length");
    return std::strtoull(head.c_str() + at + sizeof kName - 1, nullptr, 10);
  }

  std::uint64_t count_;
  std::uint64_t sent_ = 0;
  std::string request_;
  std::vector<Client> clients_;
  int epoll_ = -1;
  std::map<int, std::uint64_t> statuses_;
  std::vector<Clock::duration::rep> latencies_;  // nanoseconds
  Clock::time_point started_;
  Clock::time_point ended_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) fail("usage: http_load PORT COUNT CONNECTIONS FILE");
  std::ifstream file(argv[4], std::ios::binary);
  std::string request{std::istreambuf_iterator<char>{file}, {}};
  if (request.empty()) fail(std::string{"nothing to send in "} + argv[4]);
  Load load(static_cast<std::uint16_t>(std::atoi(argv[1])), std::strtoull(argv[2], nullptr, 10),
            std::strtoull(argv[3], nullptr, 10), std::move(request));
  load.run();
  return load.report() ? 0 : 1;
}
