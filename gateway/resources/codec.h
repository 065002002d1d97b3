// resources/codec.h: resources to storage documents and back. Pure, thread-safe.
#pragma once

#include "base/crypto.h"
#include "base/result.h"
#include "postern/sdk/storage.h"
#include "resources/types.h"

namespace postern::resources {

inline constexpr const char* kOrganizationKind = "organization";
inline constexpr const char* kApiKeyKind = "api_key";
inline constexpr const char* kProviderAccountKind = "provider_account";

// version, created_at and updated_at are storage's. Unique keys: an organization's slug, a key's
// hash, "organization/slug" of an account.
sdk::Document to_document(const Organization& organization);
sdk::Document to_document(const ApiKey& key);
sdk::Document to_document(const ProviderAccount& account, const SecretBox& secrets);

// The error names the document and what in it can't be read.
Result<Organization> organization_from(const sdk::Document& document);
Result<ApiKey> api_key_from(const sdk::Document& document);
Result<ProviderAccount> provider_account_from(const sdk::Document& document,
                                              const SecretBox& secrets);

// A storage failure as the API tells it: 503, without storage's words, which the log has.
Error to_error(const sdk::StorageError& error);

}  // namespace postern::resources
