// storage_sqlite/work.h: rows of the work table, as lease, lists and walks read them.
#pragma once

#include "codec.h"

namespace postern::storage_sqlite {

#define POSTERN_WORK_COLUMNS                                                                    \
  "queue, id, organization, lane, priority, due, attempts, message, payload, owner, ready_at, " \
  "fence"
inline constexpr int kWorkFence = 11;

inline constexpr const char* kDueOfLane =
    "SELECT " POSTERN_WORK_COLUMNS
    " FROM work WHERE queue = ? AND lane = ? AND priority = ? AND ready_at <= ? "
    "ORDER BY ready_at LIMIT ?";

// Of the statement's current row, selected with POSTERN_WORK_COLUMNS.
sdk::WorkRow work_row(const Statement& row);

}  // namespace postern::storage_sqlite
