// http/message.h: a request and its answer, as the rest of the gateway sees them. Nothing here
// knows of sockets.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace postern::http {

struct Header {
  std::string name;   // as sent
  std::string value;  // without surrounding white space
};

// A request whose header section is complete and was found unambiguous (RFC 9112).
struct Head {
  std::string method;  // "GET"; a token, case-sensitive
  std::string path;    // of the target, still percent-encoded, "/v1/messages/a%20b"
  std::string query;   // after '?', still encoded
  std::vector<Header> headers;
  std::string client_address;                      // textual IPv4 or IPv6 address
  std::string request_id;                          // "req_<ULID>", made by the server
  std::chrono::steady_clock::time_point received;  // when the head was complete
  std::uint64_t content_length = 0;                // as declared; 0 when chunked or without a body
  bool has_body = false;                           // Content-Length above 0, or chunked

  // The first header of this name, in any case; empty when there is none.
  [[nodiscard]] std::string_view header(std::string_view name) const;
  [[nodiscard]] bool has_header(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;  // beside the ones the server adds
};

// Percent-decodes (RFC 3986 2.1); nullopt on a bad escape or a NUL. `plus_is_space` for queries.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

// A decoded query. Order is kept; a key that stands twice is an issue.
struct Query {
  std::vector<std::pair<std::string, std::string>> values;
  [[nodiscard]] const std::string* find(std::string_view key) const;
};
Result<Query> parse_query(std::string_view query);

}  // namespace postern::http
