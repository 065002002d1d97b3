// storage_sqlite/storage.h: the Storage contract on one SQLite file.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lock.h"
#include "postern/sdk/storage.h"
#include "session.h"

namespace postern::storage_sqlite {

// A fixed number of read-only sessions; a reader waits for a free one. Thread-safe.
class ReaderPool {
 public:
  void add(std::unique_ptr<Session> session) { free_.push_back(std::move(session)); }

  // A session for one read. Outside of a transaction when it comes and when it goes.
  class Use {
   public:
    explicit Use(ReaderPool& pool);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    Session& operator*() { return *session_; }

   private:
    ReaderPool& pool_;
    std::unique_ptr<Session> session_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<std::unique_ptr<Session>> free_;
};

class SqliteStorage final : public sdk::Storage {
 public:
  static sdk::Stored<std::unique_ptr<sdk::Storage>> open(const sdk::StorageOptions& options,
                                                         sdk::HostServices& host);

  sdk::Stored<std::vector<sdk::UnitResult>> commit(std::span<const sdk::Unit> units) override;
  sdk::Stored<std::vector<sdk::LeasedWork>> lease(const sdk::LeaseRequest& request) override;
  sdk::Stored<std::uint64_t> recover(const std::string& node, const std::string& incarnation,
                                     sdk::UnixMillis now) override;
  sdk::Stored<sdk::PurgeResult> purge(const sdk::PurgeRequest& request) override;

  sdk::Stored<std::optional<sdk::Document>> document(const std::string& kind,
                                                     const std::string& id) override;
  sdk::Stored<std::optional<sdk::Document>> document_by_key(const std::string& kind,
                                                            const std::string& unique_key) override;
  sdk::Stored<std::vector<bool>> any_exist(const std::string& kind,
                                           std::span<const std::string> unique_keys) override;
  sdk::Stored<std::vector<sdk::Document>> documents(const sdk::DocumentQuery& query) override;
  sdk::Stored<std::uint64_t> count_documents(const sdk::DocumentQuery& query) override;

  sdk::Stored<std::optional<sdk::MessageDetail>> message(const std::string& organization,
                                                         const std::string& id) override;
  sdk::Stored<std::vector<sdk::StoredMessage>> messages_for_delivery(
      std::span<const std::string> ids) override;
  sdk::Stored<sdk::MessagePage> messages(const sdk::MessageQuery& query) override;
  sdk::Stored<std::optional<std::string>> message_by_provider_id(
      const std::string& account, const std::string& provider_message_id) override;
  sdk::Stored<std::vector<sdk::MetricRow>> metrics(const sdk::MetricQuery& query) override;

  sdk::Stored<std::vector<sdk::LaneDepth>> depth(sdk::Queue queue, sdk::UnixMillis now) override;
  sdk::Stored<std::vector<sdk::WorkRow>> work(const sdk::WorkQuery& query) override;

  sdk::Stored<std::vector<sdk::DocumentChange>> changes(std::uint64_t after,
                                                        std::uint32_t limit) override;
  sdk::Stored<std::uint64_t> last_revision() override;
  sdk::Stored<sdk::IterateResult> iterate(const std::string& cursor, std::uint32_t limit) override;
  sdk::Stored<std::vector<std::string>> check() override;
  sdk::Stored<sdk::Done> ping() override;

 private:
  SqliteStorage(std::string path, sdk::HostServices& host) : path_(std::move(path)), host_(host) {}

  // The edge of the plugin: what `body` throws comes out as an error. `body` gets the writer's or a
  // reader's session; whatever happens, the session is outside of a transaction afterwards.
  template <typename T>
  sdk::Stored<T> write(const std::function<T(Session&)>& body);
  // One consistent snapshot.
  template <typename T>
  sdk::Stored<T> read(const std::function<T(Session&)>& body);

  std::string path_;
  sdk::HostServices& host_;
  FileLock lock_;
  std::mutex writing_;               // the contract has one writer; this makes a mistake harmless
  std::unique_ptr<Session> writer_;  // none when opened for inspection
  ReaderPool readers_;
  // The lane that lease() served last, by queue, so that the next call goes on behind it.
  std::map<sdk::Queue, std::string> last_lane_;
};

// The StorageError for SQLite's answer. `opening`: what can't be opened needs an operator; later
// the same trouble may pass.
sdk::StorageError error_of(const SqliteFailure& failure, const std::string& path, bool opening);

// What a COMMIT that failed means. See the comment at its definition.
sdk::StorageError error_of_commit(const SqliteFailure& failure, const std::string& path);

// COMMIT, with the error above.
void commit_durably(Session& session, const std::string& path);

// Runs `body` and turns what it throws into an error.
template <typename T>
sdk::Stored<T> guarded(const std::string& path, bool opening, const std::function<T()>& body) {
  try {
    return body();
  } catch (const Failure& failure) {
    return failure.error;
  } catch (const SqliteFailure& failure) {
    return error_of(failure, path, opening);
  } catch (const std::exception& error) {
    return sdk::StorageError{.kind = sdk::StorageError::Kind::unavailable,
                             .message = path + ": " + error.what()};
  } catch (...) {
    return sdk::StorageError{.kind = sdk::StorageError::Kind::unavailable,
                             .message = path + ": an unknown exception"};
  }
}

template <typename T>
sdk::Stored<T> SqliteStorage::write(const std::function<T(Session&)>& body) {
  return guarded<T>(path_, false, [&]() -> T {
    const std::lock_guard<std::mutex> hold{writing_};
    if (!writer_) {
      throw Failure{{.kind = sdk::StorageError::Kind::unusable,
                     .message = path_ + ": opened for inspection, nothing can be written"}};
    }
    struct Cleanup {
      Session& session;
      ~Cleanup() { session.rollback(); }
    } cleanup{*writer_};
    return body(*writer_);
  });
}

template <typename T>
sdk::Stored<T> SqliteStorage::read(const std::function<T(Session&)>& body) {
  return guarded<T>(path_, false, [&]() -> T {
    ReaderPool::Use use{readers_};
    (*use).begin_read();
    T result = body(*use);
    (*use).commit();
    return result;
  });
}

}  // namespace postern::storage_sqlite
