// cli/command.h: what every file of a subcommand is written against.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/cli.h"

namespace postern::cli {

// The action of the command that was asked for. Parsing only chooses it, so that every mistake in
// the arguments is told before anything is done.
class Session {
 public:
  Session(Io io, const Serve& serve) : io_(io), serve_(serve) {}
  [[nodiscard]] const Io& io() const { return io_; }
  [[nodiscard]] const Serve& serve() const { return serve_; }

  // The subcommand runs `action` when it is the one that was given.
  void on(CLI::App& command, std::function<int()> action) {
    command.callback([this, action = std::move(action)] { chosen_ = action; });
  }
  [[nodiscard]] const std::function<int()>& chosen() const { return chosen_; }

 private:
  Io io_;
  const Serve& serve_;
  std::function<int()> chosen_;
};

// Each adds its subcommand; the table in cli.cc calls them.
void add_serve(CLI::App& app, Session& session);
void add_check(CLI::App& app, Session& session);
void add_keys(CLI::App& app, Session& session);
void add_queue(CLI::App& app, Session& session);
void add_send(CLI::App& app, Session& session);
void add_plugin(CLI::App& app, Session& session);

// --config FILE, also from POSTERN_CONFIG.
void add_config_option(CLI::App& command, std::string& file);
// `given`, else config/postern.yaml where it exists; else the error says how to name one.
Result<std::string> config_file_or_default(const std::string& given);

// Prints the error and answers kFailed.
int fail(const Io& io, const Error& error);

// "90d": of at least a second.
extern const CLI::Validator kDuration;

}  // namespace postern::cli
