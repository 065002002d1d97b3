#include "conformance/storage_conformance.h"

namespace postern::conformance {

void StorageConformance::SetUp() {
  world_ = GetParam().make();
  restart();
}

void StorageConformance::restart() {
  storage_.reset();
  auto opened = world_->open(sdk::StorageOptions::Role::gateway, host_.services());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  storage_ = *std::move(opened);
}

std::vector<sdk::UnitResult> StorageConformance::commit_units(std::vector<sdk::Unit> units) {
  const auto count = units.size();
  auto results = must(storage().commit(units));
  EXPECT_EQ(results.size(), count);
  results.resize(count);
  return results;
}

sdk::UnitResult StorageConformance::commit(std::vector<sdk::Op> ops) {
  std::vector<sdk::Unit> units(1);
  units[0].ops = std::move(ops);
  return commit_units(std::move(units)).front();
}

std::vector<sdk::LeasedWork> StorageConformance::lease(sdk::LeaseRequest request) {
  return must(storage().lease(request));
}

std::vector<sdk::LeasedWork> StorageConformance::lease_as(const std::string& owner) {
  sdk::LeaseRequest request;
  request.owner = owner;
  request.now = now();
  return lease(request);
}

sdk::PurgeResult StorageConformance::purge(const sdk::PurgeRequest& request) {
  return must(storage().purge(request));
}

std::vector<sdk::Op> StorageConformance::everything(sdk::Storage& from, std::uint32_t limit) {
  std::vector<sdk::Op> all;
  std::string cursor;
  for (int step = 0; step < 100'000; ++step) {
    auto result = must(from.iterate(cursor, limit));
    for (auto& op : result.ops) all.push_back(std::move(op));
    cursor = result.cursor;
    if (cursor.empty()) return all;
  }
  ADD_FAILURE() << "the walk never ends";
  return all;
}

sdk::PutDocument put(const std::string& kind, const std::string& id, const std::string& unique_key,
                     const std::string& organization) {
  sdk::PutDocument op;
  op.document.kind = kind;
  op.document.organization = organization;
  op.document.id = id;
  op.document.unique_key = unique_key;
  op.document.json = R"({"name":")" + id + R"("})";
  op.document.created_at = 1;
  op.document.updated_at = 2;
  return op;
}

sdk::WorkItem work_item(sdk::Queue queue, const std::string& id, const std::string& lane,
                        sdk::UnixMillis due) {
  sdk::WorkItem item;
  item.queue = queue;
  item.id = id;
  item.organization = "org-1";
  item.lane = lane;
  item.due = due;
  return item;
}

}  // namespace postern::conformance
