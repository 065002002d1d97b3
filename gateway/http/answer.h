// http/answer.h: a Response as bytes. What the server adds to every answer is added here, and
// nothing that an application puts into a header can end the header or frame another message.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "http/message.h"

namespace postern::http {

struct AnswerFrame {
  std::string_view request_id;
  // Under those of the Response: a name that stands there too is left out here.
  const std::vector<std::pair<std::string, std::string>>* more_headers = nullptr;
  enum class Connection : std::uint8_t {
    unsaid,
    keep_alive,
    close
  } connection = Connection::unsaid;
};

// 204, 304: never a body, and no Content-Length.
bool status_forbids_body(int status);

// Not thread-safe; one a worker.
class AnswerWriter {
 public:
  // Remembers the Date; formats it anew when the second has changed.
  void set_time(UnixMillis now);

  // Appends status line and headers, up to and including the empty line. Header names that are no
  // tokens are dropped, and so are control characters in values, and Content-Length,
  // Transfer-Encoding, Connection, Date and X-Request-Id, which are the server's own.
  void append_head(std::string& out, const Response& response, const AnswerFrame& frame) const;

 private:
  UnixMillis second_ = -1;
  std::string date_;  // RFC 9110 5.6.7
};

}  // namespace postern::http
