#include "cli/cli.h"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <istream>
#include <ostream>

#include "base/bytes.h"
#include "base/clock.h"
#include "cli/command.h"
#include "cli/output.h"

namespace postern::cli {
namespace {

constexpr std::array kCommands{&add_serve, &add_check, &add_keys,
                               &add_queue, &add_send,  &add_plugin};

constexpr const char* kFooter =
    "Start with:\n"
    "  postern check --config config/postern.yaml\n"
    "  postern serve --config config/postern.yaml\n"
    "  postern keys create --organization demo --name me --permissions SEND,MESSAGES_READ\n"
    "\n"
    "'postern COMMAND --help' explains each of them.\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage.";

// CLI11 says that a subcommand is missing also when there is one that it does not know.
std::string what_is_wrong(const CLI::App& command, const CLI::ParseError& error) {
  const auto given = command.remaining();
  const auto known = command.get_subcommands([](const CLI::App*) { return true; });
  if (known.empty() || given.empty() || given.front().starts_with('-')) return error.what();
  std::vector<std::string> names;
  for (const CLI::App* each : known) names.push_back(each->get_name());
  const std::string near = nearest(given.front(), names);
  return "there is no command '" + given.front() + "'" +
         (near.empty() ? "; there are " + join(names, ", ") : "; did you mean '" + near + "'?");
}

}  // namespace

const CLI::Validator kDuration{[](std::string& text) -> std::string {
                                 const auto duration = parse_duration(text);
                                 if (duration && *duration >= std::chrono::seconds{1}) return {};
                                 return "'" + text + "' is no duration: write 30s, 15m, 12h or 90d";
                               },
                               "DURATION"};

void add_config_option(CLI::App& command, std::string& file) {
  command
      .add_option("-c,--config", file,
                  "The configuration file; default: config/postern.yaml, where it exists")
      ->type_name("FILE")
      ->envname("POSTERN_CONFIG");
}

Result<std::string> config_file_or_default(const std::string& given) {
  if (!given.empty()) return given;
  constexpr const char* kDefault = "config/postern.yaml";
  std::error_code ignored;
  if (std::filesystem::exists(kDefault, ignored)) return std::string{kDefault};
  return Error{ErrorKind::not_found,
               "no configuration file: name one with --config FILE or POSTERN_CONFIG "
               "(config/postern.yaml is not in this directory)",
               {},
               {}};
}

int fail(const Io& io, const Error& error) {
  print_error(io.err, error);
  return kFailed;
}

void add_serve(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("serve", "Run the gateway until SIGTERM or SIGINT");
  auto file = std::make_shared<std::string>();
  add_config_option(*command, *file);
  command->footer(
      "Prints 'ready' with its addresses once both listeners accept. SIGTERM stops accepting,\n"
      "lets the attempts in flight end, and exits.\n\n"
      "Example:\n  postern serve --config /etc/postern/postern.yaml\n\n"
      "Exit codes: 0 stopped as asked, 1 could not start or keep running, 2 wrong usage.");
  session.on(*command, [file, &session] {
    const auto config = config_file_or_default(*file);
    if (!config) return fail(session.io(), config.error());
    return session.serve()(*config);
  });
}

int run(std::vector<std::string> arguments, Io io, const Serve& serve) {
  try {
    CLI::App app{"Postern: a self-hosted mail gateway with one HTTP API in front of many providers",
                 "postern"};
    app.set_version_flag("--version", "postern " POSTERN_VERSION);
    app.require_subcommand(1);
    app.footer(kFooter);
    Session session{io, serve};
    for (const auto add : kCommands) add(app, session);

    // CLI11 takes them last first.
    std::vector<std::string> reversed{arguments.rbegin(), arguments.rend()};
    try {
      app.parse(reversed);
    } catch (const CLI::Success& asked) {  // --help and --version
      app.exit(asked, io.out, io.err);
      return kDone;
    } catch (const CLI::ParseError& wrong) {
      // The innermost command that was named is the one whose help is wanted.
      std::string name = "postern";
      const CLI::App* command = &app;
      while (!command->get_subcommands().empty()) {
        command = command->get_subcommands().front();
        name += " " + command->get_name();
      }
      io.err << "postern: " << what_is_wrong(*command, wrong) << '\n';
      io.err << "See '" << name << " --help'.\n";
      return kWrongUsage;
    }
    const int code = session.chosen()();
    io.out.flush();
    if (!io.out) {
      io.err << "postern: the answer could not be written to standard output\n";
      return kFailed;
    }
    return code;
  } catch (const std::exception& e) {
    io.err << "postern: internal error: " << e.what() << '\n';
    return kFailed;
  }
}

}  // namespace postern::cli
