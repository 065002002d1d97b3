#include "schema.h"

#include <array>
#include <span>

namespace postern::storage_sqlite {
namespace {

// Columns without a type keep what they are given: BLOB for a UUID, TEXT for another identifier
// (see codec.h). BIGINT, not INTEGER: SOCI cuts columns declared INTEGER to 32 bits; the one
// INTEGER PRIMARY KEY of a table is SQLite's own row number and is read natively.
//
// README.md explains every index. None may be added without measuring what it costs an enqueue.
constexpr const char* kVersion1[] = {
    R"(CREATE TABLE document(
         seq INTEGER PRIMARY KEY,
         kind TEXT NOT NULL,
         organization TEXT NOT NULL,
         id TEXT NOT NULL,
         unique_key TEXT,
         version BIGINT NOT NULL,
         json BLOB NOT NULL,
         expires_at BIGINT,
         created_at BIGINT NOT NULL,
         updated_at BIGINT NOT NULL))",
    "CREATE UNIQUE INDEX document_id ON document(kind, id)",
    "CREATE UNIQUE INDEX document_key ON document(kind, unique_key) WHERE unique_key IS NOT NULL",
    "CREATE INDEX document_organization ON document(kind, organization, id)",
    "CREATE INDEX document_expiry ON document(expires_at) WHERE expires_at IS NOT NULL",

    // AUTOINCREMENT: the last revision is remembered when its row is purged.
    R"(CREATE TABLE change(
         revision INTEGER PRIMARY KEY AUTOINCREMENT,
         kind TEXT NOT NULL,
         organization TEXT NOT NULL,
         id TEXT NOT NULL,
         deleted BIGINT NOT NULL))",

    R"(CREATE TABLE idempotency(
         scope TEXT NOT NULL,
         key TEXT NOT NULL,
         request_hash TEXT NOT NULL,
         response BLOB NOT NULL,
         expires_at BIGINT NOT NULL,
         PRIMARY KEY(scope, key)) WITHOUT ROWID)",
    "CREATE INDEX idempotency_expiry ON idempotency(expires_at)",

    R"(CREATE TABLE message(
         seq INTEGER PRIMARY KEY,
         id NOT NULL,
         organization NOT NULL,
         test BIGINT NOT NULL,
         stream TEXT NOT NULL,
         status BIGINT NOT NULL,
         account NOT NULL,
         provider_type TEXT NOT NULL,
         sender TEXT NOT NULL,
         sender_domain TEXT NOT NULL,
         subject TEXT NOT NULL,
         message_id_header TEXT NOT NULL,
         tags TEXT,
         template_id NOT NULL,
         metadata BLOB,
         recipient_count BIGINT NOT NULL,
         created_at BIGINT NOT NULL,
         updated_at BIGINT NOT NULL,
         send_at BIGINT,
         has_body BIGINT NOT NULL))",
    "CREATE UNIQUE INDEX message_id ON message(id)",
    "CREATE INDEX message_list ON message(organization, id)",
    "CREATE INDEX message_status ON message(organization, status, id)",
    "CREATE INDEX message_account ON message(organization, account, id)",
    "CREATE INDEX message_age ON message(organization, has_body, created_at)",

    R"(CREATE TABLE message_tag(
         organization NOT NULL,
         tag TEXT NOT NULL,
         message NOT NULL,
         PRIMARY KEY(organization, tag, message)) WITHOUT ROWID)",

    "CREATE TABLE body(seq INTEGER PRIMARY KEY, content BLOB NOT NULL)",

    R"(CREATE TABLE recipient(
         message NOT NULL,
         idx BIGINT NOT NULL,
         organization NOT NULL,
         role BIGINT NOT NULL,
         address TEXT NOT NULL,
         status BIGINT NOT NULL,
         enhanced_status TEXT,
         detail TEXT,
         provider_message_id TEXT,
         account,
         updated_at BIGINT NOT NULL,
         PRIMARY KEY(message, idx)) WITHOUT ROWID)",
    "CREATE INDEX recipient_address ON recipient(organization, address, message)",
    "CREATE INDEX recipient_provider_id ON recipient(provider_message_id, message) "
    "WHERE provider_message_id IS NOT NULL",

    R"(CREATE TABLE event(
         message NOT NULL,
         at BIGINT NOT NULL,
         id NOT NULL,
         organization NOT NULL,
         type BIGINT NOT NULL,
         recipient BIGINT NOT NULL,
         account NOT NULL,
         attempt BIGINT NOT NULL,
         detail BLOB,
         deduplication_key TEXT,
         PRIMARY KEY(message, at, id)) WITHOUT ROWID)",
    "CREATE UNIQUE INDEX event_deduplication ON event(organization, deduplication_key) "
    "WHERE deduplication_key IS NOT NULL",

    // ready_at is when it may be leased: due, or the end of the lease that it is under.
    R"(CREATE TABLE work(
         queue BIGINT NOT NULL,
         id NOT NULL,
         organization NOT NULL,
         lane NOT NULL,
         priority BIGINT NOT NULL,
         due BIGINT NOT NULL,
         ready_at BIGINT NOT NULL,
         attempts BIGINT NOT NULL,
         message NOT NULL,
         payload BLOB,
         owner TEXT,
         fence BIGINT NOT NULL,
         PRIMARY KEY(queue, id)) WITHOUT ROWID)",
    "CREATE INDEX work_ready ON work(queue, lane, priority, ready_at)",
    "CREATE INDEX work_message ON work(message) WHERE queue = 0 AND message <> id",

    R"(CREATE TABLE metric(
         organization NOT NULL,
         hour BIGINT NOT NULL,
         account NOT NULL,
         sender_domain TEXT NOT NULL,
         template_id NOT NULL,
         tag TEXT NOT NULL,
         type BIGINT NOT NULL,
         gateway TEXT NOT NULL,
         count BIGINT NOT NULL,
         PRIMARY KEY(organization, hour, account, sender_domain, template_id, tag, type, gateway)
         ) WITHOUT ROWID)",
};

struct Migration {
  std::int64_t version;
  const char* description;
  std::span<const char* const> statements;
};
constexpr std::array<Migration, 1> kMigrations = {
    {{1, "documents, messages, events, work, idempotency, metrics", kVersion1}}};
static_assert(kMigrations.back().version == kSchemaVersion);

[[noreturn]] void refuse(std::string message) {
  throw Failure{{.kind = sdk::StorageError::Kind::unusable, .message = std::move(message)}};
}

}  // namespace

sdk::StorageError wrong_version(const std::string& path, std::int64_t found) {
  const std::string versions = "its schema is version " + std::to_string(found) +
                               ", this program's is version " + std::to_string(kSchemaVersion);
  return {.kind = sdk::StorageError::Kind::unusable,
          .message = path + ": " + versions +
                     (found > kSchemaVersion
                          ? "; use the newer Postern that upgraded it, or restore a backup"
                          : "; start the gateway once to upgrade it")};
}

std::int64_t schema_version(Session& session, const std::string& path) {
  const auto application = session.integer("PRAGMA application_id");
  if (session.integer("SELECT count(*) FROM sqlite_master") == 0 && application == 0) return 0;
  if (application != kApplicationId ||
      session.integer("SELECT count(*) FROM sqlite_master WHERE name = 'schema_version'") != 1) {
    refuse(path + ": is an SQLite database of another program; give storage.settings.path a file " +
           "of its own");
  }
  return session.integer("SELECT coalesce(max(version), 0) FROM schema_version");
}

void migrate(Session& session, const std::string& path, sdk::UnixMillis now) {
  if (schema_version(session, path) > kSchemaVersion) {
    throw Failure{wrong_version(path, schema_version(session, path))};
  }
  for (const auto& migration : kMigrations) {
    // Looked up again under the lock: another process may have been faster.
    session.begin_immediate();
    const auto version = schema_version(session, path);
    if (version > kSchemaVersion) {
      session.rollback();
      throw Failure{wrong_version(path, version)};
    }
    if (version >= migration.version) {
      session.rollback();
      continue;
    }
    if (version == 0) {
      session.execute("PRAGMA application_id=" + std::to_string(kApplicationId));
      session.execute(
          "CREATE TABLE IF NOT EXISTS schema_version(version BIGINT PRIMARY KEY, applied_at BIGINT "
          "NOT NULL, "
          "description TEXT NOT NULL)");
    }
    for (const char* statement : migration.statements) session.execute(statement);
    Statement{session, "INSERT INTO schema_version(version, applied_at, description) VALUES(?,?,?)"}
        .integer(migration.version)
        .integer(now)
        .text(migration.description)
        .run();
    session.commit();
  }
}

}  // namespace postern::storage_sqlite
