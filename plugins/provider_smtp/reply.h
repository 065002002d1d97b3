// Replies of an SMTP server, RFC 5321 4.2.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace postern::smtp {

struct Reply {
  int code = 0;      // 200..599
  std::string text;  // the lines without their codes, joined by '\n'; raw octets of the server

  [[nodiscard]] bool positive() const { return code >= 200 && code < 300; }
  [[nodiscard]] bool intermediate() const { return code >= 300 && code < 400; }
};

// The enhanced status code at the start of the text (RFC 2034, RFC 3463), or empty. One whose
// class contradicts the reply code is not believed.
std::string_view enhanced_status_of(const Reply& reply);

// "550 5.1.1 No such user", fit for logs and JSON: one line of at most 512 octets of valid UTF-8
// without control characters.
std::string describe(const Reply& reply);

// The same treatment for any text of the server's.
std::string printable(std::string_view text);

// Cuts the stream of a connection into replies. Not thread-safe.
class ReplyParser {
 public:
  enum class Status { need_more, reply, malformed };

  static constexpr std::size_t kMaxLine = 2048;        // octets; RFC 5321 4.5.3.1.5 says 512
  static constexpr std::size_t kMaxReply = 64 * 1024;  // octets of all lines of one reply

  // Where the next octets go; never empty after next() answered need_more.
  char* room() { return buffer_.data() + end_; }
  [[nodiscard]] std::size_t room_size() const { return buffer_.size() - end_; }
  void commit(std::size_t size) { end_ += size; }

  // The next whole reply is then in reply(), until the next call. After malformed, only discard()
  // is of use.
  Status next();
  [[nodiscard]] const Reply& reply() const { return reply_; }
  [[nodiscard]] std::size_t buffered() const { return end_ - begin_; }
  void discard();

 private:
  std::array<char, 4096> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t scanned_ = 0;  // no LF between begin_ and here
  bool in_reply_ = false;
  Reply reply_;
};

}  // namespace postern::smtp
