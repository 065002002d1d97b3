// Purge, walk, check, inspection.
#include "conformance/storage_conformance.h"

namespace postern::conformance {
namespace {

using namespace std::chrono_literals;
using sdk::MessageStatus;
using testing::IsEmpty;

// A message that nothing waits for any more.
sdk::EnqueueMessage finished(const MessageParts& parts,
                             MessageStatus status = MessageStatus::sent) {
  auto op = enqueue(parts);
  op.message.status = status;
  op.work = {};
  for (auto& recipient : op.recipients) recipient.status = status;
  return op;
}

TEST_P(StorageConformance, AMessageWithoutWorkIsStoredWithoutAny) {
  MessageParts parts;
  ASSERT_EQ(commit({finished(parts)}).status, Status::stored);
  EXPECT_THAT(lease_as("n/1"), IsEmpty());
  EXPECT_TRUE(must(storage().message(parts.organization, parts.id)));
}

TEST_P(StorageConformance, PurgesOldFinalMessagesAndNeverAnother) {
  std::vector<MessageParts> all(6);
  for (auto& parts : all) parts.at = 1000;
  MessageParts young;
  young.at = 2000;
  auto canceled = enqueue(all[2]);  // final, but its delivery still waits
  canceled.message.status = MessageStatus::canceled;
  auto split = finished(all[3]);
  auto extra = sdk::PutWork{work_item(sdk::Queue::deliveries, "extra", "lane", 1), {}, 1s};
  extra.item.message_id = all[3].id;
  auto tagged = finished(all[0]);
  tagged.message.tags = {"t"};
  ASSERT_EQ(
      commit({tagged, event_of(all[0], sdk::EventType::sent), enqueue(all[1]), canceled, split,
              extra, finished(all[4], MessageStatus::deferred), finished(young), finished(all[5])})
          .status,
      Status::stored);
  sdk::PurgeRequest request;
  request.organization = all[0].organization;
  request.bodies_before = 2000;
  auto result = purge(request);
  EXPECT_EQ(result.removed, 2U);
  EXPECT_FALSE(result.more);
  const std::vector<std::string> ids = {all[0].id, all[1].id, all[2].id, all[3].id,
                                        all[4].id, young.id,  all[5].id};
  const auto bodies = [&] {
    std::string present;
    for (const auto& stored : must(storage().messages_for_delivery(ids))) {
      present += stored.body ? '1' : '0';
    }
    return present;
  };
  EXPECT_EQ(bodies(), "0111110");
  request.bodies_before.reset();
  request.messages_before = 2000;
  request.organization = "another";
  EXPECT_EQ(purge(request).removed, 0U);
  request.organization.clear();
  request.limit = 1;
  result = purge(request);
  EXPECT_TRUE(result.more);
  for (int calls = 0; result.more && calls < 10; ++calls) result = purge(request);
  EXPECT_EQ(bodies(), "11111") << "two messages are gone, all others are whole";
  EXPECT_FALSE(must(storage().message(all[0].organization, all[0].id)));
  EXPECT_FALSE(must(storage().message(all[5].organization, all[5].id)));
  sdk::MessageQuery by_tag;
  by_tag.organization = all[0].organization;
  by_tag.tag = "t";
  EXPECT_THAT(must(storage().messages(by_tag)).messages, IsEmpty());
  EXPECT_EQ(lease_as("n/1").size(), 3U);
}

TEST_P(StorageConformance, PurgesWhatHasExpired) {
  auto document = put("k", "a", "");
  document.document.expires_at = now() + 10;
  auto lasting = put("k", "b", "");
  sdk::ClaimIdempotency claim{"s", "k1", "h", "r", now() + 10};
  sdk::ClaimIdempotency young{"s", "k2", "h", "r", now() + 11};
  ASSERT_EQ(commit({document, lasting, claim, young}).status, Status::stored);
  sdk::PurgeRequest request;
  request.expired_before = now() + 10;
  EXPECT_EQ(purge(request).removed, 2U);
  EXPECT_EQ(commit({young}).status, Status::replay);
  EXPECT_TRUE(must(storage().document("k", "b")));
}

TEST_P(StorageConformance, ErasesAPersonsAddress) {
  MessageParts alone;
  alone.addresses = {"person@example.net"};
  MessageParts shared;
  shared.addresses = {"other@example.net", "person@example.net"};
  MessageParts waiting;
  waiting.addresses = {"person@example.net"};
  MessageParts foreign;
  foreign.organization = "another";
  foreign.addresses = {"person@example.net"};
  auto about = event_of(shared, sdk::EventType::delivered);
  about.event.recipient = 1;
  ASSERT_EQ(commit({finished(alone), finished(shared), about, enqueue(waiting), finished(foreign)})
                .status,
            Status::stored);
  sdk::PurgeRequest request;
  request.organization = alone.organization;
  request.recipient = "person@example.net";
  EXPECT_GT(purge(request).removed, 0U);
  EXPECT_FALSE(must(storage().message(alone.organization, alone.id)));
  const auto detail = must(storage().message(shared.organization, shared.id));
  ASSERT_TRUE(detail);
  for (const auto& recipient : detail->recipients) EXPECT_NE(recipient.address, request.recipient);
  EXPECT_EQ(detail->recipients[0].address, "other@example.net");
  EXPECT_THAT(detail->events, IsEmpty());
  const std::vector<std::string> ids = {shared.id, waiting.id};
  const auto stored = must(storage().messages_for_delivery(ids));
  EXPECT_FALSE(stored[0].body) << "the mail names everybody it went to";
  EXPECT_TRUE(stored[1].body) << "what still waits is delivered first";
  EXPECT_TRUE(must(storage().message("another", foreign.id)));
  EXPECT_EQ(purge(request).removed, 0U);
}

// A text of everything that is stored, for comparing two storages.
std::string describe(const std::vector<sdk::Op>& ops) {
  std::string text;
  for (const auto& op : ops) {
    text += std::to_string(op.index()) + "|";
    if (const auto* each = std::get_if<sdk::PutDocument>(&op)) {
      text += each->document.kind + "," + each->document.id + "," + each->document.unique_key +
              "," + each->document.json;
    } else if (const auto* claim = std::get_if<sdk::ClaimIdempotency>(&op)) {
      text += claim->scope + "," + claim->key + "," + claim->request_hash + "," + claim->response;
    } else if (const auto* message = std::get_if<sdk::EnqueueMessage>(&op)) {
      text += message->message.id + "," +
              std::to_string(static_cast<int>(message->message.status)) + "," +
              message->message.account + "," + (message->body ? *message->body : "none");
      for (const auto& tag : message->message.tags) text += "#" + tag;
      for (const auto& recipient : message->recipients) {
        text += ";" + recipient.address + "," + recipient.provider_message_id;
      }
    } else if (const auto* event = std::get_if<sdk::AppendEvent>(&op)) {
      text +=
          event->event.id + "," + event->event.message_id + "," + event->event.deduplication_key;
    } else if (const auto* work = std::get_if<sdk::PutWork>(&op)) {
      text += work->item.id + "," + work->item.lane + "," + work->item.payload + "," +
              work->lease_owner.value_or("free") + "," + std::to_string(work->lease_for.count());
    } else if (const auto* metric = std::get_if<sdk::AddMetrics>(&op)) {
      text += metric->organization + "," + metric->gateway + "," + std::to_string(metric->count);
    } else if (const auto* update = std::get_if<sdk::UpdateMessage>(&op)) {
      text += update->message_id + "," + update->account.value_or("-");
    }
    text += "\n";
  }
  return text;
}

TEST_P(StorageConformance, AWalkRecreatesEverythingElsewhere) {
  std::vector<MessageParts> all(5);
  std::vector<sdk::Op> ops = {put("k", "a", "key"), put("k", "b", "")};
  ops.emplace_back(sdk::ClaimIdempotency{"s", "k\n1", "h", "r", now() + 1000});
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto op = i == 0 ? finished(all[i]) : enqueue(all[i]);
    op.message.tags = {"t" + std::to_string(i)};
    if (i == 0) op.recipients[0].provider_message_id = "P";
    if (i == 1) op.body = nullptr;
    if (i == 2) op.lease_owner = "n/1";
    ops.emplace_back(op);
    auto event = event_of(all[i], sdk::EventType::queued);
    event.event.deduplication_key = "d" + std::to_string(i);
    ops.emplace_back(event);
  }
  ops.emplace_back(sdk::PutWork{work_item(sdk::Queue::jobs, "job, \"1\"", "lane", 1), {}, 1s});
  for (const char* gateway : {"g1", "g2", "g3"}) {
    sdk::AddMetrics metric;
    metric.organization = "org-1";
    metric.gateway = gateway;
    metric.count = 5;
    ops.emplace_back(metric);
  }
  ASSERT_EQ(commit(ops).status, Status::stored);
  sdk::UpdateMessage failover;
  failover.organization = all[0].organization;
  failover.message_id = all[0].id;
  failover.account = "fallback";
  ASSERT_EQ(commit({failover}).status, Status::stored);

  for (const std::uint32_t limit : {1U, 3U, 1000U}) {
    auto copy_world = GetParam().make();
    auto copy = copy_world->open(sdk::StorageOptions::Role::gateway, host_.services());
    ASSERT_TRUE(copy.ok()) << copy.error().message;
    std::vector<sdk::Unit> units(1);
    units[0].ops = everything(storage(), limit);
    const auto results = must((*copy)->commit(units));
    ASSERT_EQ(results.size(), 1U);
    ASSERT_EQ(results[0].status, Status::stored) << results[0].op;
    EXPECT_EQ(describe(everything(**copy, 2)), describe(everything(storage(), 1000)));
    EXPECT_EQ(must((*copy)->message_by_provider_id(all[0].account, "P")), all[0].id);
    EXPECT_EQ(must((*copy)->message(all[0].organization, all[0].id))->message.account, "fallback");
    EXPECT_EQ(must((*copy)->metrics({"org-1", 0, 1})).front().count, 15);
  }
  EXPECT_EQ(storage().iterate("nonsense", 10).ok(), false);
}

TEST_P(StorageConformance, FindsNothingWrongWithWhatItStored) {
  MessageParts parts;
  MessageParts done;
  ASSERT_EQ(
      commit({enqueue(parts), event_of(parts, sdk::EventType::queued), finished(done)}).status,
      Status::stored);
  EXPECT_THAT(must(storage().check()), IsEmpty());
}

TEST_P(StorageConformance, TellsOfMessagesThatNothingWillDeliverAndOfStuckLeases) {
  MessageParts lost;
  MessageParts stuck;
  auto op = enqueue(stuck);
  op.lease_owner = "n/1";
  op.lease_for = 1s;
  ASSERT_EQ(
      commit({enqueue(lost), op, sdk::FinishWork{sdk::Queue::deliveries, lost.id, {}}}).status,
      Status::stored);
  host_.clock().advance(3h);
  const auto findings = must(storage().check());
  ASSERT_EQ(findings.size(), 2U);
  EXPECT_THAT(findings[0] + findings[1], testing::HasSubstr(lost.id));
  EXPECT_THAT(findings[0] + findings[1], testing::HasSubstr(stuck.id));
}

TEST_P(StorageConformance, AnInspectorReadsAndCannotWrite) {
  ASSERT_EQ(commit({put("k", "a", "")}).status, Status::stored);
  for (const bool running : {true, false}) {
    if (!running) storage_.reset();
    auto inspector = world_->open(sdk::StorageOptions::Role::inspect, host_.services());
    ASSERT_TRUE(inspector.ok()) << inspector.error().message;
    EXPECT_TRUE(must((*inspector)->document("k", "a")));
    std::vector<sdk::Unit> units(1);
    units[0].ops = {put("k", "b", "")};
    EXPECT_FALSE((*inspector)->commit(units).ok());
    EXPECT_FALSE(must((*inspector)->document("k", "b")));
  }
}

TEST_P(StorageConformance, AnswersAPing) {
  EXPECT_TRUE(storage().ping().ok());
}

}  // namespace
}  // namespace postern::conformance
