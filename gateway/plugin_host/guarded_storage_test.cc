#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "plugin_host/guarded.h"

namespace postern::plugin_host {
namespace {

using sdk::StorageError;
using ::testing::AllOf;
using ::testing::HasSubstr;

struct NoLog final : sdk::Logger {
  void log(sdk::LogLevel, std::string_view,
           const std::vector<std::pair<std::string_view, std::string>>&) override {}
};

// Throws in every call, or answers with nothing in it.
class Broken final : public sdk::Storage {
 public:
  explicit Broken(bool throws) : throws_(throws) {}

  sdk::Stored<std::vector<sdk::UnitResult>> commit(std::span<const sdk::Unit>) override {
    return answer<std::vector<sdk::UnitResult>>();
  }
  sdk::Stored<std::vector<sdk::LeasedWork>> lease(const sdk::LeaseRequest&) override {
    return answer<std::vector<sdk::LeasedWork>>();
  }
  sdk::Stored<std::uint64_t> recover(const std::string&, const std::string&,
                                     sdk::UnixMillis) override {
    return answer<std::uint64_t>();
  }
  sdk::Stored<sdk::PurgeResult> purge(const sdk::PurgeRequest&) override {
    return answer<sdk::PurgeResult>();
  }
  sdk::Stored<std::optional<sdk::Document>> document(const std::string&,
                                                     const std::string&) override {
    return answer<std::optional<sdk::Document>>();
  }
  sdk::Stored<std::optional<sdk::Document>> document_by_key(const std::string&,
                                                            const std::string&) override {
    return answer<std::optional<sdk::Document>>();
  }
  sdk::Stored<std::vector<bool>> any_exist(const std::string&,
                                           std::span<const std::string>) override {
    return answer<std::vector<bool>>();
  }
  sdk::Stored<std::vector<sdk::Document>> documents(const sdk::DocumentQuery&) override {
    return answer<std::vector<sdk::Document>>();
  }
  sdk::Stored<std::uint64_t> count_documents(const sdk::DocumentQuery&) override {
    return answer<std::uint64_t>();
  }
  sdk::Stored<std::optional<sdk::MessageDetail>> message(const std::string&,
                                                         const std::string&) override {
    return answer<std::optional<sdk::MessageDetail>>();
  }
  sdk::Stored<std::vector<sdk::StoredMessage>> messages_for_delivery(
      std::span<const std::string>) override {
    return answer<std::vector<sdk::StoredMessage>>();
  }
  sdk::Stored<sdk::MessagePage> messages(const sdk::MessageQuery&) override {
    return answer<sdk::MessagePage>();
  }
  sdk::Stored<std::optional<std::string>> message_by_provider_id(const std::string&,
                                                                 const std::string&) override {
    return answer<std::optional<std::string>>();
  }
  sdk::Stored<std::vector<sdk::MetricRow>> metrics(const sdk::MetricQuery&) override {
    return answer<std::vector<sdk::MetricRow>>();
  }
  sdk::Stored<std::vector<sdk::LaneDepth>> depth(sdk::Queue, sdk::UnixMillis) override {
    return answer<std::vector<sdk::LaneDepth>>();
  }
  sdk::Stored<std::vector<sdk::WorkRow>> work(const sdk::WorkQuery&) override {
    return answer<std::vector<sdk::WorkRow>>();
  }
  sdk::Stored<std::vector<sdk::DocumentChange>> changes(std::uint64_t, std::uint32_t) override {
    return answer<std::vector<sdk::DocumentChange>>();
  }
  sdk::Stored<std::uint64_t> last_revision() override { return answer<std::uint64_t>(); }
  sdk::Stored<sdk::IterateResult> iterate(const std::string&, std::uint32_t) override {
    return answer<sdk::IterateResult>();
  }
  sdk::Stored<std::vector<std::string>> check() override {
    return answer<std::vector<std::string>>();
  }
  sdk::Stored<sdk::Done> ping() override { return answer<sdk::Done>(); }

 private:
  template <typename T>
  sdk::Stored<T> answer() {
    if (throws_) throw std::runtime_error("row is gone");
    return T{};
  }
  bool throws_;
};

class GuardedStorageTest : public ::testing::Test {
 protected:
  std::unique_ptr<sdk::Storage> make(bool throws) {
    return guard_storage(std::make_unique<Broken>(throws), "broken", context_);
  }
  template <typename T>
  static void expect_unavailable(const sdk::Stored<T>& answer, const char* call) {
    SCOPED_TRACE(call);
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().kind, StorageError::Kind::unavailable);
    EXPECT_THAT(answer.error().message,
                AllOf(HasSubstr("broken"), HasSubstr(call), HasSubstr("row is gone")));
  }

  NoLog log_;
  telemetry::Metrics metrics_;
  Deadlines deadlines_;
  GuardContext context_{deadlines_, log_, metrics_};
};

TEST_F(GuardedStorageTest, TakesACommitThatThrowsForUnknown) {
  const auto storage = make(true);
  const std::vector<sdk::Unit> units(1);
  const auto answer = storage->commit(units);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().kind, StorageError::Kind::unknown);
  EXPECT_THAT(answer.error().message, AllOf(HasSubstr("broken"), HasSubstr("commit")));
}

TEST_F(GuardedStorageTest, TakesEveryOtherCallThatThrowsForUnavailable) {
  const auto storage = make(true);
  const std::vector<std::string> ids = {"a"};
  expect_unavailable(storage->lease({}), "lease");
  expect_unavailable(storage->recover("n", "i", 0), "recover");
  expect_unavailable(storage->purge({}), "purge");
  expect_unavailable(storage->document("k", "i"), "document");
  expect_unavailable(storage->document_by_key("k", "u"), "document_by_key");
  expect_unavailable(storage->any_exist("k", ids), "any_exist");
  expect_unavailable(storage->documents({}), "documents");
  expect_unavailable(storage->count_documents({}), "count_documents");
  expect_unavailable(storage->message("o", "i"), "message");
  expect_unavailable(storage->messages_for_delivery(ids), "messages_for_delivery");
  expect_unavailable(storage->messages({}), "messages");
  expect_unavailable(storage->message_by_provider_id("a", "p"), "message_by_provider_id");
  expect_unavailable(storage->metrics({}), "metrics");
  expect_unavailable(storage->depth(sdk::Queue::jobs, 0), "depth");
  expect_unavailable(storage->work({}), "work");
  expect_unavailable(storage->changes(0, 1), "changes");
  expect_unavailable(storage->last_revision(), "last_revision");
  expect_unavailable(storage->iterate("", 1), "iterate");
  expect_unavailable(storage->check(), "check");
  expect_unavailable(storage->ping(), "ping");
  EXPECT_THAT(metrics_.expose(), HasSubstr(R"(fault="threw",plugin="broken"} 20)"));
}

TEST_F(GuardedStorageTest, DoesNotTrustAnswersOfAnotherLength) {
  const auto storage = make(false);
  const std::vector<sdk::Unit> units(2);
  const auto committed = storage->commit(units);
  ASSERT_FALSE(committed.ok());
  EXPECT_EQ(committed.error().kind, StorageError::Kind::unknown);
  EXPECT_THAT(committed.error().message, HasSubstr("answered 0 results for 2 units"));
  const std::vector<std::string> keys = {"a"};
  const auto exist = storage->any_exist("k", keys);
  ASSERT_FALSE(exist.ok());
  EXPECT_EQ(exist.error().kind, StorageError::Kind::unavailable);
}

TEST_F(GuardedStorageTest, PassesWhatIsRight) {
  const auto storage = make(false);
  EXPECT_TRUE(storage->ping().ok());
  EXPECT_TRUE(storage->commit({}).ok());
}

}  // namespace
}  // namespace postern::plugin_host
