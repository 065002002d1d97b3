// What the accounts of the plugin share: one I/O thread, name resolution, trust stores.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <string>
#include <thread>

#include "postern/sdk/host.h"
#include "resolver.h"
#include "tls.h"

namespace postern::smtp {

class Engine {
 public:
  explicit Engine(sdk::HostServices& host)
      : logger{host.logger},
        hostname{host.hostname},
        io{1},
        resolver{io},
        work_{io.get_executor()},
        thread_{[this] { run(); }} {}

  // What still runs ends here; there must be nobody left who waits for an answer.
  ~Engine() {
    work_.reset();
    io.stop();
    thread_.join();
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  sdk::Logger& logger;
  const std::string hostname;
  boost::asio::io_context io;
  Resolver resolver;
  TrustStores trust_stores;  // of the I/O thread

 private:
  void run();

  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
};

}  // namespace postern::smtp
