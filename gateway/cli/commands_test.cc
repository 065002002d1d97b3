// The commands on a real storage, without a running gateway.
#include <gmock/gmock.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <sstream>

#include "base/crypto.h"
#include "base/ids.h"
#include "cli/cli.h"
#include "cli/environment.h"
#include "cli/scratch_test.h"
#include "resources/codec.h"

namespace postern::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class Commands : public ::testing::Test {
 protected:
  struct Ran {
    int code = -1;
    std::string out;
    std::string err;
    [[nodiscard]] boost::json::object json() const {
      boost::json::error_code bad;
      const auto value = boost::json::parse(out, bad);
      if (bad || !value.is_object()) {
        ADD_FAILURE() << "no JSON object: " << out << err;
        return {};
      }
      return value.get_object();
    }
  };

  void SetUp() override { write_config(kOrganization); }

  void write_config(const std::string& organizations) {
    file_ = scratch_.write("postern.yaml",
                           "plugins: { directories: [\"" POSTERN_TEST_PLUGINS
                           "\"] }\n"
                           "storage: { plugin: sqlite, settings: { path: var/postern.db } }\n"
                           "secrets: { master_key: \"${file:var/master.key}\" }\n" +
                               organizations);
  }

  Ran ran(std::vector<std::string> arguments) {
    Ran result;
    std::istringstream in;
    std::ostringstream out;
    std::ostringstream err;
    arguments.insert(arguments.end(), {"--config", file_});
    result.code = run(std::move(arguments), {in, out, err}, [](const std::string&) { return 9; });
    result.out = out.str();
    result.err = err.str();
    return result;
  }

  std::unique_ptr<Environment> opened(sdk::StorageOptions::Role role) {
    auto environment = Environment::open(file_, role);
    if (environment) return std::move(*environment);
    std::string why = environment.error().message;
    for (const auto& issue : environment.error().issues) why += "\n" + issue.message;
    ADD_FAILURE() << why;
    return nullptr;
  }

  // Stores a message for two recipients, due in an hour, of which the first one was reached.
  std::string enqueue(sdk::Storage& storage, std::optional<std::string> held_by = std::nullopt) {
    const UnixMillis now = clock_.now();
    sdk::EnqueueMessage enqueue;
    auto& message = enqueue.message;
    message.id = uuid_v7(clock_);
    message.organization = resources::organization_id("demo");
    message.stream = "transactional";
    message.account = resources::provider_account_id("demo", "outbox");
    message.provider_type = "MAILDIR";
    message.from = "a@example.com";
    message.sender_domain = "example.com";
    message.subject = "Hello";
    message.message_id_header = "<1@example.com>";
    message.recipient_count = 2;
    message.created_at = message.updated_at = now;
    for (std::uint32_t i = 0; i < 2; ++i) {
      sdk::RecipientRecord recipient;
      recipient.index = i;
      recipient.address = "r" + std::to_string(i) + "@example.net";
      recipient.status = i == 0 ? sdk::MessageStatus::delivered : sdk::MessageStatus::deferred;
      recipient.updated_at = now;
      enqueue.recipients.push_back(recipient);
    }
    enqueue.body = std::make_shared<const std::string>("{}");
    enqueue.work.id = message.id;
    enqueue.work.organization = message.organization;
    enqueue.work.lane = message.account;
    enqueue.work.message_id = message.id;
    enqueue.work.due = now + 3'600'000;
    enqueue.work.attempts = 3;
    enqueue.lease_owner = std::move(held_by);
    const std::string id = message.id;
    const sdk::Unit unit{{std::move(enqueue)}};
    const auto stored = storage.commit({&unit, 1});
    EXPECT_TRUE(stored) << stored.error().message;
    if (stored) {
      EXPECT_EQ(stored->front().status, sdk::UnitResult::Status::stored);
    }
    return id;
  }

  static constexpr const char* kOrganization =
      "organizations:\n"
      "  - id: demo\n"
      "    name: Demo\n"
      "    keys:\n"
      "      - name: declared\n"
      "        key: ms_live_0123456789abcdef0123456789abcdef\n"
      "        permissions: [SEND]\n"
      "    providers:\n"
      "      - { id: outbox, type: MAILDIR, settings: { path: var/outbox } }\n";
  Scratch scratch_;
  SystemClock clock_;
  std::string file_;
};

TEST_F(Commands, CheckFindsNothingWrongAndMakesNothing) {
  const Ran result = ran({"check"});
  EXPECT_EQ(result.code, kDone) << result.err;
  EXPECT_EQ(result.out, file_ + ": fine (1 organizations, 1 keys, 1 provider accounts)\n");
  EXPECT_FALSE(std::filesystem::exists(scratch_.path("var")));
}

TEST_F(Commands, CheckTellsUnknownTypesAndSettingsOfPluginsAtOnce) {
  write_config(
      "organizations:\n"
      "  - id: demo\n"
      "    name: Demo\n"
      "    providers:\n"
      "      - { id: a, type: MAILDIRR, settings: { path: x } }\n"
      "      - { id: b, type: MAILDIR, settings: { paht: x } }\n");
  const Ran result = ran({"check"});
  EXPECT_EQ(result.code, kFailed);
  EXPECT_THAT(result.err, HasSubstr("postern.yaml:8:"));
  EXPECT_THAT(result.err, HasSubstr("did you mean \"MAILDIR\"?"));
  EXPECT_THAT(result.err, HasSubstr("postern.yaml:9:"));
  EXPECT_THAT(result.err, HasSubstr("organizations[0].providers[1].settings.paht"));
}

TEST_F(Commands, KeysAreMadeListedAndRevokedBeforeAGatewayEverRan) {
  const Ran made =
      ran({"keys", "create", "--organization", "demo", "--name", "ci", "--permissions",
           "SEND,MESSAGES_READ", "--expires-in", "90d", "--allowed-ip", "192.0.2.0/24",
           "--allowed-ip", "2001:db8::/32", "--sender-domain", "Example.com", "--json"});
  ASSERT_EQ(made.code, kDone) << made.err;
  const auto json = made.json();
  const std::string key{json.at("key").as_string()};
  const std::string id{json.at("id").as_string()};
  EXPECT_EQ(json.at("permissions"), (boost::json::array{"SEND", "MESSAGES_READ"}));
  EXPECT_EQ(json.at("allowedIps"), (boost::json::array{"192.0.2.0/24", "2001:db8::/32"}));
  EXPECT_EQ(json.at("senderDomains"), (boost::json::array{"example.com"}));
  {
    const auto environment = opened(sdk::StorageOptions::Role::inspect);
    ASSERT_TRUE(environment);
    const auto document =
        environment->storage().document_by_key(resources::kApiKeyKind, sha256_hex(key));
    ASSERT_TRUE(document && document->has_value()) << "the key's hash is not stored";
    EXPECT_THAT((*document)->json, Not(HasSubstr(key.substr(8))));
    const auto stored = resources::api_key_from(**document);
    ASSERT_TRUE(stored);
    ASSERT_TRUE(stored->expires_at);
    EXPECT_NEAR(static_cast<double>(*stored->expires_at - clock_.now()), 90.0 * 86'400'000, 60'000);
  }
  // What the file declares was stored on the way.
  const Ran listed = ran({"keys", "list", "--organization", "demo"});
  EXPECT_EQ(listed.code, kDone) << listed.err;
  EXPECT_THAT(listed.out, HasSubstr("declared"));
  EXPECT_THAT(listed.out, HasSubstr(id));
  EXPECT_THAT(listed.out, Not(HasSubstr(key.substr(8))));

  EXPECT_EQ(ran({"keys", "revoke", id}).code, kDone);
  EXPECT_EQ(ran({"keys", "revoke", id}).code, kDone) << "the second time";
  const auto keys = ran({"keys", "list", "--json"}).json().at("keys").as_array();
  ASSERT_THAT(keys, SizeIs(2));
  for (const auto& each : keys) {
    EXPECT_EQ(each.at("state").as_string(), each.at("id").as_string() == id ? "revoked" : "active");
  }
}

TEST_F(Commands, AKeyOfTheConfigurationIsNotRevokedButPointedTo) {
  ASSERT_EQ(
      ran({"keys", "create", "--organization", "demo", "--name", "x", "--permissions", "SEND"})
          .code,
      kDone);
  const Ran result = ran({"keys", "revoke", resources::api_key_id("demo", "declared")});
  EXPECT_EQ(result.code, kFailed);
  EXPECT_THAT(result.err, HasSubstr("declared in " + file_));
}

TEST_F(Commands, AKeyForAnUnknownOrganizationSaysWhichWasMeant) {
  const Ran result =
      ran({"keys", "create", "--organization", "dmeo", "--name", "x", "--permissions", "SEND"});
  EXPECT_EQ(result.code, kFailed);
  EXPECT_THAT(result.err, HasSubstr("did you mean 'demo'?"));
}

TEST_F(Commands, AMissingMasterKeyIsNotMadeAnewForAStorageThatHasOne) {
  { ASSERT_TRUE(opened(sdk::StorageOptions::Role::gateway)); }
  ASSERT_TRUE(std::filesystem::remove(scratch_.path("var/master.key")));
  const auto again = Environment::open(file_, sdk::StorageOptions::Role::gateway);
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("master.key is missing"));
  EXPECT_FALSE(std::filesystem::exists(scratch_.path("var/master.key")));

  scratch_.write("var/master.key", std::string(44, 'x'));
  const auto other = Environment::open(file_, sdk::StorageOptions::Role::gateway);
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("not the key that this storage was made with"));
}

TEST_F(Commands, TheQueueIsListedShownAndRetried) {
  ASSERT_EQ(
      ran({"keys", "create", "--organization", "demo", "--name", "x", "--permissions", "SEND"})
          .code,
      kDone);
  std::vector<std::string> ids;
  {
    const auto environment = opened(sdk::StorageOptions::Role::tool);
    ASSERT_TRUE(environment);
    for (int i = 0; i < 5; ++i) ids.push_back(enqueue(environment->storage()));
    ids.push_back(enqueue(environment->storage(), "node/1"));
  }
  const auto first = ran({"queue", "list", "--organization", "demo", "--account", "outbox",
                          "--limit", "4", "--json"})
                         .json();
  EXPECT_EQ(first.at("total").to_number<int>(), 6);
  EXPECT_THAT(first.at("deliveries").as_array(), SizeIs(4));
  const auto rest =
      ran({"queue", "list", "--after", std::string{first.at("nextAfter").as_string()}, "--json"})
          .json();
  ASSERT_THAT(rest.at("deliveries").as_array(), SizeIs(2));
  EXPECT_TRUE(rest.at("nextAfter").is_null());
  const auto& last = rest.at("deliveries").at(1).as_object();
  EXPECT_EQ(last.at("messageId").as_string(), ids[5]);
  EXPECT_EQ(last.at("state").as_string(), "held");
  EXPECT_EQ(last.at("heldBy").as_string(), "node/1");

  for (const auto& id : ids) {
    const auto shown = ran({"queue", "show", id, "--json"}).json();
    EXPECT_EQ(shown.at("id").as_string(), id);
    EXPECT_EQ(shown.at("organization").as_string(), "demo");
    EXPECT_EQ(shown.at("delivery").at("attempts").to_number<int>(), 3);
    EXPECT_EQ(shown.at("recipients").at(1).at("address").as_string(), "r1@example.net");
  }
  EXPECT_THAT(ran({"queue", "show", ids[0]}).out, HasSubstr("r1@example.net"));

  EXPECT_EQ(ran({"queue", "retry", ids[0]}).code, kDone);
  EXPECT_EQ(ran({"queue", "show", ids[0], "--json"}).json().at("delivery").at("state").as_string(),
            "due");
  const Ran held = ran({"queue", "retry", ids[5]});
  EXPECT_EQ(held.code, kFailed);
  EXPECT_THAT(held.err, HasSubstr("is being delivered now by node/1"));

  const auto all = ran({"queue", "retry", "--all", "--account",
                        resources::provider_account_id("demo", "outbox"), "--json"})
                       .json();
  EXPECT_EQ(all.at("rescheduled").to_number<int>(), 4);
  EXPECT_EQ(all.at("held").to_number<int>(), 1);
}

TEST_F(Commands, CancelEndsTheRecipientsThatWaitAndNoOthers) {
  ASSERT_EQ(
      ran({"keys", "create", "--organization", "demo", "--name", "x", "--permissions", "SEND"})
          .code,
      kDone);
  std::string id;
  std::string held;
  {
    const auto environment = opened(sdk::StorageOptions::Role::tool);
    ASSERT_TRUE(environment);
    id = enqueue(environment->storage());
    held = enqueue(environment->storage(), "node/1");
  }
  const Ran canceled = ran({"queue", "cancel", id});
  EXPECT_EQ(canceled.code, kDone) << canceled.err;
  EXPECT_THAT(canceled.out, HasSubstr("1 of 2 recipients"));
  const auto shown = ran({"queue", "show", id, "--json"}).json();
  EXPECT_EQ(shown.at("status").as_string(), "canceled");
  EXPECT_TRUE(shown.at("delivery").is_null());
  EXPECT_EQ(shown.at("recipients").at(0).at("status").as_string(), "delivered");
  EXPECT_EQ(shown.at("recipients").at(1).at("status").as_string(), "canceled");
  const auto& event = shown.at("events").as_array().back().as_object();
  EXPECT_EQ(event.at("type").as_string(), "DROPPED");
  EXPECT_EQ(event.at("recipient").as_string(), "r1@example.net");
  EXPECT_EQ(event.at("detail").at("reason").as_string(), "canceled by the operator");

  const Ran again = ran({"queue", "cancel", id});
  EXPECT_EQ(again.code, kFailed);
  EXPECT_THAT(again.err, HasSubstr("not in the queue"));

  const Ran refused = ran({"queue", "cancel", held});
  EXPECT_EQ(refused.code, kFailed);
  EXPECT_THAT(refused.err, HasSubstr("is being delivered now by node/1"));
  const auto untouched = ran({"queue", "show", held, "--json"}).json();
  EXPECT_EQ(untouched.at("status").as_string(), "queued");
  EXPECT_THAT(untouched.at("events").as_array(), IsEmpty());
}

TEST_F(Commands, PluginListNamesThePluginsAndInfoExplainsThem) {
  const auto listed = ran({"plugin", "list", "--json"}).json();
  EXPECT_THAT(listed.at("problems").as_array(), IsEmpty());
  std::string maildir;
  for (const auto& plugin : listed.at("plugins").as_array()) {
    if (plugin.at("name").as_string() == "MAILDIR") maildir = plugin.at("file").as_string().c_str();
  }
  ASSERT_THAT(maildir, Not(IsEmpty()));
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(run({"plugin", "info", maildir}, {in, out, err}, nullptr), kDone) << err.str();
  EXPECT_THAT(out.str(), HasSubstr("path"));
  EXPECT_THAT(out.str(), HasSubstr("finalDelivery"));
}

}  // namespace
}  // namespace postern::cli
