// cli/environment.h: what every command that works with plugins or the storage needs, opened in one
// place.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/result.h"
#include "config/config.h"
#include "plugin_host/deadlines.h"
#include "plugin_host/guarded.h"
#include "plugin_host/host.h"
#include "postern/sdk/storage.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

namespace postern::cli {

// The configuration without a problem; else each problem is an issue of the error.
Result<config::Config> load_config(const std::string& file);

// What plugins get from a process, and the plugins themselves. Outlives whatever a plugin made.
struct Tools {
  enum class Logs : std::uint8_t {
    quiet,       // warnings and errors alone, as text: for commands
    configured,  // as the configuration says
  };
  // `http` is what plugins call out with; with none every request of theirs fails as not sent,
  // which suits commands, since they open no provider.
  Tools(const config::Config& config, Logs logs, std::unique_ptr<sdk::HttpClient> http = nullptr);
  Tools(const Tools&) = delete;
  Tools& operator=(const Tools&) = delete;

  std::shared_ptr<telemetry::Log> log;
  SystemClock clock;
  telemetry::Metrics metrics;
  plugin_host::Deadlines deadlines;
  std::unique_ptr<sdk::HttpClient> http;
  sdk::HostServices services;
  plugin_host::PluginHost plugins;
  plugin_host::GuardContext guards;
};

// A configuration with its plugins loaded and its storage open. For one thread, but for what the
// parts themselves allow.
class Environment {
 public:
  // Problems of the file, of plugins and of settings are the error's issues, all of them. With
  // Role::gateway the log is the configured one, and the secrets are unlocked, too.
  static Result<std::unique_ptr<Environment>> open(const std::string& config_file,
                                                   sdk::StorageOptions::Role role,
                                                   std::unique_ptr<sdk::HttpClient> http = nullptr);

  // Makes secrets() from the master key and proves it against the storage. Where the key's file is
  // not there yet, makes one (mode 0600), unless the storage was made with a key before. Needs a
  // role that may write. Does nothing when it was done.
  Result<Done> unlock();

  [[nodiscard]] const config::Config& config() const { return config_; }
  [[nodiscard]] telemetry::Log& log() { return *tools_.log; }
  [[nodiscard]] const std::shared_ptr<telemetry::Log>& shared_log() const { return tools_.log; }
  [[nodiscard]] const Clock& clock() const { return tools_.clock; }
  [[nodiscard]] telemetry::Metrics& metrics() { return tools_.metrics; }
  [[nodiscard]] const plugin_host::GuardContext& guards() const { return tools_.guards; }
  [[nodiscard]] plugin_host::PluginHost& plugins() { return tools_.plugins; }
  [[nodiscard]] sdk::HostServices& services() { return tools_.services; }
  [[nodiscard]] sdk::Storage& storage() { return *storage_; }           // guarded
  [[nodiscard]] const SecretBox& secrets() const { return *secrets_; }  // after unlock()

 private:
  Environment(config::Config config, Tools::Logs logs, std::unique_ptr<sdk::HttpClient> http);
  Result<Done> open_storage(sdk::StorageOptions::Role role);

  config::Config config_;
  Tools tools_;
  std::unique_ptr<sdk::Storage> storage_;
  std::optional<SecretBox> secrets_;
};

}  // namespace postern::cli
