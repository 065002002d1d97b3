#include "cli/master_key.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <latch>
#include <set>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "cli/scratch_test.h"

namespace postern::cli {
namespace {

TEST(MasterKey, IsMadeOnceReadableByItsOwnerAlone) {
  const Scratch scratch;
  const std::string file = scratch.path("deep/er/master.key");
  const auto made = read_or_make_master_key(file);
  ASSERT_TRUE(made) << made.error().message;
  const auto bytes = base64_decode(*made);
  ASSERT_TRUE(bytes);
  EXPECT_EQ(bytes->size(), 32U);
  EXPECT_EQ(contents_of(file), *made + "\n");
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);

  const auto again = read_or_make_master_key(file);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, *made);
}

TEST(MasterKey, IsTheSameForAllWhoMakeItAtOnce) {
  const Scratch scratch;
  const std::string file = scratch.path("master.key");
  constexpr int kMakers = 8;
  std::vector<std::string> keys(kMakers);
  std::latch start{kMakers};
  std::vector<std::thread> makers;
  for (auto& key : keys) {
    makers.emplace_back([&file, &key, &start] {
      start.arrive_and_wait();
      if (auto made = read_or_make_master_key(file)) key = *made;
    });
  }
  for (auto& maker : makers) maker.join();
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), 1U);
  EXPECT_EQ(keys.front().size(), 44U);
  // No draft is left behind.
  int files = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator{scratch.path("")}) {
    ++files;
  }
  EXPECT_EQ(files, 1);
}

TEST(MasterKey, NamesTheFileThatCantBeMade) {
  const Scratch scratch;
  scratch.write("file", "x");
  const auto made = read_or_make_master_key(scratch.path("file/master.key"));
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, ::testing::HasSubstr(scratch.path("file")));
}

}  // namespace
}  // namespace postern::cli
