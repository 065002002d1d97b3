// base/thread_pool.h: a few threads for work that may block (storage reads), so that the HTTP
// workers never do.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace postern {

// Thread-safe. The destructor stops it.
class ThreadPool {
 public:
  ThreadPool(std::size_t threads, std::size_t max_queued);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // False when max_queued jobs wait already, or the pool was stopped: the caller answers
  // that it is overloaded. A job must not throw.
  [[nodiscard]] bool run(std::function<void()> job);

  // Runs what is queued, takes nothing more, and joins. Called by one thread.
  void stop();

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  std::size_t max_queued_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace postern
