// Messages: enqueue, update, events, reads.
#include <algorithm>
#include <atomic>
#include <thread>

#include "conformance/storage_conformance.h"

namespace postern::conformance {
namespace {

using namespace std::chrono_literals;
using sdk::EventType;
using sdk::MessageStatus;
using testing::ElementsAre;
using testing::IsEmpty;

TEST_P(StorageConformance, GivesAMessageBackAsItWasEnqueuedAlsoAfterARestart) {
  MessageParts parts;
  parts.addresses = {"a@example.net", "b@example.net"};
  parts.body = std::string("body\0\xff\r\n", 8);
  auto op = enqueue(parts);
  op.message.test = true;
  op.message.tags = {"welcome", "7:odd"};
  op.message.template_id = "welcome-template";
  op.message.metadata_json = R"({"order":"17"})";
  op.message.send_at = 42;
  op.recipients[1].role = sdk::RecipientRole::bcc;
  op.work.payload = std::string("p\0q", 3);
  const auto event = event_of(parts, EventType::queued);
  ASSERT_EQ(commit({op, event}).status, Status::stored);
  restart();
  const auto detail = must(storage().message(parts.organization, parts.id));
  ASSERT_TRUE(detail);
  EXPECT_EQ(detail->message.id, parts.id);
  EXPECT_TRUE(detail->message.test);
  EXPECT_EQ(detail->message.stream, "transactional");
  EXPECT_EQ(detail->message.status, MessageStatus::queued);
  EXPECT_EQ(detail->message.account, parts.account);
  EXPECT_EQ(detail->message.provider_type, "SMTP");
  EXPECT_EQ(detail->message.from, "sender@example.com");
  EXPECT_EQ(detail->message.sender_domain, "example.com");
  EXPECT_EQ(detail->message.subject, op.message.subject);
  EXPECT_EQ(detail->message.message_id_header, op.message.message_id_header);
  EXPECT_THAT(detail->message.tags, ElementsAre("welcome", "7:odd"));
  EXPECT_EQ(detail->message.template_id, "welcome-template");
  EXPECT_EQ(detail->message.metadata_json, op.message.metadata_json);
  EXPECT_EQ(detail->message.recipient_count, 2U);
  EXPECT_EQ(detail->message.created_at, parts.at);
  EXPECT_EQ(detail->message.send_at, 42);
  ASSERT_EQ(detail->recipients.size(), 2U);
  EXPECT_EQ(detail->recipients[1].address, "b@example.net");
  EXPECT_EQ(detail->recipients[1].index, 1U);
  EXPECT_EQ(detail->recipients[1].role, sdk::RecipientRole::bcc);
  ASSERT_EQ(detail->events.size(), 1U);
  EXPECT_EQ(detail->events[0].id, event.event.id);
  EXPECT_FALSE(must(storage().message("another", parts.id)));

  const std::vector<std::string> ids = {"none", parts.id};
  const auto stored = must(storage().messages_for_delivery(ids));
  ASSERT_EQ(stored.size(), 1U);
  ASSERT_TRUE(stored[0].body);
  EXPECT_EQ(*stored[0].body, parts.body);
  EXPECT_EQ(stored[0].recipients.size(), 2U);
  const auto work = lease_as("n/1");
  ASSERT_EQ(work.size(), 1U);
  EXPECT_EQ(work[0].item.payload, op.work.payload);
  EXPECT_EQ(work[0].item.message_id, parts.id);
}

TEST_P(StorageConformance, StoresABodyOf35Megabytes) {
  MessageParts parts;
  parts.body.assign(35'000'000, 'x');
  for (std::size_t i = 0; i < parts.body.size(); i += 997) parts.body[i] = static_cast<char>(i);
  ASSERT_EQ(commit({enqueue(parts)}).status, Status::stored);
  const std::vector<std::string> ids = {parts.id};
  const auto stored = must(storage().messages_for_delivery(ids));
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_TRUE(*stored[0].body == parts.body);
}

TEST_P(StorageConformance, RefusesASecondMessageOfTheSameId) {
  MessageParts parts;
  ASSERT_EQ(commit({enqueue(parts)}).status, Status::stored);
  parts.body = "another";
  EXPECT_EQ(commit({enqueue(parts)}).status, Status::key_conflict);
  const std::vector<std::string> ids = {parts.id};
  EXPECT_NE(*must(storage().messages_for_delivery(ids))[0].body, "another");
}

TEST_P(StorageConformance, HoldsBackWhatIsSuppressedWhenItIsStored) {
  auto live = put("suppression", "s1", "org:bad@example.net");
  auto gone = put("suppression", "s2", "org:old@example.net");
  gone.document.expires_at = now();
  ASSERT_EQ(commit({live, gone, put("template", "t", "org:good@example.net")}).status,
            Status::stored);
  MessageParts parts;
  parts.addresses = {"bad@example.net", "old@example.net", "good@example.net"};
  auto op = enqueue(parts);
  op.suppression_keys = {{"all:bad@example.net", "org:bad@example.net"},
                         {"org:old@example.net"},
                         {"org:good@example.net"}};
  const auto result = commit({op});
  EXPECT_EQ(result.status, Status::stored);
  EXPECT_THAT(result.suppressed, ElementsAre(0U));
  const auto detail = must(storage().message(parts.organization, parts.id));
  EXPECT_EQ(detail->recipients[0].status, MessageStatus::suppressed);
  EXPECT_EQ(detail->recipients[1].status, MessageStatus::queued);
  EXPECT_EQ(detail->recipients[2].status, MessageStatus::queued);
  EXPECT_EQ(lease_as("n/1").size(), 1U);
}

TEST_P(StorageConformance, DropsTheUnitWhenAllRecipientsAreSuppressed) {
  ASSERT_EQ(commit({put("suppression", "s1", "bad")}).status, Status::stored);
  MessageParts parts;
  auto op = enqueue(parts);
  op.suppression_keys = {{"bad"}};
  std::vector<sdk::Unit> units(2);
  sdk::ClaimIdempotency claim{"s", "k", "h", "r", now() + 1000};
  units[0].ops = {claim, op, event_of(parts, EventType::queued)};
  MessageParts other;
  units[1].ops = {enqueue(other)};
  const auto results = commit_units(units);
  EXPECT_EQ(results[0].status, Status::all_suppressed);
  EXPECT_EQ(results[0].op, 1U);
  EXPECT_EQ(results[1].status, Status::stored);
  EXPECT_FALSE(must(storage().message(parts.organization, parts.id)));
  EXPECT_TRUE(must(storage().message(other.organization, other.id)));
  EXPECT_EQ(commit({claim}).status, Status::stored) << "nothing of the unit is stored";

  op.drop_if_all_suppressed = false;
  const auto kept = commit({op, event_of(parts, EventType::dropped)});
  EXPECT_EQ(kept.status, Status::stored);
  EXPECT_THAT(kept.suppressed, ElementsAre(0U));
  const auto detail = must(storage().message(parts.organization, parts.id));
  ASSERT_TRUE(detail);
  EXPECT_EQ(detail->message.status, MessageStatus::suppressed);
  EXPECT_EQ(detail->events.size(), 1U);
  const auto leased = lease_as("n/1");
  ASSERT_EQ(leased.size(), 1U) << "the suppressed one has no work";
  EXPECT_EQ(leased[0].item.message_id, other.id);
}

TEST_P(StorageConformance, FinishesADeliveryInOneUnit) {
  MessageParts parts;
  parts.addresses = {"a@example.net", "b@example.net"};
  auto op = enqueue(parts);
  op.lease_owner = "n/1";
  const auto born = commit({op});
  ASSERT_THAT(born.fences, ElementsAre(1U));
  sdk::UpdateMessage update;
  update.organization = parts.organization;
  update.message_id = parts.id;
  update.status = MessageStatus::sent;
  update.recipients = {op.recipients[1]};
  update.recipients[0].status = MessageStatus::sent;
  update.recipients[0].enhanced_status = "2.0.0";
  update.recipients[0].detail = "250 ok \xff as the provider said it";
  update.recipients[0].provider_message_id = "P1";
  update.recipients[0].updated_at = 77;
  update.at = 78;
  const sdk::FinishWork finish{sdk::Queue::deliveries, parts.id, 1};
  ASSERT_EQ(commit({finish, update, event_of(parts, EventType::sent)}).status, Status::stored);
  const auto detail = must(storage().message(parts.organization, parts.id));
  EXPECT_EQ(detail->message.status, MessageStatus::sent);
  EXPECT_EQ(detail->message.updated_at, 78);
  EXPECT_EQ(detail->message.account, parts.account) << "not named, not changed";
  EXPECT_EQ(detail->recipients[0].status, MessageStatus::queued) << "not named, not changed";
  EXPECT_EQ(detail->recipients[1].status, MessageStatus::sent);
  EXPECT_EQ(detail->recipients[1].enhanced_status, "2.0.0");
  EXPECT_EQ(detail->recipients[1].detail, update.recipients[0].detail);
  EXPECT_EQ(detail->recipients[1].updated_at, 77);
  EXPECT_EQ(must(storage().message_by_provider_id(parts.account, "P1")), parts.id);
  EXPECT_EQ(commit({finish, update}).status, Status::stale_lease) << "the work is gone";

  update.organization = "another";
  EXPECT_EQ(commit({update}).status, Status::not_found);
  update.organization = parts.organization;
  update.message_id = next_uuid();
  const auto missing = commit({put("k", "x", ""), update});
  EXPECT_EQ(missing.status, Status::not_found);
  EXPECT_EQ(missing.op, 1U);
  EXPECT_FALSE(must(storage().document("k", "x")));
}

TEST_P(StorageConformance, FindsAMessageByTheIdThatTheProviderGaveIt) {
  const auto store = [&](const MessageParts& parts, const std::string& provider_id) {
    auto op = enqueue(parts);
    op.recipients[0].provider_message_id = provider_id;
    ASSERT_EQ(commit({op}).status, Status::stored);
  };
  MessageParts first;
  MessageParts second;
  MessageParts elsewhere;
  elsewhere.account = "other";
  store(first, "P");
  store(second, "P");
  store(elsewhere, "P");
  EXPECT_EQ(must(storage().message_by_provider_id(first.account, "P")), second.id) << "the newest";
  EXPECT_EQ(must(storage().message_by_provider_id("other", "P")), elsewhere.id);
  EXPECT_FALSE(must(storage().message_by_provider_id("third", "P")));
  EXPECT_FALSE(must(storage().message_by_provider_id(first.account, "")));

  // After a failover the first account's events still find the message.
  sdk::UpdateMessage update;
  update.organization = first.organization;
  update.message_id = elsewhere.id;
  update.account = "third";
  ASSERT_EQ(commit({update}).status, Status::stored);
  EXPECT_EQ(must(storage().message_by_provider_id("other", "P")), elsewhere.id);
  EXPECT_EQ(must(storage().message(first.organization, elsewhere.id))->message.account, "third");
}

TEST_P(StorageConformance, TakesAnEventWithADeduplicationKeyOnce) {
  MessageParts parts;
  ASSERT_EQ(commit({enqueue(parts)}).status, Status::stored);
  auto event = event_of(parts, EventType::delivered);
  event.event.deduplication_key = "provider:17";
  event.event.detail_json = "{}";
  event.event.recipient = 0;
  event.event.attempt = 3;
  ASSERT_EQ(commit({event}).status, Status::stored);
  auto again = event;
  again.event.id = next_uuid();
  const auto result = commit({put("k", "x", ""), again});
  EXPECT_EQ(result.status, Status::duplicate_event);
  EXPECT_EQ(result.op, 1U);
  EXPECT_FALSE(must(storage().document("k", "x")));
  again.event.organization = "another";
  EXPECT_EQ(commit({again}).status, Status::stored) << "keys are per organization";
  const auto events = must(storage().message(parts.organization, parts.id))->events;
  ASSERT_EQ(events.size(), 1U) << "another organization's event is not shown";
  EXPECT_EQ(events[0].type, EventType::delivered);
  EXPECT_EQ(events[0].recipient, 0);
  EXPECT_EQ(events[0].attempt, 3U);
  EXPECT_EQ(events[0].detail_json, "{}");
}

TEST_P(StorageConformance, ShowsEventsByTimeThenId) {
  MessageParts parts;
  ASSERT_EQ(commit({enqueue(parts)}).status, Status::stored);
  auto late = event_of(parts, EventType::sent);
  auto early = event_of(parts, EventType::queued);
  auto between = event_of(parts, EventType::deferred);
  late.event.at += 2;
  between.event.at += 1;
  ASSERT_EQ(commit({late, between, early}).status, Status::stored);
  std::vector<EventType> types;
  const auto detail = must(storage().message(parts.organization, parts.id));
  ASSERT_TRUE(detail);
  for (const auto& event : detail->events) types.push_back(event.type);
  EXPECT_THAT(types, ElementsAre(EventType::queued, EventType::deferred, EventType::sent));
}

TEST_P(StorageConformance, ListsMessagesNewestFirstByEveryFilter) {
  std::vector<std::string> ids;
  for (int i = 0; i < 8; ++i) {
    MessageParts parts;
    parts.at = 1000 + i;
    parts.addresses = {i % 2 == 0 ? "even@example.net" : "odd@example.net"};
    parts.account = i < 4 ? "first" : "second";
    auto op = enqueue(parts);
    if (i == 3) op.message.from = "other@example.com";
    if (i == 2 || i == 5) op.message.tags = {"welcome", "x"};
    if (i == 6) op.message.status = MessageStatus::bounced;
    ASSERT_EQ(commit({op}).status, Status::stored);
    ids.push_back(parts.id);
  }
  MessageParts foreign;
  foreign.organization = "another";
  ASSERT_EQ(commit({enqueue(foreign)}).status, Status::stored);
  sdk::MessageQuery plain;
  plain.organization = MessageParts{}.organization;
  const auto found = [&](const sdk::MessageQuery& query) {
    std::vector<std::ptrdiff_t> result;
    for (const auto& message : must(storage().messages(query)).messages) {
      result.push_back(std::find(ids.begin(), ids.end(), message.id) - ids.begin());
    }
    return result;
  };
  const auto with = [&](auto change) {
    auto query = plain;
    change(query);
    return found(query);
  };
  EXPECT_THAT(found(plain), ElementsAre(7, 6, 5, 4, 3, 2, 1, 0));
  EXPECT_THAT(with([](auto& q) { q.recipient = "odd@example.net"; }), ElementsAre(7, 5, 3, 1));
  EXPECT_THAT(with([](auto& q) { q.from = "other@example.com"; }), ElementsAre(3));
  EXPECT_THAT(with([](auto& q) { q.tag = "welcome"; }), ElementsAre(5, 2));
  EXPECT_THAT(with([](auto& q) { q.account = "first"; }), ElementsAre(3, 2, 1, 0));
  EXPECT_THAT(with([](auto& q) { q.status = MessageStatus::bounced; }), ElementsAre(6));
  EXPECT_THAT(with([](auto& q) {
                q.since = 1002;
                q.until = 1004;
              }),
              ElementsAre(3, 2));
  EXPECT_THAT(with([](auto& q) {
                q.recipient = "odd@example.net";
                q.tag = "x";
                q.account = "second";
                q.status = MessageStatus::queued;
              }),
              ElementsAre(5));
  EXPECT_THAT(with([&](auto& q) {
                q.before_id = ids[3];
                q.limit = 2;
              }),
              ElementsAre(2, 1));
  EXPECT_THAT(with([&](auto& q) {
                q.before_id = ids[5];
                q.recipient = "odd@example.net";
              }),
              ElementsAre(3, 1));
  EXPECT_THAT(with([&](auto& q) {
                q.before_id = ids[5];
                q.tag = "x";
              }),
              ElementsAre(2));
  EXPECT_THAT(with([](auto& q) { q.offset = 6; }), ElementsAre(1, 0));
  auto query = plain;
  query.limit = 1;
  query.count_up_to = 8;
  auto page = must(storage().messages(query));
  EXPECT_EQ(page.total, 8U);
  EXPECT_FALSE(page.total_is_lower_bound);
  query.count_up_to = 7;
  query.before_id = ids[2];
  page = must(storage().messages(query));
  EXPECT_EQ(page.total, 7U);
  EXPECT_TRUE(page.total_is_lower_bound);
}

TEST_P(StorageConformance, ReadersSeeWholeCommitsWhileTheWriterWorks) {
  constexpr int kMessages = 150;
  std::vector<MessageParts> all(kMessages);
  std::atomic<int> stored{0};
  std::atomic<bool> done{false};
  std::atomic<int> torn{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      while (!done) {
        const int known = stored;
        if (known == 0) continue;
        const auto& parts = all[static_cast<std::size_t>(known - 1)];
        const auto detail = storage().message(parts.organization, parts.id);
        // What was answered as stored is seen, with all of it.
        if (!detail || !*detail || (*detail)->recipients.size() != 1 || (*detail)->events.empty()) {
          ++torn;
        }
        sdk::MessageQuery query;
        query.organization = parts.organization;
        const auto page = storage().messages(query);
        if (!page || page->messages.empty()) ++torn;
      }
    });
  }
  for (int i = 0; i < kMessages; ++i) {
    const auto& parts = all[static_cast<std::size_t>(i)];
    EXPECT_EQ(commit({enqueue(parts), event_of(parts, EventType::queued)}).status, Status::stored);
    stored = i + 1;
  }
  done = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(torn, 0);
}

}  // namespace
}  // namespace postern::conformance
