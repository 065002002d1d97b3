// Documents, the change feed, idempotency, metrics.
#include <atomic>
#include <set>
#include <thread>

#include "conformance/storage_conformance.h"

namespace postern::conformance {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

TEST_P(StorageConformance, GivesADocumentBackAsItWasPutAlsoAfterARestart) {
  auto op = put("api_key", "k1", "org-1:main");
  op.document.json = std::string("{\0\xff}", 4);
  op.document.expires_at = now() + 1000;
  ASSERT_EQ(commit({op}).status, Status::stored);
  restart();
  const auto found = must(storage().document("api_key", "k1"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->organization, "org-1");
  EXPECT_EQ(found->unique_key, "org-1:main");
  EXPECT_EQ(found->version, 1U);
  EXPECT_EQ(found->json, op.document.json);
  EXPECT_EQ(found->expires_at, op.document.expires_at);
  EXPECT_EQ(found->created_at, 1);
  EXPECT_EQ(found->updated_at, 2);
  EXPECT_EQ(must(storage().document_by_key("api_key", "org-1:main"))->id, "k1");
  EXPECT_FALSE(must(storage().document("template", "k1")));
  EXPECT_FALSE(must(storage().document_by_key("template", "org-1:main")));
}

TEST_P(StorageConformance, CountsVersionsAndRefusesAnother) {
  auto op = put("template", "t", "");
  op.expected_version = 0;
  EXPECT_EQ(commit({op}).status, Status::stored);
  EXPECT_EQ(commit({op}).status, Status::key_conflict) << "it must not exist, but does";
  op.expected_version = 1;
  EXPECT_EQ(commit({op}).status, Status::stored);
  EXPECT_EQ(commit({op}).status, Status::version_conflict) << "it is at version 2 now";
  op.expected_version.reset();
  EXPECT_EQ(commit({op}).status, Status::stored);
  EXPECT_EQ(must(storage().document("template", "t"))->version, 3U);
  op.document.id = "none";
  op.expected_version = 1;
  EXPECT_EQ(commit({op}).status, Status::version_conflict);

  sdk::DeleteDocument remove{"template", "org-1", "t", 2};
  EXPECT_EQ(commit({remove}).status, Status::version_conflict);
  remove.organization = "org-2";
  remove.expected_version.reset();
  EXPECT_EQ(commit({remove}).status, Status::stored);
  EXPECT_TRUE(must(storage().document("template", "t"))) << "another organization deleted it";
  remove.organization = "org-1";
  remove.expected_version = 3;
  EXPECT_EQ(commit({remove}).status, Status::stored);
  EXPECT_FALSE(must(storage().document("template", "t")));
  EXPECT_EQ(commit({remove}).status, Status::version_conflict);
  remove.expected_version.reset();
  EXPECT_EQ(commit({remove}).status, Status::stored) << "deleting nothing is no conflict";
}

TEST_P(StorageConformance, KeepsUniqueKeysUniquePerKind) {
  ASSERT_EQ(commit({put("account", "a", "key")}).status, Status::stored);
  EXPECT_EQ(commit({put("account", "b", "key")}).status, Status::key_conflict);
  EXPECT_EQ(commit({put("template", "b", "key")}).status, Status::stored);
  EXPECT_EQ(commit({put("account", "a", "key")}).status, Status::stored) << "it is its own";
  EXPECT_EQ(commit({put("account", "a", "", "org-2")}).status, Status::key_conflict)
      << "the id is another organization's";
  EXPECT_EQ(commit({put("account", "c", "")}).status, Status::stored);
  EXPECT_EQ(commit({put("account", "d", "")}).status, Status::stored) << "no key is no conflict";
  EXPECT_EQ(commit({put("account", "a", "moved")}).status, Status::stored);
  EXPECT_EQ(commit({put("account", "b", "key")}).status, Status::stored) << "the key is free again";
}

TEST_P(StorageConformance, TreatsAnExpiredDocumentAsDeleted) {
  auto op = put("suppression", "s", "org-1:a@example.net");
  op.document.expires_at = now() + 1000;
  ASSERT_EQ(commit({op}).status, Status::stored);
  host_.clock().advance(999ms);
  EXPECT_TRUE(must(storage().document("suppression", "s")));
  host_.clock().advance(1ms);
  EXPECT_FALSE(must(storage().document("suppression", "s")));
  EXPECT_FALSE(must(storage().document_by_key("suppression", "org-1:a@example.net")));
  const std::vector<std::string> keys = {"org-1:a@example.net"};
  EXPECT_THAT(must(storage().any_exist("suppression", keys)), ElementsAre(false));
  sdk::DocumentQuery query;
  query.kind = "suppression";
  EXPECT_THAT(must(storage().documents(query)), IsEmpty());
  EXPECT_EQ(must(storage().count_documents(query)), 0U);
  auto other = put("suppression", "other", "org-1:a@example.net");
  other.expected_version = 0;
  EXPECT_EQ(commit({other}).status, Status::stored) << "its key is free";
  op.expected_version = 0;
  op.document.unique_key = "";
  op.document.expires_at.reset();
  EXPECT_EQ(commit({op}).status, Status::stored) << "its id is free";
  EXPECT_EQ(must(storage().document("suppression", "s"))->version, 1U);
}

TEST_P(StorageConformance, ListsDocumentsInAscendingOrderOfTheirIds) {
  for (const char* id : {"c", "a", "d", "b"}) {
    ASSERT_EQ(commit({put("tag", id, "", std::string{id} == "d" ? "org-2" : "org-1")}).status,
              Status::stored);
  }
  const auto ids = [&](const sdk::DocumentQuery& query) {
    std::vector<std::string> result;
    for (const auto& document : must(storage().documents(query))) result.push_back(document.id);
    return result;
  };
  sdk::DocumentQuery query;
  query.kind = "tag";
  EXPECT_THAT(ids(query), ElementsAre("a", "b", "c", "d"));
  query.organization = "org-1";
  EXPECT_THAT(ids(query), ElementsAre("a", "b", "c"));
  EXPECT_EQ(must(storage().count_documents(query)), 3U);
  query.limit = 1;
  query.after_id = "a";
  EXPECT_THAT(ids(query), ElementsAre("b"));
  query.offset = 1;
  EXPECT_THAT(ids(query), ElementsAre("c"));
}

TEST_P(StorageConformance, TellsWhichKeysExist) {
  ASSERT_EQ(commit({put("s", "1", "k1"), put("s", "2", "k2")}).status, Status::stored);
  const std::vector<std::string> keys = {"k2", "none", "k1", ""};
  EXPECT_THAT(must(storage().any_exist("s", keys)), ElementsAre(true, false, true, false));
}

TEST_P(StorageConformance, RecordsEveryChangeOnceAndInOrder) {
  EXPECT_EQ(must(storage().last_revision()), 0U);
  ASSERT_EQ(commit({put("k", "a", ""), put("k", "b", "")}).status, Status::stored);
  auto refused = put("k", "a", "");
  refused.expected_version = 9;
  ASSERT_EQ(commit({put("k", "z", ""), refused}).status, Status::version_conflict);
  ASSERT_EQ(commit({sdk::DeleteDocument{"k", "org-1", "a", std::nullopt}}).status, Status::stored);
  ASSERT_EQ(commit({sdk::DeleteDocument{"k", "org-1", "a", std::nullopt}}).status, Status::stored);
  const auto changes = must(storage().changes(0, 100));
  ASSERT_EQ(changes.size(), 3U) << "what was refused or changed nothing is no change";
  EXPECT_EQ(changes[0].id, "a");
  EXPECT_EQ(changes[1].id, "b");
  EXPECT_EQ(changes[2].id, "a");
  EXPECT_TRUE(changes[2].deleted);
  EXPECT_EQ(changes[2].kind, "k");
  EXPECT_EQ(changes[2].organization, "org-1");
  EXPECT_LT(changes[0].revision, changes[1].revision);
  EXPECT_LT(changes[1].revision, changes[2].revision);
  EXPECT_EQ(must(storage().last_revision()), changes[2].revision);
  EXPECT_EQ(must(storage().changes(changes[0].revision, 1)).front().revision, changes[1].revision);

  sdk::PurgeRequest all;
  all.changes_through = changes[2].revision;
  EXPECT_EQ(purge(all).removed, 3U);
  EXPECT_THAT(must(storage().changes(0, 10)), IsEmpty());
  restart();
  EXPECT_EQ(must(storage().last_revision()), changes[2].revision) << "a purge forgets no revision";
  ASSERT_EQ(commit({put("k", "c", "")}).status, Status::stored);
  EXPECT_GT(must(storage().changes(0, 10)).front().revision, changes[2].revision);
}

TEST_P(StorageConformance, ShowsAFollowerOfTheChangeFeedEveryChangeWhileItIsWritten) {
  constexpr int kUnits = 200;
  std::atomic<bool> done{false};
  std::vector<std::string> seen;
  std::thread follower{[&] {
    std::uint64_t after = 0;
    for (bool last = false;;) {
      const auto changes = storage().changes(after, 7);
      if (!changes) break;
      for (const auto& change : *changes) {
        seen.push_back(change.id);
        after = change.revision;
      }
      if (changes->empty()) {
        if (last) break;
        last = done.load();
      }
    }
  }};
  std::vector<std::string> put_ids;
  for (int i = 0; i < kUnits; ++i) {
    put_ids.push_back("id" + std::to_string(i));
    EXPECT_EQ(commit({put("k", put_ids.back(), "")}).status, Status::stored);
  }
  done = true;
  follower.join();
  EXPECT_EQ(seen, put_ids);
}

TEST_P(StorageConformance, ReplaysTheFirstAnswerOfAnIdempotencyKeyAlsoAfterARestart) {
  const sdk::ClaimIdempotency claim{.scope = "org-1 send",
                                    .key = "k",
                                    .request_hash = "h1",
                                    .response = std::string("first\0\xfe", 7),
                                    .expires_at = now() + 1000};
  ASSERT_EQ(commit({claim, put("k", "a", "")}).status, Status::stored);
  restart();
  auto again = claim;
  again.response = "second";
  const auto replay = commit({put("k", "b", ""), again, put("k", "c", "")});
  EXPECT_EQ(replay.status, Status::replay);
  EXPECT_EQ(replay.op, 1U);
  EXPECT_EQ(replay.response, claim.response);
  EXPECT_FALSE(must(storage().document("k", "b"))) << "none of a replay's other ops happen";
  EXPECT_FALSE(must(storage().document("k", "c")));
  again.request_hash = "h2";
  EXPECT_EQ(commit({again}).status, Status::idempotency_conflict);
  again.scope = "org-2 send";
  EXPECT_EQ(commit({again}).status, Status::stored) << "another scope is another key";
  host_.clock().advance(1s);
  again.scope = claim.scope;
  again.expires_at = now() + 1000;
  EXPECT_EQ(commit({again}).status, Status::stored) << "it has expired";
}

TEST_P(StorageConformance, AUnitThatIsRefusedLeavesTheOthersOfItsCommitAlone) {
  ASSERT_EQ(commit({put("k", "taken", "key")}).status, Status::stored);
  std::vector<sdk::Unit> units(4);
  units[0].ops = {put("k", "a", "")};
  units[1].ops = {put("k", "b", ""), put("k", "c", "key"), put("k", "d", "")};
  units[2].ops = {put("k", "e", "")};
  units[3].ops = {};
  const auto results = commit_units(units);
  EXPECT_EQ(results[0].status, Status::stored);
  EXPECT_EQ(results[1].status, Status::key_conflict);
  EXPECT_EQ(results[1].op, 1U);
  EXPECT_EQ(results[2].status, Status::stored);
  EXPECT_EQ(results[3].status, Status::stored) << "nothing to do is no failure";
  for (const char* id : {"a", "e"}) EXPECT_TRUE(must(storage().document("k", id))) << id;
  for (const char* id : {"b", "c", "d"}) EXPECT_FALSE(must(storage().document("k", id))) << id;
  EXPECT_EQ(must(storage().changes(0, 10)).size(), 3U);
}

TEST_P(StorageConformance, OpsOfAUnitSeeTheOnesBeforeThem) {
  auto second = put("k", "a", "");
  second.expected_version = 1;
  EXPECT_EQ(commit({put("k", "a", ""), second, sdk::DeleteDocument{"k", "org-1", "a", 2}}).status,
            Status::stored);
  EXPECT_FALSE(must(storage().document("k", "a")));
}

TEST_P(StorageConformance, NamesTheValueThatCannotBeStoredAndStoresNothing) {
  const std::string nul("a\0b", 3);
  std::vector<sdk::Op> bad;
  bad.emplace_back(put("k", nul, ""));
  bad.emplace_back(put("k", "\xff", ""));
  bad.emplace_back(put("k", "x", "\xc0\xaf"));
  bad.emplace_back(put("k", "x", "\xed\xa0\x80"));
  sdk::ClaimIdempotency claim;
  claim.scope = "s";
  claim.key = nul;
  bad.emplace_back(claim);
  MessageParts parts;
  parts.addresses = {nul};
  bad.emplace_back(enqueue(parts));
  bad.emplace_back(sdk::PutWork{work_item(sdk::Queue::jobs, "j", "\xf5", 1), std::nullopt, 1s});
  for (std::size_t i = 0; i < bad.size(); ++i) {
    std::vector<sdk::Unit> units(3);
    units[0].ops = {put("k", "good", "")};
    units[1].ops = {put("k", "also", ""), bad[i]};
    units[2].ops = {put("k", "fine", "")};
    const auto result = storage().commit(units);
    ASSERT_FALSE(result.ok()) << i;
    EXPECT_EQ(result.error().kind, Kind::invalid) << i;
    EXPECT_EQ(result.error().unit, 1U) << i;
    EXPECT_EQ(result.error().op, 1U) << i;
    EXPECT_FALSE(result.error().message.empty());
    EXPECT_FALSE(must(storage().document("k", "good"))) << "something was stored";
    units[1].ops.pop_back();
    for (auto& each : units) EXPECT_EQ(commit(each.ops).status, Status::stored);
    for (const char* id : {"good", "also", "fine"}) {
      commit({sdk::DeleteDocument{"k", "org-1", id, std::nullopt}});
    }
  }
  EXPECT_EQ(commit({put("k", "J\xc3\xbcrgen \xe2\x82\xac \xf0\x9f\x93\xac", "")}).status,
            Status::stored);
}

TEST_P(StorageConformance, SumsMetricsOfAllGateways) {
  sdk::AddMetrics metric;
  metric.organization = "org-1";
  metric.hour = 3'600'000;
  metric.account = "a";
  metric.gateway = "g1";
  metric.count = 2;
  ASSERT_EQ(commit({metric, metric}).status, Status::stored);
  metric.gateway = "g2";
  ASSERT_EQ(commit({metric}).status, Status::stored);
  metric.tag = "welcome";
  ASSERT_EQ(commit({metric}).status, Status::stored);
  metric.hour = 7'200'000;
  ASSERT_EQ(commit({metric}).status, Status::stored);
  metric.organization = "org-2";
  ASSERT_EQ(commit({metric}).status, Status::stored);
  const auto rows = must(storage().metrics({"org-1", 3'600'000, 7'200'000}));
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].tag.empty() ? rows[0].count : rows[1].count, 6);
  EXPECT_EQ(rows[0].tag.empty() ? rows[1].count : rows[0].count, 2);
  EXPECT_EQ(must(storage().metrics({"org-1", 0, 1LL << 50})).size(), 3U);
}

}  // namespace
}  // namespace postern::conformance
