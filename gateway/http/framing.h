// http/framing.h: where a request's head ends, and whether its framing is beyond doubt (RFC 9112).
// Stricter than the parser that follows: what two implementations could read differently is
// refused, so that no request can hide inside another. Pure functions of bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "postern/sdk/result.h"

namespace postern::http {

// Why a request is refused: an HTTP status, and words for the client (static storage).
struct Fault {
  int status = 400;
  std::string_view message;
};

// Bytes of the head, with the empty line that ends it; 0 while that has not come yet.
using HeadSize = sdk::Expected<std::size_t, Fault>;

// `scanned` is 0 at the first call for a request, and kept by the caller between calls with more
// and more of the same input, so that no byte is looked at twice. A bare LF, a byte that can't
// begin a method, and more than `limit` bytes are faults as soon as they are seen.
HeadSize find_head(std::string_view input, std::size_t& scanned, std::size_t limit);

// What the head says of the message and its connection. Views into the head.
struct Framing {
  std::string_view method;
  std::string_view path;   // begins with '/', or is "*" for OPTIONS
  std::string_view query;  // after '?'
  bool http11 = true;      // else HTTP/1.0
  bool keep_alive = true;
  bool expects_continue = false;
  bool chunked = false;
  std::uint64_t content_length = 0;  // 0 when there is none
  std::size_t header_count = 0;
};

// `head` is what find_head measured.
sdk::Expected<Framing, Fault> check_head(std::string_view head, std::size_t max_headers);

bool is_token(std::string_view text);  // RFC 9110 5.6.2

}  // namespace postern::http
