// Every kind of file that must not become a plugin, and what the operator is told of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "plugin_host/host.h"

namespace postern::plugin_host {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string bad(const std::string& name) {
  return std::string{BAD_PLUGINS} + "/" + name + ".so";
}

// A directory of its own for each test.
class Refusals : public ::testing::Test {
 protected:
  Refusals() {
    std::string pattern = (fs::temp_directory_path() / "postern-refusals-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
    directory_ = pattern;
  }
  ~Refusals() override { fs::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& bytes) {
    const auto path = directory_ / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path.string();
  }
  std::string take(const std::string& name) {
    const auto path = directory_ / (name + ".so");
    fs::copy_file(bad(name), path);
    return path.string();
  }

  fs::path directory_;
};

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>{in}, {}};
}

void expect_problem(const Inspection& inspection, const std::string& file, const std::string& field,
                    const std::string& first, const std::string& second) {
  EXPECT_FALSE(inspection.plugin);
  ASSERT_THAT(inspection.problems, SizeIs(1));
  const std::string text = to_text(inspection.problems[0]);
  EXPECT_EQ(inspection.problems[0].field, field) << text;
  EXPECT_THAT(text, AllOf(HasSubstr(file), HasSubstr(field), HasSubstr(first), HasSubstr(second)));
}

TEST_F(Refusals, NameTheFieldOfTheAbiAndBothValues) {
  const sdk::AbiBlock own = sdk::current_abi();
  const struct {
    const char* field;
    std::uint32_t value;
  } cases[] = {
      {"magic", own.magic},
      {"block_bytes", own.block_bytes},
      {"abi_number", own.abi_number},
      {"pointer_bytes", own.pointer_bytes},
      {"libstdcxx_abi", own.libstdcxx_abi},
      {"libstdcxx_debug", own.libstdcxx_debug},
      {"sanitizer", own.sanitizer},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.field);
    const std::string file = bad(std::string{"wrong_"} + c.field);
    expect_problem(inspect(file), file, c.field, "is " + std::to_string(c.value + 41),
                   "needs " + std::to_string(c.value));
  }
}

TEST_F(Refusals, RunNoCodeOfALibraryThatIsNoPlugin) {
  const fs::path trace = directory_ / "trace";
  ASSERT_EQ(::setenv("POSTERN_TEST_TRACE", trace.c_str(), 1), 0);
  const std::string file = bad("no_entry");
  expect_problem(inspect(file), file, "entry_point", "postern_plugin_v1", "is not exported");
  EXPECT_FALSE(fs::exists(trace));
  ::unsetenv("POSTERN_TEST_TRACE");
}

TEST_F(Refusals, OfFilesThatAreNoLibraries) {
  const std::string text = write("text.so", "#!/bin/sh\necho hello\n");
  expect_problem(inspect(text), text, "elf_magic", "23212f62", "7f454c46");
  const std::string empty = write("empty.so", "");
  expect_problem(inspect(empty), empty, "elf_magic", "empty", "7f454c46");
  const std::string gone = (directory_ / "gone.so").string();
  expect_problem(inspect(gone), gone, "file", "can't be read", "No such file");
}

TEST_F(Refusals, OfAPluginThatWasCutShortAnywhere) {
  const std::string whole = read(bad("misbehaving"));
  ASSERT_GT(whole.size(), 10'000U);
  for (const std::size_t bytes :
       {std::size_t{5}, std::size_t{63}, std::size_t{64}, std::size_t{500}, whole.size() / 4,
        whole.size() / 2, whole.size() - 1}) {
    SCOPED_TRACE(bytes);
    const std::string file = write("cut.so", whole.substr(0, bytes));
    expect_problem(inspect(file), file, "size", "is " + std::to_string(bytes), "was cut short");
  }
}

TEST_F(Refusals, OfALibraryForAnotherMachine) {
  std::string bytes = read(bad("misbehaving"));
  bytes[18] = 8;  // e_machine: MIPS
  bytes[19] = 0;
  const std::string file = write("mips.so", bytes);
  expect_problem(inspect(file), file, "elf_machine", "is 8", "needs");
  bytes = read(bad("misbehaving"));
  bytes[4] = 1;  // ELFCLASS32
  const std::string narrow = write("narrow.so", bytes);
  expect_problem(inspect(narrow), narrow, "elf_class", "is 1", "needs 2");
}

TEST_F(Refusals, OfAnEntryPointThatGivesNothingOrThrows) {
  expect_problem(inspect(bad("null_info")), bad("null_info"), "entry_point", "returned null",
                 "PluginInfo is needed");
  expect_problem(inspect(bad("throwing_entry")), bad("throwing_entry"), "entry_point", "threw",
                 "no license found");
}

TEST_F(Refusals, TellWhichSymbolNobodyDefines) {
  expect_problem(inspect(bad("unresolved")), bad("unresolved"), "load", "undefined symbol",
                 "symbol_that_nobody_defines");
}

TEST_F(Refusals, NameTheKindAndTheFactory) {
  expect_problem(inspect(bad("wrong_kind")), bad("wrong_kind"), "kind", "is 9", "1 (provider)");
  expect_problem(inspect(bad("missing_factory")), bad("missing_factory"), "make_provider",
                 "is null", "provider needs it set");
  const Inspection extra = inspect(bad("extra_factory"));
  EXPECT_FALSE(extra.plugin);
  ASSERT_THAT(extra.problems, SizeIs(2));
  EXPECT_THAT(to_text(extra.problems[0]),
              AllOf(HasSubstr("make_provider"), HasSubstr("is set"), HasSubstr("needs it null")));
  EXPECT_THAT(to_text(extra.problems[1]),
              AllOf(HasSubstr("open_storage"), HasSubstr("is null"), HasSubstr("needs it set")));
}

TEST_F(Refusals, NameABadNameAndAMissingVersion) {
  expect_problem(inspect(bad("bad_name")), bad("bad_name"), "name", "\"two words\"", "1 to 64");
  expect_problem(inspect(bad("empty_version")), bad("empty_version"), "version", "\"\"", "1 to 64");
}

TEST_F(Refusals, NameEveryMistakeOfASchema) {
  const Inspection inspection = inspect(bad("bad_schema"));
  EXPECT_FALSE(inspection.plugin);
  const auto has = [&](const std::string& field, const std::string& part) {
    EXPECT_THAT(inspection.problems, Contains(AllOf(Field(&Problem::field, field),
                                                    Field(&Problem::message, HasSubstr(part)),
                                                    Field(&Problem::file, bad("bad_schema")))))
        << field;
  };
  has("settings.port.default_value", "is \"many\", but its own field must be an integer");
  has("settings.port.name", "is \"port\", and so is that of an earlier field");
  has("settings.mode.choices", "has 0 entries, a choice needs at least 1");
  has("settings.size.min", "is 10, above max 2");
  has("settings.host.required", "is true, and default_value is \"localhost\"");
  has("settings.level.default_value", "must be one of low, high");
  has("settings.BadName.name", "is \"BadName\", a name must be lower_snake_case");
  has("settings.odd.type", "is 99");
  has("credentials..name", "is \"\"");
}

struct NoHttp final : sdk::HttpClient {
  void start(sdk::HttpRequest, std::stop_token, std::function<void(sdk::HttpResponse)>) override {}
};
struct NoLog final : sdk::Logger {
  void log(sdk::LogLevel, std::string_view,
           const std::vector<std::pair<std::string_view, std::string>>&) override {}
};

class PluginHostTest : public Refusals {
 protected:
  NoHttp http_;
  NoLog log_;
  SystemClock clock_;
  sdk::HostServices services_{log_, clock_, http_, "gateway.example"};
  PluginHost host_{services_};
};

TEST_F(PluginHostTest, KeepsGoodPluginsBesideBadOnes) {
  take("misbehaving");
  take("wrong_abi_number");
  write("README", "not looked at");
  const auto problems = host_.load({directory_.string()});
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_EQ(problems[0].field, "abi_number");
  ASSERT_THAT(host_.plugins(), SizeIs(1));
  const LoadedPlugin* plugin = host_.find(sdk::PluginKind::provider, "MISBEHAVING");
  ASSERT_NE(plugin, nullptr);
  EXPECT_EQ(plugin->version, "1.0");
  EXPECT_THAT(plugin->file, EndsWith("/misbehaving.so"));
  EXPECT_EQ(plugin->info->settings.at(0).name, "misbehavior");
  EXPECT_EQ(host_.find(sdk::PluginKind::storage, "MISBEHAVING"), nullptr);
  EXPECT_THAT(host_.names(sdk::PluginKind::provider), Contains("MISBEHAVING"));
}

TEST_F(PluginHostTest, RefusesTheSecondOfTwoPluginsWithOneNameAndNamesBothFiles) {
  take("twin_b");
  take("twin_a");
  const auto problems = host_.load({directory_.string()});
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_EQ(problems[0].field, "name");
  EXPECT_THAT(to_text(problems[0]),
              AllOf(HasSubstr("twin_a.so"), HasSubstr("twin_b.so"), HasSubstr("TWIN")));
  ASSERT_THAT(host_.plugins(), SizeIs(1));
  EXPECT_THAT(host_.plugins()[0].file, EndsWith("/twin_a.so"));
}

TEST_F(PluginHostTest, LoadsAFileOnceHoweverOftenItIsFound) {
  take("misbehaving");
  fs::create_symlink(directory_ / "misbehaving.so", directory_ / "alias.so");
  EXPECT_THAT(host_.load({directory_.string(), directory_.string() + "/."}), IsEmpty());
  EXPECT_THAT(host_.plugins(), SizeIs(1));
}

TEST_F(PluginHostTest, ReportsADirectoryThatIsNotThere) {
  const auto problems = host_.load({(directory_ / "nowhere").string()});
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_EQ(problems[0].field, "directory");
  EXPECT_THAT(to_text(problems[0]), AllOf(HasSubstr("nowhere"), HasSubstr("No such file")));
}

}  // namespace
}  // namespace postern::plugin_host
