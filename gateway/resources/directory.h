// resources/directory.h: the resources that requests need, in memory. A bounded cache that reads
// through on a miss and drops what the change feed names, so that the hot path reads nothing from
// storage and a revoked key stops working within a second on every gateway.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "postern/sdk/storage.h"
#include "resources/types.h"

namespace postern::resources {

// An organization with its provider accounts, as they were at one moment. Immutable.
struct OrganizationView {
  Organization organization;
  std::vector<ProviderAccount> accounts;  // by priority, then slug

  [[nodiscard]] const ProviderAccount* account(std::string_view id) const;
};

// Whom a key stands for.
struct KeyHolder {
  std::shared_ptr<const ApiKey> key;
  std::shared_ptr<const OrganizationView> organization;
};

struct DirectoryOptions {
  std::size_t max_keys = 10'000;
  std::size_t max_organizations = 10'000;
  std::chrono::milliseconds poll{250};      // of the change feed
  std::chrono::milliseconds max_stale{10'000};  // feed unread for longer: keys fail closed (503)
};

// Thread-safe.
class Directory {
 public:
  using OnKey = std::function<void(Result<std::shared_ptr<const KeyHolder>>)>;
  using OnOrganization = std::function<void(Result<std::shared_ptr<const OrganizationView>>)>;
  // The organization's documents changed; called on the feed's thread.
  using OnChange = std::function<void(const std::string& organization)>;

  // All references outlive the directory.
  Directory(sdk::Storage& storage, ThreadPool& readers, const SecretBox& secrets,
            const Clock& clock, sdk::Logger& logger, DirectoryOptions options);
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  // Begins to follow the change feed. The error is storage's.
  Result<Done> start(OnChange on_change);
  void stop();

  // The holder of the key with this hash, or null when there is none (revoked and expired ones are
  // found: the caller decides). Calls back at once from memory, else from a reader thread; an
  // error is 503.
  void find_key(const std::string& sha256_hex, OnKey done);
  void find_organization(const std::string& id, OnOrganization done);

 private:
  template <typename T>
  class Lru {
   public:
    explicit Lru(std::size_t capacity) : capacity_(capacity) {}
    std::shared_ptr<const T> get(const std::string& key) {
      const auto found = index_.find(key);
      if (found == index_.end()) return nullptr;
      order_.splice(order_.begin(), order_, found->second);
      return found->second->second;
    }
    void put(const std::string& key, std::shared_ptr<const T> value) {
      erase(key);
      order_.emplace_front(key, std::move(value));
      index_[key] = order_.begin();
      if (order_.size() <= capacity_) return;
      index_.erase(order_.back().first);
      order_.pop_back();
    }
    void erase(const std::string& key) {
      const auto found = index_.find(key);
      if (found == index_.end()) return;
      order_.erase(found->second);
      index_.erase(found);
    }
    template <typename Predicate>
    void erase_if(Predicate predicate) {
      for (auto it = order_.begin(); it != order_.end();) {
        if (!predicate(*it->second)) {
          ++it;
          continue;
        }
        index_.erase(it->first);
        it = order_.erase(it);
      }
    }
    void clear() {
      order_.clear();
      index_.clear();
    }

   private:
    std::size_t capacity_;
    std::list<std::pair<std::string, std::shared_ptr<const T>>> order_;
    std::unordered_map<std::string, typename decltype(order_)::iterator> index_;
  };

  Result<std::shared_ptr<const KeyHolder>> load_key(const std::string& sha256_hex);
  Result<std::shared_ptr<const OrganizationView>> load_organization(const std::string& id);
  Error failed(const sdk::StorageError& error, const char* what);
  [[nodiscard]] bool stale() const;
  void follow();
  void read_feed();

  sdk::Storage& storage_;
  ThreadPool& readers_;
  const SecretBox& secrets_;
  const Clock& clock_;
  sdk::Logger& logger_;
  DirectoryOptions options_;
  OnChange on_change_;

  mutable std::mutex mutex_;
  std::condition_variable stop_changed_;
  bool stopping_ = false;
  Lru<KeyHolder> keys_;                    // by hash
  Lru<OrganizationView> organizations_;    // by id
  std::uint64_t invalidations_ = 0;        // a load that ran across one is not cached
  std::uint64_t revision_ = 0;
  std::chrono::steady_clock::time_point fresh_at_;
  std::thread feed_;
};

}  // namespace postern::resources
