// http/channel.h: the one place where the bytes of a connection go in and out of its socket. What
// the connection sees is plaintext, so that a codec has its place here. Used on the connection's
// worker thread only; does not own the descriptor; nothing blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace postern::http {

class Channel {
 public:
  explicit Channel(int fd) : fd_(fd) {}

  enum class Input : std::uint8_t { bytes, nothing_yet, end, failed };
  struct Received {
    Input kind = Input::nothing_yet;
    std::size_t count = 0;
  };
  Received receive(char* to, std::size_t room);

  // Sends what the socket takes and keeps the rest, in order. False: the connection is broken.
  bool send(std::string_view head, std::string body = {});
  // Sends more of what was kept.
  bool flush();
  [[nodiscard]] bool pending() const { return !kept_.empty(); }
  [[nodiscard]] std::size_t pending_bytes() const { return kept_.size() - sent_; }

  // No more is sent; the client sees the end after what was sent.
  void finish();

 private:
  int fd_;
  std::string kept_;  // not yet taken by the socket, from sent_ on
  std::size_t sent_ = 0;
};

}  // namespace postern::http
