#include "api/message_json.h"

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/clock.h"

namespace postern::api {
namespace {

namespace bj = boost::json;

constexpr std::array<std::string_view, 11> kStatuses{
    "scheduled", "queued",     "sending", "sent",     "delivered", "deferred",
    "bounced",   "complained", "failed",  "canceled", "suppressed"};
constexpr std::array<std::string_view, 10> kEvents{"QUEUED",  "SENT",       "DELIVERED",    "OPENED",
                                                   "CLICKED", "BOUNCED",    "COMPLAINED",   "UNSUBSCRIBED",
                                                   "DROPPED", "DEFERRED"};
constexpr std::array<std::string_view, 3> kRoles{"to", "cc", "bcc"};

bj::value id_or_null(const std::string& id) {
  if (id.empty()) return nullptr;
  return bj::value(id);
}

// What was stored as JSON by this gateway; an empty object where it can't be read any more.
bj::value stored_object(const std::string& json) {
  boost::system::error_code error;
  if (json.empty()) return bj::object{};
  bj::value value = bj::parse(json, error);
  if (error || !value.is_object()) return bj::object{};
  return value;
}

bj::object recipient_json(const sdk::RecipientRecord& recipient) {
  bj::object out{{"address", recipient.address},
                 {"role", kRoles[static_cast<std::size_t>(recipient.role)]},
                 {"status", name_of(recipient.status)}};
  if (!recipient.enhanced_status.empty()) out["enhancedStatus"] = recipient.enhanced_status;
  if (!recipient.detail.empty()) out["detail"] = recipient.detail;
  if (!recipient.provider_message_id.empty()) {
    out["providerMessageId"] = recipient.provider_message_id;
  }
  out["updatedAt"] = format_time(recipient.updated_at);
  return out;
}

bj::object event_json(const sdk::EventRecord& event,
                      const std::vector<sdk::RecipientRecord>& recipients) {
  bj::value recipient = nullptr;
  if (event.recipient >= 0 && static_cast<std::size_t>(event.recipient) < recipients.size()) {
    recipient = recipients[static_cast<std::size_t>(event.recipient)].address;
  }
  return {{"id", event.id},
          {"type", name_of(event.type)},
          {"at", format_time(event.at)},
          {"recipient", std::move(recipient)},
          {"providerId", id_or_null(event.account)},
          {"attempt", event.attempt},
          {"detail", stored_object(event.detail_json)}};
}

}  // namespace

std::string_view name_of(sdk::MessageStatus status) {
  return kStatuses[static_cast<std::size_t>(status)];
}
std::string_view name_of(sdk::EventType type) { return kEvents[static_cast<std::size_t>(type)]; }

std::string message_answer(const sdk::MessageDetail& detail) {
  const sdk::MessageRecord& message = detail.message;
  bj::array by_role[3];
  bj::array recipients;
  for (const auto& recipient : detail.recipients) {
    by_role[static_cast<std::size_t>(recipient.role)].emplace_back(recipient.address);
    recipients.push_back(recipient_json(recipient));
  }
  bj::array tags;
  for (const auto& tag : message.tags) tags.emplace_back(tag);
  bj::array events;
  for (const auto& event : detail.events) events.push_back(event_json(event, detail.recipients));

  bj::object out{{"id", message.id},
                 {"organizationId", message.organization},
                 {"mode", message.test ? "test" : "live"},
                 {"stream", message.stream},
                 {"status", name_of(message.status)},
                 {"from", message.from},
                 {"to", std::move(by_role[0])},
                 {"cc", std::move(by_role[1])},
                 {"bcc", std::move(by_role[2])},
                 {"subject", message.subject},
                 {"tags", std::move(tags)},
                 {"metadata", stored_object(message.metadata_json)},
                 {"providerId", id_or_null(message.account)},
                 {"providerType", id_or_null(message.provider_type)},
                 {"messageIdHeader", message.message_id_header},
                 {"createdAt", format_time(message.created_at)},
                 {"updatedAt", format_time(message.updated_at)}};
  if (message.send_at) out["sendAt"] = format_time(*message.send_at);
  out["recipients"] = std::move(recipients);
  out["events"] = std::move(events);
  return bj::serialize(bj::object{{"data", std::move(out)}});
}

}  // namespace postern::api
