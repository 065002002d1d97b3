#include "config/organizations.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "base/bytes.h"
#include "base/crypto.h"
#include "config/values.h"

namespace postern::config {
namespace {

// Names that must be unique, and where each was first used.
class Unique {
 public:
  // The path that has it already, or an empty text.
  std::string take(const std::string& name, const std::string& path) {
    const auto [first, is_new] = first_.emplace(name, path);
    return is_new ? std::string{} : first->second;
  }

 private:
  std::map<std::string, std::string> first_;
};

void refuse_twice(Reader& reader, Unique& seen, const std::string& value, const Mapping& in,
                  std::string_view name) {
  const std::string first = seen.take(value, in.path);
  if (first.empty()) return;
  reader.problem(in, name,
                 "\"" + value + "\" is already the " + std::string{name} + " of " + first);
}

// Also tells live from test, by the prefix or by `mode`.
void read_key_text(Reader& reader, const Mapping& in, ApiKey& key) {
  const bool has_key = in.node->find("key") != nullptr;
  const bool has_hash = in.node->find("key_sha256") != nullptr;
  const auto mode = reader.get<std::string>(in, "mode");
  key.test = mode == "test";
  if (has_key == has_hash) {
    if (has_key) {
      reader.problem(in, "key_sha256", "key and key_sha256 exclude each other",
                     "remove one of them");
    } else {
      reader.problem(in, "key", "is required, or key_sha256");
    }
    return;
  }
  if (has_hash) {
    auto hash = reader.get<std::string>(in, "key_sha256");
    if (!hash) return;
    *hash = ascii_lower(*hash);
    if (hash->find_first_not_of("0123456789abcdef") != std::string::npos) {
      reader.problem(in, "key_sha256", "must be 64 hexadecimal digits",
                     "printf %s \"$KEY\" | sha256sum");
      return;
    }
    key.key_sha256 = *std::move(hash);
    return;
  }
  const auto text = reader.get<std::string>(in, "key");
  if (!text) return;
  if (!is_api_key(*text)) {
    reader.problem(in, "key",
                   "must be ms_live_ or ms_test_ and at least 32 of A-Z, a-z, 0-9, _ and -",
                   "postern keys create makes one");
    return;
  }
  const bool test = text->starts_with("ms_test_");
  if (mode && key.test != test) {
    reader.problem(in, "mode",
                   "is \"" + *mode + "\", but the key is ms_" + (test ? "test_…" : "live_…"),
                   "remove mode");
  }
  key.test = test;
  key.key_sha256 = sha256_hex(*text);
}

void read_permissions(Reader& reader, const Mapping& in, ApiKey& key) {
  const auto names = permission_names();
  for (Reader::Item& item : reader.texts(in, "permissions")) {
    const std::string& name = item.scalar.text;
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      std::string upper = name;
      for (char& c : upper) {
        c = c == '-' || c == ' ' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
      }
      std::string hint = item.scalar.shown ? did_you_mean(upper, names) : "";
      if (hint.empty()) {
        hint = "the permissions:";
        for (const std::string_view known : names) hint += ' ' + std::string{known};
      }
      reader.problem(item.mark, item.path, "must be a permission" + is_shown(item.scalar), hint);
    } else if (std::find(key.permissions.begin(), key.permissions.end(), name) !=
               key.permissions.end()) {
      reader.problem(item.mark, item.path, name + " is in the list already");
    } else {
      key.permissions.push_back(name);
    }
  }
}

void read_restrictions(Reader& reader, const Mapping& in, ApiKey& key) {
  for (const Reader::Item& item : reader.texts(in, "allowed_ips")) {
    const auto cidr = parse_cidr(item.scalar.text);
    if (!cidr) {
      reader.problem(item.mark, item.path,
                     "must be an address or a range of addresses" + is_shown(item.scalar),
                     "such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32");
    } else if (!cidr->exact) {
      reader.problem(item.mark, item.path,
                     "has bits set after the range's length" + is_shown(item.scalar),
                     item.scalar.shown ? "did you mean \"" + cidr->network + "\"?" : "");
    } else {
      key.allowed_ips.push_back(cidr->network);
    }
  }
  for (const Reader::Item& item : reader.texts(in, "sender_domains")) {
    if (is_domain(item.scalar.text)) {
      key.sender_domains.push_back(ascii_lower(item.scalar.text));
      continue;
    }
    std::string hint;
    if (!is_ascii(item.scalar.text)) hint = "write it in its ASCII form, xn--…";
    const std::size_t at = item.scalar.text.find('@');
    if (item.scalar.shown && at != std::string::npos) {
      const std::string domain = item.scalar.text.substr(at + 1);
      if (is_domain(domain)) hint = "did you mean \"" + domain + "\"?";
    }
    reader.problem(item.mark, item.path, "must be a domain name" + is_shown(item.scalar), hint);
  }
}

ApiKey read_key(Reader& reader, const Mapping& in) {
  ApiKey key;
  if (auto name = reader.get<std::string>(in, "name")) key.name = *std::move(name);
  read_key_text(reader, in, key);
  read_permissions(reader, in, key);
  read_restrictions(reader, in, key);
  key.expires_at = reader.get<std::int64_t>(in, "expires_at");
  return key;
}

ProviderAccount read_provider(Reader& reader, const Mapping& in) {
  ProviderAccount account;
  if (auto id = reader.get<std::string>(in, "id")) account.slug = *std::move(id);
  if (auto type = reader.get<std::string>(in, "type")) account.type = *std::move(type);
  account.display_name = reader.get<std::string>(in, "display_name").value_or(account.slug);
  if (const auto active = reader.get<bool>(in, "active")) account.active = *active;
  if (const auto priority = reader.get<std::int64_t>(in, "priority")) {
    account.priority = static_cast<int>(*priority);
  }
  if (const auto weight = reader.get<std::int64_t>(in, "weight")) {
    account.weight = static_cast<int>(*weight);
  }
  if (const auto most = reader.get<std::int64_t>(in, "max_concurrency")) {
    account.max_concurrency = static_cast<std::uint32_t>(*most);
  }
  if (const auto rate = reader.get<RateLimit>(in, "max_rate")) account.max_rate = rate->per_second;
  account.settings = reader.settings(in, "settings");
  account.credentials = reader.settings(in, "credentials");
  return account;
}

}  // namespace

std::vector<Organization> read_organizations(Reader& reader, const Mapping& root) {
  std::vector<Organization> organizations;
  Unique slugs;
  Unique hashes;  // across organizations: a key must name one of them
  for (const Mapping& in : reader.mappings(root, "organizations")) {
    Organization organization;
    if (auto id = reader.get<std::string>(in, "id")) {
      refuse_twice(reader, slugs, *id, in, "id");
      organization.slug = *std::move(id);
    }
    organization.name = reader.get<std::string>(in, "name").value_or(organization.slug);
    organization.hold_unknown_outcomes =
        reader.get<std::string>(in, "unknown_outcome").value_or("retry") == "hold";
    if (const auto limits = reader.mapping(in, "rate_limits")) {
      organization.send_limit = reader.get<RateLimit>(*limits, "send");
      organization.other_limit = reader.get<RateLimit>(*limits, "other");
    }
    Unique key_names;
    for (const Mapping& one : reader.mappings(in, "keys")) {
      ApiKey key = read_key(reader, one);
      if (!key.name.empty()) refuse_twice(reader, key_names, key.name, one, "name");
      if (!key.key_sha256.empty()) {
        const std::string first = hashes.take(key.key_sha256, one.path);
        const bool is_text = one.node->find("key") != nullptr;
        if (!first.empty()) {
          reader.problem(one, is_text ? "key" : "key_sha256", "is the same key as " + first);
        }
      }
      organization.keys.push_back(std::move(key));
    }
    Unique accounts;
    for (const Mapping& one : reader.mappings(in, "providers")) {
      ProviderAccount account = read_provider(reader, one);
      if (!account.slug.empty()) refuse_twice(reader, accounts, account.slug, one, "id");
      organization.providers.push_back(std::move(account));
    }
    organizations.push_back(std::move(organization));
  }
  return organizations;
}

}  // namespace postern::config
