#include "resources/codec.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>

namespace postern::resources {
namespace {

namespace bj = boost::json;

bj::array texts(const std::vector<std::string>& list) {
  bj::array out;
  for (const auto& item : list) out.emplace_back(item);
  return out;
}

bj::value limit_json(const std::optional<Limit>& limit) {
  if (!limit) return nullptr;
  return bj::object{{"per_second", limit->per_second}, {"burst", limit->burst}};
}

bj::object settings_json(const std::vector<sdk::RawSetting>& settings) {
  bj::object out;
  for (const auto& setting : settings) {
    if (const auto* text = std::get_if<std::string>(&setting.value)) {
      out[setting.name] = *text;
    } else {
      out[setting.name] = texts(std::get<std::vector<std::string>>(setting.value));
    }
  }
  return out;
}

std::string secret_context(std::string_view account) {
  return std::string{kProviderAccountKind} + "/" + std::string{account};
}

// Reads a document's JSON; a missing or mistyped member is an exception of Boost.JSON, turned into
// an Error in one place.
template <typename T, typename Fill>
Result<T> read(const sdk::Document& document, Fill fill) {
  try {
    const bj::value value = bj::parse(document.json);
    T out;
    out.id = document.id;
    fill(value.as_object(), out);
    return out;
  } catch (const std::exception& e) {
    return Error{ErrorKind::internal,
                 "document " + document.kind + "/" + document.id + " can't be read: " + e.what(),
                 {},
                 {}};
  }
}

std::string text(const bj::object& object, std::string_view name) {
  return bj::value_to<std::string>(object.at({name.data(), name.size()}));
}
bool flag(const bj::object& object, std::string_view name) {
  return object.at({name.data(), name.size()}).as_bool();
}
template <typename T>
T number(const bj::object& object, std::string_view name) {
  return object.at({name.data(), name.size()}).to_number<T>();
}
std::vector<std::string> list(const bj::object& object, std::string_view name) {
  return bj::value_to<std::vector<std::string>>(object.at({name.data(), name.size()}));
}
std::optional<UnixMillis> time(const bj::object& object, std::string_view name) {
  const auto& value = object.at({name.data(), name.size()});
  if (value.is_null()) return std::nullopt;
  return value.to_number<UnixMillis>();
}
bj::value time_json(const std::optional<UnixMillis>& at) {
  if (!at) return nullptr;
  return *at;
}
std::optional<Limit> limit(const bj::object& object, std::string_view name) {
  const auto& value = object.at({name.data(), name.size()});
  if (value.is_null()) return std::nullopt;
  return Limit{number<double>(value.as_object(), "per_second"),
               number<double>(value.as_object(), "burst")};
}
std::vector<sdk::RawSetting> settings(const bj::object& object) {
  std::vector<sdk::RawSetting> out;
  for (const auto& [name, value] : object) {
    sdk::RawSetting setting{std::string{name.data(), name.size()}, {}};
    if (value.is_array()) {
      setting.value = bj::value_to<std::vector<std::string>>(value);
    } else {
      setting.value = bj::value_to<std::string>(value);
    }
    out.push_back(std::move(setting));
  }
  return out;
}

}  // namespace

sdk::Document to_document(const Organization& organization) {
  sdk::Document out;
  out.kind = kOrganizationKind;
  out.organization = organization.id;
  out.id = organization.id;
  out.unique_key = organization.slug;
  out.json = bj::serialize(bj::object{{"slug", organization.slug},
                                      {"name", organization.name},
                                      {"managed_by_config", organization.managed_by_config},
                                      {"disabled", organization.disabled},
                                      {"hold_unknown_outcomes", organization.hold_unknown_outcomes},
                                      {"send_limit", limit_json(organization.send_limit)},
                                      {"other_limit", limit_json(organization.other_limit)}});
  return out;
}

sdk::Document to_document(const ApiKey& key) {
  sdk::Document out;
  out.kind = kApiKeyKind;
  out.organization = key.organization;
  out.id = key.id;
  out.unique_key = key.sha256;
  out.json = bj::serialize(bj::object{{"name", key.name},
                                      {"sha256", key.sha256},
                                      {"test", key.test},
                                      {"permissions", texts(key.permissions.names())},
                                      {"allowed_ips", texts(key.allowed_ips)},
                                      {"sender_domains", texts(key.sender_domains)},
                                      {"expires_at", time_json(key.expires_at)},
                                      {"revoked_at", time_json(key.revoked_at)},
                                      {"managed_by_config", key.managed_by_config}});
  return out;
}

sdk::Document to_document(const ProviderAccount& account, const SecretBox& secrets) {
  sdk::Document out;
  out.kind = kProviderAccountKind;
  out.organization = account.organization;
  out.id = account.id;
  out.unique_key = account.organization + "/" + account.slug;
  const std::string credentials =
      account.credentials.empty()
          ? std::string{}
          : secrets.seal(bj::serialize(settings_json(account.credentials)),
                         secret_context(account.id));
  out.json = bj::serialize(bj::object{{"slug", account.slug},
                                      {"type", account.type},
                                      {"display_name", account.display_name},
                                      {"active", account.active},
                                      {"priority", account.priority},
                                      {"weight", account.weight},
                                      {"max_concurrency", account.max_concurrency},
                                      {"max_rate", account.max_rate},
                                      {"settings", settings_json(account.settings)},
                                      {"credentials", credentials},
                                      {"managed_by_config", account.managed_by_config}});
  return out;
}

Result<Organization> organization_from(const sdk::Document& document) {
  return read<Organization>(document, [](const bj::object& json, Organization& out) {
    out.slug = text(json, "slug");
    out.name = text(json, "name");
    out.managed_by_config = flag(json, "managed_by_config");
    out.disabled = flag(json, "disabled");
    out.hold_unknown_outcomes = flag(json, "hold_unknown_outcomes");
    out.send_limit = limit(json, "send_limit");
    out.other_limit = limit(json, "other_limit");
  });
}

Result<ApiKey> api_key_from(const sdk::Document& document) {
  return read<ApiKey>(document, [&](const bj::object& json, ApiKey& out) {
    out.organization = document.organization;
    out.name = text(json, "name");
    out.sha256 = text(json, "sha256");
    out.test = flag(json, "test");
    for (const auto& name : list(json, "permissions")) {
      if (const auto permission = permission_of(name)) out.permissions.add(*permission);
    }
    out.allowed_ips = list(json, "allowed_ips");
    out.sender_domains = list(json, "sender_domains");
    out.expires_at = time(json, "expires_at");
    out.revoked_at = time(json, "revoked_at");
    out.managed_by_config = flag(json, "managed_by_config");
    out.created_at = document.created_at;
  });
}

Result<ProviderAccount> provider_account_from(const sdk::Document& document,
                                              const SecretBox& secrets) {
  std::string sealed;
  auto account =
      read<ProviderAccount>(document, [&](const bj::object& json, ProviderAccount& out) {
        out.organization = document.organization;
        out.slug = text(json, "slug");
        out.type = text(json, "type");
        out.display_name = text(json, "display_name");
        out.active = flag(json, "active");
        out.priority = number<int>(json, "priority");
        out.weight = number<int>(json, "weight");
        out.max_concurrency = number<std::uint32_t>(json, "max_concurrency");
        out.max_rate = number<double>(json, "max_rate");
        out.settings = settings(json.at("settings").as_object());
        out.managed_by_config = flag(json, "managed_by_config");
        sealed = text(json, "credentials");
      });
  if (!account || sealed.empty()) return account;
  const auto opened = secrets.open(sealed, secret_context(document.id));
  if (!opened) return opened.error();
  account->credentials = settings(bj::parse(*opened).as_object());
  return account;
}

Error to_error(const sdk::StorageError&) {
  return {ErrorKind::unavailable, "Storage can't be reached now; try again", {}, std::chrono::seconds{5}};
}

}  // namespace postern::resources
