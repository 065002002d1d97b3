#include "lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace postern::storage_sqlite {

bool FileLock::acquire(const std::string& path, std::string& holder, std::string& problem) {
  const std::string file = path + ".lock";
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    problem = file + ": " + std::strerror(errno);
    return false;
  }
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    std::array<char, 128> buffer{};
    const auto got = ::pread(fd, buffer.data(), buffer.size(), 0);
    if (got > 0) holder.assign(buffer.data(), static_cast<std::size_t>(got));
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    if (error != EWOULDBLOCK) problem = file + ": " + std::strerror(error);
    ::close(fd);
    return false;
  }
  // Only for the message that a second gateway gives; failing to write it harms nothing.
  const std::string self = "process " + std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd, 0) != 0 ||
      ::pwrite(fd, self.data(), self.size(), 0) != static_cast<ssize_t>(self.size())) {
    holder.clear();
  }
  fd_ = fd;
  return true;
}

void FileLock::release() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

FileLock::~FileLock() {
  release();
}

}  // namespace postern::storage_sqlite
