// postern/sdk_http/client.h: sdk::HttpClient on libcurl's multi interface. libcurl is behind this
// header alone.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "postern/sdk/host.h"

namespace postern::sdk_http {

struct ClientOptions {
  std::string user_agent = "Postern";
  std::string ca_file;                // PEM; empty: the system's trust store
  std::size_t idle_connections = 64;  // kept open for reuse, in all
};

// HTTP/1.1 on one thread with epoll. Thread-safe, but for its end.
//
// - TLS is 1.2 or newer, and verified against name and trust store unless a request says otherwise.
// - Redirects are not followed, no cookie is kept, no proxy of the environment is used.
// - A request with a body reaches a server at most once. libcurl by itself would repeat it when a
//   reused connection dies, although the server may have acted on it: here that is `unanswered`.
//   One without (GET, HEAD, DELETE: idempotent by RFC 9110 9.2.2) may be repeated.
// - `not_sent` promises that no byte of the request left; `unanswered` makes no promise.
// - Requests of a pool above max_per_pool wait in order, their deadlines running.
//
// `done` runs on the client's thread: it must not block and must not throw. The end of a client
// answers everything as canceled; it must not come from inside `done`.
class Client final : public sdk::HttpClient {
 public:
  explicit Client(ClientOptions options = {});
  ~Client() override;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void start(sdk::HttpRequest request, std::stop_token cancel,
             std::function<void(sdk::HttpResponse)> done) override;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace postern::sdk_http
