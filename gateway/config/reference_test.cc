// The table of keys, config/README.md and the files in config/ must agree.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <type_traits>

#include "base/bytes.h"
#include "base/clock.h"
#include "config/keys.h"
#include "config/test_files.h"
#include "config/values.h"

namespace postern::config {
namespace {

using test::Environment;
using test::load_with;
using test::texts;
using testing::ElementsAreArray;
using testing::IsEmpty;

const std::filesystem::path kDirectory = POSTERN_CONFIG_DIRECTORY;

std::string read(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// "section | key | type | default | range" of every row, in order.
std::vector<std::string> rows_of_reference() {
  std::vector<std::string> rows;
  std::istringstream in{read(kDirectory / "README.md")};
  std::string section = "none";
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("## ")) {
      section = line.substr(3);
      if (section == "The file") section = "";
      if (section == "How values are written") section = "none";
      continue;
    }
    if (section == "none" || !line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    std::istringstream cut{line.substr(1)};
    for (std::string cell; std::getline(cut, cell, '|');) cells.emplace_back(trim(cell));
    if (cells.size() < 5 || cells[4].empty()) {
      rows.push_back("no meaning: " + line);
      continue;
    }
    rows.push_back(section + " | " + cells[0] + " | " + cells[1] + " | " + cells[2] + " | " +
                   cells[3]);
  }
  return rows;
}

TEST(Reference, DocumentsEveryKeyThatIsReadAndNoOther) {
  std::vector<std::string> expected;
  for (const Key& key : all_keys()) {
    expected.push_back(std::string{key.section} + " | `" + std::string{key.name} + "` | " +
                       std::string{type_text(key)} + " | " + default_text(key) + " | " +
                       range_text(key));
  }
  EXPECT_THAT(rows_of_reference(), ElementsAreArray(expected));
}

TEST(Reference, NamesEveryPermission) {
  const std::string text = read(kDirectory / "README.md");
  std::string list;
  for (const std::string_view name : permission_names()) {
    list += (list.empty() ? "" : ", ") + std::string{name};
  }
  EXPECT_NE(text.find("| " + list + " |"), std::string::npos);
}

TEST(Reference, TableOfKeysHasASectionForEveryMappingAndNoStraySection) {
  std::vector<std::string> sections{""};
  for (const Key& key : all_keys()) {
    const std::string path = key.section.empty()
                                 ? std::string{key.name}
                                 : std::string{key.section} + '.' + std::string{key.name};
    if (key.type == Type::mapping) sections.push_back(path);
    if (key.type == Type::mappings) sections.push_back(path + "[]");
  }
  for (const std::string& section : sections) {
    EXPECT_TRUE(std::any_of(all_keys().begin(), all_keys().end(), [&](const Key& key) {
      return key.section == section;
    })) << section;
  }
  for (const Key& key : all_keys()) {
    EXPECT_THAT(sections, testing::Contains(std::string{key.section}));
  }
}

// YAML that sets one key of a fixed section.
std::string yaml_for(const Key& key, const std::string& value) {
  std::string text, indent;
  std::istringstream in{std::string{key.section}};
  for (std::string part; std::getline(in, part, '.');) {
    text += indent + part + ":\n";
    indent += "  ";
  }
  return text + indent + std::string{key.name} + ": \"" + value + "\"\n";
}

// What a key of a fixed section holds, as text.
std::string held(const Key& key, Config& config) {
  return std::visit(
      [&](auto member) -> std::string {
        if constexpr (std::is_same_v<decltype(member), std::monostate>) {
          return "";
        } else {
          const auto& field = member(config);
          using Field = std::remove_cvref_t<decltype(field)>;
          if constexpr (std::is_same_v<Field, std::string>) return field;
          if constexpr (std::is_integral_v<Field>) return std::to_string(field);
          if constexpr (std::is_same_v<Field, std::chrono::milliseconds>) {
            return std::to_string(field.count());
          }
          if constexpr (std::is_same_v<Field, RateLimit>) {
            return std::to_string(field.per_second) + " " + std::to_string(field.burst);
          }
          if constexpr (std::is_same_v<Field, Endpoint>) {
            return field.address + " " + std::to_string(field.port);
          }
        }
      },
      key.target);
}

TEST(Reference, DefaultsInTheTableAreThoseOfTheStruct) {
  int compared = 0;
  for (const Key& key : all_keys()) {
    if (std::holds_alternative<std::monostate>(key.target) || key.fallback.empty()) continue;
    Loaded loaded = load_with(yaml_for(key, std::string{key.fallback}));
    ASSERT_THAT(texts(loaded.problems), IsEmpty()) << key.section << '.' << key.name;
    Config plain;
    EXPECT_EQ(held(key, *loaded.config), held(key, plain)) << key.section << '.' << key.name;
    ++compared;
  }
  EXPECT_GE(compared, 30);
}

TEST(Reference, RangesAreHeldToTheLastUnit) {
  int checked = 0;
  for (const Key& key : all_keys()) {
    if (std::holds_alternative<std::monostate>(key.target) || key.max == 0) continue;
    if (key.type == Type::text) continue;
    const auto written = [&](std::int64_t value) {
      if (key.type == Type::duration) return std::to_string(value) + "ms";
      if (key.type == Type::size) return std::to_string(value) + "B";
      return std::to_string(value);
    };
    // Keys that are compared with each other are widened, so that one range is seen at a time.
    const auto count = [&](std::int64_t value) {
      std::string yaml = yaml_for(key, written(value));
      if (key.name == "retry_first") yaml += "  retry_most: 7d\n";
      if (key.name == "retry_most") yaml += "  retry_first: 10ms\n";
      return load_with(yaml).problems.size();
    };
    EXPECT_EQ(count(key.min), 0U) << key.section << '.' << key.name;
    EXPECT_EQ(count(key.max), 0U) << key.section << '.' << key.name;
    EXPECT_EQ(count(key.min - 1), 1U) << key.section << '.' << key.name;
    EXPECT_EQ(count(key.max + 1), 1U) << key.section << '.' << key.name;
    ++checked;
  }
  EXPECT_GE(checked, 20);
}

TEST(Reference, EveryKeyOfAFixedSectionSetsAMemberOfItsOwn) {
  for (const Key& key : all_keys()) {
    if (key.type != Type::duration && key.type != Type::integer && key.type != Type::size) continue;
    if (std::holds_alternative<std::monostate>(key.target)) continue;
    const std::int64_t value = key.max - 1;
    std::string yaml = yaml_for(key, std::to_string(value) + (key.type == Type::duration ? "ms"
                                                              : key.type == Type::size   ? "B"
                                                                                         : ""));
    if (key.name == "retry_first") yaml += "  retry_most: 7d\n";
    Loaded loaded = load_with(yaml);
    ASSERT_TRUE(loaded.config) << key.section << '.' << key.name;
    EXPECT_EQ(held(key, *loaded.config), std::to_string(value)) << key.section << '.' << key.name;
    Config plain;
    for (const Key& other : all_keys()) {
      if (&other == &key || other.name == "retry_most" || other.name == "hostname" ||
          other.name == "node") {
        continue;
      }
      EXPECT_EQ(held(other, *loaded.config), held(other, plain))
          << key.section << '.' << key.name << " changed " << other.name;
    }
  }
}

TEST(Reference, DefaultFileLoadsWithoutAnyEnvironment) {
  const Loaded loaded = load((kDirectory / "postern.yaml").string());
  ASSERT_THAT(texts(loaded.problems), IsEmpty());
  const Config& config = *loaded.config;
  EXPECT_EQ(config.storage.plugin, "sqlite");
  ASSERT_EQ(config.organizations.size(), 1U);
  EXPECT_EQ(config.organizations[0].slug, "demo");
  ASSERT_EQ(config.organizations[0].providers.size(), 1U);
  EXPECT_EQ(config.organizations[0].providers[0].type, "MAILDIR");
  EXPECT_TRUE(config.organizations[0].providers[0].active);
  EXPECT_EQ(read(kDirectory / "postern.yaml").find("\n  - ${env"), std::string::npos);
}

// The comments offer a key and a relay: taking the comments away must give a file that loads.
TEST(Reference, DefaultFileLoadsWithItsCommentedPartsToo) {
  const Environment key{"POSTERN_KEY", "ms_live_0123456789abcdef0123456789abcdef"};
  const Environment password{"SMTP_PASSWORD", "x"};
  std::istringstream in{read(kDirectory / "postern.yaml")};
  std::string text;
  for (std::string line; std::getline(in, line);) {
    const std::size_t hash = line.find("# ");
    const std::string rest = hash == std::string::npos ? "" : line.substr(hash + 2);
    const bool yaml = !rest.empty() && (rest[0] == ' ' || rest[0] == '-' || rest == "keys:");
    if (hash != std::string::npos && std::string_view{trim(line)}.starts_with("#") && yaml) {
      line = line.substr(0, hash) + rest;
    }
    text += line + '\n';
  }
  const Loaded loaded = load_text(text, "postern.yaml", kDirectory.string());
  ASSERT_THAT(texts(loaded.problems), IsEmpty());
  EXPECT_EQ(loaded.config->organizations[0].keys.size(), 1U);
  ASSERT_EQ(loaded.config->organizations[0].providers.size(), 2U);
  EXPECT_EQ(loaded.config->organizations[0].providers[1].credentials.size(), 2U);
}

TEST(Reference, EveryExampleLoads) {
  const Environment one{"SMTP_PASSWORD", "x"}, two{"MAIN_PASSWORD", "x"},
      three{"SECOND_PASSWORD", "x"}, four{"SHOP_KEY", "ms_live_0123456789abcdef0123456789abcdef"};
  int examples = 0;
  for (const auto& file : std::filesystem::directory_iterator{kDirectory / "examples"}) {
    if (file.path().extension() != ".yaml") continue;
    const Loaded loaded = load(file.path().string());
    EXPECT_THAT(texts(loaded.problems), IsEmpty());
    ASSERT_TRUE(loaded.config);
    EXPECT_FALSE(loaded.config->organizations.empty());
    ++examples;
  }
  EXPECT_GE(examples, 3);
}

}  // namespace
}  // namespace postern::config
