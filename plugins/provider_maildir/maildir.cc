#include "maildir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>

namespace postern::maildir {
namespace {

using sdk::Outcome;
using sdk::Verdict;

class File {
 public:
  explicit File(int fd) : fd_{fd} {}
  ~File() { close(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  // 0 on success; on some file systems only close() tells of a full disk.
  int close() { return fd_ < 0 ? 0 : ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

constexpr std::array<const char*, 3> kFolders{"tmp", "new", "cur"};

std::uint64_t fnv1a(std::uint64_t hash, std::string_view bytes) {
  for (const char c : bytes) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3U;
  }
  return hash;
}

std::string hex(std::uint64_t value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out(16, '0');
  for (std::size_t i = 16; i-- > 0; value >>= 4) out[i] = kDigits[value & 15];
  return out;
}

bool exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

int sync_folder(const std::string& path) {
  const File folder{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (folder.get() < 0) return errno;
  return ::fsync(folder.get()) == 0 ? 0 : errno;
}

std::string parent_of(const std::string& path) {
  const std::size_t end = path.find_last_not_of('/');
  const std::size_t slash = path.rfind('/', end);
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Makes the maildir and its three folders where they are missing. An Outcome other than accepted
// says why it can't be.
Outcome make_folders(const Options& options) {
  Outcome made;
  made.verdict = Verdict::accepted;
  bool any = false;
  const auto make = [&](const std::string& path) {
    if (::mkdir(path.c_str(), 0700) == 0) {
      any = true;
    } else if (errno != EEXIST) {
      made = outcome_of_errno(errno, "mkdir " + path);
      return false;
    }
    return true;
  };
  if (!make(options.path)) return made;
  for (const char* folder : kFolders) {
    if (!make(options.path + "/" + folder)) return made;
  }
  if (any && options.fsync) {
    for (const std::string& path : {options.path, parent_of(options.path)}) {
      const int error = sync_folder(path);
      // A parent that can't be opened for reading can't be synced by anybody but its owner.
      if (error != 0 && error != EACCES) return outcome_of_errno(error, "fsync " + path);
    }
  }
  return made;
}

int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::write(fd, bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
  return 0;
}

// Readers move a mail from new/ to cur/ and append flags to its name, ":2,S". Looking for any flags
// reads all of cur/, so that only a retry does it.
bool was_delivered(const Options& options, const std::string& name, bool is_retry) {
  if (exists(options.path + "/new/" + name) || exists(options.path + "/cur/" + name)) return true;
  if (!is_retry) return false;
  std::error_code error;
  for (std::filesystem::directory_iterator entry{options.path + "/cur", error}, end;
       !error && entry != end; entry.increment(error)) {
    const std::string file = entry->path().filename().string();
    if (file.starts_with(name) && file.size() > name.size() && file[name.size()] == ':')
      return true;
  }
  return false;
}

}  // namespace

std::string file_name(const sdk::OutboundMessage& message) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const std::string& recipient : message.recipients) {
    hash = fnv1a(fnv1a(hash, recipient), std::string_view{"\0", 1});
  }
  std::string id;
  for (const char c : message.id) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '_';
    if (plain) id += c;
  }
  if (id.size() != message.id.size() || id.empty() || id.size() > 128) {
    id = "x" + hex(fnv1a(0xcbf29ce484222325U, message.id));
  }
  return id + "." + hex(hash) + ".postern";
}

std::string file_content(const sdk::OutboundMessage& message) {
  const std::string_view mime = *message.mime;
  std::string out;
  out.reserve(mime.size() + 64 + message.recipients.size() * 48);
  const auto header = [&](std::string_view name, std::string_view before, std::string_view value,
                          std::string_view after) {
    out += name;
    out += before;
    for (const char c : value) out += c == '\r' || c == '\n' || c == '\0' ? '?' : c;
    out += after;
    out += '\n';
  };
  header("Return-Path: ", "<", message.envelope_sender, ">");
  for (const std::string& recipient : message.recipients) {
    header("Delivered-To: ", "", recipient, "");
  }
  std::size_t from = 0;
  while (from < mime.size()) {
    const std::size_t end = mime.find("\r\n", from);
    if (end == std::string_view::npos) {
      out += mime.substr(from);
      break;
    }
    out += mime.substr(from, end - from);
    out += '\n';
    from = end + 2;
  }
  if (!out.ends_with('\n')) out += '\n';
  return out;
}

sdk::Outcome outcome_of_errno(int error, std::string_view what) {
  Outcome outcome;
  outcome.detail = std::string{what} + ": " + std::generic_category().message(error);
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      outcome.verdict = Verdict::deferred;
      outcome.enhanced_status = "4.3.1";  // mail system full
      break;
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
      outcome.verdict = Verdict::refused;
      outcome.enhanced_status = "4.3.5";  // system incorrectly configured
      break;
    default:
      outcome.verdict = Verdict::deferred;
      outcome.enhanced_status = "4.3.0";
      break;
  }
  return outcome;
}

sdk::Outcome deliver(const Options& options, const sdk::OutboundMessage& message, bool is_retry) {
  static std::atomic<std::uint64_t> counter{0};
  Outcome made = make_folders(options);
  if (made.verdict != Verdict::accepted) return made;

  Outcome delivered;
  delivered.verdict = Verdict::accepted;
  delivered.enhanced_status = "2.0.0";
  const std::string name = file_name(message);
  delivered.provider_message_id = name;
  const auto finish = [&](const std::string& how) {
    if (options.fsync) {
      if (const int error = sync_folder(options.path + "/new"); error != 0) {
        Outcome unsure = outcome_of_errno(error, "fsync " + options.path + "/new");
        unsure.verdict = Verdict::deferred;
        unsure.ambiguous = true;  // readers can see it
        return unsure;
      }
    }
    delivered.detail = how + name;
    return delivered;
  };
  if (was_delivered(options, name, is_retry)) return finish("was delivered before as ");

  const std::string temporary = options.path + "/tmp/" + name + "." + std::to_string(::getpid()) +
                                "." + std::to_string(counter++);
  const std::string target = options.path + "/new/" + name;
  const auto failed = [&](int error, const std::string& what) {
    ::unlink(temporary.c_str());
    return outcome_of_errno(error, what);
  };
  File file{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  if (file.get() < 0) return failed(errno, "open " + temporary);
  if (const int error = write_all(file.get(), file_content(message)); error != 0) {
    return failed(error, "write " + temporary);
  }
  if (options.fsync && ::fsync(file.get()) != 0) return failed(errno, "fsync " + temporary);
  if (file.close() != 0) return failed(errno, "close " + temporary);
  // link() never replaces a mail that is there, as rename() would.
  if (::link(temporary.c_str(), target.c_str()) != 0 && errno != EEXIST) {
    const bool unsupported = errno == EPERM || errno == EOPNOTSUPP;
    if (!unsupported || ::rename(temporary.c_str(), target.c_str()) != 0) {
      return failed(errno, "link " + target);
    }
  }
  ::unlink(temporary.c_str());
  return finish("delivered as ");
}

std::string check(const Options& options) {
  const Outcome made = make_folders(options);
  if (made.verdict != Verdict::accepted) return made.detail;
  for (const char* folder : {"tmp", "new"}) {
    const std::string path = options.path + "/" + folder;
    if (::access(path.c_str(), W_OK | X_OK) != 0) {
      return "access " + path + ": " + std::generic_category().message(errno);
    }
  }
  return {};
}

}  // namespace postern::maildir
