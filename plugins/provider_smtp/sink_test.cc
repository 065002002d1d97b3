// The plugin against Postfix's smtp-sink: interoperability, and how much it carries.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "provider_harness.h"

namespace postern::smtp {
namespace {

using conformance::make_attempt;
using conformance::make_message;
using sdk::Outcome;
using sdk::Verdict;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// A port that was free a moment ago.
std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(fd, generic, size) != 0 || ::getsockname(fd, generic, &size) != 0) std::abort();
  ::close(fd);
  return ntohs(address.sin_port);
}

bool accepts(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const bool connected =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return connected;
}

class Sink {
 public:
  explicit Sink(std::vector<std::string> options = {}) {
    // smtp-sink can't say which port it has got, so one that was taken meanwhile is replaced.
    for (int attempt = 0; attempt < 5 && process_ < 0; ++attempt) start(options);
    if (process_ < 0) throw std::runtime_error("smtp-sink doesn't start");
  }
  ~Sink() {
    if (process_ > 0) {
      ::kill(process_, SIGTERM);
      ::waitpid(process_, nullptr, 0);
    }
  }
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  void start(const std::vector<std::string>& options) {
    port_ = free_port();
    std::vector<std::string> words{SMTP_SINK};
    if (::geteuid() == 0) words.insert(words.end(), {"-u", "nobody"});
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {"127.0.0.1:" + std::to_string(port_), "200"});
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t pid = -1;
    std::array<char*, 1> environment{nullptr};
    if (::posix_spawn(&pid, SMTP_SINK, nullptr, nullptr, arguments.data(), environment.data()) !=
        0) {
      return;
    }
    const auto deadline = steady_clock::now() + std::chrono::seconds{10};
    while (steady_clock::now() < deadline) {
      if (accepts(port_)) {
        process_ = pid;
        return;
      }
      if (::waitpid(pid, nullptr, WNOHANG) == pid) return;
      std::this_thread::yield();
    }
    ::kill(pid, SIGTERM);
    ::waitpid(pid, nullptr, 0);
  }

  std::uint16_t port_ = 0;
  pid_t process_ = -1;
};

class SmtpSink : public ::testing::Test {
 protected:
  std::unique_ptr<sdk::ProviderAdapter> open(std::uint16_t port, conformance::Written more = {}) {
    const sdk::PluginInfo& plugin = conformance::load_plugin(PROVIDER_SMTP);
    if (!provider_) {
      auto provider = plugin.make_provider(host_.services);
      if (!provider) throw std::runtime_error(provider.error());
      provider_ = *std::move(provider);
    }
    conformance::Written written{
        {"host", "127.0.0.1"}, {"port", std::to_string(port)}, {"security", "none"}};
    written.insert(written.end(), more.begin(), more.end());
    sdk::ProviderAccount account;
    account.id = "sink";
    account.settings = conformance::complete(plugin.settings, written);
    account.credentials = conformance::complete(plugin.credentials, {});
    auto adapter = provider_->open(account);
    if (!adapter) throw std::runtime_error(adapter.error());
    return *std::move(adapter);
  }

  conformance::TestHost host_;
  std::unique_ptr<sdk::Provider> provider_;
};

// Keeps `in_flight` messages with the adapter until `count` are answered; how many were accepted.
std::size_t pump_through(sdk::ProviderAdapter& adapter, std::size_t count, std::size_t in_flight,
                         const std::shared_ptr<const sdk::OutboundMessage>& message) {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t waiting = 0;
  std::size_t answered = 0;
  std::size_t accepted = 0;
  for (std::size_t i = 0; i < count; ++i) {
    {
      std::unique_lock lock{mutex};
      changed.wait(lock, [&] { return waiting < in_flight; });
      ++waiting;
    }
    adapter.send(message, make_attempt(std::chrono::seconds{60}), [&](std::vector<Outcome> got) {
      const std::lock_guard lock{mutex};
      --waiting;
      ++answered;
      for (const Outcome& outcome : got) accepted += outcome.verdict == Verdict::accepted;
      if (waiting == in_flight / 2 || answered == count) changed.notify_one();
    });
  }
  std::unique_lock lock{mutex};
  changed.wait_for(lock, std::chrono::seconds{60}, [&] { return answered == count; });
  return accepted;
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string lines(std::size_t bytes) {
  std::string body;
  while (body.size() < bytes)
    body += "The quick brown fox jumps over the lazy dog, over and over.\r\n";
  return body;
}

TEST_F(SmtpSink, TakesEveryMessageOfALongRun) {
  const Sink sink;
  const auto adapter = open(sink.port());
  const auto message = make_message({"a@example.org"}, lines(2048));
  const char* const wanted = std::getenv("POSTERN_SINK_MESSAGES");
  const std::size_t count = wanted != nullptr ? std::strtoul(wanted, nullptr, 10) : 3000;
  const double cpu = cpu_seconds();
  const auto start = steady_clock::now();
  EXPECT_EQ(pump_through(*adapter, count, 200, message), count);
  const std::chrono::duration<double> took = steady_clock::now() - start;
  RecordProperty("messages_per_second",
                 static_cast<int>(static_cast<double>(count) / took.count()));
  std::printf("%zu messages, %.0f/s, %.1f us of CPU each\n", count,
              static_cast<double>(count) / took.count(),
              (cpu_seconds() - cpu) / static_cast<double>(count) * 1e6);
}

TEST_F(SmtpSink, TakesMessagesWithoutPipelining) {
  const Sink sink{{"-p"}};
  const auto adapter = open(sink.port());
  EXPECT_EQ(pump_through(*adapter, 300, 50, make_message({"a@example.org", "b@example.org"})),
            600U);
}

}  // namespace
}  // namespace postern::smtp
