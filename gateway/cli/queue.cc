#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <memory>
#include <ostream>

#include "base/bytes.h"
#include "base/ids.h"
#include "cli/command.h"
#include "cli/lookup.h"
#include "cli/output.h"
#include "queue/delivery_state.h"

namespace postern::cli {
namespace {

using sdk::MessageStatus;
using sdk::StorageOptions;

struct ListOptions {
  std::string config;
  std::string organization;
  std::string account;
  std::uint32_t limit = 50;
  std::string after;
  bool json = false;
};
struct OneOptions {
  std::string config;
  std::string id;
  bool json = false;
};
struct RetryOptions {
  std::string config;
  std::string id;
  bool all = false;
  std::string organization;
  std::string account;
  bool json = false;
};

bool is_held(const sdk::WorkRow& row, UnixMillis now) {
  return row.lease && row.lease->until > now;
}

std::string state_of(const sdk::WorkRow& row, UnixMillis now) {
  if (is_held(row, now)) return "held";
  return row.item.due <= now ? "due" : "waiting";
}

// The delivery of a message: its work item has the message's own id.
Result<std::optional<sdk::WorkRow>> delivery_of(sdk::Storage& storage, const std::string& id) {
  // Ids above the id without its last digit begin with those 16 that share the rest.
  sdk::WorkQuery query;
  query.after_id = id.substr(0, id.size() - 1);
  query.limit = 16;
  const auto rows = storage.work(query);
  if (!rows) return storage_error(rows.error(), "reading the queue");
  for (const auto& row : *rows) {
    if (row.item.id == id) return std::optional{row};
  }
  return std::optional<sdk::WorkRow>{};
}

Result<sdk::MessageDetail> message_of(sdk::Storage& storage, const std::string& id) {
  const std::string wanted = id;
  const auto found = storage.messages_for_delivery({&wanted, 1});
  if (!found) return storage_error(found.error(), "reading the message");
  if (!found->empty()) {
    const auto detail = storage.message(found->front().message.organization, id);
    if (!detail) return storage_error(detail.error(), "reading the message");
    if (detail->has_value()) return **detail;
  }
  return Error{ErrorKind::not_found, "there is no message " + id, {}, {}};
}

// Why a change of a delivery that nobody should hold was refused.
Error not_changed(sdk::Storage& storage, const std::string& id, UnixMillis now) {
  const auto row = delivery_of(storage, id);
  if (!row) return row.error();
  if (!row->has_value()) {
    return {ErrorKind::not_found,
            "message " + id + " is not in the queue (any more); 'postern queue show " + id +
                "' tells what became of it",
            {},
            {}};
  }
  if (is_held(**row, now)) {
    return {ErrorKind::conflict,
            "message " + id + " is being delivered now by " + (*row)->lease->owner + ", until " +
                format_time((*row)->lease->until) + " at most; try again",
            {},
            {}};
  }
  return {ErrorKind::conflict, "message " + id + " changed meanwhile; try again", {}, {}};
}

boost::json::object to_json(const sdk::WorkRow& row, const std::string& slug, UnixMillis now) {
  const bool held = is_held(row, now);
  return {{"messageId", row.item.message_id},
          {"organizationId", row.item.organization},
          {"organization", slug},
          {"providerId", row.item.lane},
          {"stream", row.item.priority == 0 ? "transactional" : "bulk"},
          {"state", state_of(row, now)},
          {"dueAt", json_time(row.item.due)},
          {"attempts", row.item.attempts},
          {"heldBy", json_or_null(held ? row.lease->owner : "")},
          {"heldUntil", json_time(held ? std::optional{row.lease->until} : std::nullopt)}};
}

int list(const ListOptions& options, const Io& io) {
  auto environment = open_environment(options.config, StorageOptions::Role::inspect);
  if (!environment) return fail(io, environment.error());
  Environment& opened = **environment;
  sdk::Storage& storage = opened.storage();

  sdk::WorkQuery query;
  query.limit = options.limit;
  query.after_id = options.after;
  if (!options.organization.empty()) {
    const auto organization = organization_by_slug(storage, options.organization);
    if (!organization) return fail(io, organization.error());
    query.organization = organization->id;
  }
  if (!options.account.empty()) {
    const auto account = account_id(storage, query.organization, options.account);
    if (!account) return fail(io, account.error());
    query.lane = *account;
  }
  const auto rows = storage.work(query);
  if (!rows) return fail(io, storage_error(rows.error(), "reading the queue"));
  const UnixMillis now = opened.clock().now();
  const auto depth = storage.depth(sdk::Queue::deliveries, now);
  if (!depth) return fail(io, storage_error(depth.error(), "reading the queue's depth"));
  std::uint64_t total = 0;
  for (const auto& lane : *depth) {
    if (!query.organization.empty() && lane.organization != query.organization) continue;
    if (!query.lane.empty() && lane.lane != query.lane) continue;
    total += lane.waiting + lane.leased;
  }

  OrganizationNames names{storage};
  const bool more = rows->size() == query.limit;
  if (options.json) {
    boost::json::array deliveries;
    for (const auto& row : *rows) {
      deliveries.push_back(to_json(row, names.slug_of(row.item.organization), now));
    }
    print_json(io.out,
               boost::json::object{{"deliveries", std::move(deliveries)},
                                   {"total", total},
                                   {"nextAfter", json_or_null(more ? rows->back().item.id : "")}});
    return kDone;
  }
  if (rows->empty()) {
    io.err << "Nothing is queued.\n";
    return kDone;
  }
  Table table{{"MESSAGE", "ORGANIZATION", "ACCOUNT", "STATE", "DUE", "ATTEMPTS"}};
  for (const auto& row : *rows) {
    table.add({row.item.message_id, names.slug_of(row.item.organization), row.item.lane,
               state_of(row, now), format_time(row.item.due), std::to_string(row.item.attempts)});
  }
  table.print(io.out);
  if (more) {
    io.err << rows->size() << " of " << total << "; the next: --after " << rows->back().item.id
           << '\n';
  }
  return kDone;
}

boost::json::value detail_of(const sdk::EventRecord& event) {
  boost::json::error_code bad;
  auto detail = boost::json::parse(event.detail_json, bad);
  if (bad || !detail.is_object()) return boost::json::object{};
  return detail;
}

void print_message(const Io& io, const sdk::MessageDetail& detail, const std::string& slug,
                   const std::optional<sdk::WorkRow>& row, UnixMillis now) {
  const auto& message = detail.message;
  Table head{{"Message", message.id}};
  head.add({"Organization", slug});
  head.add({"Status", std::string{name_of(message.status)}});
  head.add({"Mode", message.test ? "test" : "live"});
  head.add({"From", message.from});
  head.add({"Subject", message.subject});
  head.add({"Message-ID", message.message_id_header});
  head.add({"Account", message.account + " (" + message.provider_type + ")"});
  head.add({"Accepted", format_time(message.created_at)});
  if (row) {
    head.add({"Queue", state_of(*row, now) + ", due " + format_time(row->item.due) + ", " +
                           std::to_string(row->item.attempts) + " attempts"});
    if (is_held(*row, now)) {
      head.add({"Held by", row->lease->owner + " until " + format_time(row->lease->until)});
    }
  } else {
    head.add({"Queue", "not in it"});
  }
  head.print(io.out);

  io.out << '\n';
  Table recipients{{"RECIPIENT", "ROLE", "STATUS", "CODE", "DETAIL"}};
  for (const auto& each : detail.recipients) {
    recipients.add({each.address, std::string{name_of(each.role)},
                    std::string{name_of(each.status)}, each.enhanced_status, each.detail});
  }
  recipients.print(io.out);

  io.out << '\n';
  Table events{{"TIME", "EVENT", "RECIPIENT", "ATTEMPT", "DETAIL"}};
  for (const auto& each : detail.events) {
    const auto index = static_cast<std::size_t>(each.recipient);
    const bool one = each.recipient >= 0 && index < detail.recipients.size();
    events.add({format_time(each.at), std::string{name_of(each.type)},
                one ? detail.recipients[index].address : "all",
                each.attempt == 0 ? "" : std::to_string(each.attempt), each.detail_json});
  }
  events.print(io.out);
}

boost::json::object to_json(const sdk::MessageDetail& detail) {
  const auto& message = detail.message;
  boost::json::array recipients;
  for (const auto& each : detail.recipients) {
    recipients.push_back(
        boost::json::object{{"address", each.address},
                            {"role", name_of(each.role)},
                            {"status", name_of(each.status)},
                            {"enhancedStatus", json_or_null(each.enhanced_status)},
                            {"detail", json_or_null(each.detail)},
                            {"providerMessageId", json_or_null(each.provider_message_id)},
                            {"updatedAt", json_time(each.updated_at)}});
  }
  boost::json::array events;
  for (const auto& each : detail.events) {
    const auto index = static_cast<std::size_t>(each.recipient);
    const bool one = each.recipient >= 0 && index < detail.recipients.size();
    events.push_back(boost::json::object{
        {"id", each.id},
        {"type", name_of(each.type)},
        {"at", json_time(each.at)},
        {"recipient", json_or_null(one ? detail.recipients[index].address : "")},
        {"providerId", json_or_null(each.account)},
        {"attempt", each.attempt},
        {"detail", detail_of(each)}});
  }
  return {{"id", message.id},
          {"organizationId", message.organization},
          {"mode", message.test ? "test" : "live"},
          {"stream", message.stream},
          {"status", name_of(message.status)},
          {"from", message.from},
          {"subject", message.subject},
          {"providerId", json_or_null(message.account)},
          {"providerType", json_or_null(message.provider_type)},
          {"messageIdHeader", message.message_id_header},
          {"createdAt", json_time(message.created_at)},
          {"updatedAt", json_time(message.updated_at)},
          {"recipients", std::move(recipients)},
          {"events", std::move(events)}};
}

int show(const OneOptions& options, const Io& io) {
  auto environment = open_environment(options.config, StorageOptions::Role::inspect);
  if (!environment) return fail(io, environment.error());
  Environment& opened = **environment;
  const auto detail = message_of(opened.storage(), options.id);
  if (!detail) return fail(io, detail.error());
  const auto row = delivery_of(opened.storage(), options.id);
  if (!row) return fail(io, row.error());
  const std::string slug =
      OrganizationNames{opened.storage()}.slug_of(detail->message.organization);
  const UnixMillis now = opened.clock().now();
  if (options.json) {
    boost::json::object out = to_json(*detail);
    out["organization"] = slug;
    out["delivery"] = *row ? boost::json::value(to_json(**row, slug, now)) : nullptr;
    print_json(io.out, out);
  } else {
    print_message(io, *detail, slug, *row, now);
  }
  return kDone;
}

int retry_one(Environment& opened, const RetryOptions& options, const Io& io) {
  const UnixMillis now = opened.clock().now();
  sdk::RescheduleWork again;
  again.id = options.id;
  again.due = now;
  const sdk::Unit unit{{again}};
  const auto stored = opened.storage().commit({&unit, 1});
  if (!stored) return fail(io, storage_error(stored.error(), "rescheduling the message"));
  if (stored->front().status != sdk::UnitResult::Status::stored) {
    return fail(io, not_changed(opened.storage(), options.id, now));
  }
  if (options.json) {
    print_json(io.out, boost::json::object{{"rescheduled", 1}, {"held", 0}});
  } else {
    io.out << "Message " << options.id << " is due now.\n";
  }
  return kDone;
}

int retry_all(Environment& opened, const RetryOptions& options, const Io& io) {
  sdk::Storage& storage = opened.storage();
  sdk::WorkQuery query;
  query.limit = 500;
  if (!options.organization.empty()) {
    const auto organization = organization_by_slug(storage, options.organization);
    if (!organization) return fail(io, organization.error());
    query.organization = organization->id;
  }
  if (!options.account.empty()) {
    const auto account = account_id(storage, query.organization, options.account);
    if (!account) return fail(io, account.error());
    query.lane = *account;
  }
  std::uint64_t rescheduled = 0;
  std::uint64_t held = 0;
  for (;;) {
    const auto rows = storage.work(query);
    if (!rows) return fail(io, storage_error(rows.error(), "reading the queue"));
    const UnixMillis now = opened.clock().now();
    std::vector<sdk::Unit> units;
    for (const auto& row : *rows) {
      // What waits for the operator's decision is decided message by message, never all at once.
      if (row.item.due == queue::kHeldDue) continue;
      if (is_held(row, now)) {
        ++held;
      } else if (row.item.due > now) {
        sdk::RescheduleWork again;
        again.id = row.item.id;
        again.due = now;
        units.push_back({{again}});
      }
    }
    if (!units.empty()) {
      const auto stored = storage.commit(units);
      if (!stored) return fail(io, storage_error(stored.error(), "rescheduling messages"));
      for (const auto& result : *stored) {
        // Another result: it was taken or finished in between, which is as good.
        if (result.status == sdk::UnitResult::Status::stored) ++rescheduled;
      }
    }
    if (rows->size() < query.limit) break;
    query.after_id = rows->back().item.id;
  }
  if (options.json) {
    print_json(io.out, boost::json::object{{"rescheduled", rescheduled}, {"held", held}});
  } else {
    io.out << rescheduled << " messages that waited are due now; " << held
           << " are held by a gateway already.\n";
  }
  return kDone;
}

int retry(const RetryOptions& options, const Io& io) {
  auto environment = open_environment(options.config, StorageOptions::Role::tool);
  if (!environment) return fail(io, environment.error());
  return options.all ? retry_all(**environment, options, io)
                     : retry_one(**environment, options, io);
}

int cancel(const OneOptions& options, const Io& io) {
  auto environment = open_environment(options.config, StorageOptions::Role::tool);
  if (!environment) return fail(io, environment.error());
  Environment& opened = **environment;
  const auto detail = message_of(opened.storage(), options.id);
  if (!detail) return fail(io, detail.error());
  const UnixMillis now = opened.clock().now();

  // The work goes first: where a gateway holds it, nothing of the unit happens.
  sdk::Unit unit;
  sdk::FinishWork finish;
  finish.id = options.id;
  unit.ops.emplace_back(finish);
  sdk::UpdateMessage update;
  update.organization = detail->message.organization;
  update.message_id = options.id;
  update.status = MessageStatus::canceled;
  update.at = now;
  for (auto recipient : detail->recipients) {
    if (is_final(recipient.status)) continue;
    recipient.status = MessageStatus::canceled;
    recipient.detail = "canceled by the operator";
    recipient.updated_at = now;
    update.recipients.push_back(std::move(recipient));
  }
  const auto canceled = update.recipients;
  unit.ops.emplace_back(std::move(update));
  const auto dropped = [&](std::int32_t recipient) {
    sdk::EventRecord event;
    event.id = uuid_v7(opened.clock());
    event.message_id = options.id;
    event.organization = detail->message.organization;
    event.type = sdk::EventType::dropped;
    event.recipient = recipient;
    event.at = now;
    event.account = detail->message.account;
    event.detail_json = R"({"reason":"canceled by the operator"})";
    unit.ops.emplace_back(sdk::AppendEvent{std::move(event)});
  };
  if (canceled.size() == detail->recipients.size()) {
    dropped(sdk::kAllRecipients);
  } else {
    for (const auto& recipient : canceled) dropped(static_cast<std::int32_t>(recipient.index));
  }

  const auto stored = opened.storage().commit({&unit, 1});
  if (!stored) return fail(io, storage_error(stored.error(), "canceling the message"));
  if (stored->front().status != sdk::UnitResult::Status::stored) {
    return fail(io, not_changed(opened.storage(), options.id, now));
  }
  if (options.json) {
    print_json(io.out, boost::json::object{{"messageId", options.id},
                                           {"status", "canceled"},
                                           {"canceledRecipients", canceled.size()}});
  } else {
    io.out << "Message " << options.id << " is canceled for " << canceled.size() << " of "
           << detail->recipients.size() << " recipients.\n";
  }
  return kDone;
}

const CLI::Validator kMessageId{[](std::string& text) -> std::string {
                                  if (!is_uuid(text))
                                    return "'" + text + "' is no message id (a UUID)";
                                  text = ascii_lower(text);
                                  return {};
                                },
                                "MESSAGE_ID"};

}  // namespace

void add_queue(CLI::App& app, Session& session) {
  auto* queue = app.add_subcommand("queue", "See and change what waits to be delivered");
  queue->require_subcommand(1);
  queue->footer("Works beside a running gateway and without one.");

  auto* lists = queue->add_subcommand("list", "List what is queued");
  auto list_options = std::make_shared<ListOptions>();
  add_config_option(*lists, list_options->config);
  lists->add_option("--organization", list_options->organization, "Only this one's")
      ->type_name("SLUG");
  lists
      ->add_option("--account", list_options->account,
                   "Only what waits for this provider account (a slug needs --organization)")
      ->type_name("ID|SLUG");
  lists->add_option("--limit", list_options->limit, "How many at most")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  lists->add_option("--after", list_options->after, "Go on behind this message")->check(kMessageId);
  lists->add_flag("--json", list_options->json, "Print one JSON object");
  lists->footer(
      "STATE is 'due', 'waiting' (for a later attempt) or 'held' (a gateway has it in hand).\n\n"
      "Example:\n  postern queue list --organization demo --account relay\n\n"
      "Exit codes: 0 listed (also when there is nothing), 1 failed, 2 wrong usage.");
  session.on(*lists, [list_options, &session] { return list(*list_options, session.io()); });

  auto* shows =
      queue->add_subcommand("show", "Show a message: recipients, events, its place in the queue");
  auto show_options = std::make_shared<OneOptions>();
  add_config_option(*shows, show_options->config);
  shows->add_option("message_id", show_options->id, "The message")->check(kMessageId)->required();
  shows->add_flag("--json", show_options->json, "Print one JSON object");
  shows->footer(
      "Example:\n  postern queue show 01890a5d-ac96-774b-bcce-b302099a8057\n\n"
      "Exit codes: 0 shown, 1 failed or no such message, 2 wrong usage.");
  session.on(*shows, [show_options, &session] { return show(*show_options, session.io()); });

  auto* retries = queue->add_subcommand("retry", "Make waiting messages due now");
  auto retry_options = std::make_shared<RetryOptions>();
  add_config_option(*retries, retry_options->config);
  auto* one =
      retries->add_option("message_id", retry_options->id, "The message")->check(kMessageId);
  auto* all = retries->add_flag("--all", retry_options->all, "All that wait")->excludes(one);
  retries->add_option("--organization", retry_options->organization, "With --all: only this one's")
      ->type_name("SLUG")
      ->needs(all);
  retries
      ->add_option("--account", retry_options->account,
                   "With --all: only this provider account's (a slug needs --organization)")
      ->type_name("ID|SLUG")
      ->needs(all);
  retries->add_flag("--json", retry_options->json, "Print one JSON object");
  retries->footer(
      "Attempts are not forgotten: a message that has become too old fails with its next "
      "failure.\n\n"
      "Examples:\n"
      "  postern queue retry 01890a5d-ac96-774b-bcce-b302099a8057\n"
      "  postern queue retry --all --organization demo --account relay\n\n"
      "Exit codes: 0 rescheduled, 1 failed (also: a gateway is delivering it now), 2 wrong usage.");
  session.on(*retries, [retry_options, &session] {
    if (!retry_options->all && retry_options->id.empty()) {
      session.io().err << "postern: name a MESSAGE_ID or say --all\n"
                          "See 'postern queue retry --help'.\n";
      return kWrongUsage;
    }
    return retry(*retry_options, session.io());
  });

  auto* cancels = queue->add_subcommand("cancel", "Give a queued message up");
  auto cancel_options = std::make_shared<OneOptions>();
  add_config_option(*cancels, cancel_options->config);
  cancels->add_option("message_id", cancel_options->id, "The message")
      ->check(kMessageId)
      ->required();
  cancels->add_flag("--json", cancel_options->json, "Print one JSON object");
  cancels->footer(
      "Recipients that were reached already stay as they are; the others become 'canceled'.\n\n"
      "Example:\n  postern queue cancel 01890a5d-ac96-774b-bcce-b302099a8057\n\n"
      "Exit codes: 0 canceled, 1 failed (also: a gateway is delivering it now), 2 wrong usage.");
  session.on(*cancels,
             [cancel_options, &session] { return cancel(*cancel_options, session.io()); });
}

}  // namespace postern::cli
