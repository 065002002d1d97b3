// storage_sqlite/messages.h: rows of messages, recipients and events, as reads and walks use them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "codec.h"

namespace postern::storage_sqlite {

#define POSTERN_MESSAGE_COLUMNS                                                           \
  "m.seq, m.id, m.organization, m.test, m.stream, m.status, m.account, m.provider_type, " \
  "m.sender, m.sender_domain, m.subject, m.message_id_header, m.tags, m.template_id, "    \
  "m.metadata, m.recipient_count, m.created_at, m.updated_at, m.send_at, m.has_body"

#define POSTERN_EVENT_COLUMNS \
  "id, message, organization, type, recipient, at, account, attempt, detail, deduplication_key"

// Of the statement's current row.
sdk::MessageRecord message_row(const Statement& row);
sdk::EventRecord event_row(const Statement& row);

// `accounts`, where given, gets the account that each provider's own id came from ("" without one).
std::vector<sdk::RecipientRecord> recipients_of(Session& session, const std::string& message,
                                                std::vector<std::string>* accounts = nullptr);
// Null: purged.
std::shared_ptr<const std::string> body_of(Session& session, std::int64_t seq);

}  // namespace postern::storage_sqlite
