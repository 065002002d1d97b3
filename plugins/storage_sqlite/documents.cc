// Reads of documents, the change feed and metrics.
#include "codec.h"
#include "storage.h"

namespace postern::storage_sqlite {
namespace {

#define POSTERN_DOCUMENT_COLUMNS \
  "kind, organization, id, unique_key, version, json, expires_at, created_at, updated_at"

sdk::Document document_row(const Statement& row) {
  return {.kind = row.get_text(0),
          .organization = row.get_text(1),
          .id = row.get_text(2),
          .unique_key = row.get_text(3),
          .version = static_cast<std::uint64_t>(row.get_integer(4)),
          .json = row.get_text(5),
          .expires_at = row.get_optional(6),
          .created_at = row.get_integer(7),
          .updated_at = row.get_integer(8)};
}

}  // namespace

sdk::Stored<std::optional<sdk::Document>> SqliteStorage::document(const std::string& kind,
                                                                  const std::string& id) {
  return read<std::optional<sdk::Document>>([&](Session& session) -> std::optional<sdk::Document> {
    Statement row{session, "SELECT " POSTERN_DOCUMENT_COLUMNS
                           " FROM document WHERE kind = ? AND id = ? "
                           "AND (expires_at IS NULL OR expires_at > ?)"};
    row.text(kind).text(id).integer(host_.clock.now());
    if (!row.step()) return std::nullopt;
    return document_row(row);
  });
}

sdk::Stored<std::optional<sdk::Document>> SqliteStorage::document_by_key(
    const std::string& kind, const std::string& unique_key) {
  return read<std::optional<sdk::Document>>([&](Session& session) -> std::optional<sdk::Document> {
    if (unique_key.empty()) return std::nullopt;
    Statement row{session, "SELECT " POSTERN_DOCUMENT_COLUMNS
                           " FROM document WHERE kind = ? AND unique_key = ? "
                           "AND (expires_at IS NULL OR expires_at > ?)"};
    row.text(kind).text(unique_key).integer(host_.clock.now());
    if (!row.step()) return std::nullopt;
    return document_row(row);
  });
}

sdk::Stored<std::vector<bool>> SqliteStorage::any_exist(const std::string& kind,
                                                        std::span<const std::string> unique_keys) {
  return read<std::vector<bool>>([&](Session& session) {
    std::vector<bool> result;
    result.reserve(unique_keys.size());
    const auto now = host_.clock.now();
    for (const auto& key : unique_keys) {
      Statement row{session,
                    "SELECT 1 FROM document WHERE kind = ? AND unique_key = ? "
                    "AND (expires_at IS NULL OR expires_at > ?)"};
      row.text(kind).text(key).integer(now);
      result.push_back(!key.empty() && row.step());
    }
    return result;
  });
}

sdk::Stored<std::vector<sdk::Document>> SqliteStorage::documents(const sdk::DocumentQuery& query) {
  return read<std::vector<sdk::Document>>([&](Session& session) {
    std::string sql = "SELECT " POSTERN_DOCUMENT_COLUMNS " FROM document WHERE kind = ?";
    if (query.organization) sql += " AND organization = ?";
    sql += " AND id > ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY id LIMIT ? OFFSET ?";
    Statement rows{session, sql};
    rows.text(query.kind);
    if (query.organization) rows.text(*query.organization);
    rows.text(query.after_id).integer(host_.clock.now()).integer(query.limit).integer(query.offset);
    std::vector<sdk::Document> result;
    while (rows.step()) result.push_back(document_row(rows));
    return result;
  });
}

sdk::Stored<std::uint64_t> SqliteStorage::count_documents(const sdk::DocumentQuery& query) {
  return read<std::uint64_t>([&](Session& session) {
    std::string sql = "SELECT count(*) FROM document WHERE kind = ?";
    if (query.organization) sql += " AND organization = ?";
    sql += " AND (expires_at IS NULL OR expires_at > ?)";
    Statement row{session, sql};
    row.text(query.kind);
    if (query.organization) row.text(*query.organization);
    row.integer(host_.clock.now());
    return row.step() ? static_cast<std::uint64_t>(row.get_integer(0)) : 0;
  });
}

sdk::Stored<std::vector<sdk::DocumentChange>> SqliteStorage::changes(std::uint64_t after,
                                                                     std::uint32_t limit) {
  return read<std::vector<sdk::DocumentChange>>([&](Session& session) {
    std::vector<sdk::DocumentChange> result;
    if (after > static_cast<std::uint64_t>(INT64_MAX)) return result;
    // Writers take turns (BEGIN IMMEDIATE), so revisions become visible in their order: no gap can
    // be filled later.
    Statement rows{session,
                   "SELECT revision, kind, organization, id, deleted FROM change "
                   "WHERE revision > ? ORDER BY revision LIMIT ?"};
    rows.integer(static_cast<std::int64_t>(after)).integer(limit);
    while (rows.step()) {
      result.push_back({.revision = static_cast<std::uint64_t>(rows.get_integer(0)),
                        .kind = rows.get_text(1),
                        .organization = rows.get_text(2),
                        .id = rows.get_text(3),
                        .deleted = rows.get_integer(4) != 0});
    }
    return result;
  });
}

sdk::Stored<std::uint64_t> SqliteStorage::last_revision() {
  return read<std::uint64_t>([&](Session& session) -> std::uint64_t {
    Statement row{session, "SELECT seq FROM sqlite_sequence WHERE name = 'change'"};
    return row.step() ? static_cast<std::uint64_t>(row.get_integer(0)) : 0;
  });
}

sdk::Stored<std::vector<sdk::MetricRow>> SqliteStorage::metrics(const sdk::MetricQuery& query) {
  return read<std::vector<sdk::MetricRow>>([&](Session& session) {
    const Key organization{query.organization};
    Statement rows{session,
                   "SELECT hour, account, sender_domain, template_id, tag, type, sum(count) "
                   "FROM metric WHERE organization = ? AND hour >= ? AND hour < ? "
                   "GROUP BY hour, account, sender_domain, template_id, tag, type"};
    rows << organization;
    rows.integer(query.since).integer(query.until);
    std::vector<sdk::MetricRow> result;
    while (rows.step()) {
      result.push_back({.hour = rows.get_integer(0),
                        .account = unpack_key(rows, 1),
                        .sender_domain = rows.get_text(2),
                        .template_id = unpack_key(rows, 3),
                        .tag = rows.get_text(4),
                        .type = static_cast<sdk::EventType>(rows.get_integer(5)),
                        .count = rows.get_integer(6)});
    }
    return result;
  });
}

}  // namespace postern::storage_sqlite
