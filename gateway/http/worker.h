// http/worker.h: one thread of the server: Pistache's transport and poller, our connections.
//
// Pistache accepts, hands each new peer to a worker, and runs the worker's epoll loop. From there
// on the worker does everything itself: it reads, writes and closes, and two descriptors of its
// own in the poller bring answers from other threads (an eventfd) and the time (a timerfd).
#pragma once

#include <pistache/peer.h>
#include <pistache/transport.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "http/census.h"
#include "http/connection.h"

namespace postern::http {

// What the workers of one server share; outlives them.
struct Common {
  Common(Application& to, const Clock& time, sdk::Logger& log, const Limits& bounds)
      : application(to),
        clock(time),
        logger(log),
        limits(bounds),
        census(bounds.connections, bounds.connections_per_address) {}

  Application& application;
  const Clock& clock;
  sdk::Logger& logger;
  const Limits limits;
  Census census;
  std::atomic<bool> draining{false};    // answer what is in flight, begin nothing
  std::atomic<bool> abandoning{false};  // close everything
  std::mutex mutex;
  std::vector<std::shared_ptr<Mailbox>> mailboxes;  // of all workers; under mutex

  void wake_all();
};

class Worker final : public Pistache::Tcp::Transport {
 public:
  Worker(Common& common, const std::shared_ptr<Pistache::Tcp::Handler>& handler);
  ~Worker() override;

  // A new peer of Pistache's; it is in the poller when this returns, not before.
  void adopt(const std::shared_ptr<Pistache::Tcp::Peer>& peer);

  void registerPoller(Pistache::Polling::Epoll& poller) override;
  void onReady(const Pistache::Aio::FdSet& events) override;
  std::shared_ptr<Pistache::Aio::Handler> clone() const override;

 private:
  struct Slot {
    Connection connection;
    bool write_armed = false;
    bool queued = false;   // in turns_
    bool leaving = false;  // in leaving_
  };

  void turn(const Pistache::Aio::FdSet& events);
  void deliver();
  void sweep();
  template <typename Call>
  void visit(int fd, Slot& slot, Call call);
  void settle(int fd, Slot& slot);
  void close_leaving();
  void set_timer(bool running);

  Common& common_;
  Workbench bench_;
  Pistache::Polling::Epoll* poller_ = nullptr;
  int timer_fd_ = -1;
  bool timer_running_ = false;
  std::unordered_map<int, std::unique_ptr<Slot>> slots_;
  std::vector<int> turns_;  // read a lot; go on after the others
  // Closed at the end of a turn only: no descriptor can be used again while events of the same
  // epoll_wait that name it are still being worked on.
  std::vector<int> leaving_;
  std::vector<Envelope> envelopes_;
};

// The handler through which Pistache tells of new peers.
std::shared_ptr<Pistache::Tcp::Handler> make_peer_handler();

}  // namespace postern::http
