#include "cli/master_key.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/bytes.h"
#include "base/ids.h"

namespace postern::cli {
namespace {

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

Error failed(const std::string& doing, const std::string& file, int error) {
  return {ErrorKind::internal,
          "the master key: " + doing + " " + file + ": " + std::generic_category().message(error),
          {},
          {}};
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

Result<std::string> read_key(const std::string& file) {
  const File in{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!in.ok()) return failed("can't open", file, errno);
  std::string text(4096, '\0');
  ssize_t count = 0;
  do {
    count = ::read(in.fd(), text.data(), text.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) return failed("can't read", file, errno);
  text.resize(static_cast<std::size_t>(count));
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

Result<Done> make_private_directory(const std::string& directory) {
  std::error_code error;
  if (std::filesystem::is_directory(directory, error)) return Done{};
  const std::filesystem::path path{directory};
  if (path.has_parent_path() && path.parent_path() != path) {
    if (auto made = make_private_directory(path.parent_path().string()); !made) return made;
  }
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error{
        ErrorKind::internal,
        "can't make the directory " + directory + ": " + std::generic_category().message(errno),
        {},
        {}};
  }
  // The new directory's own entry is as durable as what will be kept in it.
  const File parent{::open(path.has_parent_path() ? path.parent_path().c_str() : ".",
                           O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (parent.ok()) ::fsync(parent.fd());
  return Done{};
}

Result<std::string> read_or_make_master_key(const std::string& file) {
  if (::access(file.c_str(), F_OK) == 0) return read_key(file);
  const std::filesystem::path path{file};
  const std::string directory = path.has_parent_path() ? path.parent_path().string() : ".";
  if (auto made = make_private_directory(directory); !made) return made.error();

  // Written whole under another name first, so that nobody ever reads half a key; link() refuses a
  // name that is taken, so that nobody's key is overwritten.
  const std::string draft = file + "." + hex_encode(random_bytes(8));
  const std::string key = base64_encode(random_bytes(32));
  {
    const File out{::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    if (!out.ok()) return failed("can't make", draft, errno);
    if (!write_all(out.fd(), key + "\n") || ::fsync(out.fd()) != 0) {
      const int error = errno;
      ::unlink(draft.c_str());
      return failed("can't write", draft, error);
    }
  }
  const int linked = ::link(draft.c_str(), file.c_str()) == 0 ? 0 : errno;
  ::unlink(draft.c_str());
  if (linked != 0 && linked != EEXIST) return failed("can't make", file, linked);
  const File folder{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!folder.ok() || ::fsync(folder.fd()) != 0) {
    return failed("can't make durable the directory", directory, errno);
  }
  return read_key(file);
}

}  // namespace postern::cli
