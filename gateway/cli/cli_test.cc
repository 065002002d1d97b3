#include "cli/cli.h"

#include <gmock/gmock.h>

#include <sstream>

#include "cli/scratch_test.h"

namespace postern::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

struct Ran {
  int code = -1;
  std::string out;
  std::string err;
  std::string served;  // the file that serve was called with
};

Ran ran(std::vector<std::string> arguments) {
  Ran result;
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  result.code = run(std::move(arguments), {in, out, err}, [&](const std::string& file) {
    result.served = file;
    return 7;
  });
  result.out = out.str();
  result.err = err.str();
  return result;
}

TEST(Cli, TeachesEveryCommandWithAnExampleAndItsExitCodes) {
  const std::vector<std::vector<std::string>> commands{
      {"serve"},           {"check"},         {"keys", "create"}, {"keys", "list"},
      {"keys", "revoke"},  {"queue", "list"}, {"queue", "show"},  {"queue", "retry"},
      {"queue", "cancel"}, {"send"},          {"plugin", "list"}, {"plugin", "info"}};
  for (auto words : commands) {
    words.emplace_back("--help");
    const Ran result = ran(words);
    const std::string name = words[0] + " " + words[1];
    EXPECT_EQ(result.code, kDone) << name;
    EXPECT_THAT(result.out, HasSubstr("Example")) << name;
    EXPECT_THAT(result.out, HasSubstr("postern " + words[0])) << name;
    EXPECT_THAT(result.out, HasSubstr("Exit codes: 0 ")) << name;
    EXPECT_THAT(result.out, HasSubstr("2 wrong usage")) << name;
    EXPECT_THAT(result.err, IsEmpty()) << name;
  }
}

TEST(Cli, TellsItsVersion) {
  const Ran result = ran({"--version"});
  EXPECT_EQ(result.code, kDone);
  EXPECT_THAT(result.out, ::testing::MatchesRegex("postern [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST(Cli, AnswersWrongUsageWith2AndNamesWhatIsWrong) {
  struct Case {
    std::vector<std::string> arguments;
    const char* says;
    const char* help;
  };
  const std::vector<std::string> create{"keys", "create", "--organization", "demo", "--name", "n"};
  const auto with = [&](std::vector<std::string> more) {
    std::vector<std::string> all = create;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const std::string id = "01890a5d-ac96-774b-bcce-b302099a8057";
  const std::vector<Case> cases{
      {{}, "subcommand", "postern --help"},
      {{"srve"}, "no command 'srve'; did you mean 'serve'?", "postern --help"},
      {{"keys", "creat"}, "no command 'creat'; did you mean 'create'?", "postern keys --help"},
      {{"keys"}, "subcommand", "postern keys --help"},
      {{"check", "--nope"}, "--nope", "postern check --help"},
      {create, "--permissions", "postern keys create --help"},
      {with({"--permissions", "SEND,SENT"}), "did you mean SEND?", "keys create --help"},
      {with({"--permissions", "SEND", "--expires-in", "soon"}), "'soon' is no duration", "create"},
      {with({"--permissions", "SEND", "--expires-in", "0s"}), "'0s' is no duration", "create"},
      {with({"--permissions", "SEND", "--allowed-ip", "10.0.0.0/99"}), "10.0.0.0/99", "create"},
      {with({"--permissions", "SEND", "--sender-domain", "a_b"}), "'a_b' is no domain", "create"},
      {{"keys", "revoke", "7"}, "'7' is no id", "keys revoke --help"},
      {{"queue", "show", "x"}, "'x' is no message id", "queue show --help"},
      {{"queue", "retry"}, "MESSAGE_ID or say --all", "queue retry --help"},
      {{"queue", "retry", id, "--all"}, "--all", "queue retry --help"},
      {{"queue", "retry", id, "--account", id}, "--all", "queue retry --help"},
      {{"queue", "list", "--limit", "0"}, "--limit", "queue list --help"},
      {{"plugin", "info"}, "file", "plugin info --help"},
      {{"send", "--from", "a@b.c", "--to", "d@e.f", "--subject", "s"}, "empty", "send --help"},
      {{"send", "--from", "a@b.c", "--to", "d@e.f", "--subject", "s", "--text", "t", "--text-file",
        "f"},
       "--text",
       "send --help"},
  };
  for (const auto& each : cases) {
    const Ran result = ran(each.arguments);
    EXPECT_EQ(result.code, kWrongUsage) << result.err;
    EXPECT_THAT(result.err, HasSubstr(each.says));
    EXPECT_THAT(result.err, HasSubstr(each.help));
    EXPECT_THAT(result.out, IsEmpty());
  }
}

TEST(Cli, ServesTheFileThatWasNamedAndPassesItsExitCodeOn) {
  const Ran result = ran({"serve", "--config", "some.yaml"});
  EXPECT_EQ(result.served, "some.yaml");
  EXPECT_EQ(result.code, 7);
}

TEST(Check, TellsEveryProblemOfTheFileAndFails) {
  const Scratch scratch;
  const std::string file = scratch.write("p.yaml",
                                         "storrage: { plugin: sqlite }\n"
                                         "logging: { level: loud }\n");
  const Ran result = ran({"check", "--config", file});
  EXPECT_EQ(result.code, kFailed);
  EXPECT_THAT(result.err, HasSubstr("p.yaml:1:1: "));
  EXPECT_THAT(result.err, HasSubstr("\"storage\""));
  EXPECT_THAT(result.err, HasSubstr("p.yaml:2:"));
  EXPECT_THAT(result.err, HasSubstr("problems"));
  EXPECT_THAT(result.out, Not(HasSubstr("fine")));
}

TEST(PluginInfo, SaysWhyAFileIsNoPlugin) {
  const Scratch scratch;
  const std::string file = scratch.write("x.so", "no library");
  const Ran result = ran({"plugin", "info", file});
  EXPECT_EQ(result.code, kFailed);
  EXPECT_THAT(result.err, HasSubstr(file));
  const Ran json = ran({"plugin", "info", file, "--json"});
  EXPECT_EQ(json.code, kFailed);
  EXPECT_THAT(json.out, HasSubstr("{\"plugin\":null,\"problems\":[{\"file\":"));
}

TEST(Send, SaysWhichGatewayItDidNotReach) {
  const Ran result =
      ran({"send", "--url", "http://127.0.0.1:1", "--key", "ms_test_x", "--from", "a@example.com",
           "--to", "b@example.net", "--subject", "s", "--text", "t"});
  EXPECT_EQ(result.code, kFailed);
  EXPECT_THAT(result.err, HasSubstr("http://127.0.0.1:1"));
  EXPECT_THAT(result.err, Not(HasSubstr("ms_test_x")));
}

}  // namespace
}  // namespace postern::cli
