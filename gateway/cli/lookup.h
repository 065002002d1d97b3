// cli/lookup.h: what several commands look up in the storage.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "cli/environment.h"
#include "postern/sdk/storage.h"
#include "resources/types.h"

namespace postern::cli {

// Environment::open with the default of config_file_or_default.
Result<std::unique_ptr<Environment>> open_environment(const std::string& given,
                                                      sdk::StorageOptions::Role role);

// In words for the operator, with storage's own.
Error storage_error(const sdk::StorageError& error, const std::string& doing);

// The error is not_found when there is none, with the nearest slug.
Result<resources::Organization> organization_by_slug(sdk::Storage& storage,
                                                     const std::string& slug);
// The id of a provider account by its id, or by its slug in an organization (by id).
Result<std::string> account_id(sdk::Storage& storage, const std::string& organization,
                               const std::string& id_or_slug);

// Slugs by id, read once each. What can't be read is called by its id.
class OrganizationNames {
 public:
  explicit OrganizationNames(sdk::Storage& storage) : storage_(storage) {}
  const std::string& slug_of(const std::string& id);

 private:
  sdk::Storage& storage_;
  std::map<std::string, std::string> slugs_;
};

}  // namespace postern::cli
