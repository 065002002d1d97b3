#include "resources/types.h"

#include <gtest/gtest.h>

namespace postern::resources {
namespace {

TEST(Permissions, HaveTheNamesOfTheContractBothWays) {
  for (const auto& name : permission_names()) {
    const auto permission = permission_of(name);
    ASSERT_TRUE(permission) << name;
    EXPECT_EQ(name_of(*permission), name);
    EXPECT_EQ(Permissions{*permission}.names(), std::vector<std::string>{name});
  }
  EXPECT_FALSE(permission_of("send"));
}

TEST(Cidr, MatchesOnTheBitsOfThePrefix) {
  EXPECT_TRUE(in_cidr("10.1.2.3", "10.0.0.0/8"));
  EXPECT_TRUE(in_cidr("10.1.2.3", "10.1.2.3"));
  EXPECT_TRUE(in_cidr("10.127.0.1", "10.0.0.0/9"));
  EXPECT_FALSE(in_cidr("10.128.0.1", "10.0.0.0/9"));
  EXPECT_TRUE(in_cidr("::1", "::/0"));
  EXPECT_FALSE(in_cidr("::1", "0.0.0.0/0"));
  EXPECT_FALSE(in_cidr("10.0.0.0/8", "10.0.0.0/8"));
}

TEST(Cidr, RefusesWhatIsNone) {
  for (const char* bad : {"", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "x/8", "::/129"}) {
    EXPECT_FALSE(is_cidr(bad)) << bad;
  }
}

TEST(Ids, AreStableAndDifferByOrganization) {
  EXPECT_EQ(provider_account_id("demo", "outbox"), provider_account_id("demo", "outbox"));
  EXPECT_NE(provider_account_id("demo", "outbox"), provider_account_id("other", "outbox"));
  EXPECT_NE(api_key_id("demo", "outbox"), provider_account_id("demo", "outbox"));
}

}  // namespace
}  // namespace postern::resources
