#include "cli/environment.h"

#include <filesystem>

#include "cli/check.h"
#include "cli/master_key.h"
#include "plugin_host/settings.h"
#include "resources/reconcile.h"

namespace postern::cli {
namespace {

// For commands: they open no provider, and nothing else calls out.
class NoHttp final : public sdk::HttpClient {
 public:
  void start(sdk::HttpRequest, std::stop_token,
             std::function<void(sdk::HttpResponse)> done) override {
    sdk::HttpResponse response;
    response.failure = sdk::HttpFailure::not_sent;
    response.error = "this command makes no HTTP requests";
    done(std::move(response));
  }
};

std::shared_ptr<telemetry::Log> make_log(const config::Config& config, Tools::Logs logs) {
  if (logs == Tools::Logs::configured) {
    // The configuration has checked both names.
    if (auto log = telemetry::Log::make(config.logging.level, config.logging.format)) return *log;
  }
  return telemetry::Log::make(sdk::LogLevel::warning, telemetry::LogFormat::text);
}

std::unique_ptr<sdk::HttpClient> or_none(std::unique_ptr<sdk::HttpClient> http) {
  if (http) return http;
  return std::make_unique<NoHttp>();
}

Error failed(ErrorKind kind, std::string message) {
  return {kind, std::move(message), {}, {}};
}

// Problems as issues: each text names its place already.
void add(Error& error, const std::string& text) {
  error.issues.push_back({"", "problem", text});
}

}  // namespace

Result<config::Config> load_config(const std::string& file) {
  auto loaded = config::load(file);
  if (loaded.config && loaded.problems.empty()) return std::move(*loaded.config);
  Error error = failed(ErrorKind::invalid, file + " can't be used");
  for (const auto& problem : loaded.problems) add(error, config::to_text(problem));
  return error;
}

Tools::Tools(const config::Config& config, Logs logs, std::unique_ptr<sdk::HttpClient> client)
    : log(make_log(config, logs)),
      http(or_none(std::move(client))),
      services{*log, clock, *http, config.server.hostname},
      plugins(services),
      guards{deadlines, *log, metrics} {}

Environment::Environment(config::Config config, Tools::Logs logs,
                         std::unique_ptr<sdk::HttpClient> http)
    : config_(std::move(config)), tools_(config_, logs, std::move(http)) {}

Result<std::unique_ptr<Environment>> Environment::open(const std::string& config_file,
                                                       sdk::StorageOptions::Role role,
                                                       std::unique_ptr<sdk::HttpClient> http) {
  auto config = load_config(config_file);
  if (!config) return config.error();
  const bool serves = role == sdk::StorageOptions::Role::gateway;
  std::unique_ptr<Environment> environment{new Environment{
      std::move(*config), serves ? Tools::Logs::configured : Tools::Logs::quiet, std::move(http)}};

  Tools& tools = environment->tools_;
  const config::Config& checked = environment->config_;
  Error error = failed(ErrorKind::invalid, config_file + " can't be used");
  const auto refused = tools.plugins.load(checked.plugins.directories);
  // A command needs the storage alone: a broken provider must not stand in the operator's way.
  if (serves) {
    for (const auto& problem : refused) add(error, plugin_host::to_text(problem));
    for (const auto& problem : check_plugins(checked, tools.plugins)) {
      add(error, config::to_text(problem));
    }
  } else {
    for (const auto& problem : check_storage_plugin(checked, tools.plugins)) {
      add(error, config::to_text(problem));
    }
    if (!error.issues.empty()) {
      for (const auto& problem : refused) add(error, plugin_host::to_text(problem));
    }
  }
  if (!error.issues.empty()) return error;

  if (auto opened = environment->open_storage(role); !opened) return opened.error();
  if (serves) {
    if (auto unlocked = environment->unlock(); !unlocked) return unlocked.error();
  }
  return environment;
}

Result<Done> Environment::open_storage(sdk::StorageOptions::Role role) {
  const auto* plugin = tools_.plugins.find(sdk::PluginKind::storage, config_.storage.plugin);
  if (plugin == nullptr) return failed(ErrorKind::invalid, "the storage plugin is not loaded");
  auto settings = plugin_host::resolve(plugin->info->settings, config_.storage.settings,
                                       config_.directory, "storage.settings");
  if (!settings) return settings.error();
  // A first start needs no preparation: the directories of the storage's files are made as the
  // master key's is.
  if (role != sdk::StorageOptions::Role::inspect) {
    for (const sdk::Field& field : plugin->info->settings) {
      if (field.type != sdk::FieldType::path || !settings->has(field.name)) continue;
      const std::filesystem::path file{settings->text(field.name)};
      if (!file.has_parent_path()) continue;
      if (auto made = make_private_directory(file.parent_path().string()); !made) {
        return failed(ErrorKind::internal,
                      "storage.settings." + field.name + ": " + made.error().message);
      }
    }
  }
  sdk::StorageOptions options;
  options.settings = std::move(*settings);
  options.role = role;
  auto storage = plugin_host::open_storage(*plugin, options, tools_.services, tools_.guards);
  if (!storage) {
    return failed(ErrorKind::unavailable,
                  "the storage can't be opened: " + storage.error().message);
  }
  storage_ = std::move(*storage);
  return Done{};
}

Result<Done> Environment::unlock() {
  if (secrets_) return Done{};
  std::string key = config_.secrets.master_key;
  if (key.empty()) {
    const std::string& file = config_.secrets.master_key_file;
    if (file.empty()) {
      return failed(ErrorKind::invalid,
                    config_.file +
                        ": secrets.master_key is missing; write \"${file:PATH}\" there, "
                        "and the file is made at the first start");
    }
    const auto existed = resources::has_master_key(*storage_);
    if (!existed) return existed.error();
    if (*existed) {
      return failed(ErrorKind::not_found,
                    file +
                        " is missing, but the storage was made with a master key: put the key "
                        "back from your backup; a new one could not open what is sealed");
    }
    auto made = read_or_make_master_key(file);
    if (!made) return made.error();
    key = std::move(*made);
  }
  auto box = SecretBox::make(key);
  if (!box) return failed(box.error().kind, "secrets.master_key: " + box.error().message);
  if (auto checked = resources::check_master_key(*storage_, *box); !checked) {
    return checked.error();
  }
  secrets_ = std::move(*box);
  return Done{};
}

}  // namespace postern::cli
