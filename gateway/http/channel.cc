#include "http/channel.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <utility>

namespace postern::http {

Channel::Received Channel::receive(char* to, std::size_t room) {
  for (;;) {
    const ssize_t got = ::recv(fd_, to, room, MSG_DONTWAIT);
    if (got > 0) return {Input::bytes, static_cast<std::size_t>(got)};
    if (got == 0) return {Input::end, 0};
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {Input::nothing_yet, 0};
    return {Input::failed, 0};
  }
}

bool Channel::send(std::string_view head, std::string body) {
  if (pending()) {
    kept_.append(head).append(body);
    return true;
  }
  // sendmsg does not write through iov_base; the C interface just has no const.
  std::array<iovec, 2> parts{iovec{const_cast<char*>(head.data()), head.size()},
                             iovec{body.data(), body.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = body.empty() ? 1 : 2;
  ssize_t took = 0;
  do {
    took = ::sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (took < 0 && errno == EINTR);
  if (took < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return false;

  const auto gone = static_cast<std::size_t>(took < 0 ? 0 : took);
  if (gone == head.size() + body.size()) return true;
  if (gone >= head.size()) {
    sent_ = gone - head.size();
    kept_ = std::move(body);
  } else {
    sent_ = 0;
    kept_.assign(head.substr(gone)).append(body);
  }
  return true;
}

bool Channel::flush() {
  while (sent_ < kept_.size()) {
    const ssize_t took =
        ::send(fd_, kept_.data() + sent_, kept_.size() - sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (took < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN || errno == EWOULDBLOCK;
    }
    sent_ += static_cast<std::size_t>(took);
  }
  kept_ = {};
  sent_ = 0;
  return true;
}

void Channel::finish() {
  ::shutdown(fd_, SHUT_WR);
}

}  // namespace postern::http
