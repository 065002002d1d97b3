#include "auth/principal.h"

#include <gtest/gtest.h>

namespace postern::auth {
namespace {

Principal with(resources::ApiKey key) {
  return Principal{std::make_shared<const resources::KeyHolder>(
      resources::KeyHolder{std::make_shared<const resources::ApiKey>(std::move(key)),
                           std::make_shared<const resources::OrganizationView>()})};
}

TEST(Principal, NamesThePermissionThatIsMissing) {
  resources::ApiKey key;
  key.permissions = {resources::Permission::send};
  const Principal principal = with(key);
  EXPECT_TRUE(principal.require(resources::Permission::send));
  const auto refused = principal.require(resources::Permission::messages_read);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::forbidden);
  EXPECT_NE(refused.error().message.find("MESSAGES_READ"), std::string::npos);
}

TEST(Principal, MayBeUsedOnlyFromItsAddresses) {
  resources::ApiKey key;
  EXPECT_TRUE(with(key).check_client("203.0.113.9"));
  key.allowed_ips = {"192.0.2.0/24", "2001:db8::/32"};
  EXPECT_TRUE(with(key).check_client("192.0.2.77"));
  EXPECT_TRUE(with(key).check_client("2001:db8:1::1"));
  EXPECT_TRUE(with(key).check_client("::ffff:192.0.2.1"));
  EXPECT_FALSE(with(key).check_client("192.0.3.1"));
  EXPECT_FALSE(with(key).check_client("2001:db9::1"));
  EXPECT_FALSE(with(key).check_client("not an address"));
}

TEST(Principal, MaySendOnlyFromItsDomains) {
  resources::ApiKey key;
  key.sender_domains = {"example.com"};
  EXPECT_TRUE(with(key).check_sender_domain("Example.COM"));
  EXPECT_FALSE(with(key).check_sender_domain("mail.example.com"));
  EXPECT_FALSE(with(key).check_sender_domain("example.com.evil.test"));
}

}  // namespace
}  // namespace postern::auth
