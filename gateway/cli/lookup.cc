#include "cli/lookup.h"

#include "base/bytes.h"
#include "base/ids.h"
#include "cli/command.h"
#include "resources/codec.h"

namespace postern::cli {

Result<std::unique_ptr<Environment>> open_environment(const std::string& given,
                                                      sdk::StorageOptions::Role role) {
  const auto file = config_file_or_default(given);
  if (!file) return file.error();
  return Environment::open(*file, role);
}

Error storage_error(const sdk::StorageError& error, const std::string& doing) {
  return {ErrorKind::unavailable, doing + ": " + error.message, {}, {}};
}

Result<resources::Organization> organization_by_slug(sdk::Storage& storage,
                                                     const std::string& slug) {
  const auto document = storage.document_by_key(resources::kOrganizationKind, slug);
  if (!document) return storage_error(document.error(), "reading the organization");
  if (document->has_value()) return resources::organization_from(**document);

  sdk::DocumentQuery query;
  query.kind = resources::kOrganizationKind;
  query.limit = 500;
  std::vector<std::string> known;
  if (const auto page = storage.documents(query)) {
    for (const auto& each : *page) known.push_back(each.unique_key);
  }
  const std::string near = nearest(slug, known);
  return Error{ErrorKind::not_found,
               "there is no organization '" + slug + "'" +
                   (near.empty() ? "" : "; did you mean '" + near + "'?"),
               {},
               {}};
}

Result<std::string> account_id(sdk::Storage& storage, const std::string& organization,
                               const std::string& id_or_slug) {
  if (is_uuid(id_or_slug)) return ascii_lower(id_or_slug);
  if (organization.empty()) {
    return Error{ErrorKind::invalid,
                 "--account '" + id_or_slug + "' is a slug: give --organization with it, or the id",
                 {},
                 {}};
  }
  const auto document =
      storage.document_by_key(resources::kProviderAccountKind, organization + "/" + id_or_slug);
  if (!document) return storage_error(document.error(), "reading the provider account");
  if (document->has_value()) return (*document)->id;
  return Error{ErrorKind::not_found,
               "the organization has no provider account '" + id_or_slug + "'",
               {},
               {}};
}

const std::string& OrganizationNames::slug_of(const std::string& id) {
  const auto found = slugs_.find(id);
  if (found != slugs_.end()) return found->second;
  std::string slug = id;
  const auto document = storage_.document(resources::kOrganizationKind, id);
  if (document && document->has_value()) slug = (*document)->unique_key;
  return slugs_.emplace(id, std::move(slug)).first->second;
}

}  // namespace postern::cli
