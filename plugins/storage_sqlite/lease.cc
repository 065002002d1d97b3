// Who works on what: lease and recover.
#include <algorithm>
#include <deque>
#include <map>

#include "codec.h"
#include "storage.h"
#include "work.h"

namespace postern::storage_sqlite {
namespace {

// The next (lane, priority) that has work: one seek each, however many items they hold.
constexpr const char* kFirstGroup =
    "SELECT lane, priority FROM work WHERE queue = ? ORDER BY lane, priority LIMIT 1";
constexpr const char* kNextPriority =
    "SELECT priority FROM work WHERE queue = ? AND lane = ? AND priority > ? "
    "ORDER BY priority LIMIT 1";
constexpr const char* kNextLane =
    "SELECT lane, priority FROM work WHERE queue = ? AND lane > ? ORDER BY lane, priority LIMIT 1";
constexpr const char* kTake =
    "UPDATE work SET owner = ?, fence = ?, ready_at = ? WHERE queue = ? AND id = ?";

struct Lane {
  std::string name;
  std::vector<std::int64_t> priorities;
  std::uint32_t quota = 0;
  bool exhausted = false;
  std::deque<sdk::LeasedWork> taken;
};

// With a quota above 0.
std::vector<Lane> lanes_of(Session& session, const sdk::LeaseRequest& request) {
  std::map<std::string_view, std::uint32_t> quotas;
  for (const auto& [lane, quota] : request.lane_quotas) quotas[lane] = quota;
  const auto queue = static_cast<std::int64_t>(request.queue);

  std::vector<Lane> lanes;
  std::string name;
  for (bool first = true;; first = false) {
    std::int64_t priority = 0;
    {
      const Key key{name};
      Statement next{session, first ? kFirstGroup : kNextLane};
      next.integer(queue);
      if (!first) next << key;
      if (!next.step()) break;
      name = unpack_key(next, 0);
      priority = next.get_integer(1);
    }
    const auto named = quotas.find(name);
    const std::uint32_t quota = named == quotas.end() ? request.lane_quota : named->second;
    if (quota == 0) continue;
    Lane lane{
        .name = name, .priorities = {priority}, .quota = quota, .exhausted = false, .taken = {}};
    const Key key{lane.name};
    for (;;) {
      Statement next{session, kNextPriority};
      next.integer(queue);
      next << key;
      next.integer(lane.priorities.back());
      if (!next.step()) break;
      lane.priorities.push_back(next.get_integer(0));
    }
    lanes.push_back(std::move(lane));
  }
  return lanes;
}

// Leases up to `count` due items of the lane, best first.
void take(Session& session, const sdk::LeaseRequest& request, Lane& lane, std::uint32_t count) {
  const auto queue = static_cast<std::int64_t>(request.queue);
  // At least 1 ms, so that what was taken is not due again at the same moment.
  const auto until = request.now + std::max<std::int64_t>(request.lease_for.count(), 1);
  const Key key{lane.name};
  std::vector<sdk::LeasedWork> found;
  for (const auto priority : lane.priorities) {
    if (found.size() >= count) break;
    Statement due{session, kDueOfLane};
    due.integer(queue);
    due << key;
    due.integer(priority).integer(request.now);
    due.integer(static_cast<std::int64_t>(count - found.size()));
    while (due.step()) {
      sdk::WorkRow row = work_row(due);
      sdk::LeasedWork leased;
      leased.item = std::move(row.item);
      // An owner that is still named did not finish and did not give it back.
      leased.taken_over = row.lease.has_value();
      leased.lease = {.owner = request.owner,
                      .until = until,
                      .fence = static_cast<std::uint64_t>(due.get_integer(kWorkFence)) + 1};
      found.push_back(std::move(leased));
    }
  }
  lane.exhausted = found.size() < count;
  lane.quota -= static_cast<std::uint32_t>(found.size());
  for (auto& leased : found) {
    const Key id{leased.item.id};
    Statement update{session, kTake};
    update.text(request.owner)
        .integer(static_cast<std::int64_t>(leased.lease.fence))
        .integer(until)
        .integer(queue);
    update << id;
    update.run();
    lane.taken.push_back(std::move(leased));
  }
}

}  // namespace

sdk::Stored<std::vector<sdk::LeasedWork>> SqliteStorage::lease(const sdk::LeaseRequest& request) {
  return write<std::vector<sdk::LeasedWork>>([&](Session& session) {
    if (!is_text(request.owner)) {
      throw Failure{{.kind = sdk::StorageError::Kind::invalid, .message = "owner is not text"}};
    }
    session.begin_immediate();
    std::vector<Lane> lanes = lanes_of(session, request);
    // Goes on behind the lane that came last in the call before, so that more lanes than `limit`
    // all get their turn.
    const auto last = last_lane_.find(request.queue);
    if (last != last_lane_.end()) {
      const Key before{last->second};
      const auto next = std::find_if(lanes.begin(), lanes.end(),
                                     [&](const Lane& lane) { return before < Key{lane.name}; });
      std::rotate(lanes.begin(), next, lanes.end());
    }
    std::uint32_t left = request.limit;
    std::vector<Lane*> open;
    for (auto& lane : lanes) open.push_back(&lane);
    while (left > 0 && !open.empty()) {
      const auto share = std::max<std::uint32_t>(1, left / static_cast<std::uint32_t>(open.size()));
      for (Lane* lane : open) {
        if (left == 0) break;
        const auto before = lane->quota;
        take(session, request, *lane, std::min({share, lane->quota, left}));
        left -= before - lane->quota;
      }
      std::erase_if(open, [](const Lane* lane) { return lane->exhausted || lane->quota == 0; });
    }

    std::vector<sdk::LeasedWork> result;
    std::string served_last;
    for (bool any = true; any;) {
      any = false;
      for (auto& lane : lanes) {
        if (lane.taken.empty()) continue;
        any = true;
        served_last = lane.name;
        result.push_back(std::move(lane.taken.front()));
        lane.taken.pop_front();
      }
    }
    if (result.empty()) {
      session.rollback();  // nothing to make durable
    } else {
      commit_durably(session, path_);
      last_lane_[request.queue] = served_last;
    }
    return result;
  });
}

sdk::Stored<std::uint64_t> SqliteStorage::recover(const std::string& node,
                                                  const std::string& incarnation,
                                                  sdk::UnixMillis now) {
  return write<std::uint64_t>([&](Session& session) {
    session.begin_immediate();
    // The owner stays: it says that somebody began, so that the next lease is a taking over.
    const std::string prefix = node + "/";
    const std::string self = prefix + incarnation;
    // '0' is the character after '/'.
    const std::string behind = node + "0";
    Statement{session,
              "UPDATE work SET ready_at = ?1 WHERE owner >= ?2 AND owner < ?3 AND owner <> ?4 AND "
              "ready_at > ?1"}
        .integer(now)
        .text(prefix)
        .text(behind)
        .text(self)
        .run();
    const auto count = static_cast<std::uint64_t>(session.changes());
    if (count == 0) {
      session.rollback();
    } else {
      commit_durably(session, path_);
    }
    return count;
  });
}

}  // namespace postern::storage_sqlite
