#include "resources/reconcile.h"

#include <algorithm>
#include <map>
#include <set>

#include "resources/codec.h"

namespace postern::resources {
namespace {

constexpr const char* kSystemKind = "system";
constexpr const char* kMasterKeyId = "master_key";

Error storage_failed(const sdk::StorageError& error, const std::string& what) {
  return {ErrorKind::unavailable, what + ": " + error.message, {}, {}};
}

std::optional<Limit> limit_of(const std::optional<config::RateLimit>& limit) {
  if (!limit) return std::nullopt;
  return Limit{limit->per_second, limit->burst};
}

Result<std::map<std::string, sdk::Document>> all_documents(sdk::Storage& storage, const char* kind) {
  std::map<std::string, sdk::Document> out;
  sdk::DocumentQuery query;
  query.kind = kind;
  query.limit = 500;
  for (;;) {
    auto page = storage.documents(query);
    if (!page) return storage_failed(page.error(), "reading " + std::string{kind} + " documents");
    const bool last = page->size() < query.limit;
    if (!page->empty()) query.after_id = page->back().id;
    for (auto& document : *page) out.emplace(document.id, std::move(document));
    if (last) return out;
  }
}

// Collects the puts and deletes of one kind of resource.
template <typename T, typename Read, typename Write>
class Plan {
 public:
  Plan(const std::map<std::string, sdk::Document>& stored, Read read, Write write)
      : stored_(stored), read_(std::move(read)), write_(std::move(write)) {}

  Result<Done> want(const T& declared, const std::string& what, std::vector<sdk::Unit>& units,
                    Reconciled& counts) {
    wanted_.insert(declared.id);
    sdk::Document document = write_(declared);
    for (const auto& [id, other] : stored_) {
      if (id == declared.id || document.unique_key != other.unique_key) continue;
      return Error{ErrorKind::conflict,
                   what + " is declared in the configuration, but " + other.kind + " " + id +
                       " that was made by API has the same name; rename one or delete the other",
                   {},
                   {}};
    }
    const auto found = stored_.find(declared.id);
    if (found == stored_.end()) {
      ++counts.created;
      units.push_back({{sdk::PutDocument{std::move(document), 0}}});
      return Done{};
    }
    const auto current = read_(found->second);
    // What can't be read any more (another master key is refused before) is written anew.
    if (current && same(*current, declared)) return Done{};
    ++counts.changed;
    units.push_back({{sdk::PutDocument{std::move(document), found->second.version}}});
    return Done{};
  }

  // Calls `disable` for what the configuration managed and no longer declares.
  template <typename Disable>
  void drop_others(Disable disable) {
    for (const auto& [id, document] : stored_) {
      if (wanted_.contains(id)) continue;
      const auto current = read_(document);
      if (current && current->managed_by_config) disable(*current, document);
    }
  }

 private:
  static bool same(T current, const T& declared) {
    if constexpr (requires { current.created_at; }) current.created_at = declared.created_at;
    return current == declared;
  }
  const std::map<std::string, sdk::Document>& stored_;
  Read read_;
  Write write_;
  std::set<std::string> wanted_;
};

}  // namespace

Organization declared(const config::Organization& organization) {
  Organization out;
  out.id = organization_id(organization.slug);
  out.slug = organization.slug;
  out.name = organization.name;
  out.managed_by_config = true;
  out.hold_unknown_outcomes = organization.hold_unknown_outcomes;
  out.send_limit = limit_of(organization.send_limit);
  out.other_limit = limit_of(organization.other_limit);
  return out;
}

ApiKey declared(const config::Organization& organization, const config::ApiKey& key) {
  ApiKey out;
  out.id = api_key_id(organization.slug, key.name);
  out.organization = organization_id(organization.slug);
  out.name = key.name;
  out.sha256 = key.key_sha256;
  out.test = key.test;
  for (const auto& name : key.permissions) {
    if (const auto permission = permission_of(name)) out.permissions.add(*permission);
  }
  out.allowed_ips = key.allowed_ips;
  out.sender_domains = key.sender_domains;
  out.expires_at = key.expires_at;
  out.managed_by_config = true;
  return out;
}

ProviderAccount declared(const config::Organization& organization,
                         const config::ProviderAccount& account) {
  ProviderAccount out;
  out.id = provider_account_id(organization.slug, account.slug);
  out.organization = organization_id(organization.slug);
  out.slug = account.slug;
  out.type = account.type;
  out.display_name = account.display_name.empty() ? account.slug : account.display_name;
  out.active = account.active;
  out.priority = account.priority;
  out.weight = account.weight;
  out.max_concurrency = account.max_concurrency;
  out.max_rate = account.max_rate;
  out.settings = account.settings;
  out.credentials = account.credentials;
  out.managed_by_config = true;
  return out;
}

Result<Reconciled> reconcile(const config::Config& config, sdk::Storage& storage,
                             const SecretBox& secrets) {
  const auto organizations = all_documents(storage, kOrganizationKind);
  if (!organizations) return organizations.error();
  const auto keys = all_documents(storage, kApiKeyKind);
  if (!keys) return keys.error();
  const auto accounts = all_documents(storage, kProviderAccountKind);
  if (!accounts) return accounts.error();

  Reconciled counts;
  std::vector<sdk::Unit> units;
  Plan<Organization, decltype(&organization_from), sdk::Document (*)(const Organization&)>
      organization_plan{*organizations, &organization_from, &to_document};
  Plan<ApiKey, decltype(&api_key_from), sdk::Document (*)(const ApiKey&)> key_plan{
      *keys, &api_key_from, &to_document};
  const auto read_account = [&](const sdk::Document& d) { return provider_account_from(d, secrets); };
  const auto write_account = [&](const ProviderAccount& a) { return to_document(a, secrets); };
  Plan<ProviderAccount, decltype(read_account), decltype(write_account)> account_plan{
      *accounts, read_account, write_account};

  for (const auto& organization : config.organizations) {
    const std::string where = "organization '" + organization.slug + "'";
    if (auto done = organization_plan.want(declared(organization), where, units, counts); !done) {
      return done.error();
    }
    for (const auto& key : organization.keys) {
      if (auto done = key_plan.want(declared(organization, key),
                                    where + ", key '" + key.name + "'", units, counts);
          !done) {
        return done.error();
      }
    }
    for (const auto& account : organization.providers) {
      if (auto done = account_plan.want(declared(organization, account),
                                        where + ", provider '" + account.slug + "'", units, counts);
          !done) {
        return done.error();
      }
    }
  }

  organization_plan.drop_others([&](Organization organization, const sdk::Document& document) {
    if (organization.disabled) return;
    organization.disabled = true;
    ++counts.disabled;
    units.push_back({{sdk::PutDocument{to_document(organization), document.version}}});
  });
  key_plan.drop_others([&](const ApiKey& key, const sdk::Document& document) {
    ++counts.disabled;
    units.push_back(
        {{sdk::DeleteDocument{kApiKeyKind, key.organization, key.id, document.version}}});
  });
  account_plan.drop_others([&](ProviderAccount account, const sdk::Document& document) {
    if (!account.active) return;
    account.active = false;
    ++counts.disabled;
    units.push_back({{sdk::PutDocument{to_document(account, secrets), document.version}}});
  });
  if (units.empty()) return counts;

  // A key that moves from one name to another frees its hash before it is taken, so each unit is a
  // commit of its own; deletions come first.
  std::stable_partition(units.begin(), units.end(), [](const sdk::Unit& unit) {
    return std::holds_alternative<sdk::DeleteDocument>(unit.ops.front());
  });
  for (const sdk::Unit& unit : units) {
    const auto stored = storage.commit({&unit, 1});
    if (!stored) return storage_failed(stored.error(), "storing what the configuration declares");
    if (stored->front().status != sdk::UnitResult::Status::stored) {
      const auto* put = std::get_if<sdk::PutDocument>(&unit.ops.front());
      return Error{ErrorKind::conflict,
                   "what the configuration declares collides with what is stored" +
                       (put ? " (" + put->document.kind + " " + put->document.id + ")"
                            : std::string{}) +
                       "; two keys of the same value, or another gateway that started at the same "
                       "time, can be the reason",
                   {},
                   {}};
    }
  }
  return counts;
}

Result<bool> has_master_key(sdk::Storage& storage) {
  const auto document = storage.document(kSystemKind, kMasterKeyId);
  if (!document) return storage_failed(document.error(), "reading the master key's check value");
  return document->has_value();
}

Result<Done> check_master_key(sdk::Storage& storage, const SecretBox& secrets) {
  const auto document = storage.document(kSystemKind, kMasterKeyId);
  if (!document) return storage_failed(document.error(), "reading the master key's check value");
  if (document->has_value()) {
    if ((*document)->json == "\"" + secrets.check_value() + "\"") return Done{};
    return Error{ErrorKind::invalid,
                 "secrets.master_key is not the key that this storage was made with: restore the "
                 "old key, or the sealed credentials can't be read",
                 {},
                 {}};
  }
  sdk::Document made;
  made.kind = kSystemKind;
  made.id = kMasterKeyId;
  made.json = "\"" + secrets.check_value() + "\"";
  const sdk::Unit unit{{sdk::PutDocument{std::move(made), 0}}};
  const auto stored = storage.commit({&unit, 1});
  if (!stored) return storage_failed(stored.error(), "storing the master key's check value");
  // Another gateway was first: its key decides.
  if (stored->front().status != sdk::UnitResult::Status::stored) {
    return check_master_key(storage, secrets);
  }
  return Done{};
}

}  // namespace postern::resources
