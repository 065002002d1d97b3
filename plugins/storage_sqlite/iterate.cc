// A walk over everything, table by table. The cursor is the table's letter and the key of its last
// row.
#include <algorithm>
#include <charconv>

#include "messages.h"
#include "storage.h"
#include "work.h"

namespace postern::storage_sqlite {
namespace {

constexpr std::size_t kStepBytes = 8U << 20;  // a step with big bodies ends early

class Walk {
 public:
  Walk(Session& session, const std::string& cursor, std::uint32_t limit, sdk::UnixMillis now)
      : session_(session), limit_(std::max(limit, 1U)), now_(now) {
    if (!cursor.empty()) {
      table_ = cursor[0];
      key_ = unpack_strings(std::string_view{cursor}.substr(1));
    }
  }

  sdk::IterateResult run() {
    for (;;) {
      switch (table_) {
        case 'd':
          documents();
          break;
        case 'i':
          idempotency();
          break;
        case 'm':
          messages();
          break;
        case 'e':
          events();
          break;
        case 'w':
          work();
          break;
        case 'r':
          metrics();
          break;
        default:
          throw Failure{{.kind = sdk::StorageError::Kind::invalid,
                         .message = "this cursor is not one that iterate gave"}};
      }
      if (full_) {
        result_.cursor = table_ + pack_strings(key_);
        return result_;
      }
      static constexpr std::string_view kOrder = "dimewr";
      const auto next = kOrder.find(table_) + 1;
      if (next == kOrder.size()) return result_;
      table_ = kOrder[next];
      key_.clear();
    }
  }

 private:
  // A part of the key of the row before; a copy, since key_ moves on while a statement that it is
  // bound to runs. Empty at a table's begin, and in a cursor that is not ours.
  [[nodiscard]] std::string part(std::size_t index) const {
    return index < key_.size() ? key_[index] : std::string{};
  }
  [[nodiscard]] std::int64_t number_key(std::size_t index = 0) const {
    const std::string text = part(index);
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  }
  // After a row; true: the step is full.
  bool done_with(std::vector<std::string> key) {
    key_ = std::move(key);
    full_ = result_.ops.size() >= limit_ || bytes_ >= kStepBytes;
    return full_;
  }

  void documents() {
    Statement rows{session_,
                   "SELECT kind, organization, id, unique_key, json, expires_at, created_at, "
                   "updated_at, seq FROM document WHERE seq > ? AND (expires_at IS NULL OR "
                   "expires_at > ?) ORDER BY seq"};
    rows.integer(number_key()).integer(now_);
    while (rows.step()) {
      sdk::PutDocument put;
      put.document.kind = rows.get_text(0);
      put.document.organization = rows.get_text(1);
      put.document.id = rows.get_text(2);
      put.document.unique_key = rows.get_text(3);
      put.document.json = rows.get_text(4);
      put.document.expires_at = rows.get_optional(5);
      put.document.created_at = rows.get_integer(6);
      put.document.updated_at = rows.get_integer(7);
      bytes_ += put.document.json.size();
      result_.ops.emplace_back(std::move(put));
      if (done_with({std::to_string(rows.get_integer(8))})) return;
    }
  }

  void idempotency() {
    const std::string scope = part(0);
    const std::string name = part(1);
    Statement rows{session_,
                   "SELECT scope, key, request_hash, response, expires_at FROM idempotency "
                   "WHERE (scope, key) > (?, ?) AND expires_at > ? ORDER BY scope, key"};
    rows.text(scope).text(name).integer(now_);
    while (rows.step()) {
      sdk::ClaimIdempotency claim{.scope = rows.get_text(0),
                                  .key = rows.get_text(1),
                                  .request_hash = rows.get_text(2),
                                  .response = rows.get_text(3),
                                  .expires_at = rows.get_integer(4)};
      std::vector<std::string> key = {claim.scope, claim.key};
      bytes_ += claim.response.size();
      result_.ops.emplace_back(std::move(claim));
      if (done_with(std::move(key))) return;
    }
  }

  void messages() {
    Statement rows{session_, "SELECT " POSTERN_MESSAGE_COLUMNS
                             " FROM message m WHERE m.seq > ? ORDER BY m.seq"};
    rows.integer(number_key());
    while (rows.step()) {
      sdk::EnqueueMessage put;
      put.message = message_row(rows);
      std::vector<std::string> accounts;
      put.recipients = recipients_of(session_, put.message.id, &accounts);
      put.drop_if_all_suppressed = false;
      put.body = body_of(session_, rows.get_integer(0));
      if (put.body) bytes_ += put.body->size();
      const auto message = put.message;
      const auto recipients = put.recipients;
      result_.ops.emplace_back(std::move(put));
      restore_accounts(message, recipients, accounts);
      if (done_with({std::to_string(rows.get_integer(0))})) return;
    }
  }

  // A provider's own id belongs to the account that gave it, which after a failover is not the
  // message's: named by updates that visit those accounts.
  void restore_accounts(const sdk::MessageRecord& message,
                        const std::vector<sdk::RecipientRecord>& recipients,
                        const std::vector<std::string>& accounts) {
    bool moved = false;
    for (std::size_t i = 0; i < recipients.size(); ++i) {
      if (recipients[i].provider_message_id.empty() || accounts[i] == message.account) continue;
      // First without its id: a recipient keeps its account for as long as the id stays the same.
      sdk::UpdateMessage visit{.organization = message.organization,
                               .message_id = message.id,
                               .status = std::nullopt,
                               .account = accounts[i],
                               .provider_type = std::nullopt,
                               .recipients = {recipients[i], recipients[i]},
                               .at = message.updated_at};
      visit.recipients[0].provider_message_id.clear();
      result_.ops.emplace_back(std::move(visit));
      moved = true;
    }
    if (!moved) return;
    result_.ops.emplace_back(sdk::UpdateMessage{.organization = message.organization,
                                                .message_id = message.id,
                                                .status = std::nullopt,
                                                .account = message.account,
                                                .provider_type = std::nullopt,
                                                .recipients = {},
                                                .at = message.updated_at});
  }

  void events() {
    const bool first = key_.empty();
    const std::string after_message = part(0);
    const std::string after_id = part(2);
    const Key message{after_message};
    const Key id{after_id};
    const std::int64_t at = number_key(1);
    Statement rows{session_, first ? "SELECT " POSTERN_EVENT_COLUMNS
                                     " FROM event ORDER BY message, at, id"
                                   : "SELECT " POSTERN_EVENT_COLUMNS
                                     " FROM event WHERE (message, at, id) > (?, ?, ?) "
                                     "ORDER BY message, at, id"};
    if (!first) {
      rows << message;
      rows.integer(at);
      rows << id;
    }
    while (rows.step()) {
      sdk::AppendEvent append{event_row(rows)};
      std::vector<std::string> key = {append.event.message_id, std::to_string(append.event.at),
                                      append.event.id};
      bytes_ += append.event.detail_json.size();
      result_.ops.emplace_back(std::move(append));
      if (done_with(std::move(key))) return;
    }
  }

  void work() {
    const bool first = key_.empty();
    const std::int64_t queue = number_key();
    const std::string after_id = part(1);
    const Key id{after_id};
    Statement rows{session_, first ? "SELECT " POSTERN_WORK_COLUMNS " FROM work ORDER BY queue, id"
                                   : "SELECT " POSTERN_WORK_COLUMNS
                                     " FROM work WHERE (queue, id) > (?, ?) ORDER BY queue, id"};
    if (!first) {
      rows.integer(queue);
      rows << id;
    }
    while (rows.step()) {
      auto row = work_row(rows);
      std::vector<std::string> key = {std::to_string(static_cast<int>(row.item.queue)),
                                      row.item.id};
      sdk::PutWork put;
      bytes_ += row.item.payload.size();
      put.item = std::move(row.item);
      if (row.lease) {
        // Under the same lease for what is left of it, so that whoever leases it next knows that
        // somebody began.
        put.lease_owner = row.lease->owner;
        put.lease_for =
            std::chrono::milliseconds{std::max<std::int64_t>(row.lease->until - now_, 0)};
      }
      result_.ops.emplace_back(std::move(put));
      if (done_with(std::move(key))) return;
    }
  }

  void metrics() {
    // By number of row: the rows are small and few, and the key is eight columns.
    std::int64_t skip = number_key();
    Statement rows{session_,
                   "SELECT organization, hour, account, sender_domain, template_id, tag, gateway, "
                   "type, count FROM metric ORDER BY organization, hour, account, sender_domain, "
                   "template_id, tag, type, gateway LIMIT -1 OFFSET ?"};
    rows.integer(skip);
    while (rows.step()) {
      result_.ops.emplace_back(
          sdk::AddMetrics{.organization = unpack_key(rows, 0),
                          .hour = rows.get_integer(1),
                          .account = unpack_key(rows, 2),
                          .sender_domain = rows.get_text(3),
                          .template_id = unpack_key(rows, 4),
                          .tag = rows.get_text(5),
                          .gateway = rows.get_text(6),
                          .type = static_cast<sdk::EventType>(rows.get_integer(7)),
                          .count = rows.get_integer(8)});
      if (done_with({std::to_string(++skip)})) return;
    }
  }

  Session& session_;
  std::size_t limit_;
  sdk::UnixMillis now_;
  char table_ = 'd';
  std::vector<std::string> key_;
  std::size_t bytes_ = 0;
  bool full_ = false;
  sdk::IterateResult result_;
};

}  // namespace

sdk::Stored<sdk::IterateResult> SqliteStorage::iterate(const std::string& cursor,
                                                       std::uint32_t limit) {
  return read<sdk::IterateResult>([&](Session& session) {
    return Walk{session, cursor, limit, host_.clock.now()}.run();
  });
}

}  // namespace postern::storage_sqlite
