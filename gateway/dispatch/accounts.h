// dispatch/accounts.h: from a provider account's record to an adapter that can be called.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "dispatch/outcome_policy.h"
#include "plugin_host/guarded.h"
#include "plugin_host/host.h"
#include "postern/sdk/provider.h"
#include "resources/directory.h"

namespace postern::dispatch {

// An account that is ready for calls. Its end drains the adapter, so the last holder must not let
// go inside one of the adapter's callbacks.
struct OpenAccount {
  std::string id;
  std::string type;
  std::string name;
  std::shared_ptr<const resources::OrganizationView> organization;
  resources::ProviderAccount record;  // what it was opened with
  std::shared_ptr<sdk::ProviderAdapter> adapter;
  sdk::Capabilities capabilities;
  std::uint32_t concurrency = 1;
  double rate = 0;  // messages a second; 0: no limit
};

// Thread-safe.
class Accounts {
 public:
  Accounts(const plugin_host::PluginHost& plugins, sdk::HostServices& services,
           const plugin_host::GuardContext& guard, std::string base_directory,
           std::uint32_t default_concurrency);

  // What an account of this type can do; null when no such plugin is loaded. The sandbox is known.
  [[nodiscard]] const sdk::Capabilities* capabilities(const std::string& type) const;

  // May read files. The error says which account, and what is wrong with it.
  Result<std::shared_ptr<const OpenAccount>> open(
      std::shared_ptr<const resources::OrganizationView> organization, const std::string& account);

 private:
  Result<std::shared_ptr<plugin_host::GuardedProvider>> provider(const std::string& type);

  const plugin_host::PluginHost& plugins_;
  sdk::HostServices& services_;
  plugin_host::GuardContext guard_;
  std::string base_directory_;
  std::uint32_t default_concurrency_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<plugin_host::GuardedProvider>> providers_;
};

}  // namespace postern::dispatch
