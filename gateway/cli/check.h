// cli/check.h: what is wrong with a configuration once its plugins are known.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "plugin_host/host.h"

namespace postern::cli {

// What a plugin's schema says of settings that stand at `path` in the configuration; each problem
// with its place in the file. With `all_secret` no problem's text holds a value.
std::vector<config::Problem> check_settings(const config::Config& config, const sdk::Schema& schema,
                                            const std::vector<sdk::RawSetting>& settings,
                                            const std::string& path, bool all_secret);

// The storage plugin and its settings. Opens nothing.
std::vector<config::Problem> check_storage_plugin(const config::Config& config,
                                                  const plugin_host::PluginHost& plugins);
// The same, and every provider account's type, settings and credentials.
std::vector<config::Problem> check_plugins(const config::Config& config,
                                           const plugin_host::PluginHost& plugins);

}  // namespace postern::cli
