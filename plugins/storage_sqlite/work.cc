// Reads of the work table.
#include "work.h"

#include "storage.h"

namespace postern::storage_sqlite {

sdk::WorkRow work_row(const Statement& row) {
  sdk::WorkRow result;
  result.item = {.queue = static_cast<sdk::Queue>(row.get_integer(0)),
                 .id = unpack_key(row, 1),
                 .organization = unpack_key(row, 2),
                 .lane = unpack_key(row, 3),
                 .priority = static_cast<std::uint8_t>(row.get_integer(4)),
                 .due = row.get_integer(5),
                 .attempts = static_cast<std::uint32_t>(row.get_integer(6)),
                 .message_id = unpack_key(row, 7),
                 .payload = row.get_text(8)};
  if (!row.is_null(9)) {
    result.lease = sdk::Lease{.owner = row.get_text(9),
                              .until = row.get_integer(10),
                              .fence = static_cast<std::uint64_t>(row.get_integer(kWorkFence))};
  }
  return result;
}

sdk::Stored<std::vector<sdk::WorkRow>> SqliteStorage::work(const sdk::WorkQuery& query) {
  return read<std::vector<sdk::WorkRow>>([&](Session& session) {
    std::string sql = "SELECT " POSTERN_WORK_COLUMNS " FROM work WHERE queue = ?";
    if (!query.after_id.empty()) sql += " AND id > ?";
    if (!query.organization.empty()) sql += " AND organization = ?";
    if (!query.lane.empty()) sql += " AND lane = ?";
    sql += " ORDER BY id LIMIT ?";
    const Key after{query.after_id};
    const Key organization{query.organization};
    const Key lane{query.lane};
    Statement rows{session, sql};
    rows.integer(static_cast<std::int64_t>(query.queue));
    if (!query.after_id.empty()) rows << after;
    if (!query.organization.empty()) rows << organization;
    if (!query.lane.empty()) rows << lane;
    rows.integer(query.limit);
    std::vector<sdk::WorkRow> result;
    while (rows.step()) result.push_back(work_row(rows));
    return result;
  });
}

sdk::Stored<std::vector<sdk::LaneDepth>> SqliteStorage::depth(sdk::Queue queue,
                                                              sdk::UnixMillis now) {
  return read<std::vector<sdk::LaneDepth>>([&](Session& session) {
    Statement rows{
        session,
        "SELECT lane, organization, "
        "sum(owner IS NULL OR ready_at <= ?1), sum(owner IS NOT NULL AND ready_at > ?1), "
        "min(due) FROM work WHERE queue = ?2 GROUP BY lane, organization"};
    rows.integer(now).integer(static_cast<std::int64_t>(queue));
    std::vector<sdk::LaneDepth> result;
    while (rows.step()) {
      result.push_back({.lane = unpack_key(rows, 0),
                        .organization = unpack_key(rows, 1),
                        .waiting = static_cast<std::uint64_t>(rows.get_integer(2)),
                        .leased = static_cast<std::uint64_t>(rows.get_integer(3)),
                        .oldest_due = rows.get_integer(4)});
    }
    return result;
  });
}

}  // namespace postern::storage_sqlite
