// storage_sqlite under the conformance suite, and what is SQLite's own.
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "conformance/storage_conformance.h"

namespace postern::conformance {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Role = sdk::StorageOptions::Role;
using Kind = sdk::StorageError::Kind;
using Opened = sdk::Stored<std::unique_ptr<sdk::Storage>>;

Opened open_file(const std::string& path, Role role, sdk::HostServices& host) {
  sdk::StorageOptions options;
  options.role = role;
  options.settings.set("path", path);
  options.settings.set("busy_timeout", std::int64_t{5000});
  options.settings.set("readers", std::int64_t{2});
  options.settings.set("cache_kib", std::int64_t{1024});
  return load_storage_plugin(POSTERN_TEST_PLUGIN).open_storage(options, host);
}

class SqliteWorld final : public StorageWorld {
 public:
  Opened open(Role role, sdk::HostServices& host) override {
    return open_file(directory_.path() + "/a file.db", role, host);
  }

 private:
  TemporaryDirectory directory_;
};

INSTANTIATE_TEST_SUITE_P(Sqlite, StorageConformance,
                         testing::Values(StorageSubject{
                             "sqlite", [] { return std::make_unique<SqliteWorld>(); }}),
                         subject_name);

// A connection of the test's own to the file.
class Database {
 public:
  explicit Database(const std::string& path) {
    EXPECT_EQ(sqlite3_open(path.c_str(), &db_), SQLITE_OK);
    sqlite3_busy_timeout(db_, 5000);
  }
  ~Database() { sqlite3_close(db_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  void run(const std::string& sql) {
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK)
        << sql << ": " << (error ? error : "");
    sqlite3_free(error);
  }
  // The first column of all rows, joined by newlines.
  std::string ask(const std::string& sql, int column = 0) {
    sqlite3_stmt* statement = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr), SQLITE_OK) << sql;
    std::string text;
    while (sqlite3_step(statement) == SQLITE_ROW) {
      const auto* value = sqlite3_column_text(statement, column);
      if (value) text += std::string{reinterpret_cast<const char*>(value)} + "\n";
    }
    sqlite3_finalize(statement);
    return text;
  }

 private:
  sqlite3* db_ = nullptr;
};

class StorageSqlite : public testing::Test {
 protected:
  Opened open(Role role = Role::gateway) { return open_file(path_, role, host_.services()); }
  std::unique_ptr<sdk::Storage> must_open(Role role = Role::gateway) {
    auto opened = open(role);
    EXPECT_TRUE(opened.ok()) << (opened.ok() ? "" : opened.error().message);
    return opened.ok() ? *std::move(opened) : nullptr;
  }
  static sdk::UnitResult::Status commit(sdk::Storage& storage, std::vector<sdk::Op> ops) {
    std::vector<sdk::Unit> units(1);
    units[0].ops = std::move(ops);
    auto results = must(storage.commit(units));
    return results.empty() ? sdk::UnitResult::Status::not_found : results.front().status;
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.path() + "/postern.db";
  StorageHost host_;
};

constexpr auto kStored = sdk::UnitResult::Status::stored;

TEST_F(StorageSqlite, RefusesASecondGatewayOnTheSameFile) {
  auto first = must_open();
  const auto second = open();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().kind, Kind::unusable);
  EXPECT_THAT(second.error().message, HasSubstr(path_));
  EXPECT_THAT(second.error().message, HasSubstr("process " + std::to_string(::getpid())));
  first.reset();
  EXPECT_TRUE(open().ok()) << "the lock goes with its holder";
}

TEST_F(StorageSqlite, AToolDoesNotKeepTheGatewayOut) {
  auto tool = must_open(Role::tool);
  EXPECT_TRUE(open().ok());
}

TEST_F(StorageSqlite, RefusesASchemaFromTheFutureAndLeavesItAlone) {
  must_open().reset();
  {
    Database database{path_};
    database.run("INSERT INTO schema_version VALUES(9, 0, 'later')");
  }
  for (const Role role : {Role::gateway, Role::tool, Role::inspect}) {
    const auto opened = open(role);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().kind, Kind::unusable);
    EXPECT_THAT(opened.error().message, HasSubstr("version 9"));
    EXPECT_THAT(opened.error().message, HasSubstr("version 1"));
  }
  EXPECT_EQ(Database{path_}.ask("SELECT max(version) FROM schema_version"), "9\n");
}

TEST_F(StorageSqlite, MakesTheTablesInAnEmptyFileOfAnEarlierStart) {
  // As a start leaves it that was killed between making the file and its first migration.
  std::ofstream{path_}.flush();
  auto storage = must_open();
  EXPECT_EQ(commit(*storage, {put("k", "a", "")}), kStored);
  EXPECT_EQ(Database{path_}.ask("SELECT version FROM schema_version"), "1\n");
}

TEST_F(StorageSqlite, KeepsWhatIsThereWhenItOpensAgain) {
  {
    auto storage = must_open();
    ASSERT_EQ(commit(*storage, {put("k", "a", "")}), kStored);
  }
  auto storage = must_open();
  EXPECT_TRUE(must(storage->document("k", "a")));
  EXPECT_EQ(Database{path_}.ask("SELECT count(*) FROM schema_version"), "1\n");
}

TEST_F(StorageSqlite, UpgradesAFileThatHasNoVersionYetOnlyWhileNoGatewayServesIt) {
  must_open().reset();
  {
    Database database{path_};
    database.run("DELETE FROM schema_version");
    for (const char* table : {"document", "change", "idempotency", "message", "message_tag", "body",
                              "recipient", "event", "work", "metric"}) {
      database.run(std::string{"DROP TABLE "} + table);
    }
  }
  const auto inspector = open(Role::inspect);
  ASSERT_FALSE(inspector.ok()) << "an inspector changes nothing";
  EXPECT_THAT(inspector.error().message, HasSubstr("version 0"));
  auto storage = must_open();
  EXPECT_EQ(commit(*storage, {put("k", "a", "")}), kStored);
}

TEST_F(StorageSqlite, RefusesTheDatabaseOfAnotherProgram) {
  { Database{path_}.run("CREATE TABLE theirs(a)"); }
  const auto opened = open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().kind, Kind::unusable);
  EXPECT_THAT(opened.error().message, HasSubstr("another program"));
  EXPECT_EQ(Database{path_}.ask("SELECT name FROM sqlite_master"), "theirs\n");
}

TEST_F(StorageSqlite, RefusesAFileThatIsNoDatabase) {
  std::ofstream{path_} << std::string(8192, 'x');
  const auto opened = open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().kind, Kind::unusable);
  EXPECT_THAT(opened.error().message, HasSubstr("not an SQLite database"));
}

TEST_F(StorageSqlite, SaysThatADamagedFileIsDamaged) {
  {
    auto storage = must_open();
    std::vector<sdk::Op> ops;
    for (int i = 0; i < 2000; ++i) ops.emplace_back(put("k", "id" + std::to_string(i), ""));
    ASSERT_EQ(commit(*storage, ops), kStored);
  }
  {
    std::fstream file{path_, std::ios::in | std::ios::out | std::ios::binary};
    const auto size = std::filesystem::file_size(path_);
    // The second half: the tables' own description stays whole.
    for (std::uintmax_t at = size / 8192 * 4096; at < size; at += 4096) {
      file.seekp(static_cast<std::streamoff>(at));
      file << std::string(2048, '\x5a');
    }
  }
  auto storage = must_open();
  ASSERT_TRUE(storage);
  sdk::DocumentQuery query;
  query.kind = "k";
  query.limit = 10'000;
  const auto read = storage->documents(query);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().kind, Kind::unusable);
  EXPECT_THAT(read.error().message, HasSubstr("damaged"));
  const auto findings = storage->check();
  EXPECT_TRUE(!findings.ok() || !findings->empty());
}

TEST_F(StorageSqlite, SaysWhatToDoWhereItCannotMakeTheFile) {
  path_ = directory_.path() + "/missing/postern.db";
  const auto opened = open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().kind, Kind::unusable);
  EXPECT_THAT(opened.error().message, HasSubstr(path_));
  EXPECT_THAT(opened.error().message, HasSubstr("directory"));
}

// A disk that takes no more, while it lives: the process may not make a file longer than `bytes`.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &now), 0);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

TEST_F(StorageSqlite, StoresNothingOnAFullDiskAndGoesOnWhenThereIsRoomAgain) {
  auto storage = must_open();
  MessageParts first;
  ASSERT_EQ(commit(*storage, {enqueue(first)}), kStored);
  MessageParts parts;
  parts.body.assign(1'000'000, 'x');
  {
    const FullDisk full{std::filesystem::file_size(path_ + "-wal") + 20'000};
    std::vector<sdk::Unit> units(2);
    units[0].ops = {put("k", "a", "")};
    units[1].ops = {enqueue(parts)};
    const auto refused = storage->commit(units);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind, Kind::unavailable) << refused.error().message;
    EXPECT_THAT(refused.error().message, HasSubstr(path_));
    EXPECT_FALSE(must(storage->document("k", "a")));
    EXPECT_TRUE(must(storage->message(first.organization, first.id))) << "reads go on";
  }
  ASSERT_EQ(commit(*storage, {put("k", "a", ""), enqueue(parts)}), kStored);
  storage = nullptr;
  storage = must_open();
  EXPECT_TRUE(must(storage->document("k", "a")));
  EXPECT_TRUE(must(storage->message(parts.organization, parts.id)));
  EXPECT_TRUE(must(storage->check()).empty());
}

TEST_F(StorageSqlite, ServesAnotherLaneBeside200000ItemsOfAPausedOne) {
  auto storage = must_open();
  constexpr int kItems = 200'000;
  for (int i = 0; i < kItems; i += 10'000) {
    std::vector<sdk::Op> ops;
    for (int k = i; k < i + 10'000; ++k) {
      ops.emplace_back(sdk::PutWork{
          work_item(sdk::Queue::deliveries, "w" + std::to_string(k), "paused", 1), {}, 60s});
    }
    ASSERT_EQ(commit(*storage, std::move(ops)), kStored);
  }
  ASSERT_EQ(commit(*storage,
                   {sdk::PutWork{work_item(sdk::Queue::deliveries, "mine", "served", 2), {}, 60s}}),
            kStored);
  sdk::LeaseRequest request;
  request.owner = "n/1";
  request.now = host_.clock().now();
  request.lane_quotas = {{"paused", 0}};
  const auto only = must(storage->lease(request));
  ASSERT_EQ(only.size(), 1U);
  EXPECT_EQ(only[0].item.id, "mine");
  // Its lane goes around the 200,000 by seeks: a thousand empty leases take less processor time
  // than a thousand walks over them would by far.
  timespec start{};
  timespec end{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(must(storage->lease(request)).empty());
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
  const double a_thousand = static_cast<double>(end.tv_sec - start.tv_sec) +
                            static_cast<double>(end.tv_nsec - start.tv_nsec) / 1e9;
  EXPECT_LT(a_thousand, 5.0);
  request.lane_quotas = {{"paused", 3}};
  EXPECT_EQ(must(storage->lease(request)).size(), 3U);
  const auto depth = must(storage->depth(sdk::Queue::deliveries, request.now));
  ASSERT_EQ(depth.size(), 2U);
  EXPECT_EQ(depth[0].waiting + depth[1].waiting, kItems - 3U);
}

TEST_F(StorageSqlite, InspectingCreatesNothing) {
  const auto missing = open(Role::inspect);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind, Kind::unusable);
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
  must_open().reset();
  std::vector<std::string> before;
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    before.push_back(entry.path());
  }
  auto inspector = must_open(Role::inspect);
  EXPECT_TRUE(must(inspector->check()).empty());
  std::vector<std::string> after;
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    after.push_back(entry.path());
  }
  EXPECT_THAT(after, testing::UnorderedElementsAreArray(before));
}

TEST_F(StorageSqlite, IsReadableByItsOwnerOnly) {
  auto storage = must_open();
  ASSERT_EQ(commit(*storage, {put("k", "a", "")}), kStored);
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    struct stat status {};
    ASSERT_EQ(::stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 077U, 0U) << entry.path();
  }
}

TEST_F(StorageSqlite, WritesAheadAndSyncsEveryCommit) {
  auto storage = must_open();
  EXPECT_EQ(Database{path_}.ask("PRAGMA journal_mode"), "wal\n");
}

TEST_F(StorageSqlite, WaitsForAnotherWriterAndSaysSoWhenItTakesTooLong) {
  sdk::StorageOptions options;
  options.settings.set("path", path_);
  options.settings.set("busy_timeout", std::int64_t{50});
  options.settings.set("readers", std::int64_t{1});
  options.settings.set("cache_kib", std::int64_t{1024});
  auto opened = load_storage_plugin(POSTERN_TEST_PLUGIN).open_storage(options, host_.services());
  ASSERT_TRUE(opened.ok());
  Database other{path_};
  other.run("BEGIN IMMEDIATE");
  std::vector<sdk::Unit> units(1);
  units[0].ops = {put("k", "a", "")};
  const auto refused = (*opened)->commit(units);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, Kind::unavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("busy_timeout"));
  EXPECT_FALSE(must((*opened)->document("k", "a"))) << "readers don't wait";
  other.run("COMMIT");
  EXPECT_EQ(commit(**opened, {put("k", "a", "")}), kStored);
}

// The lists of 5 million messages are read from an index, in its order: no sorting, no scanning.
TEST_F(StorageSqlite, LeasesFromAnIndexAndSeeksFromLaneToLane) {
  auto storage = must_open();
  Database database{path_};
  const std::string plan = database.ask(
      "EXPLAIN QUERY PLAN SELECT id FROM work WHERE queue = 0 AND lane = 'x' AND priority = 0 AND "
      "ready_at <= 5 ORDER BY ready_at LIMIT 10",
      3);
  EXPECT_THAT(plan, HasSubstr("work_ready (queue=? AND lane=? AND priority=? AND ready_at<?)"));
  EXPECT_THAT(plan, testing::Not(HasSubstr("TEMP B-TREE")));
  const std::string next = database.ask(
      "EXPLAIN QUERY PLAN SELECT lane, priority FROM work WHERE queue = 0 AND lane > 'x' "
      "ORDER BY lane, priority LIMIT 1",
      3);
  EXPECT_THAT(next, HasSubstr("work_ready (queue=? AND lane>?)"));
  EXPECT_THAT(next, testing::Not(HasSubstr("TEMP B-TREE")));
}

}  // namespace
}  // namespace postern::conformance
