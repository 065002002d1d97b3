#include "routing/routing.h"

#include <gtest/gtest.h>

namespace postern::routing {
namespace {

class Routing : public testing::Test {
 protected:
  Routing() {
    view_.organization.id = "org";
    add("first", 1, true, "FULL");
    add("second", 2, true, "PLAIN");
    add("off", 0, false, "FULL");
    plain_.supports_tags = false;
    plain_.supports_metadata = false;
  }
  void add(const char* id, int priority, bool active, const char* type) {
    resources::ProviderAccount account;
    account.id = account.slug = account.display_name = id;
    account.priority = priority;
    account.active = active;
    account.type = type;
    view_.accounts.push_back(account);
  }
  Result<Route> choose(const Traits& traits, std::vector<std::string> tried = {}) {
    return routing::choose(
        view_, traits,
        [this](const std::string& type) -> const sdk::Capabilities* {
          if (type == "FULL") return &full_;
          if (type == "PLAIN") return &plain_;
          return nullptr;
        },
        tried);
  }
  resources::OrganizationView view_;
  sdk::Capabilities full_;
  sdk::Capabilities plain_;
};

TEST_F(Routing, TakesTheActiveAccountOfTheLowestPriority) { EXPECT_EQ(choose({})->account, "first"); }

TEST_F(Routing, NeverChoosesAnInactiveAccountEvenWhenForced) {
  Traits traits;
  traits.provider_id = "off";
  const auto route = choose(traits);
  ASSERT_FALSE(route);
  EXPECT_EQ(route.error().issues.front().code, "no_active_provider");
}

TEST_F(Routing, SaysNoActiveProviderWhenThereIsNone) {
  view_.accounts.clear();
  const auto route = choose({});
  ASSERT_FALSE(route);
  EXPECT_EQ(route.error().kind, ErrorKind::impossible);
  EXPECT_EQ(route.error().issues.front().code, "no_active_provider");
}

TEST_F(Routing, LeavesOutWhatWasTried) {
  EXPECT_EQ(choose({}, {"first"})->account, "second");
  EXPECT_FALSE(choose({}, {"first", "second"}));
}

TEST_F(Routing, PassesOverAnAccountThatCannotCarryTheMessage) {
  Traits traits;
  traits.tags = 1;
  EXPECT_FALSE(choose(traits, {"first"}));
  traits.provider_id = "second";
  traits.has_metadata = true;
  const auto route = choose(traits);
  ASSERT_FALSE(route);
  EXPECT_EQ(route.error().issues.size(), 2U) << "every missing capability is named";
  EXPECT_EQ(route.error().issues.front().code, "capability_unsupported");
}

TEST_F(Routing, SendsTestMessagesToTheSandboxWithoutAnyProvider) {
  view_.accounts.clear();
  Traits traits;
  traits.test = true;
  const auto route = choose(traits);
  ASSERT_TRUE(route);
  EXPECT_EQ(route->provider_type, resources::kSandboxType);
}

TEST_F(Routing, NamesThePluginThatIsNotLoaded) {
  view_.accounts.clear();
  add("gone", 1, true, "GONE");
  const auto route = choose({});
  ASSERT_FALSE(route);
  EXPECT_NE(route.error().issues.front().message.find("GONE"), std::string::npos);
}

}  // namespace
}  // namespace postern::routing
