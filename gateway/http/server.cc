#include "http/server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <pistache/listener.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <mutex>
#include <thread>

#include "http/worker.h"

namespace postern::http {
namespace {

constexpr int kBacklog = 1024;

// Connections never take the last descriptors: an accept that fails for want of one would be
// tried again at once and for ever by Pistache's accept thread.
std::uint32_t affordable_connections(std::uint32_t wanted, sdk::Logger& logger) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return wanted;
  const auto reserve = std::min<rlim_t>(256, files.rlim_cur / 2);
  const auto affordable =
      static_cast<std::uint32_t>(std::min<rlim_t>(files.rlim_cur - reserve, UINT32_MAX));
  if (wanted <= affordable) return wanted;
  logger.log(sdk::LogLevel::warning, "fewer connections than configured: too few descriptors",
             {{"connections", std::to_string(affordable)},
              {"configured", std::to_string(wanted)},
              {"open_files_limit", std::to_string(files.rlim_cur)}});
  return affordable;
}

bool is_address(const std::string& text) {
  in6_addr bytes{};
  return ::inet_pton(AF_INET, text.c_str(), &bytes) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), &bytes) == 1;
}

Pistache::Address to_pistache(const std::string& address, std::uint16_t port) {
  const bool six = address.find(':') != std::string::npos;
  return {six ? '[' + address + ']' : address, Pistache::Port(port)};
}

// Pistache leaves a connection open that its accept thread took when no worker would look at it any
// more; its client would wait until the process ends. All others on this port are closed by now, and
// the kernel gives a port that is bound to no outgoing connection.
void close_strays(std::uint16_t port) {
  DIR* directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return;
  while (const dirent* entry = ::readdir(directory)) {
    int fd = -1;
    const std::string_view name{entry->d_name};
    if (std::from_chars(name.data(), name.data() + name.size(), fd).ec != std::errc{}) continue;
    int type = 0;
    socklen_t type_size = sizeof type;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) != 0 || type != SOCK_STREAM) continue;
    sockaddr_storage local{};
    socklen_t size = sizeof local;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) != 0) continue;
    in_port_t bound = 0;
    if (local.ss_family == AF_INET) bound = reinterpret_cast<sockaddr_in&>(local).sin_port;
    if (local.ss_family == AF_INET6) bound = reinterpret_cast<sockaddr_in6&>(local).sin6_port;
    if (port != 0 && ntohs(bound) == port) ::close(fd);
  }
  ::closedir(directory);
}

}  // namespace

class Server::Impl {
 public:
  Impl(ServerOptions options, Application& application, const Clock& clock, sdk::Logger& logger)
      : options_(std::move(options)), application_(application), clock_(clock), logger_(logger) {}
  ~Impl() { stop(std::chrono::milliseconds{0}); }

  Result<Done> start() {
    if (listener_) return Error{ErrorKind::internal, "The server has been started already", {}, {}};
    if (!is_address(options_.address)) return failure("it is neither an IPv4 nor an IPv6 address");
    const std::uint32_t workers = options_.workers != 0
                                      ? options_.workers
                                      : std::max(1U, std::thread::hardware_concurrency());
    Limits limits = options_.limits;
    limits.connections = affordable_connections(limits.connections, logger_);
    limits.body_memory /= workers;  // each worker counts its own, without asking the others
    auto common = std::make_unique<Common>(application_, clock_, logger_, limits);
    try {
      auto listener = std::make_unique<Pistache::Tcp::Listener>();
      using Option = Pistache::Tcp::Options;
      listener->init(
          workers,
          Pistache::Flags<Option>(Option::ReuseAddr) | Option::NoDelay | Option::CloseOnExec,
          "http", kBacklog);
      // Asked once for a prototype, which is cloned for each worker.
      listener->setTransportFactory(
          [&shared = *common] { return std::make_shared<Worker>(shared, make_peer_handler()); });
      listener->setHandler(make_peer_handler());
      listener->bind(to_pistache(options_.address, options_.port));
      port_ = static_cast<std::uint16_t>(listener->getPort());
      listener->runThreaded();
      listener_ = std::move(listener);
      const std::lock_guard lock(mutex_);
      common_ = std::move(common);
    } catch (const std::exception& error) {
      return failure(error.what());
    }
    return Done{};
  }

  void stop(std::chrono::milliseconds patience) {
    if (!listener_) return;
    common_->draining = true;
    common_->wake_all();
    common_->census.wait_until_empty(std::chrono::steady_clock::now() + patience);
    common_->abandoning = true;
    common_->wake_all();
    common_->census.wait_until_empty(std::chrono::steady_clock::time_point::max());
    listener_->shutdown();
    listener_.reset();  // joins the threads
    close_strays(port_);
    port_ = 0;
    const std::lock_guard lock(mutex_);
    common_.reset();
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::uint32_t connections() const {
    const std::lock_guard lock(mutex_);
    return common_ ? common_->census.total() : 0;
  }

 private:
  Error failure(std::string_view why) const {
    return {ErrorKind::unavailable,
            "Can't listen on " + options_.address + " port " + std::to_string(options_.port) +
                ": " + std::string(why),
            {},
            {}};
  }

  const ServerOptions options_;
  Application& application_;
  const Clock& clock_;
  sdk::Logger& logger_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;        // guards the pointer for connections()
  std::unique_ptr<Common> common_;  // outlives the listener's threads
  std::unique_ptr<Pistache::Tcp::Listener> listener_;
};

Server::Server(ServerOptions options, Application& application, const Clock& clock,
               sdk::Logger& logger)
    : impl_(std::make_unique<Impl>(std::move(options), application, clock, logger)) {}
Server::~Server() = default;
Result<Done> Server::start() {
  return impl_->start();
}
std::uint16_t Server::port() const {
  return impl_->port();
}
std::uint32_t Server::connections() const {
  return impl_->connections();
}
void Server::stop(std::chrono::milliseconds patience) {
  impl_->stop(patience);
}

}  // namespace postern::http
