#include "cli/keys.h"

#include <gtest/gtest.h>

#include <set>

#include "base/bytes.h"
#include "config/values.h"

namespace postern::cli {
namespace {

TEST(MakeApiKey, HasItsPrefixAnd256RandomBits) {
  for (const bool test : {false, true}) {
    std::set<std::string> seen;
    for (int i = 0; i < 200; ++i) {
      const std::string key = make_api_key(test);
      EXPECT_TRUE(config::is_api_key(key)) << key;
      EXPECT_TRUE(key.starts_with(test ? "ms_test_" : "ms_live_")) << key;
      EXPECT_EQ(key.find_first_of("+/="), std::string::npos) << key;
      const auto bytes = base64_decode(key.substr(8));
      ASSERT_TRUE(bytes) << key;
      EXPECT_EQ(bytes->size(), 32U);
      EXPECT_TRUE(seen.insert(key).second) << "the same key twice";
    }
  }
}

}  // namespace
}  // namespace postern::cli
