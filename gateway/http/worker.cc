#include "http/worker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pistache/tcp.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <system_error>

namespace postern::http {
namespace {

namespace tcp = Pistache::Tcp;
namespace polling = Pistache::Polling;
using std::chrono::milliseconds;

std::atomic<std::uint64_t> last_generation{0};

class PeerHandler final : public tcp::Handler {
 public:
  std::shared_ptr<tcp::Handler> clone() const override { return make_peer_handler(); }
  void onConnection(const std::shared_ptr<tcp::Peer>& peer) override {
    static_cast<Worker*>(transport())->adopt(peer);
  }
  // Called by Pistache's own reading only, which Worker::onReady replaces.
  void onInput(const char*, std::size_t, const std::shared_ptr<tcp::Peer>&) override {}
};

// IPv4 that came to an IPv6 socket is told as IPv4.
std::string address_of(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* generic = reinterpret_cast<sockaddr*>(&storage);
  if (::getpeername(fd, generic, &size) != 0) return "unknown";
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* bytes = nullptr;
  int family = generic->sa_family;
  if (family == AF_INET) {
    bytes = &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr;
  } else if (family == AF_INET6) {
    const auto& six = reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr;
    bytes = &six;
    if (IN6_IS_ADDR_V4MAPPED(&six)) {
      family = AF_INET;
      bytes = six.s6_addr + 12;
    }
  }
  if (bytes == nullptr || ::inet_ntop(family, bytes, text.data(), text.size()) == nullptr) {
    return "unknown";
  }
  return text.data();
}

// Often enough for the shortest limit to be kept to a quarter of itself.
milliseconds sweep_period(const Limits& limits) {
  const milliseconds shortest =
      std::min({limits.first_byte, limits.head, limits.body, limits.idle, limits.write});
  return std::clamp(shortest / 4, milliseconds{10}, milliseconds{250});
}

timespec to_timespec(milliseconds period) {
  return {period.count() / 1000, (period.count() % 1000) * 1'000'000};
}

const Pistache::Flags<polling::NotifyOn> kRead{polling::NotifyOn::Read};

}  // namespace

void Common::wake_all() {
  const std::lock_guard lock(mutex);
  for (const auto& mailbox : mailboxes) mailbox->wake();
}

std::shared_ptr<tcp::Handler> make_peer_handler() {
  return std::make_shared<PeerHandler>();
}

Worker::Worker(Common& common, const std::shared_ptr<tcp::Handler>& handler)
    : tcp::Transport(handler),
      common_(common),
      bench_(common.application, common.clock, common.logger, common.limits) {}

Worker::~Worker() {
  bench_.mailbox->close();
  if (timer_fd_ >= 0) ::close(timer_fd_);
}

std::shared_ptr<Pistache::Aio::Handler> Worker::clone() const {
  return std::make_shared<Worker>(common_, make_peer_handler());
}

void Worker::registerPoller(polling::Epoll& poller) {
  tcp::Transport::registerPoller(poller);
  poller_ = &poller;
  timer_fd_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (timer_fd_ < 0) throw std::system_error(errno, std::generic_category(), "timerfd_create");
  const int wake_fd = bench_.mailbox->wake_fd();
  poller.addFd(timer_fd_, kRead, polling::Tag(static_cast<std::uint64_t>(timer_fd_)));
  poller.addFd(wake_fd, kRead, polling::Tag(static_cast<std::uint64_t>(wake_fd)));
  const std::lock_guard lock(common_.mutex);
  common_.mailboxes.push_back(bench_.mailbox);
}

void Worker::set_timer(bool running) {
  if (timer_running_ == running) return;
  timer_running_ = running;
  itimerspec spec{};
  if (running) spec.it_interval = spec.it_value = to_timespec(sweep_period(common_.limits));
  ::timerfd_settime(timer_fd_, 0, &spec, nullptr);
}

// One connection's failure (there is no memory, say) is the end of that connection alone.
template <typename Call>
void Worker::visit(int fd, Slot& slot, Call call) {
  try {
    call(slot.connection);
  } catch (const std::exception& error) {
    slot.connection.abandon();
    common_.logger.log(sdk::LogLevel::error, "a connection failed", {{"error", error.what()}});
  }
  settle(fd, slot);
}

// After every call into a connection: what it wants of the poller, and whether it goes.
void Worker::settle(int fd, Slot& slot) {
  if (slot.connection.closed()) {
    if (!std::exchange(slot.leaving, true)) leaving_.push_back(fd);
    return;
  }
  if (slot.connection.wants_write() && !slot.write_armed) {
    // Stays armed: edge-triggered, it only speaks after a write that did not fit.
    slot.write_armed = true;
    poller_->rearmFd(fd, kRead | polling::NotifyOn::Write | polling::NotifyOn::Shutdown,
                     polling::Tag(static_cast<std::uint64_t>(fd)), polling::Mode::Edge);
  }
  if (slot.connection.wants_turn() && !std::exchange(slot.queued, true)) {
    turns_.push_back(fd);
    if (turns_.size() == 1) bench_.mailbox->wake();
  }
}

void Worker::adopt(const std::shared_ptr<tcp::Peer>& peer) {
  const int fd = peer->fd();
  std::string address = address_of(fd);
  const Census::Verdict verdict = common_.census.enter(address);
  auto slot =
      std::make_unique<Slot>(Slot{Connection(fd, ++last_generation, std::move(address), bench_)});
  Slot& kept = *slot;
  slots_[fd] = std::move(slot);
  set_timer(true);
  visit(fd, kept, [&](Connection& connection) {
    if (common_.abandoning || verdict == Census::Verdict::flood) {
      connection.abandon();
    } else if (common_.draining) {
      connection.turn_away(ErrorKind::unavailable, "The server is stopping");
    } else if (verdict == Census::Verdict::too_many) {
      connection.turn_away(ErrorKind::unavailable, "Too many connections");
    } else if (verdict == Census::Verdict::too_many_from_address) {
      connection.turn_away(ErrorKind::unavailable, "Too many connections from this address");
    }
  });
}

// Pistache lets what is thrown here end the process.
void Worker::onReady(const Pistache::Aio::FdSet& events) {
  try {
    turn(events);
  } catch (const std::exception& error) {
    common_.logger.log(sdk::LogLevel::error, "an http worker failed a turn",
                       {{"error", error.what()}});
  } catch (...) {
    common_.logger.log(sdk::LogLevel::error, "an http worker failed a turn", {});
  }
}

void Worker::turn(const Pistache::Aio::FdSet& events) {
  bench_.now = common_.clock.monotonic();
  bench_.answers.set_time(common_.clock.now());
  std::vector<polling::Event> pistaches;
  for (const auto& event : events) {
    const auto fd = static_cast<int>(event.getTag().value());
    if (const auto found = slots_.find(fd); found != slots_.end()) {
      const bool hung_up = event.isHangup();
      visit(fd, *found->second, [&](Connection& connection) { connection.on_ready(hung_up); });
    } else if (fd == bench_.mailbox->wake_fd()) {
      deliver();
    } else if (fd == timer_fd_) {
      sweep();
    } else if (event.isReadable()) {
      polling::Event own(event.getTag());
      own.flags = kRead;
      pistaches.push_back(own);
    }
  }
  // New peers come by a queue of Pistache's. Nothing of ours is closed before the end, so that a
  // new peer's descriptor is never one that an event above was about.
  if (!pistaches.empty()) tcp::Transport::onReady(Pistache::Aio::FdSet(std::move(pistaches)));
  close_leaving();
}

void Worker::deliver() {
  // The wake-up is taken before the flags are looked at, so that none is lost; the flags before the
  // answers, so that those given after stop() began say Connection: close.
  envelopes_.clear();
  bench_.mailbox->collect(envelopes_);

  const bool abandoning = common_.abandoning;
  if (abandoning || (common_.draining && !bench_.draining)) {
    bench_.draining = true;
    for (auto& [fd, slot] : slots_) {
      visit(fd, *slot, [&](Connection& connection) {
        abandoning ? connection.abandon() : connection.on_drain();
      });
    }
  }

  for (Envelope& envelope : envelopes_) {
    const auto found = slots_.find(envelope.address.fd);
    if (found == slots_.end()) continue;
    visit(envelope.address.fd, *found->second, [&](Connection& connection) {
      connection.on_answer(envelope.address, std::move(envelope.answer));
    });
  }

  std::vector<int> turns;
  turns.swap(turns_);
  for (const int fd : turns) {
    const auto found = slots_.find(fd);
    if (found == slots_.end() || !found->second->queued) continue;
    found->second->queued = false;
    visit(fd, *found->second, [](Connection& connection) { connection.on_turn(); });
  }
}

void Worker::sweep() {
  std::uint64_t expirations = 0;
  [[maybe_unused]] const ssize_t got = ::read(timer_fd_, &expirations, sizeof expirations);
  for (auto& [fd, slot] : slots_) {
    visit(fd, *slot, [](Connection& connection) { connection.on_tick(); });
  }
}

void Worker::close_leaving() {
  for (const int fd : leaving_) {
    const auto found = slots_.find(fd);
    if (found == slots_.end()) continue;
    const std::unique_ptr<Slot> slot = std::move(found->second);
    slots_.erase(found);
    if (const auto peer = peers.find(fd); peer != peers.end()) {
      const auto kept = peer->second;  // removePeer erases the entry that it was given
      try {
        removePeer(kept);
      } catch (const std::exception&) {
        ::close(fd);  // it was not in the poller; Pistache stops before it closes
      }
    }
    common_.census.leave(slot->connection.address());
  }
  leaving_.clear();
  if (slots_.empty()) set_timer(false);
}

}  // namespace postern::http
