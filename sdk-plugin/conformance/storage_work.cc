// Work: leases, fences, fairness, recovery.
#include <map>

#include "conformance/storage_conformance.h"

namespace postern::conformance {
namespace {

using namespace std::chrono_literals;
using sdk::Queue;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> ids_of(const std::vector<sdk::LeasedWork>& leased) {
  std::vector<std::string> ids;
  for (const auto& each : leased) ids.push_back(each.item.id);
  return ids;
}
sdk::PutWork job(const std::string& id, const std::string& lane, sdk::UnixMillis due) {
  return {work_item(Queue::jobs, id, lane, due), std::nullopt, 60s};
}

TEST_P(StorageConformance, LeasesWhatIsDueByPriorityThenTimeAndOnlyOnce) {
  auto bulk = job("bulk", "lane", now() - 50);
  bulk.item.priority = 1;
  ASSERT_EQ(commit({bulk, job("second", "lane", now() - 1), job("first", "lane", now() - 2),
                    job("later", "lane", now() + 1)})
                .status,
            Status::stored);
  sdk::LeaseRequest request;
  request.queue = Queue::jobs;
  request.owner = "node/1";
  request.now = now();
  request.lease_for = 5s;
  const auto leased = lease(request);
  EXPECT_THAT(ids_of(leased), ElementsAre("first", "second", "bulk"));
  EXPECT_EQ(leased[0].lease.owner, "node/1");
  EXPECT_EQ(leased[0].lease.until, now() + 5000);
  EXPECT_EQ(leased[0].lease.fence, 1U);
  EXPECT_FALSE(leased[0].taken_over);
  EXPECT_THAT(lease(request), IsEmpty());
  request.queue = Queue::webhooks;
  EXPECT_THAT(lease(request), IsEmpty()) << "queues are apart";
}

TEST_P(StorageConformance, AnExpiredLeaseIsTakenOverAndTheLateHolderIsRefused) {
  ASSERT_EQ(commit({job("w", "lane", now())}).status, Status::stored);
  sdk::LeaseRequest request;
  request.queue = Queue::jobs;
  request.owner = "a/1";
  request.now = now();
  request.lease_for = 1s;
  ASSERT_EQ(lease(request).size(), 1U);
  host_.clock().advance(999ms);
  request.now = now();
  request.owner = "b/1";
  EXPECT_THAT(lease(request), IsEmpty());
  host_.clock().advance(1ms);
  request.now = now();
  restart();
  const auto taken = lease(request);
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_TRUE(taken[0].taken_over);
  EXPECT_EQ(taken[0].lease.fence, 2U);
  EXPECT_EQ(taken[0].lease.owner, "b/1");
  EXPECT_EQ(commit({sdk::FinishWork{Queue::jobs, "w", 1}, put("k", "x", "")}).status,
            Status::stale_lease);
  EXPECT_FALSE(must(storage().document("k", "x")));
  EXPECT_EQ(commit({sdk::RescheduleWork{Queue::jobs, "w", 1, 5, {}, {}, {}}}).status,
            Status::stale_lease);
  EXPECT_EQ(commit({sdk::RenewLease{Queue::jobs, "w", 1, 60s}}).status, Status::stale_lease);
  EXPECT_EQ(commit({sdk::FinishWork{Queue::jobs, "w", {}}}).status, Status::stale_lease)
      << "it is leased";
  EXPECT_EQ(commit({sdk::FinishWork{Queue::jobs, "w", 2}}).status, Status::stored);
  EXPECT_EQ(commit({sdk::FinishWork{Queue::jobs, "w", 2}}).status, Status::stale_lease);
}

TEST_P(StorageConformance, WorkThatIsBornLeasedIsItsHoldersUntilTheLeaseEnds) {
  MessageParts parts;
  auto op = enqueue(parts);
  op.lease_owner = "a/1";
  op.lease_for = 10s;
  auto put_job = job("j", "lane", now());
  put_job.lease_owner = "a/1";
  put_job.lease_for = 10s;
  EXPECT_THAT(commit({op, put_job}).fences, ElementsAre(1U, 1U));
  EXPECT_THAT(lease_as("b/1"), IsEmpty());
  host_.clock().advance(10s);
  const auto taken = lease_as("b/1");
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_TRUE(taken[0].taken_over);
  EXPECT_EQ(taken[0].lease.fence, 2U);
  EXPECT_EQ(taken[0].item.due, op.work.due);
}

TEST_P(StorageConformance, ReschedulingGivesTheLeaseBack) {
  ASSERT_EQ(commit({job("w", "lane", now())}).status, Status::stored);
  sdk::LeaseRequest request;
  request.queue = Queue::jobs;
  request.owner = "a/1";
  request.now = now();
  ASSERT_EQ(lease(request).size(), 1U);
  ASSERT_EQ(commit({sdk::RescheduleWork{Queue::jobs, "w", 1, now() + 1000, 4, "other",
                                        std::string("\0new", 4)}})
                .status,
            Status::stored);
  EXPECT_EQ(commit({sdk::FinishWork{Queue::jobs, "w", 1}}).status, Status::stale_lease)
      << "it was given back";
  EXPECT_THAT(lease(request), IsEmpty());
  host_.clock().advance(1s);
  request.now = now();
  const auto again = lease(request);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_FALSE(again[0].taken_over);
  EXPECT_EQ(again[0].lease.fence, 2U);
  EXPECT_EQ(again[0].item.attempts, 4U);
  EXPECT_EQ(again[0].item.lane, "other");
  EXPECT_EQ(again[0].item.payload, std::string("\0new", 4));
  // What is not named stays; without a fence it must be free.
  EXPECT_EQ(commit({sdk::RescheduleWork{Queue::jobs, "w", {}, 1, {}, {}, {}}}).status,
            Status::stale_lease);
  ASSERT_EQ(commit({sdk::RescheduleWork{Queue::jobs, "w", 2, now(), {}, {}, {}}}).status,
            Status::stored);
  ASSERT_EQ(commit({sdk::RescheduleWork{Queue::jobs, "w", {}, now() + 7, {}, {}, {}}}).status,
            Status::stored);
  const auto rows = must(storage().work(
      {.queue = Queue::jobs, .organization = "", .lane = "", .after_id = "", .limit = 10}));
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].item.due, now() + 7);
  EXPECT_EQ(rows[0].item.attempts, 4U);
  EXPECT_EQ(rows[0].item.lane, "other");
  EXPECT_FALSE(rows[0].lease);
  EXPECT_EQ(commit({sdk::RescheduleWork{Queue::jobs, "none", {}, 1, {}, {}, {}}}).status,
            Status::stale_lease);
}

TEST_P(StorageConformance, RenewingMovesTheEndOfTheLease) {
  auto op = job("w", "lane", now());
  op.lease_owner = "a/1";
  op.lease_for = 1s;
  ASSERT_EQ(commit({op}).status, Status::stored);
  host_.clock().advance(900ms);
  ASSERT_EQ(commit({sdk::RenewLease{Queue::jobs, "w", 1, 1s}}).status, Status::stored);
  host_.clock().advance(900ms);
  sdk::LeaseRequest request;
  request.queue = Queue::jobs;
  request.owner = "b/1";
  request.now = now();
  EXPECT_THAT(lease(request), IsEmpty());
  host_.clock().advance(100ms);
  request.now = now();
  EXPECT_EQ(lease(request).size(), 1U);
}

TEST_P(StorageConformance, PuttingWorkAgainReplacesItUnlessItIsLeased) {
  auto op = job("w", "lane", now());
  ASSERT_EQ(commit({op}).status, Status::stored);
  op.item.lane = "other";
  op.lease_owner = "a/1";
  EXPECT_THAT(commit({op}).fences, ElementsAre(1U));
  op.lease_owner.reset();
  EXPECT_EQ(commit({op}).status, Status::stale_lease);
  host_.clock().advance(60s);
  op.lease_owner = "b/1";
  EXPECT_THAT(commit({op}).fences, ElementsAre(2U)) << "the fence goes on growing";
}

TEST_P(StorageConformance, ServesLanesInTurnWithinTheirQuotas) {
  std::vector<sdk::Op> ops;
  for (int i = 0; i < 30; ++i) {
    ops.emplace_back(job("big" + std::to_string(100 + i), "big", now() - 100 + i));
  }
  for (int i = 0; i < 3; ++i) ops.emplace_back(job("small" + std::to_string(i), "small", now()));
  ops.emplace_back(job("paused", "paused", now() - 1000));
  ASSERT_EQ(commit(ops).status, Status::stored);
  sdk::LeaseRequest request;
  request.queue = Queue::jobs;
  request.owner = "a/1";
  request.now = now();
  request.limit = 8;
  request.lane_quota = 10;
  request.lane_quotas = {{"paused", 0}, {"big", 7}};
  EXPECT_THAT(ids_of(lease(request)), ElementsAre("big100", "small0", "big101", "small1", "big102",
                                                  "small2", "big103", "big104"));
  request.limit = 100;
  EXPECT_EQ(lease(request).size(), 7U) << "the quota of the only lane that is left";
}

TEST_P(StorageConformance, EveryLaneGetsItsTurnWhenThereAreMoreLanesThanTheLimit) {
  std::vector<sdk::Op> ops;
  for (int lane = 0; lane < 10; ++lane) {
    for (int i = 0; i < 4; ++i) {
      ops.emplace_back(job("w" + std::to_string(lane) + "-" + std::to_string(i),
                           "lane" + std::to_string(lane), now()));
    }
  }
  ASSERT_EQ(commit(ops).status, Status::stored);
  sdk::LeaseRequest request;
  request.queue = Queue::jobs;
  request.owner = "a/1";
  request.now = now();
  request.limit = 3;
  std::map<std::string, int> served;
  for (int call = 0; call < 10; ++call) {
    for (const auto& each : lease(request)) ++served[each.item.lane];
  }
  EXPECT_EQ(served.size(), 10U);
  for (const auto& [lane, count] : served) EXPECT_EQ(count, 3) << lane;
}

TEST_P(StorageConformance, RecoversTheWorkOfAnEarlierIncarnationOfTheNode) {
  const auto held = [&](const std::string& id, const std::string& owner) {
    auto op = job(id, "lane", now());
    op.lease_owner = owner;
    op.lease_for = 1h;
    return op;
  };
  ASSERT_EQ(commit({held("old", "node/1"), held("mine", "node/2"), held("other", "node2/1"),
                    held("third", "no/1"), job("free", "lane", now() + 50)})
                .status,
            Status::stored);
  EXPECT_EQ(must(storage().recover("node", "2", now())), 1U);
  sdk::LeaseRequest request;
  request.queue = Queue::jobs;
  request.owner = "node/2";
  request.now = now();
  const auto leased = lease(request);
  ASSERT_THAT(ids_of(leased), ElementsAre("old"));
  EXPECT_TRUE(leased[0].taken_over);
  EXPECT_EQ(leased[0].lease.fence, 2U);
  EXPECT_EQ(must(storage().recover("node", "2", now())), 0U);
}

TEST_P(StorageConformance, CountsWhatWaitsAndWhatIsLeasedByLane) {
  auto held = job("held", "a", now() - 5);
  held.lease_owner = "n/1";
  auto foreign = job("foreign", "a", now());
  foreign.item.organization = "org-2";
  ASSERT_EQ(commit({held, job("w1", "a", now() - 9), job("w2", "a", now() + 9), job("w3", "b", 1),
                    foreign})
                .status,
            Status::stored);
  auto depth = must(storage().depth(Queue::jobs, now()));
  ASSERT_EQ(depth.size(), 3U);
  for (const auto& lane : depth) {
    if (lane.lane == "a" && lane.organization == "org-1") {
      EXPECT_EQ(lane.waiting, 2U);
      EXPECT_EQ(lane.leased, 1U);
      EXPECT_EQ(lane.oldest_due, now() - 9);
    } else {
      EXPECT_EQ(lane.waiting, 1U);
      EXPECT_EQ(lane.leased, 0U);
    }
  }
  EXPECT_THAT(must(storage().depth(Queue::webhooks, now())), IsEmpty());
  host_.clock().advance(60s);
  depth = must(storage().depth(Queue::jobs, now()));
  for (const auto& lane : depth) EXPECT_EQ(lane.leased, 0U) << "a lease that ran out is waiting";
}

TEST_P(StorageConformance, ListsWorkByLaneAndOrganization) {
  auto held = job("c", "a", now());
  held.lease_owner = "n/1";
  held.lease_for = 5s;
  auto foreign = job("d", "a", now());
  foreign.item.organization = "org-2";
  ASSERT_EQ(commit({job("b", "a", 1), job("a", "b", 1), held, foreign}).status, Status::stored);
  const auto list = [&](const std::string& organization, const std::string& lane,
                        const std::string& after, std::uint32_t limit) {
    std::vector<std::string> ids;
    for (const auto& row : must(storage().work({Queue::jobs, organization, lane, after, limit}))) {
      ids.push_back(row.item.id);
      EXPECT_EQ(row.lease.has_value(), row.item.id == "c");
      if (row.lease) {
        EXPECT_EQ(row.lease->until, now() + 5000);
      }
    }
    return ids;
  };
  EXPECT_THAT(list("", "", "", 10), ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(list("", "a", "", 10), ElementsAre("b", "c", "d"));
  EXPECT_THAT(list("org-2", "", "", 10), ElementsAre("d"));
  EXPECT_THAT(list("", "", "b", 1), ElementsAre("c"));
}

TEST_P(StorageConformance, AToolCommitsBesideTheGateway) {
  auto tool = world_->open(sdk::StorageOptions::Role::tool, host_.services());
  ASSERT_TRUE(tool.ok()) << tool.error().message;
  std::vector<sdk::Unit> units(1);
  for (int i = 0; i < 20; ++i) {
    units[0].ops = {put("k", "tool" + std::to_string(i), "")};
    const auto result = (*tool)->commit(units);
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_EQ(commit({put("k", "gateway" + std::to_string(i), "")}).status, Status::stored);
  }
  EXPECT_EQ(must(storage().changes(0, 100)).size(), 40U);
  EXPECT_EQ(must((*tool)->last_revision()), must(storage().last_revision()));
  EXPECT_EQ(must(storage().document("k", "tool7"))->version, 1U);
}

}  // namespace
}  // namespace postern::conformance
