#include "cli/check.h"

#include <gmock/gmock.h>

#include "cli/environment.h"

namespace postern::cli {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr const char* kYaml =
    "plugins:\n"
    "  directories: [nowhere]\n"
    "storage:\n"
    "  plugin: sqlite\n"
    "  settings:\n"
    "    path: x.db\n"
    "    prot: 70000\n"
    "organizations:\n"
    "  - id: demo\n"
    "    name: Demo\n"
    "    providers:\n"
    "      - id: outbox\n"
    "        type: MAILDIR\n"
    "        settings: { path: out }\n"
    "        credentials: { password: hunter2-is-no-number }\n"
    "secrets:\n"
    "  master_key: ${file:master.key}\n";

config::Config parsed() {
  auto loaded = config::load_text(kYaml, "p.yaml", ".");
  for (const auto& problem : loaded.problems) ADD_FAILURE() << config::to_text(problem);
  return loaded.config.value_or(config::Config{});
}

std::vector<std::string> texts(const std::vector<config::Problem>& problems) {
  std::vector<std::string> out;
  for (const auto& problem : problems) out.push_back(config::to_text(problem));
  return out;
}

sdk::Field field(const char* name, sdk::FieldType type) {
  sdk::Field out;
  out.name = name;
  out.type = type;
  return out;
}

TEST(CheckSettings, TellsEveryProblemWithItsPlaceInTheFile) {
  const auto config = parsed();
  sdk::Field needed = field("name", sdk::FieldType::text);
  needed.required = true;
  const auto problems = check_settings(config, {field("path", sdk::FieldType::path), needed},
                                       config.storage.settings, "storage.settings", false);
  const auto lines = texts(problems);
  ASSERT_THAT(lines, SizeIs(2)) << ::testing::PrintToString(lines);
  EXPECT_THAT(lines, Contains(HasSubstr("p.yaml:7:11: storage.settings.prot")));
  // What is missing is told at the nearest place that exists.
  EXPECT_THAT(lines, Contains(HasSubstr("storage.settings.name")));
  for (const auto& line : lines) EXPECT_THAT(line, HasSubstr("p.yaml:"));
}

TEST(CheckSettings, NeverShowsACredential) {
  const auto config = parsed();
  const auto lines = texts(check_settings(config, {field("password", sdk::FieldType::integer)},
                                          config.organizations.at(0).providers.at(0).credentials,
                                          "organizations[0].providers[0].credentials", true));
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr("p.yaml:15:"));
  EXPECT_THAT(lines[0], HasSubstr("organizations[0].providers[0].credentials.password"));
  EXPECT_THAT(lines[0], Not(HasSubstr("hunter2")));
}

TEST(CheckPlugins, NamesEveryPluginThatIsNotLoaded) {
  const auto config = parsed();
  const Tools tools{config, Tools::Logs::quiet};
  const auto lines = texts(check_plugins(config, tools.plugins));
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_THAT(lines[0], HasSubstr("p.yaml:4:"));
  EXPECT_THAT(lines[0], HasSubstr("the storage plugin \"sqlite\" is not loaded"));
  EXPECT_THAT(lines[0], HasSubstr("plugins.directories"));
  EXPECT_THAT(lines[1], HasSubstr("p.yaml:13:"));
  EXPECT_THAT(lines[1], HasSubstr("organizations[0].providers[0].type"));
  EXPECT_THAT(lines[1], HasSubstr("\"MAILDIR\""));
}

}  // namespace
}  // namespace postern::cli
