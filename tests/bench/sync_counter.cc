// libsync_counter.so, preloaded into a program that is measured: counts its successful calls of
// fsync and fdatasync in the file that SYNC_COUNTER_FILE names: 8 bytes, native byte order, to be
// read at any time. Exact, and costs nothing beside a sync.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace {

using Counter = std::atomic<std::uint64_t>;
using Sync = int (*)(int);
static_assert(sizeof(Counter) == 8 && Counter::is_always_lock_free);

Counter* open_counter() {
  static Counter nowhere;
  const char* file = std::getenv("SYNC_COUNTER_FILE");
  if (file == nullptr) return &nowhere;
  const int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return &nowhere;
  void* memory = MAP_FAILED;
  if (ftruncate(fd, sizeof(Counter)) == 0) {
    memory = mmap(nullptr, sizeof(Counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  close(fd);
  return memory == MAP_FAILED ? &nowhere : static_cast<Counter*>(memory);
}

int count(Sync original, int fd) {
  static Counter* const counter = open_counter();
  const int result = original(fd);
  if (result == 0) counter->fetch_add(1, std::memory_order_relaxed);
  return result;
}

Sync find(const char* name) {
  return reinterpret_cast<Sync>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" int fsync(int fd) {
  static const Sync original = find("fsync");
  return count(original, fd);
}

extern "C" int fdatasync(int fd) {
  static const Sync original = find("fdatasync");
  return count(original, fd);
}
