// storage_sqlite/lock.h: one gateway per file.
#pragma once

#include <string>

namespace postern::storage_sqlite {

// An exclusive flock on "<path>.lock", held until destroyed; the system lets go of it when the
// process dies. The lock file stays: removing it would let two processes hold two files.
class FileLock {
 public:
  FileLock() = default;
  // `holder` gets what the one who has it wrote about itself. False: somebody has it, or it can't
  // be made (then `problem` says why).
  bool acquire(const std::string& path, std::string& holder, std::string& problem);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  [[nodiscard]] bool held() const { return fd_ >= 0; }
  void release();

 private:
  int fd_ = -1;
};

}  // namespace postern::storage_sqlite
