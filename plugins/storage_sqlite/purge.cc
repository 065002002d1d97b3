// Deleting what is old, a bounded number of rows at a time.
#include <limits>

#include "codec.h"
#include "storage.h"

namespace postern::storage_sqlite {
namespace {

// Statuses that are not final, as SQL; codec.h's is_final() is the same table.
#define POSTERN_UNFINISHED "(0, 1, 2, 5)"
static_assert(!is_final(sdk::MessageStatus{0}) && !is_final(sdk::MessageStatus{1}) &&
              !is_final(sdk::MessageStatus{2}) && !is_final(sdk::MessageStatus{5}) &&
              is_final(sdk::MessageStatus{3}) && is_final(sdk::MessageStatus{4}) &&
              is_final(sdk::MessageStatus{6}) && is_final(sdk::MessageStatus{7}) &&
              is_final(sdk::MessageStatus{8}) && is_final(sdk::MessageStatus{9}) &&
              is_final(sdk::MessageStatus{10}));

// Final, and no delivery of it waits: usually the work has the message's id, else it is indexed.
#define POSTERN_DISPOSABLE                                                            \
  "m.status NOT IN " POSTERN_UNFINISHED                                               \
  " AND NOT EXISTS (SELECT 1 FROM work w WHERE w.queue = 0 AND w.id = m.id)"          \
  " AND NOT EXISTS (SELECT 1 FROM work w WHERE w.queue = 0 AND w.message = m.id AND " \
  "w.message <> w.id)"

struct Found {
  std::int64_t seq = 0;
  std::string id;
  std::string organization;
  std::vector<std::string> tags;
};

std::vector<std::string> organizations(Session& session, const sdk::PurgeRequest& request) {
  if (!request.organization.empty()) return {request.organization};
  std::vector<std::string> all;
  for (;;) {
    Statement next{session, all.empty()
                                ? "SELECT organization FROM message ORDER BY organization LIMIT 1"
                                : "SELECT organization FROM message WHERE organization > ? "
                                  "ORDER BY organization LIMIT 1"};
    const Key last{all.empty() ? std::string_view{} : std::string_view{all.back()}};
    if (!all.empty()) next << last;
    if (!next.step()) return all;
    all.push_back(unpack_key(next, 0));
  }
}

Found found_row(const Statement& row) {
  return {.seq = row.get_integer(0),
          .id = unpack_key(row, 1),
          .organization = unpack_key(row, 2),
          .tags = unpack_strings(row.view(3))};
}

void remove_body(Session& session, const Found& message) {
  Statement{session, "DELETE FROM body WHERE seq = ?"}.integer(message.seq).run();
  Statement{session, "UPDATE message SET has_body = 0 WHERE seq = ?"}.integer(message.seq).run();
}

// With recipients, events, tags and body. Answers the rows removed.
std::uint64_t remove_message(Session& session, const Found& message) {
  std::uint64_t removed = 1;
  const Key id{message.id};
  const Key organization{message.organization};
  for (const char* sql :
       {"DELETE FROM recipient WHERE message = ?", "DELETE FROM event WHERE message = ?"}) {
    Statement remove{session, std::string{sql}};
    remove << id;
    remove.run();
    removed += static_cast<std::uint64_t>(session.changes());
  }
  for (const auto& tag : message.tags) {
    Statement remove{session,
                     "DELETE FROM message_tag WHERE organization = ? AND tag = ? AND message = ?"};
    remove << organization;
    remove.text(tag);
    remove << id;
    remove.run();
  }
  Statement{session, "DELETE FROM body WHERE seq = ?"}.integer(message.seq).run();
  Statement{session, "DELETE FROM message WHERE seq = ?"}.integer(message.seq).run();
  return removed;
}

class Purge {
 public:
  Purge(Session& session, const sdk::PurgeRequest& request)
      : session_(session), request_(request), limit_(std::max(request.limit, 1U)) {}

  sdk::PurgeResult run(const std::vector<std::string>& organizations) {
    if (!request_.recipient.empty()) {
      for (const auto& organization : organizations) erase(organization);
    }
    if (request_.bodies_before) bodies(organizations);
    if (request_.messages_before) messages(organizations);
    if (request_.expired_before) {
      expired(
          "DELETE FROM idempotency WHERE (scope, key) IN (SELECT scope, key FROM idempotency "
          "WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)");
      expired(
          "DELETE FROM document WHERE seq IN (SELECT seq FROM document WHERE expires_at IS NOT "
          "NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?)");
    }
    if (request_.changes_through) {
      const auto through =
          static_cast<std::int64_t>(std::min<std::uint64_t>(*request_.changes_through, INT64_MAX));
      Statement{session_,
                "DELETE FROM change WHERE revision IN (SELECT revision FROM change WHERE revision "
                "<= ? ORDER BY revision LIMIT ?)"}
          .integer(through)
          .integer(limit_)
          .run();
      count(static_cast<std::uint64_t>(session_.changes()));
    }
    return result_;
  }

 private:
  // `rows` of one kind went; at the limit there may be more.
  void count(std::uint64_t rows) {
    result_.removed += rows;
    if (rows >= limit_) result_.more = true;
  }

  void expired(const char* sql) {
    Statement{session_, std::string{sql}}.integer(*request_.expired_before).integer(limit_).run();
    count(static_cast<std::uint64_t>(session_.changes()));
  }

  // Those of `has_body` in `organization` made before `before`, oldest first.
  std::vector<Found> old_ones(const std::string& organization, int has_body, sdk::UnixMillis before,
                              std::uint64_t limit) {
    const Key key{organization};
    Statement rows{
        session_,
        "SELECT m.seq, m.id, m.organization, m.tags FROM message m INDEXED BY message_age "
        "WHERE m.organization = ? AND m.has_body = ? AND m.created_at < ? "
        "AND " POSTERN_DISPOSABLE " ORDER BY m.created_at LIMIT ?"};
    rows << key;
    rows.integer(has_body).integer(before).integer(static_cast<std::int64_t>(limit));
    std::vector<Found> found;
    while (rows.step()) found.push_back(found_row(rows));
    return found;
  }

  void bodies(const std::vector<std::string>& organizations) {
    std::uint64_t removed = 0;
    for (const auto& organization : organizations) {
      if (removed >= limit_) break;
      for (const auto& message :
           old_ones(organization, 1, *request_.bodies_before, limit_ - removed)) {
        remove_body(session_, message);
        ++removed;
      }
    }
    count(removed);
  }

  void messages(const std::vector<std::string>& organizations) {
    std::uint64_t messages = 0;
    std::uint64_t rows = 0;
    for (const auto& organization : organizations) {
      for (const int has_body : {0, 1}) {
        if (messages >= limit_) break;
        for (const auto& message :
             old_ones(organization, has_body, *request_.messages_before, limit_ - messages)) {
          rows += remove_message(session_, message);
          ++messages;
        }
      }
    }
    result_.removed += rows;
    if (messages >= limit_) result_.more = true;
  }

  // A message to nobody else goes as a whole; of another, the recipient's row is made anonymous,
  // its events go, and so does the body, which names it.
  void erase(const std::string& organization) {
    const Key key{organization};
    struct Row {
      Found message;
      std::int64_t others = 0;
    };
    std::vector<Row> found;
    {
      Statement rows{session_,
                     "SELECT DISTINCT m.seq, m.id, m.organization, m.tags, (SELECT count(*) FROM "
                     "recipient o WHERE o.message = m.id AND o.address <> ?2) "
                     "FROM recipient r INDEXED BY recipient_address "
                     "CROSS JOIN message m ON m.id = r.message "
                     "WHERE r.organization = ?1 AND r.address = ?2 AND " POSTERN_DISPOSABLE
                     " LIMIT ?3"};
      rows << key;
      rows.text(request_.recipient).integer(limit_);
      while (rows.step()) found.push_back({found_row(rows), rows.get_integer(4)});
    }
    for (const auto& [message, others] : found) {
      if (others == 0) {
        result_.removed += remove_message(session_, message);
        continue;
      }
      const Key id{message.id};
      {
        Statement events{session_,
                         "DELETE FROM event WHERE message = ?1 AND recipient IN (SELECT idx FROM "
                         "recipient WHERE message = ?1 AND address = ?2)"};
        events << id;
        events.text(request_.recipient).run();
        result_.removed += static_cast<std::uint64_t>(session_.changes());
      }
      Statement recipient{session_,
                          "UPDATE recipient SET address = '', detail = NULL WHERE message = ?1 AND "
                          "address = ?2"};
      recipient << id;
      recipient.text(request_.recipient).run();
      result_.removed += static_cast<std::uint64_t>(session_.changes());
      remove_body(session_, message);
    }
    if (found.size() >= limit_) result_.more = true;
  }

  Session& session_;
  const sdk::PurgeRequest& request_;
  std::uint32_t limit_;
  sdk::PurgeResult result_;
};

}  // namespace

sdk::Stored<sdk::PurgeResult> SqliteStorage::purge(const sdk::PurgeRequest& request) {
  return write<sdk::PurgeResult>([&](Session& session) {
    session.begin_immediate();
    const auto result = Purge{session, request}.run(organizations(session, request));
    if (result.removed == 0) {
      session.rollback();
    } else {
      commit_durably(session, path_);
    }
    return result;
  });
}

}  // namespace postern::storage_sqlite
