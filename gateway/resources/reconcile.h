// resources/reconcile.h: makes storage hold what the configuration declares.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/result.h"
#include "config/config.h"
#include "postern/sdk/storage.h"
#include "resources/types.h"

namespace postern::resources {

struct Reconciled {
  std::uint32_t created = 0;
  std::uint32_t changed = 0;
  std::uint32_t disabled = 0;  // declared once, no longer
};

// What the configuration declares, as resources.
Organization declared(const config::Organization& organization);
ApiKey declared(const config::Organization& organization, const config::ApiKey& key);
ProviderAccount declared(const config::Organization& organization,
                         const config::ProviderAccount& account);

// Before anything else uses the storage; a resource a commit. What disappeared from the configuration is
// disabled: an organization stops accepting, a key is deleted, an account becomes inactive. An
// error names the declared resource and the one of the same name that was made by API.
Result<Reconciled> reconcile(const config::Config& config, sdk::Storage& storage,
                             const SecretBox& secrets);

// The first start records the key's check value; later ones refuse another master key.
Result<Done> check_master_key(sdk::Storage& storage, const SecretBox& secrets);
// Whether storage has a check value: then a master key exists and must not be made anew.
Result<bool> has_master_key(sdk::Storage& storage);

}  // namespace postern::resources
