// conformance/storage_conformance.h: what a storage plugin must do, as tests. A plugin's own test
// instantiates the suite with a way to make its storage:
//
//   INSTANTIATE_TEST_SUITE_P(Sqlite, StorageConformance,
//                            testing::Values(StorageSubject{"sqlite", make_world}), subject_name);
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "conformance/storage_harness.h"

namespace postern::conformance {

// One place where a storage lives, empty at first.
class StorageWorld {
 public:
  virtual ~StorageWorld() = default;
  // Opens what is there; after closing the one before, this is a restart. `host` outlives it.
  virtual sdk::Stored<std::unique_ptr<sdk::Storage>> open(sdk::StorageOptions::Role role,
                                                          sdk::HostServices& host) = 0;
};

struct StorageSubject {
  std::string name;  // letters and digits
  std::function<std::unique_ptr<StorageWorld>()> make;
};
inline void PrintTo(const StorageSubject& subject, std::ostream* out) {
  *out << subject.name;
}
inline std::string subject_name(const testing::TestParamInfo<StorageSubject>& info) {
  return info.param.name;
}

class StorageConformance : public testing::TestWithParam<StorageSubject> {
 protected:
  using Status = sdk::UnitResult::Status;
  using Kind = sdk::StorageError::Kind;

  void SetUp() override;
  // Closes the storage and opens it again.
  void restart();

  sdk::Storage& storage() { return *storage_; }
  [[nodiscard]] sdk::UnixMillis now() { return host_.clock().now(); }

  // One unit of these ops. Ends the test's use of the result when the commit fails.
  sdk::UnitResult commit(std::vector<sdk::Op> ops);
  std::vector<sdk::UnitResult> commit_units(std::vector<sdk::Unit> units);
  std::vector<sdk::LeasedWork> lease(sdk::LeaseRequest request);
  std::vector<sdk::LeasedWork> lease_as(const std::string& owner);
  sdk::PurgeResult purge(const sdk::PurgeRequest& request);
  // Everything that iterate gives, step by step.
  std::vector<sdk::Op> everything(sdk::Storage& from, std::uint32_t limit);

  std::unique_ptr<StorageWorld> world_;
  StorageHost host_;
  std::unique_ptr<sdk::Storage> storage_;
};

// A read that has to work.
template <typename T>
T must(sdk::Stored<T> result) {
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return result.ok() ? *std::move(result) : T{};
}

sdk::PutDocument put(const std::string& kind, const std::string& id, const std::string& unique_key,
                     const std::string& organization = "org-1");
sdk::WorkItem work_item(sdk::Queue queue, const std::string& id, const std::string& lane,
                        sdk::UnixMillis due);

}  // namespace postern::conformance
