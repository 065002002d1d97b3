#include "session.h"

#include <array>

namespace postern::storage_sqlite {
namespace {

// SQLite's URI form takes every path, also one with blanks, quotes and question marks, which SOCI's
// connection string would cut.
std::string uri_of(const SessionOptions& options) {
  static constexpr std::array<char, 16> kHex = {'0', '1', '2', '3', '4', '5', '6', '7',
                                                '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'};
  std::string uri = "file:";
  for (const char c : options.path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                       (byte >= '0' && byte <= '9') || byte == '/' || byte == '.' || byte == '-' ||
                       byte == '_';
    if (plain) {
      uri += c;
    } else {
      uri += '%';
      uri += kHex[byte >> 4];
      uri += kHex[byte & 15];
    }
  }
  switch (options.access) {
    case SessionOptions::Access::create:
      uri += "?mode=rwc";
      break;
    case SessionOptions::Access::read_only:
      uri += "?mode=ro";
      break;
    case SessionOptions::Access::immutable:
      uri += "?mode=ro&immutable=1";
      break;
  }
  return uri;
}

}  // namespace

Session::Session(const SessionOptions& options) {
  try {
    soci_ = std::make_unique<soci::session>(soci::sqlite3, "dbname=" + uri_of(options));
  } catch (const soci::sqlite3_soci_error& error) {
    throw SqliteFailure{error.result(), error.what()};
  } catch (const soci::soci_error& error) {
    throw SqliteFailure{SQLITE_CANTOPEN, error.what()};
  }
  db_ = static_cast<soci::sqlite3_session_backend*>(soci_->get_backend())->conn_;
  sqlite_api::sqlite3_extended_result_codes(db_, 1);
  sqlite_api::sqlite3_busy_timeout(db_, static_cast<int>(options.busy_timeout_ms));
  // Nothing may read or write beyond what the page cache holds; no memory maps.
  execute("PRAGMA mmap_size=0");
  execute("PRAGMA cache_size=-" + std::to_string(options.cache_kib));
  execute("PRAGMA temp_store=MEMORY");
  if (options.query_only || options.access != SessionOptions::Access::create) {
    execute("PRAGMA query_only=1");
  }
}

Session::~Session() {
  finalize_all();
}

void Session::finalize_all() noexcept {
  for (const auto& [key, statement] : by_literal_) sqlite_api::sqlite3_finalize(statement);
  for (const auto& [key, statement] : by_text_) sqlite_api::sqlite3_finalize(statement);
  by_literal_.clear();
  by_text_.clear();
}

void Session::fail(int code, std::string_view doing) const {
  throw SqliteFailure{
      sqlite_api::sqlite3_extended_errcode(db_) == 0 ? code
                                                     : sqlite_api::sqlite3_extended_errcode(db_),
      std::string{sqlite_api::sqlite3_errmsg(db_)} + " (" + std::string{doing} + ")"};
}

void Session::execute(std::string_view sql) {
  try {
    *soci_ << std::string{sql};
  } catch (const soci::soci_error&) {
    fail(SQLITE_ERROR, sql.substr(0, 60));
  }
}

std::int64_t Session::integer(std::string_view sql) {
  long long value = 0;
  try {
    *soci_ << std::string{sql}, soci::into(value);
  } catch (const soci::soci_error&) {
    fail(SQLITE_ERROR, sql.substr(0, 60));
  }
  return value;
}

std::string Session::text(std::string_view sql) {
  std::string value;
  try {
    *soci_ << std::string{sql}, soci::into(value);
  } catch (const soci::soci_error&) {
    fail(SQLITE_ERROR, sql.substr(0, 60));
  }
  return value;
}

// Not SOCI's begin(): that one is deferred, and a deferred transaction that finds another writer
// when it first writes can't wait for it.
void Session::begin_immediate() {
  Statement{*this, "BEGIN IMMEDIATE"}.run();
}
void Session::begin_read() {
  Statement{*this, "BEGIN DEFERRED"}.run();
}
void Session::commit() {
  Statement{*this, "COMMIT"}.run();
}

void Session::rollback() noexcept {
  if (!in_transaction()) return;
  for (const auto& [key, statement] : by_literal_) sqlite_api::sqlite3_reset(statement);
  for (const auto& [key, statement] : by_text_) sqlite_api::sqlite3_reset(statement);
  // SQLite has often rolled back by itself after an I/O error; then this is an error of no
  // interest.
  sqlite_api::sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
}

bool Session::in_transaction() const {
  return sqlite_api::sqlite3_get_autocommit(db_) == 0;
}
std::int64_t Session::changes() const {
  return sqlite_api::sqlite3_changes64(db_);
}
std::int64_t Session::last_rowid() const {
  return sqlite_api::sqlite3_last_insert_rowid(db_);
}

sqlite_api::sqlite3_stmt* Session::prepared(const char* sql) {
  auto& slot = by_literal_[sql];
  if (!slot) {
    const int code =
        sqlite_api::sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &slot, nullptr);
    if (code != SQLITE_OK) fail(code, sql);
  }
  return slot;
}

sqlite_api::sqlite3_stmt* Session::prepared(const std::string& sql) {
  const auto found = by_text_.find(sql);
  if (found != by_text_.end()) return found->second;
  sqlite_api::sqlite3_stmt* statement = nullptr;
  const int code = sqlite_api::sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()),
                                                  SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) fail(code, sql);
  by_text_.emplace(sql, statement);
  return statement;
}

void Statement::check(int code) {
  if (code != SQLITE_OK) session_.fail(code, sqlite_api::sqlite3_sql(statement_));
}

Statement& Statement::integer(std::int64_t value) {
  check(sqlite_api::sqlite3_bind_int64(statement_, next_++, value));
  return *this;
}
Statement& Statement::optional(const std::optional<std::int64_t>& value) {
  return value ? integer(*value) : null();
}
Statement& Statement::text(std::string_view value) {
  check(sqlite_api::sqlite3_bind_text64(statement_, next_++, value.empty() ? "" : value.data(),
                                        value.size(), nullptr, SQLITE_UTF8));
  return *this;
}
Statement& Statement::text_or_null(std::string_view value) {
  return value.empty() ? null() : text(value);
}
Statement& Statement::blob(std::string_view value) {
  // A null pointer would bind NULL instead of a blob of no bytes.
  check(sqlite_api::sqlite3_bind_blob64(statement_, next_++, value.empty() ? "" : value.data(),
                                        value.size(), nullptr));
  return *this;
}
Statement& Statement::blob_or_null(std::string_view value) {
  return value.empty() ? null() : blob(value);
}
Statement& Statement::null() {
  check(sqlite_api::sqlite3_bind_null(statement_, next_++));
  return *this;
}

bool Statement::step() {
  const int code = sqlite_api::sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  session_.fail(code, sqlite_api::sqlite3_sql(statement_));
}

void Statement::run() {
  while (step()) {
  }
  reset();
}

void Statement::reset() noexcept {
  sqlite_api::sqlite3_reset(statement_);
  next_ = 1;
}

std::int64_t Statement::get_integer(int column) const {
  return sqlite_api::sqlite3_column_int64(statement_, column);
}
std::optional<std::int64_t> Statement::get_optional(int column) const {
  if (is_null(column)) return std::nullopt;
  return get_integer(column);
}
std::string_view Statement::view(int column) const {
  const void* data = sqlite_api::sqlite3_column_blob(statement_, column);
  const int size = sqlite_api::sqlite3_column_bytes(statement_, column);
  return {static_cast<const char*>(data), data ? static_cast<std::size_t>(size) : 0};
}
bool Statement::is_null(int column) const {
  return sqlite_api::sqlite3_column_type(statement_, column) == SQLITE_NULL;
}
bool Statement::is_blob(int column) const {
  return sqlite_api::sqlite3_column_type(statement_, column) == SQLITE_BLOB;
}

}  // namespace postern::storage_sqlite
