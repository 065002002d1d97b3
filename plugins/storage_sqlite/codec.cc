#include "codec.h"

#include <cstring>

namespace postern::storage_sqlite {
namespace {

constexpr std::array<std::int8_t, 256> make_hex_values() {
  std::array<std::int8_t, 256> values{};
  for (auto& value : values) value = -1;
  for (int i = 0; i < 10; ++i)
    values[static_cast<std::size_t>('0' + i)] = static_cast<std::int8_t>(i);
  for (int i = 0; i < 6; ++i) {
    values[static_cast<std::size_t>('a' + i)] = static_cast<std::int8_t>(10 + i);
  }
  return values;
}
constexpr auto kHexValues = make_hex_values();

// Collects the first complaint.
struct Checker {
  std::string wrong;

  void text(std::string_view name, std::string_view value) {
    if (!wrong.empty() || is_text(value)) return;
    wrong = std::string{name} +
            (value.size() > kMaxText ? " is longer than " + std::to_string(kMaxText) + " bytes"
             : value.find('\0') != std::string_view::npos ? " contains a NUL byte"
                                                          : " is not valid UTF-8");
  }
  void required(std::string_view name, std::string_view value) {
    if (wrong.empty() && value.empty()) wrong = std::string{name} + " is empty";
    text(name, value);
  }
  void bytes(std::string_view name, std::string_view value) {
    if (wrong.empty() && value.size() > kMaxBytes) {
      wrong = std::string{name} + " is longer than " + std::to_string(kMaxBytes) + " bytes";
    }
  }
  template <typename Enum>
  void within(std::string_view name, Enum value, Enum last) {
    if (wrong.empty() && value > last) wrong = std::string{name} + " is out of range";
  }
  void work(const sdk::WorkItem& item) {
    within("queue", item.queue, sdk::Queue::jobs);
    text("work.id", item.id);
    text("work.organization", item.organization);
    text("work.lane", item.lane);
    text("work.message_id", item.message_id);
    bytes("work.payload", item.payload);
  }
  void recipients(const std::vector<sdk::RecipientRecord>& list) {
    for (const auto& recipient : list) {
      text("recipient.address", recipient.address);
      within("recipient.role", recipient.role, sdk::RecipientRole::bcc);
      within("recipient.status", recipient.status, sdk::MessageStatus::suppressed);
      bytes("recipient.enhanced_status", recipient.enhanced_status);
      bytes("recipient.detail", recipient.detail);
      text("recipient.provider_message_id", recipient.provider_message_id);
    }
  }

  void operator()(const sdk::PutDocument& op) {
    required("kind", op.document.kind);
    text("organization", op.document.organization);
    required("id", op.document.id);
    text("unique_key", op.document.unique_key);
    bytes("json", op.document.json);
  }
  void operator()(const sdk::DeleteDocument& op) {
    text("kind", op.kind);
    text("organization", op.organization);
    text("id", op.id);
  }
  void operator()(const sdk::ClaimIdempotency& op) {
    text("scope", op.scope);
    text("key", op.key);
    text("request_hash", op.request_hash);
    bytes("response", op.response);
  }
  void operator()(const sdk::EnqueueMessage& op) {
    const auto& message = op.message;
    required("message.id", message.id);
    text("message.organization", message.organization);
    text("message.stream", message.stream);
    within("message.status", message.status, sdk::MessageStatus::suppressed);
    text("message.account", message.account);
    text("message.provider_type", message.provider_type);
    text("message.from", message.from);
    text("message.sender_domain", message.sender_domain);
    bytes("message.subject", message.subject);
    text("message.message_id_header", message.message_id_header);
    for (const auto& tag : message.tags) text("message.tags", tag);
    text("message.template_id", message.template_id);
    bytes("message.metadata_json", message.metadata_json);
    recipients(op.recipients);
    for (const auto& keys : op.suppression_keys) {
      for (const auto& key : keys) text("suppression_keys", key);
    }
    if (wrong.empty() && !op.suppression_keys.empty() &&
        op.suppression_keys.size() != op.recipients.size()) {
      wrong = "suppression_keys has another length than recipients";
    }
    if (op.body) bytes("body", *op.body);
    work(op.work);
    if (op.lease_owner) text("lease_owner", *op.lease_owner);
  }
  void operator()(const sdk::UpdateMessage& op) {
    text("organization", op.organization);
    text("message_id", op.message_id);
    if (op.status) within("status", *op.status, sdk::MessageStatus::suppressed);
    if (op.account) text("account", *op.account);
    if (op.provider_type) text("provider_type", *op.provider_type);
    recipients(op.recipients);
  }
  void operator()(const sdk::AppendEvent& op) {
    required("event.id", op.event.id);
    text("event.message_id", op.event.message_id);
    text("event.organization", op.event.organization);
    within("event.type", op.event.type, sdk::EventType::deferred);
    text("event.account", op.event.account);
    bytes("event.detail_json", op.event.detail_json);
    text("event.deduplication_key", op.event.deduplication_key);
  }
  void operator()(const sdk::PutWork& op) {
    if (wrong.empty() && op.item.id.empty()) wrong = "work.id is empty";
    work(op.item);
    if (op.lease_owner) text("lease_owner", *op.lease_owner);
  }
  void operator()(const sdk::FinishWork& op) {
    within("queue", op.queue, sdk::Queue::jobs);
    text("id", op.id);
  }
  void operator()(const sdk::RescheduleWork& op) {
    within("queue", op.queue, sdk::Queue::jobs);
    text("id", op.id);
    if (op.lane) text("lane", *op.lane);
    if (op.payload) bytes("payload", *op.payload);
  }
  void operator()(const sdk::RenewLease& op) {
    within("queue", op.queue, sdk::Queue::jobs);
    text("id", op.id);
  }
  void operator()(const sdk::AddMetrics& op) {
    text("organization", op.organization);
    text("account", op.account);
    text("sender_domain", op.sender_domain);
    text("template_id", op.template_id);
    text("tag", op.tag);
    text("gateway", op.gateway);
    within("type", op.type, sdk::EventType::deferred);
  }
};

}  // namespace

Key::Key(std::string_view id) : text_(id) {
  if (id.size() != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-') return;
  std::size_t out = 0;
  for (std::size_t i = 0; i < 36;) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      ++i;
      continue;
    }
    const int high = kHexValues[static_cast<unsigned char>(id[i])];
    const int low = kHexValues[static_cast<unsigned char>(id[i + 1])];
    if ((high | low) < 0) return;
    bytes_[out++] = static_cast<std::uint8_t>(high << 4 | low);
    i += 2;
  }
  packed_ = true;
}

std::string unpack_key(const Statement& statement, int column) {
  const auto bytes = statement.view(column);
  if (!statement.is_blob(column) || bytes.size() != 16) return std::string{bytes};
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string id;
  id.reserve(36);
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) id += '-';
    const auto byte = static_cast<unsigned char>(bytes[i]);
    id += kHex[byte >> 4];
    id += kHex[byte & 15];
  }
  return id;
}

bool is_text(std::string_view value) {
  if (value.size() > kMaxText) return false;
  const char* data = value.data();
  std::size_t i = 0;
  const std::size_t size = value.size();
  while (i < size) {
    // Eight bytes at once while they are ASCII and not NUL.
    while (i + 8 <= size) {
      std::uint64_t word = 0;
      std::memcpy(&word, data + i, 8);
      const std::uint64_t zeros = (word - 0x0101010101010101ULL) & ~word & 0x8080808080808080ULL;
      if ((word & 0x8080808080808080ULL) != 0 || zeros != 0) break;
      i += 8;
    }
    if (i >= size) break;
    const auto lead = static_cast<unsigned char>(data[i]);
    if (lead == 0) return false;
    if (lead < 0x80) {
      ++i;
      continue;
    }
    std::size_t more = 0;
    std::uint32_t point = 0;
    if (lead >= 0xc2 && lead <= 0xdf) {
      more = 1;
      point = lead & 0x1f;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      more = 2;
      point = lead & 0x0f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      more = 3;
      point = lead & 0x07;
    } else {
      return false;
    }
    if (i + more >= size) return false;
    for (std::size_t k = 1; k <= more; ++k) {
      const auto next = static_cast<unsigned char>(data[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      point = point << 6 | (next & 0x3f);
    }
    if ((more == 2 && point < 0x800) || (more == 3 && point < 0x10000) || point > 0x10ffff ||
        (point >= 0xd800 && point <= 0xdfff)) {
      return false;
    }
    i += more + 1;
  }
  return true;
}

std::string why_invalid(const sdk::Op& op) {
  Checker checker;
  std::visit(checker, op);
  return checker.wrong;
}

std::string pack_strings(const std::vector<std::string>& tags) {
  std::string packed;
  for (const auto& tag : tags) packed += std::to_string(tag.size()) + ":" + tag;
  return packed;
}

std::vector<std::string> unpack_strings(std::string_view packed) {
  std::vector<std::string> tags;
  while (!packed.empty()) {
    const auto colon = packed.find(':');
    if (colon == std::string_view::npos) break;
    std::size_t size = 0;
    for (const char c : packed.substr(0, colon))
      size = size * 10 + static_cast<std::size_t>(c - '0');
    tags.emplace_back(packed.substr(colon + 1, size));
    packed.remove_prefix(std::min(packed.size(), colon + 1 + size));
  }
  return tags;
}

}  // namespace postern::storage_sqlite
