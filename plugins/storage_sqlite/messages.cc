// Reads of messages.
#include "messages.h"

#include "storage.h"

namespace postern::storage_sqlite {

sdk::MessageRecord message_row(const Statement& row) {
  return {.id = unpack_key(row, 1),
          .organization = unpack_key(row, 2),
          .test = row.get_integer(3) != 0,
          .stream = row.get_text(4),
          .status = static_cast<sdk::MessageStatus>(row.get_integer(5)),
          .account = unpack_key(row, 6),
          .provider_type = row.get_text(7),
          .from = row.get_text(8),
          .sender_domain = row.get_text(9),
          .subject = row.get_text(10),
          .message_id_header = row.get_text(11),
          .tags = unpack_strings(row.view(12)),
          .template_id = unpack_key(row, 13),
          .metadata_json = row.get_text(14),
          .recipient_count = static_cast<std::uint32_t>(row.get_integer(15)),
          .created_at = row.get_integer(16),
          .updated_at = row.get_integer(17),
          .send_at = row.get_optional(18)};
}

sdk::EventRecord event_row(const Statement& row) {
  return {.id = unpack_key(row, 0),
          .message_id = unpack_key(row, 1),
          .organization = unpack_key(row, 2),
          .type = static_cast<sdk::EventType>(row.get_integer(3)),
          .recipient = static_cast<std::int32_t>(row.get_integer(4)),
          .at = row.get_integer(5),
          .account = unpack_key(row, 6),
          .attempt = static_cast<std::uint32_t>(row.get_integer(7)),
          .detail_json = row.get_text(8),
          .deduplication_key = row.get_text(9)};
}

std::vector<sdk::RecipientRecord> recipients_of(Session& session, const std::string& message,
                                                std::vector<std::string>* accounts) {
  const Key id{message};
  Statement rows{session,
                 "SELECT idx, role, address, status, enhanced_status, detail, provider_message_id, "
                 "updated_at, account FROM recipient WHERE message = ? ORDER BY idx"};
  rows << id;
  std::vector<sdk::RecipientRecord> result;
  while (rows.step()) {
    result.push_back({.index = static_cast<std::uint32_t>(rows.get_integer(0)),
                      .role = static_cast<sdk::RecipientRole>(rows.get_integer(1)),
                      .address = rows.get_text(2),
                      .status = static_cast<sdk::MessageStatus>(rows.get_integer(3)),
                      .enhanced_status = rows.get_text(4),
                      .detail = rows.get_text(5),
                      .provider_message_id = rows.get_text(6),
                      .updated_at = rows.get_integer(7)});
    if (accounts) accounts->push_back(unpack_key(rows, 8));
  }
  return result;
}

std::shared_ptr<const std::string> body_of(Session& session, std::int64_t seq) {
  Statement row{session, "SELECT content FROM body WHERE seq = ?"};
  row.integer(seq);
  if (!row.step()) return nullptr;
  return std::make_shared<const std::string>(row.get_text(0));
}

sdk::Stored<std::optional<sdk::MessageDetail>> SqliteStorage::message(
    const std::string& organization, const std::string& id) {
  return read<std::optional<sdk::MessageDetail>>([&](Session& session)
                                                     -> std::optional<sdk::MessageDetail> {
    const Key key{id};
    sdk::MessageDetail detail;
    {
      Statement row{session, "SELECT " POSTERN_MESSAGE_COLUMNS " FROM message m WHERE m.id = ?"};
      row << key;
      if (!row.step()) return std::nullopt;
      detail.message = message_row(row);
    }
    if (detail.message.organization != organization) return std::nullopt;
    detail.recipients = recipients_of(session, id);
    Statement rows{session,
                   "SELECT " POSTERN_EVENT_COLUMNS " FROM event WHERE message = ? ORDER BY at, id"};
    rows << key;
    while (rows.step()) {
      auto event = event_row(rows);
      // Nobody is shown another organization's event, whatever message it names.
      if (event.organization == organization) detail.events.push_back(std::move(event));
    }
    return detail;
  });
}

sdk::Stored<std::vector<sdk::StoredMessage>> SqliteStorage::messages_for_delivery(
    std::span<const std::string> ids) {
  return read<std::vector<sdk::StoredMessage>>([&](Session& session) {
    std::vector<sdk::StoredMessage> result;
    result.reserve(ids.size());
    for (const auto& id : ids) {
      const Key key{id};
      sdk::StoredMessage stored;
      std::int64_t seq = 0;
      {
        Statement row{session, "SELECT " POSTERN_MESSAGE_COLUMNS " FROM message m WHERE m.id = ?"};
        row << key;
        if (!row.step()) continue;
        seq = row.get_integer(0);
        stored.message = message_row(row);
      }
      stored.recipients = recipients_of(session, id);
      stored.body = body_of(session, seq);
      result.push_back(std::move(stored));
    }
    return result;
  });
}

namespace {

// The FROM and WHERE of a list, and what binds it. One filter names the index that drives the walk
// (recipient, then tag, then account, then status, else the plain list), the others are looked at
// along the way; all of these indexes are in the order of the list, so that a page is read, not
// sorted.
struct Filter {
  explicit Filter(const sdk::MessageQuery& wanted)
      : query(wanted),
        organization(wanted.organization),
        account(wanted.account),
        before(wanted.before_id) {
    std::string where;
    if (!query.recipient.empty()) {
      // An address that is there twice (to and cc) is one message.
      from =
          "(SELECT DISTINCT message AS id FROM recipient INDEXED BY recipient_address "
          "WHERE organization = ?1 AND address = ?2";
      if (!query.before_id.empty()) from += " AND message < ?8";
      from += " ORDER BY message DESC) AS driver CROSS JOIN message m ON m.id = driver.id";
      order = "driver.id";
      if (!query.tag.empty()) where += " AND EXISTS " + std::string{kTagOf};
    } else if (!query.tag.empty()) {
      from = "message_tag AS driver CROSS JOIN message m ON m.id = driver.message";
      where = " AND driver.organization = ?1 AND driver.tag = ?3";
      if (!query.before_id.empty()) where += " AND driver.message < ?8";
      order = "driver.message";
    } else {
      from = std::string{"message m INDEXED BY "} + (!query.account.empty() ? "message_account"
                                                     : query.status         ? "message_status"
                                                                            : "message_list");
      if (!query.before_id.empty()) where += " AND m.id < ?8";
      order = "m.id";
    }
    if (!query.account.empty()) where += " AND m.account = ?4";
    if (query.status) where += " AND m.status = ?5";
    if (!query.from.empty()) where += " AND m.sender = ?9";
    if (query.since) where += " AND m.created_at >= ?6";
    if (query.until) where += " AND m.created_at < ?7";
    condition = " WHERE m.organization = ?1" + where;
  }
  void bind(Statement& statement) const {
    statement << organization;
    statement.text(query.recipient).text(query.tag);
    statement << account;
    statement.integer(query.status ? static_cast<std::int64_t>(*query.status) : 0)
        .optional(query.since)
        .optional(query.until);
    statement << before;
    statement.text(query.from);
  }

  static constexpr const char* kTagOf =
      "(SELECT 1 FROM message_tag t WHERE t.organization = ?1 AND t.tag = ?3 AND t.message = m.id)";
  const sdk::MessageQuery& query;
  Key organization;
  Key account;
  Key before;
  std::string from;
  std::string condition;
  std::string order;
};

}  // namespace

sdk::Stored<sdk::MessagePage> SqliteStorage::messages(const sdk::MessageQuery& query) {
  return read<sdk::MessagePage>([&](Session& session) {
    const Filter filter{query};
    sdk::MessagePage page;
    {
      Statement rows{session, "SELECT " POSTERN_MESSAGE_COLUMNS " FROM " + filter.from +
                                  filter.condition + " ORDER BY " + filter.order +
                                  " DESC LIMIT ?10 OFFSET ?11"};
      filter.bind(rows);
      rows.integer(query.limit).integer(query.offset);
      while (rows.step()) page.messages.push_back(message_row(rows));
    }
    if (query.count_up_to > 0) {
      // The total is that of the filters, not of what is left behind the cursor.
      sdk::MessageQuery all = query;
      all.before_id.clear();
      const Filter whole{all};
      Statement count{session, "SELECT count(*) FROM (SELECT 1 FROM " + whole.from +
                                   whole.condition + " LIMIT ?10)"};
      whole.bind(count);
      count.integer(static_cast<std::int64_t>(query.count_up_to) + 1);
      const auto found = count.step() ? count.get_integer(0) : 0;
      page.total_is_lower_bound = found > query.count_up_to;
      page.total =
          page.total_is_lower_bound ? query.count_up_to : static_cast<std::uint32_t>(found);
    }
    return page;
  });
}

sdk::Stored<std::optional<std::string>> SqliteStorage::message_by_provider_id(
    const std::string& account, const std::string& provider_message_id) {
  return read<std::optional<std::string>>([&](Session& session) -> std::optional<std::string> {
    if (provider_message_id.empty()) return std::nullopt;
    const Key key{account};
    Statement row{session,
                  "SELECT message FROM recipient WHERE provider_message_id = ? AND account = ? "
                  "ORDER BY message DESC LIMIT 1"};
    row.text(provider_message_id);
    row << key;
    if (!row.step()) return std::nullopt;
    return unpack_key(row, 0);
  });
}

}  // namespace postern::storage_sqlite
