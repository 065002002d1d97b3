// The commit: units of operations, evaluated and applied in one transaction.
#include <algorithm>

#include "codec.h"
#include "storage.h"

namespace postern::storage_sqlite {
namespace {

using sdk::MessageStatus;
using sdk::UnitResult;
using Status = sdk::UnitResult::Status;

constexpr const char* kDocumentByKey =
    "SELECT id, expires_at FROM document WHERE kind = ? AND unique_key = ?";
constexpr const char* kDocumentState =
    "SELECT seq, version, expires_at, organization FROM document WHERE kind = ? AND id = ?";
constexpr const char* kInsertDocument =
    "INSERT INTO document(kind, organization, id, unique_key, version, json, expires_at, "
    "created_at, "
    "updated_at) VALUES(?,?,?,?,?,?,?,?,?)";
constexpr const char* kUpdateDocument =
    "UPDATE document SET organization = ?, unique_key = ?, version = ?, json = ?, expires_at = ?, "
    "created_at = ?, updated_at = ? WHERE seq = ?";
constexpr const char* kDeleteDocument = "DELETE FROM document WHERE seq = ?";
constexpr const char* kDeleteDocumentById = "DELETE FROM document WHERE kind = ? AND id = ?";
constexpr const char* kInsertChange =
    "INSERT INTO change(kind, organization, id, deleted) VALUES(?,?,?,?)";

constexpr const char* kClaim =
    "INSERT OR IGNORE INTO idempotency(scope, key, request_hash, response, expires_at) "
    "VALUES(?,?,?,?,?)";
constexpr const char* kClaimed =
    "SELECT request_hash, response, expires_at FROM idempotency WHERE scope = ? AND key = ?";
constexpr const char* kReclaim =
    "UPDATE idempotency SET request_hash = ?, response = ?, expires_at = ? WHERE scope = ? AND key "
    "= ?";

constexpr const char* kInsertMessage =
    "INSERT OR IGNORE INTO message(id, organization, test, stream, status, account, provider_type, "
    "sender, sender_domain, subject, message_id_header, tags, template_id, metadata, "
    "recipient_count, "
    "created_at, updated_at, send_at, has_body) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
constexpr const char* kInsertTag =
    "INSERT OR IGNORE INTO message_tag(organization, tag, message) VALUES(?,?,?)";
constexpr const char* kInsertBody = "INSERT INTO body(seq, content) VALUES(?,?)";
constexpr const char* kInsertRecipient =
    "INSERT INTO recipient(message, idx, organization, role, address, status, enhanced_status, "
    "detail, "
    "provider_message_id, account, updated_at) VALUES(?,?,?,?,?,?,?,?,?,?,?)";
constexpr const char* kMessageState =
    "SELECT seq, status, account, provider_type, organization FROM message WHERE id = ?";
constexpr const char* kTouchMessage = "UPDATE message SET updated_at = ? WHERE seq = ?";
constexpr const char* kUpdateStatus = "UPDATE message SET status = ?, updated_at = ? WHERE seq = ?";
constexpr const char* kUpdateAccount =
    "UPDATE message SET account = ?, provider_type = ? WHERE seq = ?";
// Without the address, which hardly ever changes and is indexed.
constexpr const char* kUpdateRecipient =
    "UPDATE recipient SET role = ?, status = ?, enhanced_status = ?, detail = ?, updated_at = ?, "
    "account = CASE WHEN ?6 IS NOT NULL AND ?6 IS NOT provider_message_id THEN ?7 ELSE account "
    "END, "
    "provider_message_id = ?6 WHERE message = ?8 AND idx = ?9 AND address = ?10";
constexpr const char* kDeleteRecipient = "DELETE FROM recipient WHERE message = ? AND idx = ?";

constexpr const char* kInsertEvent =
    "INSERT OR IGNORE INTO event(message, at, id, organization, type, recipient, account, attempt, "
    "detail, deduplication_key) VALUES(?,?,?,?,?,?,?,?,?,?)";

constexpr const char* kInsertWork =
    "INSERT OR IGNORE INTO work(queue, id, organization, lane, priority, due, ready_at, attempts, "
    "message, payload, owner, fence) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)";
constexpr const char* kReplaceWork =
    "UPDATE work SET organization = ?, lane = ?, priority = ?, due = ?, ready_at = ?, attempts = "
    "?, "
    "message = ?, payload = ?, owner = ?, fence = ? WHERE queue = ? AND id = ?";
constexpr const char* kWorkState =
    "SELECT owner, fence, ready_at FROM work WHERE queue = ? AND id = ?";
constexpr const char* kFinishFenced =
    "DELETE FROM work WHERE queue = ? AND id = ? AND fence = ? "
    "AND owner IS NOT NULL";
constexpr const char* kFinishFree =
    "DELETE FROM work WHERE queue = ? AND id = ? AND (owner IS NULL OR ready_at <= ?)";
constexpr const char* kReschedule =
    // Without a fence an expired holder stays: that it did not finish must show in the next lease.
    "UPDATE work SET owner = CASE WHEN ?8 IS NULL THEN owner END, due = ?1, ready_at = ?1, attempts = coalesce(?2, attempts), "
    "lane = coalesce(?3, lane), payload = CASE WHEN ?4 THEN ?5 ELSE payload END "
    "WHERE queue = ?6 AND id = ?7 AND CASE WHEN ?8 IS NULL THEN owner IS NULL OR ready_at <= ?9 "
    "ELSE fence = ?8 AND owner IS NOT NULL END";
constexpr const char* kRenew =
    "UPDATE work SET ready_at = ? WHERE queue = ? AND id = ? AND fence = ? AND owner IS NOT NULL";

constexpr const char* kAddMetric =
    "INSERT INTO metric(organization, hour, account, sender_domain, template_id, tag, type, "
    "gateway, "
    "count) VALUES(?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET count = count + excluded.count";

// Fences and versions that SQLite's signed integers can't hold were never given out.
std::int64_t as_integer(std::uint64_t value) {
  return value > static_cast<std::uint64_t>(INT64_MAX) ? -1 : static_cast<std::int64_t>(value);
}
template <typename Enum>
std::int64_t number(Enum value) {
  return static_cast<std::int64_t>(value);
}

// Applies ops one after the other; each says whether the unit may go on.
class Applier {
 public:
  Applier(Session& session, sdk::UnixMillis now) : session_(session), now_(now) {}

  // Status::stored: goes on. `wrote` is whether an op that did not go on left something behind.
  Status apply(const sdk::Op& op, UnitResult& result, bool& wrote) {
    result_ = &result;
    wrote_ = false;
    const Status status = std::visit([this](const auto& each) { return run(each); }, op);
    wrote = wrote_;
    return status;
  }

 private:
  [[nodiscard]] bool live(const std::optional<std::int64_t>& expires_at) const {
    return !expires_at || *expires_at > now_;
  }
  [[nodiscard]] sdk::UnixMillis until(std::chrono::milliseconds lease_for) const {
    return now_ + std::max<std::int64_t>(lease_for.count(), 0);
  }

  void change(std::string_view kind, std::string_view organization, std::string_view id,
              bool deleted) {
    Statement{session_, kInsertChange}
        .text(kind)
        .text(organization)
        .text(id)
        .integer(deleted)
        .run();
  }

  Status run(const sdk::PutDocument& op) {
    const auto& document = op.document;
    std::optional<std::int64_t> seq;
    std::int64_t version = 0;
    {
      Statement found{session_, kDocumentState};
      found.text(document.kind).text(document.id);
      if (found.step()) {
        seq = found.get_integer(0);
        if (live(found.get_optional(2))) {
          version = found.get_integer(1);
          if (found.view(3) != document.organization) return Status::key_conflict;
        }
      }
    }
    if (op.expected_version && as_integer(*op.expected_version) != version) {
      return *op.expected_version == 0 ? Status::key_conflict : Status::version_conflict;
    }
    if (!document.unique_key.empty()) {
      std::string expired;
      {
        Statement taken{session_, kDocumentByKey};
        taken.text(document.kind).text(document.unique_key);
        if (taken.step() && taken.view(0) != document.id) {
          if (live(taken.get_optional(1))) return Status::key_conflict;
          expired = taken.get_text(0);
        }
      }
      if (!expired.empty()) {
        Statement{session_, kDeleteDocumentById}.text(document.kind).text(expired).run();
      }
    }
    if (seq) {
      Statement{session_, kUpdateDocument}
          .text(document.organization)
          .text_or_null(document.unique_key)
          .integer(version + 1)
          .blob(document.json)
          .optional(document.expires_at)
          .integer(document.created_at)
          .integer(document.updated_at)
          .integer(*seq)
          .run();
    } else {
      Statement{session_, kInsertDocument}
          .text(document.kind)
          .text(document.organization)
          .text(document.id)
          .text_or_null(document.unique_key)
          .integer(1)
          .blob(document.json)
          .optional(document.expires_at)
          .integer(document.created_at)
          .integer(document.updated_at)
          .run();
    }
    change(document.kind, document.organization, document.id, false);
    return Status::stored;
  }

  Status run(const sdk::DeleteDocument& op) {
    std::optional<std::int64_t> seq;
    std::int64_t version = 0;
    {
      Statement found{session_, kDocumentState};
      found.text(op.kind).text(op.id);
      // Another organization's document is not there for this one.
      if (found.step() && found.view(3) == op.organization) {
        seq = found.get_integer(0);
        if (live(found.get_optional(2))) version = found.get_integer(1);
      }
    }
    if (op.expected_version && (version == 0 || as_integer(*op.expected_version) != version)) {
      return Status::version_conflict;
    }
    if (!seq) return Status::stored;
    Statement{session_, kDeleteDocument}.integer(*seq).run();
    change(op.kind, op.organization, op.id, true);
    return Status::stored;
  }

  Status run(const sdk::ClaimIdempotency& op) {
    Statement{session_, kClaim}
        .text(op.scope)
        .text(op.key)
        .text(op.request_hash)
        .blob(op.response)
        .integer(op.expires_at)
        .run();
    if (session_.changes() == 1) return Status::stored;
    {
      Statement first{session_, kClaimed};
      first.text(op.scope).text(op.key);
      if (first.step() && first.get_integer(2) > now_) {
        if (first.view(0) != op.request_hash) return Status::idempotency_conflict;
        result_->response = first.get_text(1);
        return Status::replay;
      }
    }
    Statement{session_, kReclaim}
        .text(op.request_hash)
        .blob(op.response)
        .integer(op.expires_at)
        .text(op.scope)
        .text(op.key)
        .run();
    return Status::stored;
  }

  [[nodiscard]] bool suppressed(const std::vector<std::string>& keys) {
    return std::any_of(keys.begin(), keys.end(), [this](const std::string& key) {
      Statement found{session_, kDocumentByKey};
      found.text("suppression").text(key);
      return found.step() && live(found.get_optional(1));
    });
  }

  Status run(const sdk::EnqueueMessage& op) {
    const auto& message = op.message;
    std::vector<bool> held_back(op.recipients.size(), false);
    std::size_t reachable = 0;
    for (std::size_t i = 0; i < op.recipients.size(); ++i) {
      if (i < op.suppression_keys.size() && suppressed(op.suppression_keys[i])) {
        held_back[i] = true;
        result_->suppressed.push_back(op.recipients[i].index);
      }
      if (!held_back[i] && op.recipients[i].status != MessageStatus::suppressed) ++reachable;
    }
    // Only where suppressions were asked about: a walk over old messages stores them as they are.
    const bool all = !op.suppression_keys.empty() && !op.recipients.empty() && reachable == 0;
    if (all && op.drop_if_all_suppressed) return Status::all_suppressed;

    const Key id{message.id};
    const Key organization{message.organization};
    const Key account{message.account};
    const Key template_id{message.template_id};
    const std::string tags = pack_strings(message.tags);
    {
      Statement insert{session_, kInsertMessage};
      insert << id << organization;
      insert.integer(message.test)
          .text(message.stream)
          .integer(number(all ? MessageStatus::suppressed : message.status));
      insert << account;
      insert.text(message.provider_type)
          .text(message.from)
          .text(message.sender_domain)
          .text(message.subject)
          .text(message.message_id_header)
          .text_or_null(tags);
      insert << template_id;
      insert.blob_or_null(message.metadata_json)
          .integer(message.recipient_count)
          .integer(message.created_at)
          .integer(message.updated_at)
          .optional(message.send_at)
          .integer(op.body ? 1 : 0);
      insert.run();
    }
    if (session_.changes() == 0) return Status::key_conflict;
    wrote_ = true;
    const std::int64_t seq = session_.last_rowid();
    for (const auto& tag : message.tags) {
      Statement insert{session_, kInsertTag};
      insert << organization;
      insert.text(tag);
      insert << id;
      insert.run();
    }
    if (op.body) Statement{session_, kInsertBody}.integer(seq).blob(*op.body).run();
    for (std::size_t i = 0; i < op.recipients.size(); ++i) {
      insert_recipient(id, organization, account, op.recipients[i],
                       held_back[i] ? MessageStatus::suppressed : op.recipients[i].status);
    }
    if (all || op.work.id.empty()) return Status::stored;
    if (!insert_work(op.work, op.lease_owner, op.lease_for)) return Status::key_conflict;
    if (op.lease_owner) result_->fences.push_back(1);
    return Status::stored;
  }

  void insert_recipient(const Key& id, const Key& organization, const Key& account,
                        const sdk::RecipientRecord& recipient, MessageStatus status) {
    Statement insert{session_, kInsertRecipient};
    insert << id;
    insert.integer(recipient.index);
    insert << organization;
    insert.integer(number(recipient.role))
        .text(recipient.address)
        .integer(number(status))
        .text_or_null(recipient.enhanced_status)
        .text_or_null(recipient.detail)
        .text_or_null(recipient.provider_message_id);
    if (recipient.provider_message_id.empty()) {
      insert.null();
    } else {
      insert << account;
    }
    insert.integer(recipient.updated_at);
    insert.run();
  }

  bool insert_work(const sdk::WorkItem& item, const std::optional<std::string>& owner,
                   std::chrono::milliseconds lease_for) {
    Statement insert{session_, kInsertWork};
    const Key id{item.id};
    const Key organization{item.organization};
    const Key lane{item.lane};
    const Key message{item.message_id};
    insert.integer(number(item.queue));
    insert << id << organization << lane;
    insert.integer(item.priority)
        .integer(item.due)
        .integer(owner ? until(lease_for) : item.due)
        .integer(item.attempts);
    insert << message;
    insert.blob_or_null(item.payload);
    if (owner) {
      insert.text(*owner).integer(1);
    } else {
      insert.null().integer(0);
    }
    insert.run();
    return session_.changes() == 1;
  }

  Status run(const sdk::UpdateMessage& op) {
    const Key id{op.message_id};
    std::int64_t seq = 0;
    std::int64_t status = 0;
    std::string account;
    std::string provider_type;
    {
      Statement found{session_, kMessageState};
      found << id;
      if (!found.step() || unpack_key(found, 4) != op.organization) return Status::not_found;
      seq = found.get_integer(0);
      status = found.get_integer(1);
      account = unpack_key(found, 2);
      provider_type = found.get_text(3);
    }
    // An index is rewritten by naming its column, even with the same value.
    if (op.status && number(*op.status) != status) {
      Statement{session_, kUpdateStatus}
          .integer(number(*op.status))
          .integer(op.at)
          .integer(seq)
          .run();
    } else {
      Statement{session_, kTouchMessage}.integer(op.at).integer(seq).run();
    }
    const std::string& new_account = op.account ? *op.account : account;
    const std::string& new_type = op.provider_type ? *op.provider_type : provider_type;
    const Key account_key{new_account};
    if (new_account != account || new_type != provider_type) {
      Statement update{session_, kUpdateAccount};
      update << account_key;
      update.text(new_type).integer(seq).run();
    }
    const Key organization{op.organization};
    for (const auto& recipient : op.recipients) {
      {
        Statement update{session_, kUpdateRecipient};
        update.integer(number(recipient.role))
            .integer(number(recipient.status))
            .text_or_null(recipient.enhanced_status)
            .text_or_null(recipient.detail)
            .integer(recipient.updated_at)
            .text_or_null(recipient.provider_message_id);
        update << account_key << id;
        update.integer(recipient.index).text(recipient.address).run();
      }
      if (session_.changes() == 1) continue;
      {
        Statement remove{session_, kDeleteRecipient};
        remove << id;
        remove.integer(recipient.index).run();
      }
      insert_recipient(id, organization, account_key, recipient, recipient.status);
    }
    return Status::stored;
  }

  Status run(const sdk::AppendEvent& op) {
    const auto& event = op.event;
    const Key message{event.message_id};
    const Key id{event.id};
    const Key organization{event.organization};
    const Key account{event.account};
    Statement insert{session_, kInsertEvent};
    insert << message;
    insert.integer(event.at);
    insert << id << organization;
    insert.integer(number(event.type)).integer(event.recipient);
    insert << account;
    insert.integer(event.attempt)
        .blob_or_null(event.detail_json)
        .text_or_null(event.deduplication_key)
        .run();
    return session_.changes() == 1 ? Status::stored : Status::duplicate_event;
  }

  Status run(const sdk::PutWork& op) {
    const auto& item = op.item;
    if (insert_work(item, op.lease_owner, op.lease_for)) {
      if (op.lease_owner) result_->fences.push_back(1);
      return Status::stored;
    }
    const Key id{item.id};
    std::int64_t fence = 0;
    {
      Statement found{session_, kWorkState};
      found.integer(number(item.queue));
      found << id;
      if (!found.step()) return Status::stale_lease;
      if (!found.is_null(0) && found.get_integer(2) > now_) return Status::stale_lease;
      fence = found.get_integer(1) + (op.lease_owner ? 1 : 0);
    }
    const Key organization{item.organization};
    const Key lane{item.lane};
    const Key message{item.message_id};
    Statement update{session_, kReplaceWork};
    update << organization << lane;
    update.integer(item.priority)
        .integer(item.due)
        .integer(op.lease_owner ? until(op.lease_for) : item.due)
        .integer(item.attempts);
    update << message;
    update.blob_or_null(item.payload);
    if (op.lease_owner) {
      update.text(*op.lease_owner);
      result_->fences.push_back(static_cast<std::uint64_t>(fence));
    } else {
      update.null();
    }
    update.integer(fence).integer(number(item.queue));
    update << id;
    update.run();
    return Status::stored;
  }

  Status run(const sdk::FinishWork& op) {
    Statement remove{session_, op.fence ? kFinishFenced : kFinishFree};
    const Key id{op.id};
    remove.integer(number(op.queue));
    remove << id;
    remove.integer(op.fence ? as_integer(*op.fence) : now_).run();
    return session_.changes() == 1 ? Status::stored : Status::stale_lease;
  }

  Status run(const sdk::RescheduleWork& op) {
    const Key id{op.id};
    const Key lane{op.lane ? std::string_view{*op.lane} : std::string_view{}};
    Statement update{session_, kReschedule};
    update.integer(op.due);
    if (op.attempts) {
      update.integer(*op.attempts);
    } else {
      update.null();
    }
    if (op.lane) {
      update << lane;
    } else {
      update.null();
    }
    update.integer(op.payload.has_value());
    update.blob_or_null(op.payload ? std::string_view{*op.payload} : std::string_view{});
    update.integer(number(op.queue));
    update << id;
    if (op.fence) {
      update.integer(as_integer(*op.fence));
    } else {
      update.null();
    }
    update.integer(now_).run();
    return session_.changes() == 1 ? Status::stored : Status::stale_lease;
  }

  Status run(const sdk::RenewLease& op) {
    const Key id{op.id};
    Statement update{session_, kRenew};
    update.integer(until(op.lease_for)).integer(number(op.queue));
    update << id;
    update.integer(as_integer(op.fence)).run();
    return session_.changes() == 1 ? Status::stored : Status::stale_lease;
  }

  Status run(const sdk::AddMetrics& op) {
    const Key organization{op.organization};
    const Key account{op.account};
    const Key template_id{op.template_id};
    Statement add{session_, kAddMetric};
    add << organization;
    add.integer(op.hour);
    add << account;
    add.text(op.sender_domain);
    add << template_id;
    add.text(op.tag).integer(number(op.type)).text(op.gateway).integer(op.count).run();
    return Status::stored;
  }

  Session& session_;
  sdk::UnixMillis now_;
  UnitResult* result_ = nullptr;
  bool wrote_ = false;
};

bool blames_a_value(int code) {
  const int primary = code & 0xff;
  return primary == SQLITE_CONSTRAINT || primary == SQLITE_TOOBIG || primary == SQLITE_MISMATCH;
}

// One unit. False: it did not go through and left something behind, which only a savepoint or a
// rollback of everything can take back.
bool apply_unit(Session& session, Applier& applier, const sdk::Unit& unit, std::size_t number,
                bool savepoint, UnitResult& result) {
  if (savepoint) Statement{session, "SAVEPOINT unit"}.run();
  for (std::size_t i = 0; i < unit.ops.size(); ++i) {
    bool wrote = false;
    Status status = Status::stored;
    try {
      status = applier.apply(unit.ops[i], result, wrote);
    } catch (const SqliteFailure& failure) {
      if (!blames_a_value(failure.code)) throw;
      throw Failure{{.kind = sdk::StorageError::Kind::invalid,
                     .message = "SQLite refuses a value: " + failure.message,
                     .unit = number,
                     .op = i}};
    }
    if (status == Status::stored) continue;
    result.status = status;
    result.op = i;
    result.fences.clear();
    if (!savepoint) return i == 0 && !wrote;
    Statement{session, "ROLLBACK TO unit"}.run();
    break;
  }
  if (savepoint) Statement{session, "RELEASE unit"}.run();
  return true;
}

}  // namespace

sdk::Stored<std::vector<UnitResult>> SqliteStorage::commit(std::span<const sdk::Unit> units) {
  return write<std::vector<UnitResult>>([&](Session& session) {
    for (std::size_t u = 0; u < units.size(); ++u) {
      for (std::size_t o = 0; o < units[u].ops.size(); ++o) {
        std::string wrong = why_invalid(units[u].ops[o]);
        if (wrong.empty()) continue;
        throw Failure{{.kind = sdk::StorageError::Kind::invalid,
                       .message = std::move(wrong),
                       .unit = u,
                       .op = o}};
      }
    }
    // Nearly every unit goes through, or is refused by its first op before anything is written: no
    // savepoints then, which cost a copy of every page touched. When one unit does leave something
    // behind, all is rolled back and done again with savepoints, at most once a call.
    std::vector<UnitResult> results;
    for (const bool savepoints : {false, true}) {
      results.assign(units.size(), UnitResult{});
      session.begin_immediate();
      Applier applier{session, host_.clock.now()};
      bool clean = true;
      for (std::size_t u = 0; u < units.size() && clean; ++u) {
        clean = apply_unit(session, applier, units[u], u, savepoints && !units[u].ops.empty(),
                           results[u]);
      }
      if (clean) break;
      session.rollback();
    }
    commit_durably(session, path_);
    return results;
  });
}

}  // namespace postern::storage_sqlite
