// plugin_host/host.h: finds plugins in directories, refuses what is none, and keeps the rest.
// Boost.DLL is behind this header alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postern/sdk/plugin.h"

namespace postern::plugin_host {

// Why a file was refused. The message names the field and both values: the one that was found and
// the one that this gateway needs.
struct Problem {
  std::string file;     // or directory
  std::string field;    // "abi_number", "settings.port.min", …
  std::string message;  // one sentence for the operator
};
// "plugins/smtp.so: abi_number: is 2, this gateway needs 1"
std::string to_text(const Problem& problem);

std::string_view to_string(sdk::PluginKind kind);  // "provider", "storage", "rate_limit"

// A plugin that passed every check. `info` stays valid until the process ends.
struct LoadedPlugin {
  sdk::PluginKind kind = sdk::PluginKind::provider;
  std::string name;
  std::string version;
  std::string file;  // absolute
  const sdk::PluginInfo* info = nullptr;
};

// What `postern plugin info FILE` shows: the plugin, or what is wrong with it.
struct Inspection {
  std::optional<LoadedPlugin> plugin;
  std::vector<Problem> problems;
};

// Checks one file as a gateway would at start. A file that does not export the entry point is
// refused before any of its code can run; one that does is loaded, and stays so.
Inspection inspect(const std::string& file);

// Libraries are never unloaded, not even when the host ends: objects, deleters and exceptions of a
// plugin may live on anywhere. Loading is for one thread at start; the const members are
// thread-safe afterwards.
class PluginHost {
 public:
  explicit PluginHost(sdk::HostServices& services) : services_(services) {}

  // Loads every *.so of the directories, in the order given and by name within each. Answers every
  // problem; files without one are kept even if others have some. A file that is found twice is
  // loaded once. Two plugins of one kind and name: the second one is the problem.
  std::vector<Problem> load(const std::vector<std::string>& directories);

  [[nodiscard]] const std::vector<LoadedPlugin>& plugins() const { return plugins_; }
  // Null when there is none.
  [[nodiscard]] const LoadedPlugin* find(sdk::PluginKind kind, std::string_view name) const;
  // Of a kind, for messages: "SMTP, MAILDIR".
  [[nodiscard]] std::vector<std::string> names(sdk::PluginKind kind) const;

  [[nodiscard]] sdk::HostServices& services() const { return services_; }

 private:
  sdk::HostServices& services_;
  std::vector<LoadedPlugin> plugins_;
};

}  // namespace postern::plugin_host
