#include "storage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "schema.h"

namespace postern::storage_sqlite {
namespace {

using sdk::StorageError;
using Kind = sdk::StorageError::Kind;

constexpr std::uint64_t kEnoughDisk = 8U << 20;  // bytes; below it a group commit may not fit

// The database and its -wal hold mail: made readable by their owner only. SQLite gives the -wal and
// -shm files the database's mode.
void create_private(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0) {
    ::close(fd);
    return;
  }
  throw Failure{{.kind = Kind::unusable,
                 .message = path + ": can't be opened: " + std::strerror(errno) +
                            "; see to it that the directory exists and that this user may write "
                            "to it"}};
}

}  // namespace

ReaderPool::Use::Use(ReaderPool& pool) : pool_(pool) {
  std::unique_lock<std::mutex> hold{pool_.mutex_};
  pool_.freed_.wait(hold, [this] { return !pool_.free_.empty(); });
  session_ = std::move(pool_.free_.back());
  pool_.free_.pop_back();
}

ReaderPool::Use::~Use() {
  session_->rollback();
  {
    const std::lock_guard<std::mutex> hold{pool_.mutex_};
    pool_.free_.push_back(std::move(session_));
  }
  pool_.freed_.notify_one();
}

StorageError error_of(const SqliteFailure& failure, const std::string& path, bool opening) {
  const auto make = [&](Kind kind, const std::string& advice) {
    return StorageError{.kind = kind,
                        .message = path + ": " + advice + " [SQLite " +
                                   std::to_string(failure.code) + ": " + failure.message + "]"};
  };
  const Kind passing = opening ? Kind::unusable : Kind::unavailable;
  if (failure.code == SQLITE_READONLY_DBMOVED) {
    return make(Kind::unusable, "the file was moved or deleted while in use; restart");
  }
  switch (failure.code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return make(Kind::unavailable, "another process kept it locked for longer than busy_timeout");
    case SQLITE_FULL:
      return make(Kind::unavailable, "the disk or the database is full; free some space");
    case SQLITE_IOERR:
      return make(Kind::unavailable, "the disk answered an error; see the kernel's log");
    case SQLITE_NOMEM:
      return make(Kind::unavailable, "out of memory");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return make(passing,
                  "can't be written; see to the file's owner and mode, and its directory's");
    case SQLITE_CANTOPEN:
      return make(passing,
                  "can't be opened; see to it that the directory exists and this user may use it");
    case SQLITE_CORRUPT:
    case SQLITE_FORMAT:
      return make(Kind::unusable,
                  "the file is damaged; restore a backup, or `sqlite3 .recover` it");
    case SQLITE_NOTADB:
      return make(Kind::unusable,
                  "is not an SQLite database; give storage.settings.path another file");
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
      return make(Kind::invalid, "a value can't be stored");
    case SQLITE_ERROR:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
    case SQLITE_INTERNAL:
      return make(Kind::unusable, "the schema is not what this program expects");
    default:
      return make(Kind::unavailable, "failed");
  }
}

// In WAL mode COMMIT appends the transaction's pages to the -wal file, the last of them marked as
// the commit, and then syncs that file.
// - Full disk, or a failed write: the marked page is written last and carries a checksum over all
//   before it, so a reader after a crash doesn't see the transaction: nothing was stored. The next
//   commit writes over the same place.
// - A failed sync (or anything else that SQLite calls an I/O error then): the pages, mark included,
//   are in the system's cache and may or may not be on the disk. This process goes on without them,
//   but a crash before the next commit overwrites them may bring them back: unknown.
// - Everything else (busy, no memory, constraints) is refused before a page is written.
StorageError error_of_commit(const SqliteFailure& failure, const std::string& path) {
  StorageError error = error_of(failure, path, false);
  if ((failure.code & 0xff) == SQLITE_IOERR && failure.code != SQLITE_IOERR_WRITE &&
      failure.code != SQLITE_IOERR_NOMEM) {
    error.kind = Kind::unknown;
    error.message += "; whether the last commit is stored is not known until it is read";
  }
  return error;
}

void commit_durably(Session& session, const std::string& path) {
  try {
    session.commit();
  } catch (const SqliteFailure& failure) {
    throw Failure{error_of_commit(failure, path)};
  }
}

sdk::Stored<std::unique_ptr<sdk::Storage>> SqliteStorage::open(const sdk::StorageOptions& options,
                                                               sdk::HostServices& host) {
  const std::string path = options.settings.text("path");
  return guarded<std::unique_ptr<sdk::Storage>>(path, true, [&] {
    using Role = sdk::StorageOptions::Role;
    // Counting every allocation takes a lock that all sessions share. SQLite refuses the change
    // once it runs, which is no harm.
    sqlite_api::sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);

    std::unique_ptr<SqliteStorage> storage{new SqliteStorage{path, host}};
    SessionOptions session{.path = path};
    session.busy_timeout_ms = options.settings.integer("busy_timeout");
    session.cache_kib = options.settings.integer("cache_kib");

    if (options.role == Role::inspect) {
      struct stat status {};
      if (::stat(path.c_str(), &status) != 0) {
        throw Failure{{.kind = Kind::unusable, .message = path + ": " + std::strerror(errno)}};
      }
      // A reader of a WAL database makes its -wal and -shm files when they are missing. Where there
      // is none, nobody has the file open, and it can be read as it is.
      const bool in_use = ::stat((path + "-wal").c_str(), &status) == 0;
      session.access =
          in_use ? SessionOptions::Access::read_only : SessionOptions::Access::immutable;
    } else {
      create_private(path);
      std::string holder;
      std::string problem;
      bool locked = storage->lock_.acquire(path, holder, problem);
      // A command holds it only while it opens the file; a gateway as long as it runs.
      for (int i = 0; !locked && problem.empty() && options.role == Role::gateway && i < 20; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds{50});
        holder.clear();
        locked = storage->lock_.acquire(path, holder, problem);
      }
      if (options.role == Role::gateway && !locked) {
        throw Failure{
            {.kind = Kind::unusable,
             .message = problem.empty()
                            ? path + ": another gateway" +
                                  (holder.empty() ? "" : " (" + holder + ")") +
                                  " already serves this file; one SQLite file serves one gateway"
                            : problem}};
      }
      storage->writer_ = std::make_unique<Session>(session);
      Session& writer = *storage->writer_;
      const auto version = schema_version(writer, path);
      if (version != kSchemaVersion) {
        // A tool beside a running gateway must not change the tables under it.
        if (version > kSchemaVersion || (!locked && version != 0)) {
          throw Failure{wrong_version(path, version)};
        }
        // Three usual mails a page instead of one; ignored by a file that has its pages already.
        writer.execute("PRAGMA page_size=8192");
        writer.execute("PRAGMA auto_vacuum=NONE");
      }
      if (writer.text("PRAGMA journal_mode=WAL") != "wal") {
        throw Failure{{.kind = Kind::unusable,
                       .message = path + ": this file system can't keep a write-ahead log (shared "
                                         "memory is missing); use a local disk"}};
      }
      writer.execute("PRAGMA synchronous=FULL");
      // 64 MiB between checkpoints: each costs two syncs and writes every changed page once.
      writer.execute("PRAGMA wal_autocheckpoint=8000");
      writer.execute("PRAGMA journal_size_limit=134217728");
      // Deleted cells are overwritten in pages that are written anyway: erased mail is gone from
      // the tables at no extra I/O.
      writer.execute("PRAGMA secure_delete=FAST");
      migrate(writer, path, host.clock.now());
      if (options.role == Role::tool) storage->lock_.release();
      session.query_only = true;
    }

    const auto readers = std::max<std::int64_t>(1, options.settings.integer("readers"));
    session.cache_kib = std::max<std::int64_t>(256, session.cache_kib / 4);
    for (std::int64_t i = 0; i < readers; ++i) {
      auto reader = std::make_unique<Session>(session);
      if (i == 0) {
        const auto version = schema_version(*reader, path);
        if (version != kSchemaVersion) throw Failure{wrong_version(path, version)};
      }
      storage->readers_.add(std::move(reader));
    }
    return std::unique_ptr<sdk::Storage>{std::move(storage)};
  });
}

sdk::Stored<sdk::Done> SqliteStorage::ping() {
  return read<sdk::Done>([this](Session& session) {
    Statement{session, "SELECT max(version) FROM schema_version"}.run();
    if (::access(path_.c_str(), W_OK) != 0) {
      throw Failure{{.kind = Kind::unavailable,
                     .message = path_ + ": can't be written: " + std::strerror(errno)}};
    }
    struct statvfs disk {};
    if (::statvfs(path_.c_str(), &disk) == 0 &&
        static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize < kEnoughDisk) {
      throw Failure{{.kind = Kind::unavailable,
                     .message = path_ + ": less than 8 MiB are free on its disk; free some space"}};
    }
    return sdk::Done{};
  });
}

}  // namespace postern::storage_sqlite
