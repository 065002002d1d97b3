#include "cli/check.h"

#include <memory>
#include <ostream>

#include "base/bytes.h"
#include "base/crypto.h"
#include "cli/command.h"
#include "cli/environment.h"
#include "cli/output.h"
#include "plugin_host/settings.h"

namespace postern::cli {
namespace {

void append(std::vector<config::Problem>& to, std::vector<config::Problem> more) {
  to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

// What to say when no plugin has a name.
config::Problem no_plugin(const config::Config& config, const plugin_host::PluginHost& plugins,
                          sdk::PluginKind kind, const std::string& path, const std::string& name,
                          const std::string& what) {
  const auto known = plugins.names(kind);
  std::string hint;
  if (known.empty()) {
    hint =
        "no " + std::string{plugin_host::to_string(kind)} +
        " plugin was found; check plugins.directories: " + join(config.plugins.directories, ", ");
  } else {
    const std::string near = nearest(name, known);
    hint = near.empty() ? "loaded are: " + join(known, ", ") : "did you mean \"" + near + "\"?";
  }
  return config::problem_at(config, path, what + " \"" + name + "\" is not loaded", hint);
}

int check(const std::string& given, const Io& io) {
  const auto file = config_file_or_default(given);
  if (!file) return fail(io, file.error());

  const auto loaded = config::load(*file);
  std::vector<std::string> wrong;
  for (const auto& problem : loaded.problems) wrong.push_back(config::to_text(problem));

  if (loaded.config) {
    const config::Config& config = *loaded.config;
    Tools tools{config, Tools::Logs::quiet};
    for (const auto& problem : tools.plugins.load(config.plugins.directories)) {
      wrong.push_back(plugin_host::to_text(problem));
    }
    for (const auto& problem : check_plugins(config, tools.plugins)) {
      wrong.push_back(config::to_text(problem));
    }
    if (!config.secrets.master_key.empty()) {
      if (const auto box = SecretBox::make(config.secrets.master_key); !box) {
        wrong.push_back(
            config::to_text(config::problem_at(config, "secrets.master_key", box.error().message)));
      }
    }
  }
  if (!wrong.empty()) {
    for (const auto& line : wrong) io.err << line << '\n';
    io.err << "postern: " << *file << ": " << wrong.size()
           << (wrong.size() == 1 ? " problem\n" : " problems\n");
    return kFailed;
  }

  std::size_t keys = 0;
  std::size_t accounts = 0;
  for (const auto& organization : loaded.config->organizations) {
    keys += organization.keys.size();
    accounts += organization.providers.size();
  }
  io.out << *file << ": fine (" << loaded.config->organizations.size() << " organizations, " << keys
         << " keys, " << accounts << " provider accounts)\n";
  return kDone;
}

}  // namespace

std::vector<config::Problem> check_settings(const config::Config& config, const sdk::Schema& schema,
                                            const std::vector<sdk::RawSetting>& settings,
                                            const std::string& path, bool all_secret) {
  const auto resolved = plugin_host::resolve(schema, settings, config.directory, path, all_secret);
  if (resolved) return {};
  std::vector<config::Problem> out;
  out.reserve(resolved.error().issues.size());
  for (const Issue& issue : resolved.error().issues) {
    out.push_back(config::problem_at(config, issue.path, issue.message));
  }
  return out;
}

std::vector<config::Problem> check_storage_plugin(const config::Config& config,
                                                  const plugin_host::PluginHost& plugins) {
  const auto* plugin = plugins.find(sdk::PluginKind::storage, config.storage.plugin);
  if (plugin == nullptr) {
    return {no_plugin(config, plugins, sdk::PluginKind::storage, "storage.plugin",
                      config.storage.plugin, "the storage plugin")};
  }
  return check_settings(config, plugin->info->settings, config.storage.settings, "storage.settings",
                        false);
}

std::vector<config::Problem> check_plugins(const config::Config& config,
                                           const plugin_host::PluginHost& plugins) {
  std::vector<config::Problem> out = check_storage_plugin(config, plugins);
  for (std::size_t i = 0; i < config.organizations.size(); ++i) {
    const auto& providers = config.organizations[i].providers;
    for (std::size_t j = 0; j < providers.size(); ++j) {
      const std::string path =
          "organizations[" + std::to_string(i) + "].providers[" + std::to_string(j) + "]";
      const auto* plugin = plugins.find(sdk::PluginKind::provider, providers[j].type);
      if (plugin == nullptr) {
        out.push_back(no_plugin(config, plugins, sdk::PluginKind::provider, path + ".type",
                                providers[j].type, "the provider type"));
        continue;
      }
      append(out, check_settings(config, plugin->info->settings, providers[j].settings,
                                 path + ".settings", false));
      append(out, check_settings(config, plugin->info->credentials, providers[j].credentials,
                                 path + ".credentials", true));
    }
  }
  return out;
}

void add_check(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("check", "Say all that is wrong with a configuration");
  auto file = std::make_shared<std::string>();
  add_config_option(*command, *file);
  command->footer(
      "Reads the file, loads the plugins that it names and checks every setting against them.\n"
      "Starts nothing, creates nothing, and does not open the storage: another master key than\n"
      "the storage's, or a name that was also made by API, is found by 'serve'.\n\n"
      "Example:\n  postern check --config config/postern.yaml\n\n"
      "Exit codes: 0 the file is fine, 1 something is wrong (each problem is one line on standard\n"
      "error: file, line, column, what, and what to do), 2 wrong usage.");
  session.on(*command, [file, &session] { return check(*file, session.io()); });
}

}  // namespace postern::cli
