// Names to addresses, off the I/O thread. A name that is slow to resolve holds up others only when
// as many are slow as there are threads.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace postern::smtp {

using Endpoints = std::vector<boost::asio::ip::tcp::endpoint>;

class Resolver {
 public:
  // `done` runs on `io`.
  explicit Resolver(boost::asio::io_context& io) : io_{io}, threads_{4} {}
  // Waits for look-ups that run.
  ~Resolver() {
    threads_.stop();
    threads_.join();
  }
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // No endpoints: the error says why.
  void resolve(const std::string& host, std::uint16_t port,
               std::function<void(Endpoints, std::string error)> done);

 private:
  boost::asio::io_context& io_;
  boost::asio::thread_pool threads_;
};

}  // namespace postern::smtp
