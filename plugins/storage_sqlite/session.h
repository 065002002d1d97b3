// storage_sqlite/session.h: one SOCI session on the file and its cached statements.
//
// SOCI opens, owns and closes the connection and runs what is rare (pragmas, migrations).
// Statements that carry data go to the session's native handle: SOCI's sqlite3 backend copies every
// value twice, binds strings to BLOB columns as text and hides the extended error codes.
#pragma once

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "postern/sdk/storage.h"

namespace postern::storage_sqlite {

// SQLite's answer to a call that failed. Thrown inside the plugin, turned into a StorageError at
// its edge (storage.cc).
struct SqliteFailure {
  int code = 0;         // extended result code
  std::string message;  // SQLite's own words and what was being done
};
// A StorageError on its way to the edge.
struct Failure {
  sdk::StorageError error;
};

struct SessionOptions {
  std::string path;
  enum class Access : std::uint8_t { create, read_only, immutable };
  Access access = Access::create;
  bool query_only = false;
  std::int64_t busy_timeout_ms = 5000;
  std::int64_t cache_kib = 4096;
};

class Statement;

// Not thread-safe.
class Session {
 public:
  // Throws SqliteFailure.
  explicit Session(const SessionOptions& options);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Throws SqliteFailure.
  void execute(std::string_view sql);
  [[nodiscard]] std::int64_t integer(std::string_view sql);
  [[nodiscard]] std::string text(std::string_view sql);

  void begin_immediate();
  void begin_read();
  void commit();
  // Never throws; after it the session is outside of a transaction.
  void rollback() noexcept;
  [[nodiscard]] bool in_transaction() const;
  // Of the last INSERT, UPDATE or DELETE.
  [[nodiscard]] std::int64_t changes() const;
  [[nodiscard]] std::int64_t last_rowid() const;

 private:
  friend class Statement;
  sqlite_api::sqlite3_stmt* prepared(const char* sql);
  sqlite_api::sqlite3_stmt* prepared(const std::string& sql);
  [[noreturn]] void fail(int code, std::string_view doing) const;
  void finalize_all() noexcept;

  std::unique_ptr<soci::session> soci_;
  sqlite_api::sqlite3* db_ = nullptr;
  // Statements by the address of their literal: each literal is one constant of this plugin.
  std::unordered_map<const void*, sqlite_api::sqlite3_stmt*> by_literal_;
  std::unordered_map<std::string, sqlite_api::sqlite3_stmt*> by_text_;
};

// One use of a cached statement: binds in order, steps, reads; resets when it goes out of scope, so
// that no statement stays busy (it would hold a snapshot and block checkpoints).
//
// What is bound must live until the last step.
class Statement {
 public:
  Statement(Session& session, const char* literal)
      : session_(session), statement_(session.prepared(literal)) {}
  Statement(Session& session, const std::string& sql)
      : session_(session), statement_(session.prepared(sql)) {}
  ~Statement() { reset(); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& integer(std::int64_t value);
  Statement& optional(const std::optional<std::int64_t>& value);
  Statement& text(std::string_view value);
  Statement& text_or_null(std::string_view value);  // empty: NULL
  Statement& blob(std::string_view value);
  Statement& blob_or_null(std::string_view value);  // empty: NULL
  Statement& null();

  // True: a row; false: done. Throws SqliteFailure.
  bool step();
  // For what returns no rows: steps to the end and makes the statement ready to be bound again.
  void run();
  // Ready to be bound again.
  void reset() noexcept;

  [[nodiscard]] std::int64_t get_integer(int column) const;
  [[nodiscard]] std::optional<std::int64_t> get_optional(int column) const;
  // The bytes of a TEXT or BLOB; empty for NULL. Valid until the next step or reset.
  [[nodiscard]] std::string_view view(int column) const;
  [[nodiscard]] std::string get_text(int column) const { return std::string{view(column)}; }
  [[nodiscard]] bool is_null(int column) const;
  [[nodiscard]] bool is_blob(int column) const;

 private:
  void check(int code);

  Session& session_;
  sqlite_api::sqlite3_stmt* statement_;
  int next_ = 1;
};

}  // namespace postern::storage_sqlite
