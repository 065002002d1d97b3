#include "plugin_host/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postern::plugin_host {
namespace {

using sdk::Field;
using sdk::FieldType;
using sdk::RawSetting;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

Field field(const std::string& name, FieldType type) {
  Field made;
  made.name = name;
  made.type = type;
  return made;
}

sdk::Schema schema() {
  Field host = field("host", FieldType::text);
  host.required = true;
  Field port = field("port", FieldType::integer);
  port.min = 1;
  port.max = 65535;
  port.default_value = "587";
  Field timeout = field("timeout", FieldType::duration);
  timeout.min = 1000;
  timeout.max = 60'000;
  timeout.default_value = "30s";
  Field security = field("security", FieldType::choice);
  security.choices = {"starttls", "tls", "none"};
  security.default_value = "starttls";
  Field verify = field("verify", FieldType::boolean);
  verify.default_value = "true";
  Field names = field("names", FieldType::text_list);
  names.default_value = "[a, b]";
  Field password = field("password", FieldType::text);
  password.secret = true;
  Field pin = field("pin", FieldType::integer);
  pin.secret = true;
  return {host,     port,   timeout,
          security, verify, names,
          password, pin,    field("folder", FieldType::path)};
}

TEST(Settings, GiveEachItsTypeAndCompleteTheDefaults) {
  const auto settings = resolve(schema(), {{"host", "mail.example"}, {"timeout", "1500ms"}}, "/etc",
                                "storage.settings");
  ASSERT_TRUE(settings.ok()) << settings.error().issues.at(0).message;
  EXPECT_EQ(settings->text("host"), "mail.example");
  EXPECT_EQ(settings->integer("port"), 587);
  EXPECT_EQ(settings->integer("timeout"), 1500);
  EXPECT_EQ(settings->text("security"), "starttls");
  EXPECT_TRUE(settings->flag("verify"));
  EXPECT_THAT(settings->list("names"), ElementsAre("a", "b"));
  EXPECT_FALSE(settings->has("password"));
  EXPECT_FALSE(settings->has("folder"));
}

TEST(Settings, MakeRelativePathsAbsolute) {
  const auto relative =
      resolve(schema(), {{"host", "h"}, {"folder", "../var/mail"}}, "/etc/postern", "");
  ASSERT_TRUE(relative.ok());
  EXPECT_EQ(relative->text("folder"), "/etc/var/mail");
  const auto absolute = resolve(schema(), {{"host", "h"}, {"folder", "/srv/mail"}}, "/etc", "");
  ASSERT_TRUE(absolute.ok());
  EXPECT_EQ(absolute->text("folder"), "/srv/mail");
}

TEST(Settings, RefuseEachMistakeWithItsPathAndCode) {
  using Raw = std::variant<std::string, std::vector<std::string>>;
  const struct {
    std::string name;
    Raw value;
    std::string code;
    std::string part;
  } cases[] = {
      {"port", "many", "wrong_type", "must be an integer, not \"many\""},
      {"port", "25x", "wrong_type", "must be an integer"},
      {"port", "0", "out_of_range", "must be from 1 to 65535, not \"0\""},
      {"port", "65536", "out_of_range", "from 1 to 65535"},
      {"port", "99999999999999999999", "wrong_type", "must be an integer"},
      {"port", std::vector<std::string>{"25"}, "wrong_type", "not a list"},
      {"timeout", "10", "wrong_type", "must be a duration"},
      {"timeout", "61s", "out_of_range", "from 1s to"},
      {"security", "startls", "unknown_choice", "did you mean \"starttls\"?"},
      {"verify", "yes", "wrong_type", "true or false, not \"yes\""},
      {"names", "a", "wrong_type", "must be a list"},
      {"names", std::vector<std::string>{"a", "\xff"}, "bad_text", "UTF-8"},
      {"folder", "", "wrong_type", "must be a path"},
      {"prot", "25", "unknown_key", "did you mean \"port\"?"},
      {"zzzzzzzzzzzz", "25", "unknown_key", "known are host, port"},
      {"password", std::string{"a\0b", 3}, "bad_text", "without NUL"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name + " " + c.part);
    const auto settings = resolve(schema(), {{"host", "h"}, {c.name, c.value}}, "/etc", "p[0]");
    ASSERT_FALSE(settings.ok());
    ASSERT_THAT(settings.error().issues, SizeIs(1));
    EXPECT_EQ(settings.error().issues[0].path, "p[0]." + c.name);
    EXPECT_EQ(settings.error().issues[0].code, c.code);
    EXPECT_THAT(settings.error().issues[0].message, HasSubstr(c.part));
  }
}

TEST(Settings, RefuseWhatIsMissingEmptyOrGivenTwice) {
  const auto missing = resolve(schema(), {}, "/", "");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().issues.at(0).path, "host");
  EXPECT_EQ(missing.error().issues.at(0).code, "required");
  const auto empty = resolve(schema(), {{"host", ""}}, "/", "");
  ASSERT_FALSE(empty.ok());
  EXPECT_EQ(empty.error().issues.at(0).code, "required");
  const auto twice = resolve(schema(), {{"host", "a"}, {"host", "b"}}, "/", "");
  ASSERT_FALSE(twice.ok());
  EXPECT_EQ(twice.error().issues.at(0).code, "duplicate");
}

TEST(Settings, ReportEverythingAtOnce) {
  const auto settings =
      resolve(schema(), {{"port", "x"}, {"verify", "y"}, {"nope_nope", "z"}}, "/", "");
  ASSERT_FALSE(settings.ok());
  EXPECT_THAT(settings.error().issues, SizeIs(4));  // and host is missing
}

TEST(Settings, NeverShowTheValueOfASecret) {
  const auto by_field = resolve(schema(), {{"host", "h"}, {"pin", "hunter2"}}, "/", "");
  ASSERT_FALSE(by_field.ok());
  ASSERT_THAT(by_field.error().issues, SizeIs(1));
  EXPECT_THAT(by_field.error().issues[0].message, Not(HasSubstr("hunter2")));

  const auto all = resolve(schema(),
                           {{"host", "h"},
                            {"port", "hunter2"},
                            {"security", "hunter2"},
                            {"timeout", "hunter2"},
                            {"verify", "hunter2"},
                            {"unknown", "hunter2"}},
                           "/", "credentials", true);
  ASSERT_FALSE(all.ok());
  EXPECT_THAT(all.error().issues, SizeIs(5));
  for (const Issue& issue : all.error().issues) {
    EXPECT_THAT(issue.message, Not(HasSubstr("hunter2"))) << issue.path;
  }
}

TEST(Settings, FindNothingWrongWithAGoodSchema) {
  EXPECT_THAT(check_schema(schema(), "settings"), IsEmpty());
}

TEST(Settings, FindADefaultOutsideItsRangeAndChoicesWhereNoneBelong) {
  Field port = field("port", FieldType::integer);
  port.max = 10;
  port.default_value = "11";
  Field text = field("text", FieldType::text);
  text.choices = {"a"};
  Field list = field("list", FieldType::text_list);
  list.default_value = "a, b";
  const auto issues = check_schema({port, text, list}, "settings");
  ASSERT_THAT(issues, SizeIs(3));
  EXPECT_EQ(issues[0].path, "settings.port.default_value");
  EXPECT_THAT(issues[0].message, HasSubstr("must be at most 10, not \"11\""));
  EXPECT_EQ(issues[1].path, "settings.text.choices");
  EXPECT_EQ(issues[2].path, "settings.list.default_value");
}

}  // namespace
}  // namespace postern::plugin_host
