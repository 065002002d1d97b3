#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

#include "base/crypto.h"
#include "config/test_files.h"

namespace postern::config {
namespace {

using test::Environment;
using test::kRequired;
using test::load_with;
using test::TemporaryDirectory;
using test::texts;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::string_view kHash =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr std::string_view kLiveKey = "ms_live_0123456789abcdefghijklmnopqrstuv";
constexpr std::string_view kTestKey = "ms_test_0123456789abcdefghijklmnopqrstuv";

std::vector<std::string> problems_of(std::string_view more) {
  return texts(load_with(more).problems);
}

// One organization with one key made of these lines, "name: …" at 6:9 and on.
std::string with_key(std::string_view lines) {
  std::string text = "organizations:\n- id: o\n  keys:\n  - ";
  for (const char c : lines) {
    text += c;
    if (c == '\n') text += "    ";
  }
  return text;
}

TEST(Load, MinimalFileGivesDefaults) {
  const Loaded loaded = load_with("");
  EXPECT_THAT(texts(loaded.problems), IsEmpty());
  ASSERT_TRUE(loaded.config);
  const Config& config = *loaded.config;
  EXPECT_EQ(config.file, "p.yaml");
  EXPECT_EQ(config.directory, "/etc/postern");
  EXPECT_THAT(config.plugins.directories, ElementsAre("/etc/postern/plugins"));
  EXPECT_EQ(config.secrets.master_key, "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(config.secrets.master_key_file, "");
  EXPECT_EQ(config.server.api.port, 8025);
  EXPECT_EQ(config.storage.plugin, "sqlite");
  EXPECT_THAT(config.organizations, IsEmpty());
  EXPECT_NE(config.server.hostname.find('.'), std::string::npos);
  std::array<char, 256> host{};
  ASSERT_EQ(gethostname(host.data(), host.size() - 1), 0);
  EXPECT_EQ(config.server.node, host.data());
}

TEST(Load, ReadsEverySection) {
  const Environment password{"POSTERN_TEST_PASSWORD", "s3cret: #1"};
  const Loaded loaded = load_with(
      "server:\n"
      "  api: { listen: \"[::1]:0\" }\n"
      "  admin: { listen: \"0.0.0.0:9000\" }\n"
      "  hostname: Mail.Example.com\n"
      "  node: one\n"
      "  workers: 4\n"
      "  limits: { send_body: 1MiB, idle_timeout: 5s, connections: 7 }\n"
      "storage: { plugin: postgres, settings: { host: db, ports: [1, \"2\"] } }\n"
      "rate_limits: { send: 7/s, unauthenticated: 60/h }\n"
      "queue: { lease: 90s, max_messages: 1000000000000 }\n"
      "dispatch: { retry_first: 2m, drain: 0s }\n"
      "logging: { level: debug, format: json }\n"
      "organizations:\n"
      "- id: demo\n"
      "  name: The Demo\n"
      "  unknown_outcome: hold\n"
      "  rate_limits: { send: 5/s }\n"
      "  providers:\n"
      "  - { id: a, type: MAILDIR, settings: { path: x } }\n"
      "  - id: b\n"
      "    type: SMTP\n"
      "    active: false\n"
      "    priority: 2\n"
      "    weight: 3\n"
      "    display_name: Bee\n"
      "    max_concurrency: 4\n"
      "    max_rate: 120/min\n"
      "    credentials: { username: u, password: \"${env:POSTERN_TEST_PASSWORD}\" }\n");
  ASSERT_THAT(texts(loaded.problems), IsEmpty());
  const Config& c = *loaded.config;
  EXPECT_EQ(c.server.api.address, "::1");
  EXPECT_EQ(c.server.api.port, 0);
  EXPECT_EQ(c.server.admin.address, "0.0.0.0");
  EXPECT_EQ(c.server.admin.port, 9000);
  EXPECT_EQ(c.server.hostname, "mail.example.com");
  EXPECT_EQ(c.server.node, "one");
  EXPECT_EQ(c.server.workers, 4U);
  EXPECT_EQ(c.server.max_send_body_bytes, 1ULL << 20);
  EXPECT_EQ(c.server.idle_timeout.count(), 5000);
  EXPECT_EQ(c.server.connections, 7U);
  EXPECT_EQ(c.storage.plugin, "postgres");
  ASSERT_EQ(c.storage.settings.size(), 2U);
  EXPECT_EQ(c.storage.settings[0].name, "host");
  EXPECT_EQ(std::get<std::string>(c.storage.settings[0].value), "db");
  EXPECT_THAT(std::get<std::vector<std::string>>(c.storage.settings[1].value),
              ElementsAre("1", "2"));
  EXPECT_DOUBLE_EQ(c.rate_limits.send.per_second, 7);
  EXPECT_DOUBLE_EQ(c.rate_limits.other.burst, 1000);
  EXPECT_DOUBLE_EQ(c.rate_limits.unauthenticated.burst, 60);
  EXPECT_EQ(c.queue.lease.count(), 90'000);
  EXPECT_EQ(c.queue.max_messages, 1'000'000'000'000ULL);
  EXPECT_EQ(c.dispatch.retry_first.count(), 120'000);
  EXPECT_EQ(c.dispatch.drain.count(), 0);
  EXPECT_EQ(c.logging.level, "debug");
  EXPECT_EQ(c.logging.format, "json");
  ASSERT_EQ(c.organizations.size(), 1U);
  const Organization& o = c.organizations[0];
  EXPECT_EQ(o.slug, "demo");
  EXPECT_EQ(o.name, "The Demo");
  EXPECT_TRUE(o.hold_unknown_outcomes);
  EXPECT_DOUBLE_EQ(o.send_limit->per_second, 5);
  EXPECT_FALSE(o.other_limit);
  ASSERT_EQ(o.providers.size(), 2U);
  EXPECT_TRUE(o.providers[0].active);
  EXPECT_EQ(o.providers[0].display_name, "a");
  EXPECT_EQ(o.providers[0].priority, 1);
  EXPECT_EQ(o.providers[0].max_concurrency, 0U);
  EXPECT_EQ(o.providers[0].max_rate, 0);
  EXPECT_FALSE(o.providers[1].active);
  EXPECT_EQ(o.providers[1].priority, 2);
  EXPECT_EQ(o.providers[1].weight, 3);
  EXPECT_EQ(o.providers[1].display_name, "Bee");
  EXPECT_EQ(o.providers[1].max_concurrency, 4U);
  EXPECT_DOUBLE_EQ(o.providers[1].max_rate, 2);
  EXPECT_EQ(std::get<std::string>(o.providers[1].credentials[1].value), "s3cret: #1");
}

TEST(Load, ReportsAllProblemsAtOnceInTheOrderOfTheFile) {
  EXPECT_THAT(
      texts(load_text("server:\n"
                      "  lisen: x\n"
                      "  workers: many\n"
                      "  workers: 2\n"
                      "storage: sqlite\n"
                      "rate_limits: { send: 100 }\n"
                      "organizations:\n"
                      "- id: Demo Shop\n"
                      "  keys: { name: x }\n"
                      "  providers:\n"
                      "  - type: smtp\n"
                      "    priority: 0\n"
                      "- id: b\n"
                      "  nmae: B\n"
                      "colour: blue\n",
                      "dir/p.yaml", "/")
                .problems),
      ElementsAre(
          "dir/p.yaml:1:1: plugins.directories: is required",
          "dir/p.yaml:1:1: secrets.master_key: is required",
          "dir/p.yaml:2:3: server.lisen: unknown key (known here: api, admin, hostname, node, "
          "workers, limits)",
          "dir/p.yaml:3:12: server.workers: must be a whole number, is \"many\"",
          "dir/p.yaml:4:3: server.workers: is given twice; the first is on line 3 (remove one of "
          "them)",
          "dir/p.yaml:5:10: storage: must be a mapping, is text (its keys: plugin, settings)",
          "dir/p.yaml:6:22: rate_limits.send: must be a rate, is \"100\" (a whole number from 1 to "
          "1000000 a unit: 100/s, 20/min or 3600/h)",
          "dir/p.yaml:8:7: organizations[0].id: must be 1 to 63 of a-z, 0-9 and \"-\", not \"-\" "
          "first, is \"Demo Shop\" (did you mean \"demo-shop\"?)",
          "dir/p.yaml:9:3: organizations[0].keys: must be a list, is a mapping (begin each of its "
          "items with \"- \")",
          "dir/p.yaml:11:5: organizations[0].providers[0].id: is required",
          "dir/p.yaml:11:11: organizations[0].providers[0].type: must be the name of a provider "
          "type, such as SMTP, is \"smtp\" (did you mean \"SMTP\"?)",
          "dir/p.yaml:12:15: organizations[0].providers[0].priority: must be 1 to 1000, is \"0\"",
          "dir/p.yaml:14:3: organizations[1].nmae: unknown key (did you mean \"name\"?)",
          "dir/p.yaml:15:1: colour: unknown key (known here: server, plugins, storage, secrets, "
          "rate_limits, queue, dispatch, logging, organizations)"));
}

struct Wrong {
  std::string_view yaml;     // after kRequired: begins on line 3
  std::string_view problem;  // after "p.yaml:"
};

class LoadRefuses : public testing::TestWithParam<Wrong> {};

TEST_P(LoadRefuses, WithOneProblem) {
  const Loaded loaded = load_with(GetParam().yaml);
  EXPECT_FALSE(loaded.config);
  EXPECT_THAT(texts(loaded.problems), ElementsAre("p.yaml:" + std::string{GetParam().problem}));
}

INSTANTIATE_TEST_SUITE_P(
    Values, LoadRefuses,
    testing::Values(
        Wrong{"server: { api: { listen: \"localhost:80\" } }",
              "3:26: server.api.listen: must be an address and a port, is \"localhost:80\" (write "
              "\"127.0.0.1:80\")"},
        Wrong{"server: { api: { listen: \":80\" } }",
              "3:26: server.api.listen: must be an address and a port, is \":80\" (for every "
              "interface, write \"0.0.0.0:80\")"},
        Wrong{"server: { api: { listen: \"::1:80\" } }",
              "3:26: server.api.listen: must be an address and a port, is \"::1:80\" (IPv6 needs "
              "brackets: \"[::1]:80\")"},
        Wrong{"server: { api: { listen: \"1.2.3.4:99999\" } }",
              "3:26: server.api.listen: must be an address and a port, is \"1.2.3.4:99999\" (a "
              "port is 0 to 65535)"},
        Wrong{"server: { api: { listen: \"mail.example:80\" } }",
              "3:26: server.api.listen: must be an address and a port, is \"mail.example:80\" (an "
              "address such as 127.0.0.1 or [::1], no name)"},
        Wrong{"server: { admin: { listen: \"127.0.0.1:8025\" } }",
              "3:11: server.admin: listens where server.api does (give it another port)"},
        Wrong{"server: { hostname: my_host }",
              "3:21: server.hostname: must be a domain name, such as mail.example.com, is "
              "\"my_host\""},
        Wrong{"server: { hostname: bücher.example }",
              "3:21: server.hostname: must be a domain name, such as mail.example.com, is "
              "\"bücher.example\" (write it in its ASCII form, xn--…)"},
        Wrong{"server: { node: \"\" }", "3:17: server.node: must not be empty"},
        Wrong{"server: { node: \"a\\nb\" }", "3:17: server.node: must be one line of UTF-8 text"},
        Wrong{"server: { workers: 257 }", "3:20: server.workers: must be 0 to 256, is \"257\""},
        Wrong{"server: { workers: -1 }", "3:20: server.workers: must be 0 to 256, is \"-1\""},
        Wrong{"server: { workers: 2.5 }",
              "3:20: server.workers: must be a whole number, is \"2.5\""},
        Wrong{"server: { workers: [1] }", "3:11: server.workers: must be text, is a list"},
        Wrong{"server: { workers: }",
              "3:11: server.workers: has no value (give it one, or remove the key)"},
        Wrong{"server: { limits: { connections: \"10_000\" } }",
              "3:34: server.limits.connections: must be a whole number, is \"10_000\" (write "
              "10000)"},
        Wrong{"server: { limits: { body: 1048576 } }",
              "3:27: server.limits.body: must be a size, is \"1048576\" (add the unit: 1048576B, "
              "KiB, MiB or GiB)"},
        Wrong{"server: { limits: { body: 1 MB } }",
              "3:27: server.limits.body: must be a size, is \"1 MB\" (use B, KiB, MiB or GiB, "
              "without a space: 35MiB)"},
        Wrong{"server: { limits: { body: 2GiB } }",
              "3:27: server.limits.body: must be 1KiB to 1GiB, is \"2GiB\""},
        Wrong{"server: { limits: { idle_timeout: 75 } }",
              "3:35: server.limits.idle_timeout: must be a duration, is \"75\" (such as 500ms, "
              "30s, 5m, 24h or 7d)"},
        Wrong{"dispatch: { give_up_after: 31d }",
              "3:28: dispatch.give_up_after: must be 1s to 30d, is \"31d\""},
        Wrong{"dispatch: { retry_first: 2h }",
              "3:26: dispatch.retry_first: retry_first, 2h, is longer than retry_most, 1h"},
        Wrong{"dispatch: { retry_most: 30s }",
              "3:25: dispatch.retry_most: retry_first, 1m, is longer than retry_most, 30s"},
        Wrong{"storage: { plugin: SQLite }",
              "3:20: storage.plugin: must be the name of a storage plugin, such as sqlite, is "
              "\"SQLite\" (did you mean \"sqlite\"?)"},
        Wrong{"storage: { settings: [path] }",
              "3:12: storage.settings: must be a mapping, is a list"},
        Wrong{"storage: { settings: { a: { b: c } } }",
              "3:24: storage.settings.a: must be text or a list of text, is a mapping"},
        Wrong{"storage: { settings: { a: } }",
              "3:24: storage.settings.a: has no value (give it one, or remove the key)"},
        Wrong{"storage: { settings: { a: [b, [c]] } }",
              "3:31: storage.settings.a[1]: must be text, is a list"},
        Wrong{"logging: { level: warn }",
              "3:19: logging.level: must be one of debug, info, warning, error, is \"warn\" (did "
              "you mean \"warning\"?)"},
        Wrong{"logging: { format: JSON }",
              "3:20: logging.format: must be one of text, json, is \"JSON\" (did you mean "
              "\"json\"?)"},
        Wrong{"rate_limits: { other: 0/s }",
              "3:23: rate_limits.other: must be a rate, is \"0/s\" (a whole number from 1 to "
              "1000000 a unit: 100/s, 20/min or 3600/h)"},
        Wrong{"organizations: { id: o }",
              "3:1: organizations: must be a list, is a mapping (begin each of its items with "
              "\"- \")"},
        Wrong{"organizations: [ o ]",
              "3:18: organizations[0]: must be a mapping, is text (its keys: id, name, "
              "unknown_outcome, rate_limits, keys, providers)"},
        Wrong{"organizations:\n- { id: o }\n- { id: p }\n- { id: o }\n",
              "6:9: organizations[2].id: \"o\" is already the id of organizations[0]"},
        Wrong{"organizations:\n- { id: o, unknown_outcome: drop }\n",
              "4:29: organizations[0].unknown_outcome: must be one of retry, hold, is \"drop\""},
        Wrong{
            "organizations:\n- id: o\n  providers:\n  - { id: a, type: SMTP }\n  - { id: a, type: "
            "SMTP }\n",
            "7:11: organizations[0].providers[1].id: \"a\" is already the id of "
            "organizations[0].providers[0]"},
        Wrong{"organizations:\n- id: o\n  providers:\n  - { id: a, type: SMTP, active: yes }\n",
              "6:34: organizations[0].providers[0].active: must be true or false, is \"yes\" "
              "(write true)"}));

INSTANTIATE_TEST_SUITE_P(
    Interpolation, LoadRefuses,
    testing::Values(
        Wrong{"server: { node: \"${env:POSTERN_TEST_UNSET}\" }",
              "3:17: server.node: the environment variable POSTERN_TEST_UNSET is not set"},
        Wrong{"storage: { settings: { a: \"${file:absent}\" } }",
              "3:27: storage.settings.a: the file /etc/postern/absent does not exist"},
        Wrong{"server: { node: \"${NODE}\" }",
              "3:17: server.node: \"${…}\" is neither ${env:NAME} nor ${file:PATH} (write "
              "${env:NAME} or ${file:PATH}; $${ stands for ${ itself)"}));

TEST(Keys, AreHashedAtOnceAndTellTheirModeByThePrefix) {
  const Loaded loaded = load_with(
      "organizations:\n- id: o\n  keys:\n"
      "  - { name: a, key: " +
      std::string{kLiveKey} +
      ", permissions: [SEND] }\n"
      "  - { name: b, key: " +
      std::string{kTestKey} +
      ", permissions: [SEND] }\n"
      "  - { name: c, key_sha256: " +
      std::string{kHash} +
      ", mode: test, permissions: [SEND],\n"
      "      allowed_ips: [10.0.0.0/8, \"::1\"], sender_domains: [Example.com],\n"
      "      expires_at: 2030-01-01T00:00:00Z }\n");
  ASSERT_THAT(texts(loaded.problems), IsEmpty());
  const auto& keys = loaded.config->organizations[0].keys;
  ASSERT_EQ(keys.size(), 3U);
  EXPECT_EQ(keys[0].key_sha256, sha256_hex(kLiveKey));
  EXPECT_FALSE(keys[0].test);
  EXPECT_EQ(keys[1].key_sha256, sha256_hex(kTestKey));
  EXPECT_TRUE(keys[1].test);
  EXPECT_EQ(keys[2].key_sha256, kHash);
  EXPECT_TRUE(keys[2].test);
  EXPECT_THAT(keys[2].allowed_ips, ElementsAre("10.0.0.0/8", "::1/128"));
  EXPECT_THAT(keys[2].sender_domains, ElementsAre("example.com"));
  EXPECT_EQ(keys[2].expires_at, 1'893'456'000'000);
  EXPECT_THAT(keys[2].permissions, ElementsAre("SEND"));
}

TEST(Keys, NeedExactlyOneOfKeyAndHash) {
  EXPECT_THAT(problems_of(with_key("name: a\npermissions: [SEND]\n")),
              ElementsAre("p.yaml:6:5: organizations[0].keys[0].key: is required, or key_sha256"));
  EXPECT_THAT(problems_of(with_key("name: a\npermissions: [SEND]\nkey: " + std::string{kLiveKey} +
                                   "\nkey_sha256: " + std::string{kHash} + "\n")),
              ElementsAre("p.yaml:9:17: organizations[0].keys[0].key_sha256: key and key_sha256 "
                          "exclude each other (remove one of them)"));
}

TEST(Keys, OfTheWrongFormAreRefusedWithoutBeingShown) {
  EXPECT_THAT(problems_of(with_key("name: a\npermissions: [SEND]\nkey: hunter2\n")),
              ElementsAre("p.yaml:8:10: organizations[0].keys[0].key: must be ms_live_ or ms_test_ "
                          "and at least 32 of A-Z, a-z, 0-9, _ and - (postern keys create makes "
                          "one)"));
  EXPECT_THAT(problems_of(with_key("name: a\npermissions: [SEND]\nkey_sha256: hunter2\n")),
              ElementsAre("p.yaml:8:17: organizations[0].keys[0].key_sha256: must have 64 "
                          "characters, has 7"));
  EXPECT_THAT(problems_of(with_key(
                  "name: a\npermissions: [SEND]\nkey_sha256: " + std::string(64, 'g') + "\n")),
              ElementsAre("p.yaml:8:17: organizations[0].keys[0].key_sha256: must be 64 "
                          "hexadecimal digits (printf %s \"$KEY\" | sha256sum)"));
  EXPECT_THAT(problems_of(with_key("name: a\npermissions: [SEND]\nmode: test\nkey: " +
                                   std::string{kLiveKey} + "\n")),
              ElementsAre("p.yaml:8:11: organizations[0].keys[0].mode: is \"test\", but the key is "
                          "ms_live_… (remove mode)"));
}

TEST(Keys, MayStandOnlyOnceInTheFile) {
  const std::string hash{sha256_hex(kLiveKey)};
  EXPECT_THAT(
      problems_of("organizations:\n"
                  "- id: o\n"
                  "  keys: [ { name: a, permissions: [SEND], key: " +
                  std::string{kLiveKey} +
                  " } ]\n"
                  "- id: p\n"
                  "  keys:\n"
                  "  - { name: a, permissions: [SEND], key_sha256: " +
                  hash +
                  " }\n"
                  "  - { name: a, permissions: [SEND], key_sha256: " +
                  std::string{kHash} + " }\n"),
      ElementsAre("p.yaml:8:49: organizations[1].keys[0].key_sha256: is the same key as "
                  "organizations[0].keys[0]",
                  "p.yaml:9:13: organizations[1].keys[1].name: \"a\" is already the name of "
                  "organizations[1].keys[0]"));
}

TEST(Keys, ListsAreCheckedItemByItem) {
  EXPECT_THAT(
      problems_of(with_key("name: a\n"
                           "key_sha256: " +
                           std::string{kHash} +
                           "\n"
                           "permissions: [SEND, send, SENT, SEND, COOK]\n"
                           "allowed_ips: [10.1.2.3/8, home]\n"
                           "sender_domains: [me@example.com, a_b]\n"
                           "expires_at: tomorrow\n")),
      ElementsAre(
          "p.yaml:8:25: organizations[0].keys[0].permissions[1]: must be a permission, is \"send\" "
          "(did you mean \"SEND\"?)",
          "p.yaml:8:31: organizations[0].keys[0].permissions[2]: must be a permission, is \"SENT\" "
          "(did you mean \"SEND\"?)",
          "p.yaml:8:37: organizations[0].keys[0].permissions[3]: SEND is in the list already",
          "p.yaml:8:43: organizations[0].keys[0].permissions[4]: must be a permission, is \"COOK\" "
          "(the permissions: SEND MESSAGES_READ MESSAGES_READ_CONTENT TEMPLATES_READ "
          "TEMPLATES_WRITE PROVIDERS_READ PROVIDERS_WRITE METRICS_READ DOMAINS_WRITE "
          "SUPPRESSIONS_READ SUPPRESSIONS_WRITE SETTINGS_WRITE)",
          "p.yaml:9:19: organizations[0].keys[0].allowed_ips[0]: has bits set after the range's "
          "length, is \"10.1.2.3/8\" (did you mean \"10.0.0.0/8\"?)",
          "p.yaml:9:31: organizations[0].keys[0].allowed_ips[1]: must be an address or a range of "
          "addresses, is \"home\" (such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32)",
          "p.yaml:10:22: organizations[0].keys[0].sender_domains[0]: must be a domain name, is "
          "\"me@example.com\" (did you mean \"example.com\"?)",
          "p.yaml:10:38: organizations[0].keys[0].sender_domains[1]: must be a domain name, is "
          "\"a_b\"",
          "p.yaml:11:17: organizations[0].keys[0].expires_at: must be a time, is \"tomorrow\" "
          "(such as 2030-12-31T23:59:59Z)"));
}

TEST(Keys, RestrictionsThatAreEmptyAreRefusedRatherThanReadAsNone) {
  EXPECT_THAT(problems_of(with_key("name: a\nkey_sha256: " + std::string{kHash} +
                                   "\npermissions: []\nallowed_ips: []\nsender_domains:\n")),
              ElementsAre("p.yaml:8:5: organizations[0].keys[0].permissions: must have 1 to 64 "
                          "items, has 0",
                          "p.yaml:9:5: organizations[0].keys[0].allowed_ips: must have 1 to 1000 "
                          "items, has 0",
                          "p.yaml:10:5: organizations[0].keys[0].sender_domains: must be a list, "
                          "is nothing"));
  EXPECT_THAT(
      problems_of(with_key("name: a\nkey_sha256: " + std::string{kHash} + "\npermissions: SEND\n")),
      ElementsAre("p.yaml:8:18: organizations[0].keys[0].permissions: must be a list, is "
                  "text (write [SEND])"));
}

TEST(MasterKey, IsReadFromItsFile) {
  const TemporaryDirectory directory;
  directory.write("master.key", "0123456789abcdef0123456789abcdeX\n");
  const Loaded loaded = load_text(
      "plugins: { directories: [/p, ../q] }\nsecrets: { master_key: \"${file:master.key}\" }\n",
      "f", directory.path());
  ASSERT_THAT(texts(loaded.problems), IsEmpty());
  EXPECT_EQ(loaded.config->secrets.master_key, "0123456789abcdef0123456789abcdeX");
  EXPECT_EQ(loaded.config->secrets.master_key_file, directory.path() + "/master.key");
}

TEST(MasterKey, StaysEmptyWhenItsFileDoesNotExist) {
  const Loaded loaded = load_text(
      "plugins: { directories: [p] }\nsecrets: { master_key: \"${file:../var/master.key}\" }\n",
      "f", "/nowhere/etc");
  ASSERT_THAT(texts(loaded.problems), IsEmpty());
  EXPECT_EQ(loaded.config->secrets.master_key, "");
  EXPECT_EQ(loaded.config->secrets.master_key_file, "/nowhere/var/master.key");
}

TEST(MasterKey, ThatIsTooShortIsRefusedWithoutBeingShown) {
  const TemporaryDirectory directory;
  directory.write("master.key", "\n");
  EXPECT_THAT(texts(load_text("plugins: { directories: [p] }\n"
                              "secrets: { master_key: \"${file:master.key}\" }\n",
                              "f", directory.path())
                        .problems),
              ElementsAre("f:2:24: secrets.master_key: must have 32 to 4096 characters, has 0 "
                          "(openssl rand -base64 32 makes one)"));
  EXPECT_THAT(
      texts(load_text("plugins: { directories: [p] }\nsecrets: { master_key: hunter2 }\n", "f", "/")
                .problems),
      ElementsAre("f:2:24: secrets.master_key: must have 32 to 4096 characters, has 7 "
                  "(openssl rand -base64 32 makes one)"));
  EXPECT_THAT(texts(load_text("plugins: { directories: [p] }\n"
                              "secrets: { master_key: \"x${file:absent}\" }\n",
                              "f", "/d")
                        .problems),
              ElementsAre("f:2:24: secrets.master_key: the file /d/absent does not exist"));
}

TEST(Problems, NeverShowWhatCameFromOutside) {
  const Environment secret{"POSTERN_TEST_SECRET", "hunter2"};
  const Loaded loaded = load_with(
      "server: { api: { listen: \"${env:POSTERN_TEST_SECRET}\" }, workers: "
      "\"${env:POSTERN_TEST_SECRET}\",\n"
      "  hostname: \"${env:POSTERN_TEST_SECRET} \", limits: { body: "
      "\"${env:POSTERN_TEST_SECRET}\", idle_timeout: \"${env:POSTERN_TEST_SECRET}\" } }\n"
      "logging: { level: \"${env:POSTERN_TEST_SECRET}\" }\n"
      "rate_limits: { send: \"${env:POSTERN_TEST_SECRET}\" }\n"
      "storage: { plugin: \"${env:POSTERN_TEST_SECRET}!\" }\n"
      "organizations:\n"
      "- id: \"${env:POSTERN_TEST_SECRET} x\"\n"
      "  providers: [ { id: a, type: \"${env:POSTERN_TEST_SECRET}\", active: "
      "\"${env:POSTERN_TEST_SECRET}\" } ]\n"
      "  keys: [ { name: a, key: \"${env:POSTERN_TEST_SECRET}\", permissions: "
      "[\"${env:POSTERN_TEST_SECRET}\"], allowed_ips: [\"${env:POSTERN_TEST_SECRET}\"],\n"
      "    sender_domains: [\"me@${env:POSTERN_TEST_SECRET}.example\"], expires_at: "
      "\"${env:POSTERN_TEST_SECRET}\" } ]\n");
  EXPECT_EQ(loaded.problems.size(), 16U);
  for (const std::string& text : texts(loaded.problems)) {
    EXPECT_THAT(text, Not(HasSubstr("hunter")));
  }
}

TEST(Problems, ShortenLongValues) {
  const auto problems = problems_of("logging: { level: " + std::string(5000, 'x') + " }");
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_LT(problems[0].size(), 200U);
  EXPECT_THAT(problems[0], HasSubstr("xxx…\""));
}

TEST(Problems, AreBounded) {
  std::string yaml = "server:\n";
  for (int i = 0; i < 3000; ++i) yaml += "  k" + std::to_string(i) + ": x\n";
  const auto problems = problems_of(yaml);
  ASSERT_EQ(problems.size(), 1001U);
  EXPECT_EQ(problems.back(), "p.yaml: and 2000 more problems");
}

TEST(Problems, OfSyntaxNameLineAndColumn) {
  EXPECT_THAT(problems_of("server: { api: { listen: \"127.0.0.1:1\" }\n"),
              ElementsAre("p.yaml:4:1: \"{\" is not closed by \"}\""));
}

TEST(Problems, OfTheWholeFile) {
  EXPECT_THAT(texts(load_text("", "f", "/").problems),
              ElementsAre("f:1:1: plugins.directories: is required",
                          "f:1:1: secrets.master_key: is required"));
  EXPECT_THAT(
      texts(load_text("- a\n", "f", "/").problems),
      ElementsAre("f:1:1: must be a mapping, is a list (its keys: server, plugins, storage, "
                  "secrets, rate_limits, queue, dispatch, logging, organizations)"));
}

TEST(Load, SaysWhyAFileCannotBeRead) {
  const TemporaryDirectory directory;
  EXPECT_THAT(texts(load(directory.path() + "/absent.yaml").problems),
              ElementsAre(directory.path() + "/absent.yaml: can't be read: No such file or "
                                             "directory"));
  EXPECT_THAT(texts(load(directory.path()).problems),
              ElementsAre(directory.path() + ": is a directory (name the file in it)"));
  EXPECT_FALSE(load("").config);
  const std::string large = directory.write("large.yaml", std::string((4U << 20) + 1, '#'));
  EXPECT_THAT(texts(load(large).problems), ElementsAre(large + ": the file is larger than 4 MiB"));
}

TEST(Load, TakesPathsRelativeToTheDirectoryOfTheFile) {
  const TemporaryDirectory directory;
  const Loaded loaded = load(directory.write("p.yaml", kRequired));
  ASSERT_TRUE(loaded.config);
  EXPECT_EQ(loaded.config->directory, directory.path());
  EXPECT_THAT(loaded.config->plugins.directories, ElementsAre(directory.path() + "/plugins"));
}

TEST(Load, EmptySectionsAreAsGoodAsNone) {
  EXPECT_THAT(problems_of("server:\n  api:\n  limits:\nqueue:\norganizations:\nstorage:\n  "
                          "settings:\n"),
              IsEmpty());
  EXPECT_THAT(problems_of("organizations:\n- id: o\n  keys:\n  providers:\n  rate_limits:\n"),
              IsEmpty());
}

TEST(ProblemAt, PointsAtThePathOrTheNearestAroundIt) {
  const Loaded loaded = load_with(
      "storage:\n"
      "  settings: { path: x }\n"
      "organizations:\n"
      "- id: o\n"
      "  providers:\n"
      "  - id: a\n"
      "    type: SMTP\n"
      "    settings: { host: h, names: [a, b] }\n");
  ASSERT_THAT(texts(loaded.problems), IsEmpty());
  const auto at = [&](const char* path) {
    return to_text(problem_at(*loaded.config, path, "bad", "fix"));
  };
  EXPECT_EQ(at("storage.settings.path"), "p.yaml:4:21: storage.settings.path: bad (fix)");
  EXPECT_EQ(at("storage.settings.other"), "p.yaml:4:3: storage.settings.other: bad (fix)");
  EXPECT_EQ(at("organizations[0].providers[0].type"),
            "p.yaml:9:11: organizations[0].providers[0].type: bad (fix)");
  EXPECT_EQ(at("organizations[0].providers[0].settings.names[1]"),
            "p.yaml:10:37: organizations[0].providers[0].settings.names[1]: bad (fix)");
  EXPECT_EQ(at("organizations[0].providers[0].credentials.password"),
            "p.yaml:8:5: organizations[0].providers[0].credentials.password: bad (fix)");
  EXPECT_EQ(at("organizations[0]"), "p.yaml:6:3: organizations[0]: bad (fix)");
  EXPECT_EQ(at("dispatch.drain"), "p.yaml: dispatch.drain: bad (fix)");
}

}  // namespace
}  // namespace postern::config
