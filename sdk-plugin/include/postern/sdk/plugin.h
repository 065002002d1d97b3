// postern/sdk/plugin.h: what a plugin exports. One symbol, POSTERN_PLUGIN(info).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "postern/sdk/abi.h"
#include "postern/sdk/host.h"
#include "postern/sdk/layout.h"
#include "postern/sdk/provider.h"
#include "postern/sdk/rate_limit.h"
#include "postern/sdk/result.h"
#include "postern/sdk/settings.h"
#include "postern/sdk/storage.h"

namespace postern::sdk {

enum class PluginKind : std::uint32_t { provider = 1, storage = 2, rate_limit = 3 };

// Lives as long as the library, which is never unloaded. `abi` comes first and is all that is read
// of a plugin that was built otherwise.
struct PluginInfo {
  AbiBlock abi = current_abi();
  PluginKind kind = PluginKind::provider;
  std::string name;         // storage and rate limit: as in YAML, "sqlite"; provider: the type, "SMTP"
  std::string version;
  std::string description;  // one sentence
  Schema settings;
  Schema credentials;       // providers only; their fields are secret unless they say otherwise
  Capabilities capabilities;  // providers only

  // Exactly the one of `kind` is set. Each may throw; the host has a barrier around it.
  Expected<std::unique_ptr<Provider>, std::string> (*make_provider)(HostServices& host) = nullptr;
  Expected<std::unique_ptr<Storage>, StorageError> (*open_storage)(const StorageOptions& options,
                                                                   HostServices& host) = nullptr;
  Expected<std::unique_ptr<RateLimitStore>, std::string> (*open_rate_limit)(
      const Settings& settings, HostServices& host) = nullptr;
};

inline constexpr const char* kEntryPoint = "postern_plugin_v1";

}  // namespace postern::sdk

// Defines the entry point; `function` returns a reference to the plugin's one PluginInfo. Called
// once; may throw.
#define POSTERN_PLUGIN(function)                                                        \
  extern "C" __attribute__((visibility("default"))) const postern::sdk::PluginInfo*     \
  postern_plugin_v1() {                                                                 \
    return &function();                                                                 \
  }
