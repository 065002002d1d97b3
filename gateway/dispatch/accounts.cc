#include "dispatch/accounts.h"

#include "dispatch/sandbox.h"
#include "plugin_host/settings.h"

namespace postern::dispatch {
namespace {

Error wrong(const std::string& account, const Error& error) {
  std::string message = "provider account '" + account + "': " + error.message;
  for (const Issue& issue : error.issues) message += "; " + issue.path + ": " + issue.message;
  return {ErrorKind::invalid, std::move(message), {}, {}};
}

}  // namespace

Accounts::Accounts(const plugin_host::PluginHost& plugins, sdk::HostServices& services,
                   const plugin_host::GuardContext& guard, std::string base_directory,
                   std::uint32_t default_concurrency)
    : plugins_(plugins),
      services_(services),
      guard_(guard),
      base_directory_(std::move(base_directory)),
      default_concurrency_(default_concurrency) {}

const sdk::Capabilities* Accounts::capabilities(const std::string& type) const {
  if (type == resources::kSandboxType) return &sandbox_capabilities();
  const auto* plugin = plugins_.find(sdk::PluginKind::provider, type);
  return plugin == nullptr ? nullptr : &plugin->info->capabilities;
}

Result<std::shared_ptr<plugin_host::GuardedProvider>> Accounts::provider(const std::string& type) {
  const std::lock_guard lock{mutex_};
  if (const auto found = providers_.find(type); found != providers_.end()) return found->second;
  const auto* plugin = plugins_.find(sdk::PluginKind::provider, type);
  if (plugin == nullptr) {
    return Error{ErrorKind::invalid, "no plugin for the provider type " + type + " is loaded", {}, {}};
  }
  auto made = plugin_host::make_provider(*plugin, services_, guard_);
  if (made) providers_[type] = *made;
  return made;
}

Result<std::shared_ptr<const OpenAccount>> Accounts::open(
    std::shared_ptr<const resources::OrganizationView> organization, const std::string& account) {
  auto out = std::make_shared<OpenAccount>();
  out->id = account;
  out->organization = organization;
  out->concurrency = default_concurrency_;
  if (account == resources::sandbox_account_id(organization->organization.id)) {
    out->type = resources::kSandboxType;
    out->name = "sandbox";
    out->adapter = std::make_shared<Sandbox>();
    out->capabilities = sandbox_capabilities();
    return std::shared_ptr<const OpenAccount>{std::move(out)};
  }
  const resources::ProviderAccount* record = organization->account(account);
  if (record == nullptr) {
    return Error{ErrorKind::not_found, "provider account " + account + " is gone", {}, {}};
  }
  out->record = *record;
  out->type = record->type;
  out->name = record->display_name;
  out->rate = record->max_rate;
  if (record->max_concurrency != 0) out->concurrency = record->max_concurrency;

  const auto made = provider(record->type);
  if (!made) return wrong(record->slug, made.error());
  const auto* plugin = plugins_.find(sdk::PluginKind::provider, record->type);
  auto settings =
      plugin_host::resolve(plugin->info->settings, record->settings, base_directory_, "settings");
  if (!settings) return wrong(record->slug, settings.error());
  auto credentials = plugin_host::resolve(plugin->info->credentials, record->credentials,
                                          base_directory_, "credentials", /*all_secret=*/true);
  if (!credentials) return wrong(record->slug, credentials.error());
  auto adapter = (*made)->open({record->id, record->organization, record->display_name,
                                *std::move(settings), *std::move(credentials)});
  if (!adapter) return wrong(record->slug, adapter.error());
  out->adapter = *std::move(adapter);
  out->capabilities = plugin->info->capabilities;
  return std::shared_ptr<const OpenAccount>{std::move(out)};
}

}  // namespace postern::dispatch
