#include "resources/codec.h"

#include <gtest/gtest.h>

namespace postern::resources {
namespace {

const SecretBox& secrets() {
  static const SecretBox box = *SecretBox::make(std::string(32, 'm'));
  return box;
}

TEST(Codec, GivesBackTheOrganizationThatWasWritten) {
  Organization organization{"id", "demo", "Demo \"Inc\"", true, false, true, Limit{5, 10}, {}};
  const auto read = organization_from(to_document(organization));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, organization);
}

TEST(Codec, GivesBackTheKeyThatWasWritten) {
  ApiKey key;
  key.id = "k";
  key.organization = "o";
  key.name = "ci";
  key.sha256 = std::string(64, 'a');
  key.test = true;
  key.permissions = {Permission::send, Permission::metrics_read};
  key.allowed_ips = {"10.0.0.0/8"};
  key.sender_domains = {"example.com"};
  key.expires_at = 1'800'000'000'000;
  const auto read = api_key_from(to_document(key));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, key);
}

TEST(Codec, SealsCredentialsAndGivesThemBack) {
  ProviderAccount account;
  account.id = "a";
  account.organization = "o";
  account.slug = "relay";
  account.type = "SMTP";
  account.display_name = "Relay";
  account.max_rate = 12.5;
  account.settings = {{"host", std::string{"smtp.example.com"}},
                      {"list", std::vector<std::string>{"x", "y"}}};
  account.credentials = {{"password", std::string{"hunter2hunter2"}}};
  const sdk::Document document = to_document(account, secrets());
  EXPECT_EQ(document.json.find("hunter2"), std::string::npos);
  const auto read = provider_account_from(document, secrets());
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, account);
}

TEST(Codec, RefusesCredentialsMovedToAnotherAccount) {
  ProviderAccount account;
  account.id = "a";
  account.credentials = {{"password", std::string{"hunter2hunter2"}}};
  sdk::Document document = to_document(account, secrets());
  document.id = "b";
  EXPECT_FALSE(provider_account_from(document, secrets()));
}

TEST(Codec, NamesTheDocumentThatCannotBeRead) {
  sdk::Document document;
  document.kind = kOrganizationKind;
  document.id = "broken";
  document.json = "{\"slug\": 5}";
  const auto read = organization_from(document);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("organization/broken"), std::string::npos);
}

}  // namespace
}  // namespace postern::resources
