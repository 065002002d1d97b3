#include "resolver.h"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <utility>

namespace postern::smtp {

namespace asio = boost::asio;
using asio::ip::tcp;

void Resolver::resolve(const std::string& host, std::uint16_t port,
                       std::function<void(Endpoints, std::string error)> done) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(host, error);
  if (!error) {
    asio::post(io_, [done = std::move(done), endpoint = tcp::endpoint{address, port}] {
      done({endpoint}, {});
    });
    return;
  }
  asio::post(threads_, [this, host, port, done = std::move(done)]() mutable {
    asio::io_context local;
    tcp::resolver resolver{local};
    boost::system::error_code failure;
    Endpoints endpoints;
    for (const auto& entry :
         resolver.resolve(host, std::to_string(port), tcp::resolver::numeric_service, failure)) {
      endpoints.push_back(entry.endpoint());
    }
    std::string why = failure ? failure.message() : std::string{};
    asio::post(io_,
               [done = std::move(done), endpoints = std::move(endpoints),
                why = std::move(why)]() mutable { done(std::move(endpoints), std::move(why)); });
  });
}

}  // namespace postern::smtp
