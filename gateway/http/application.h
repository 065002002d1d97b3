// http/application.h: what the HTTP server asks of the program behind it. A request goes through
// two questions: admit, as soon as its head is complete and before any of its body is read, and
// handle, once the body is there.
//
// All three are called on the connection's worker thread and must not block. Admission and Reply
// are handles that may be copied, kept, and answered from any thread, before or after the call
// returns; the first answer counts, later ones are ignored. Where every copy of a handle is dropped
// unanswered, the client gets a 500. An answer to a connection that is gone is dropped, and never
// reaches another client.
#pragma once

#include <any>
#include <functional>
#include <memory>

#include "base/result.h"
#include "http/message.h"

namespace postern::http {

namespace detail {
class ExchangeState;  // of exchange.h
}

struct Admitted {
  std::uint64_t body_limit = 1 << 20;  // bytes, after transfer decoding
  // On every answer to this request, also those that the server makes itself (413, 408, 500).
  std::vector<std::pair<std::string, std::string>> response_headers;
  std::any context;  // given to handle
};

class Admission {
 public:
  explicit Admission(std::shared_ptr<detail::ExchangeState> state) : state_(std::move(state)) {}
  void accept(Admitted admitted) const;
  // Answers without handling. A small body that is still coming is read and dropped so that the
  // connection can be kept; a larger one is not read, and the connection closes.
  void refuse(Response response) const;

 private:
  std::shared_ptr<detail::ExchangeState> state_;
};

class Reply {
 public:
  explicit Reply(std::shared_ptr<detail::ExchangeState> state) : state_(std::move(state)) {}
  void send(Response response) const;

 private:
  std::shared_ptr<detail::ExchangeState> state_;
};

struct Request {
  std::shared_ptr<const Head> head;
  std::string body;
  std::any context;  // Admitted::context
};

class Application {
 public:
  virtual ~Application() = default;
  virtual void admit(std::shared_ptr<const Head> head, Admission admission) = 0;
  virtual void handle(Request request, Reply reply) = 0;
  // What to answer to what the server itself refuses: bad framing, limits, timeouts, a lost
  // handle. `head` is null, or what was read of it: at least client_address and request_id are set
  // in `partial`.
  virtual Response refused(const Head& partial, const Error& error) = 0;
};

}  // namespace postern::http
