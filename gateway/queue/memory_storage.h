// queue/memory_storage.h: for unit tests of what stands on storage: documents aside, the contract
// of sdk::Storage in memory, with faults that a test injects. The real plugins have their own
// conformance suite.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "postern/sdk/storage.h"

namespace postern::queue {

class MemoryStorage final : public sdk::Storage {
 public:
  struct Row {
    sdk::WorkItem item;
    sdk::Lease lease;  // owner empty: none
  };

  // ---- for the test ----
  // Asked before every commit; an error is what the commit answers.
  std::function<std::optional<sdk::StorageError>(std::span<const sdk::Unit>)> before_commit;
  std::atomic<int> commits{0};
  std::vector<std::size_t> group_sizes;

  std::optional<Row> row(const std::string& id) {
    const std::lock_guard lock{mutex_};
    const auto found = work_.find(id);
    return found == work_.end() ? std::nullopt : std::optional<Row>{found->second};
  }
  std::size_t rows() {
    const std::lock_guard lock{mutex_};
    return work_.size();
  }
  void edit(const std::string& id, const std::function<void(Row&)>& change) {
    const std::lock_guard lock{mutex_};
    change(work_.at(id));
  }

  // ---- sdk::Storage ----
  sdk::Stored<std::vector<sdk::UnitResult>> commit(std::span<const sdk::Unit> units) override {
    ++commits;
    if (before_commit) {
      if (auto error = before_commit(units)) return *std::move(error);
    }
    const std::lock_guard lock{mutex_};
    group_sizes.push_back(units.size());
    std::vector<sdk::UnitResult> results;
    for (const auto& unit : units) results.push_back(apply(unit));
    return results;
  }
  sdk::Stored<std::vector<sdk::LeasedWork>> lease(const sdk::LeaseRequest& request) override {
    const std::lock_guard lock{mutex_};
    std::vector<sdk::LeasedWork> out;
    std::map<std::string, std::uint32_t> taken;
    for (auto& [id, each] : work_) {
      std::uint32_t quota = request.lane_quota;
      for (const auto& [lane, own] : request.lane_quotas) {
        if (lane == each.item.lane) quota = own;
      }
      if (out.size() >= request.limit || each.item.due > request.now ||
          taken[each.item.lane] >= quota) {
        continue;
      }
      ++taken[each.item.lane];
      const bool taken_over = !each.lease.owner.empty();
      each.lease = {request.owner, request.now + request.lease_for.count(), each.lease.fence + 1};
      sdk::LeasedWork leased{each.item, each.lease, taken_over};
      each.item.due = each.lease.until;
      out.push_back(std::move(leased));
    }
    return out;
  }
  sdk::Stored<std::uint64_t> recover(const std::string& node, const std::string&,
                                     sdk::UnixMillis now) override {
    const std::lock_guard lock{mutex_};
    std::uint64_t count = 0;
    for (auto& [id, each] : work_) {
      if (!each.lease.owner.starts_with(node + "/")) continue;
      each.item.due = now;
      ++count;
    }
    return count;
  }
  sdk::Stored<std::vector<sdk::StoredMessage>> messages_for_delivery(
      std::span<const std::string> ids) override {
    const std::lock_guard lock{mutex_};
    std::vector<sdk::StoredMessage> out;
    for (const auto& id : ids) {
      if (const auto found = messages_.find(id); found != messages_.end()) {
        out.push_back(found->second);
      }
    }
    return out;
  }
  sdk::Stored<std::vector<sdk::LaneDepth>> depth(sdk::Queue, sdk::UnixMillis) override {
    const std::lock_guard lock{mutex_};
    std::map<std::string, sdk::LaneDepth> lanes;
    for (const auto& [id, each] : work_) {
      auto& lane = lanes[each.item.lane];
      lane.lane = each.item.lane;
      ++(each.lease.owner.empty() ? lane.waiting : lane.leased);
    }
    std::vector<sdk::LaneDepth> out;
    for (auto& [name, lane] : lanes) out.push_back(lane);
    return out;
  }

  // Not asked by what is tested with it.
  sdk::Stored<sdk::PurgeResult> purge(const sdk::PurgeRequest&) override { return unasked(); }
  sdk::Stored<std::optional<sdk::Document>> document(const std::string&,
                                                     const std::string&) override {
    return unasked();
  }
  sdk::Stored<std::optional<sdk::Document>> document_by_key(const std::string&,
                                                            const std::string&) override {
    return unasked();
  }
  sdk::Stored<std::vector<bool>> any_exist(const std::string&,
                                           std::span<const std::string>) override {
    return unasked();
  }
  sdk::Stored<std::vector<sdk::Document>> documents(const sdk::DocumentQuery&) override {
    return unasked();
  }
  sdk::Stored<std::uint64_t> count_documents(const sdk::DocumentQuery&) override {
    return unasked();
  }
  sdk::Stored<std::optional<sdk::MessageDetail>> message(const std::string&,
                                                         const std::string&) override {
    return unasked();
  }
  sdk::Stored<sdk::MessagePage> messages(const sdk::MessageQuery&) override { return unasked(); }
  sdk::Stored<std::optional<std::string>> message_by_provider_id(const std::string&,
                                                                 const std::string&) override {
    return unasked();
  }
  sdk::Stored<std::vector<sdk::MetricRow>> metrics(const sdk::MetricQuery&) override {
    return unasked();
  }
  sdk::Stored<std::vector<sdk::WorkRow>> work(const sdk::WorkQuery&) override { return unasked(); }
  sdk::Stored<std::vector<sdk::DocumentChange>> changes(std::uint64_t, std::uint32_t) override {
    return unasked();
  }
  sdk::Stored<std::uint64_t> last_revision() override { return unasked(); }
  sdk::Stored<sdk::IterateResult> iterate(const std::string&, std::uint32_t) override {
    return unasked();
  }
  sdk::Stored<std::vector<std::string>> check() override { return unasked(); }
  sdk::Stored<sdk::Done> ping() override { return sdk::Done{}; }

 private:
  static sdk::StorageError unasked() {
    return {sdk::StorageError::Kind::unusable, "not part of this test", 0, 0};
  }

  sdk::UnitResult apply(const sdk::Unit& unit) {
    sdk::UnitResult result;
    for (std::size_t i = 0; i < unit.ops.size(); ++i) {
      const auto stale = [&] {
        result.status = sdk::UnitResult::Status::stale_lease;
        result.op = i;
        return result;
      };
      if (const auto* enqueue = std::get_if<sdk::EnqueueMessage>(&unit.ops[i])) {
        Row made{enqueue->work, {}};
        if (enqueue->lease_owner) {
          made.lease = {*enqueue->lease_owner, enqueue->work.due + enqueue->lease_for.count(), 1};
          made.item.due = made.lease.until;
          result.fences.push_back(1);
        }
        work_[enqueue->work.id] = std::move(made);
        messages_[enqueue->message.id] = {enqueue->message, enqueue->recipients, enqueue->body};
      } else if (const auto* finish = std::get_if<sdk::FinishWork>(&unit.ops[i])) {
        const auto found = work_.find(finish->id);
        if (found == work_.end() || found->second.lease.fence != finish->fence) return stale();
        work_.erase(found);
      } else if (const auto* again = std::get_if<sdk::RescheduleWork>(&unit.ops[i])) {
        const auto found = work_.find(again->id);
        if (found == work_.end() || found->second.lease.fence != again->fence) return stale();
        found->second.item.due = again->due;
        found->second.lease.owner.clear();
        if (again->lane) found->second.item.lane = *again->lane;
      } else if (const auto* renew = std::get_if<sdk::RenewLease>(&unit.ops[i])) {
        const auto found = work_.find(renew->id);
        if (found == work_.end() || found->second.lease.fence != renew->fence) return stale();
        found->second.item.due += renew->lease_for.count();
      }
    }
    return result;
  }

  std::mutex mutex_;
  std::map<std::string, Row> work_;
  std::map<std::string, sdk::StoredMessage> messages_;
};

// Says nothing.
class SilentLogger final : public sdk::Logger {
 public:
  void log(sdk::LogLevel, std::string_view,
           const std::vector<std::pair<std::string_view, std::string>>&) override {}
};

}  // namespace postern::queue
