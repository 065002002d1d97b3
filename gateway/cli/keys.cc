#include "cli/keys.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <memory>
#include <ostream>
#include <set>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/ids.h"
#include "cli/command.h"
#include "cli/environment.h"
#include "cli/lookup.h"
#include "cli/output.h"
#include "config/values.h"
#include "resources/codec.h"
#include "resources/reconcile.h"

namespace postern::cli {
namespace {

using resources::ApiKey;
using sdk::StorageOptions;

struct CreateOptions {
  std::string config;
  std::string organization;
  std::string name;
  std::vector<std::string> permissions;
  bool test = false;
  std::string expires_in;
  std::vector<std::string> allowed_ips;
  std::vector<std::string> sender_domains;
  bool json = false;
};
struct ListOptions {
  std::string config;
  std::string organization;
  bool json = false;
};
struct RevokeOptions {
  std::string config;
  std::string id;
  bool json = false;
};

boost::json::object to_json(const ApiKey& key, const std::string& slug) {
  return {{"id", key.id},
          {"organizationId", key.organization},
          {"organization", slug},
          {"name", key.name},
          {"mode", key.test ? "test" : "live"},
          {"permissions", json_list(key.permissions.names())},
          {"allowedIps", json_list(key.allowed_ips)},
          {"senderDomains", json_list(key.sender_domains)},
          {"expiresAt", json_time(key.expires_at)},
          {"revokedAt", json_time(key.revoked_at)},
          {"managedBy", key.managed_by_config ? "config" : "api"},
          {"createdAt", json_time(key.created_at)}};
}

std::string state_of(const ApiKey& key, UnixMillis now) {
  if (key.revoked_at) return "revoked";
  if (key.expires_at && *key.expires_at <= now) return "expired";
  return "active";
}

// The organization; where nothing was ever stored, what the file declares is stored first.
Result<resources::Organization> organization_to_hold(Environment& environment,
                                                     const std::string& slug) {
  sdk::DocumentQuery any;
  any.kind = resources::kOrganizationKind;
  const auto stored = environment.storage().count_documents(any);
  if (!stored) return storage_error(stored.error(), "counting the organizations");
  if (*stored == 0) {
    if (auto unlocked = environment.unlock(); !unlocked) return unlocked.error();
    const auto reconciled =
        resources::reconcile(environment.config(), environment.storage(), environment.secrets());
    if (!reconciled) return reconciled.error();
  }
  auto found = organization_by_slug(environment.storage(), slug);
  if (found) {
    if (!found->disabled) return found;
    return Error{ErrorKind::conflict,
                 "organization '" + slug + "' is disabled: " + environment.config().file +
                     " no longer declares it",
                 {},
                 {}};
  }
  const auto& declared = environment.config().organizations;
  const bool is_declared = std::any_of(declared.begin(), declared.end(),
                                       [&](const auto& each) { return each.slug == slug; });
  if (found.error().kind == ErrorKind::not_found && is_declared) {
    return Error{ErrorKind::not_found,
                 "organization '" + slug + "' is declared in " + environment.config().file +
                     ", but the gateway has not started with it yet: restart it first",
                 {},
                 {}};
  }
  return found;
}

int create(const CreateOptions& options, const Io& io) {
  auto environment = open_environment(options.config, StorageOptions::Role::tool);
  if (!environment) return fail(io, environment.error());
  Environment& opened = **environment;
  const auto organization = organization_to_hold(opened, options.organization);
  if (!organization) return fail(io, organization.error());

  const std::string secret = make_api_key(options.test);
  ApiKey key;
  key.id = uuid_v7(opened.clock());
  key.organization = organization->id;
  key.name = options.name;
  key.sha256 = sha256_hex(secret);
  key.test = options.test;
  for (const auto& name : options.permissions) {
    key.permissions.add(*resources::permission_of(name));
  }
  key.allowed_ips = options.allowed_ips;
  for (const auto& domain : options.sender_domains) {
    key.sender_domains.push_back(ascii_lower(domain));
  }
  key.created_at = opened.clock().now();
  if (const auto lasts = parse_duration(options.expires_in)) {
    key.expires_at = key.created_at + lasts->count();
  }

  const sdk::Unit unit{{sdk::PutDocument{resources::to_document(key), 0}}};
  const auto stored = opened.storage().commit({&unit, 1});
  if (!stored) return fail(io, storage_error(stored.error(), "storing the key"));
  if (stored->front().status != sdk::UnitResult::Status::stored) {
    return fail(io, {ErrorKind::conflict, "the key could not be stored; try again", {}, {}});
  }
  if (options.json) {
    boost::json::object out = to_json(key, organization->slug);
    out["key"] = secret;
    print_json(io.out, out);
  } else {
    io.out << secret << '\n';
    io.err << "Key " << key.id << " of organization '" << organization->slug
           << "'. It is shown this once: only its hash is stored.\n";
  }
  return kDone;
}

int list(const ListOptions& options, const Io& io) {
  auto environment = open_environment(options.config, StorageOptions::Role::inspect);
  if (!environment) return fail(io, environment.error());
  Environment& opened = **environment;

  sdk::DocumentQuery query;
  query.kind = resources::kApiKeyKind;
  query.limit = 500;
  if (!options.organization.empty()) {
    const auto organization = organization_by_slug(opened.storage(), options.organization);
    if (!organization) return fail(io, organization.error());
    query.organization = organization->id;
  }
  OrganizationNames names{opened.storage()};
  const UnixMillis now = opened.clock().now();
  Table table{
      {"ID", "ORGANIZATION", "NAME", "MODE", "STATE", "EXPIRES", "MANAGED BY", "PERMISSIONS"}};
  boost::json::array all;
  for (;;) {
    const auto page = opened.storage().documents(query);
    if (!page) return fail(io, storage_error(page.error(), "reading the keys"));
    for (const auto& document : *page) {
      const auto key = resources::api_key_from(document);
      if (!key) return fail(io, key.error());
      const std::string slug = names.slug_of(key->organization);
      if (options.json) {
        boost::json::object out = to_json(*key, slug);
        out["state"] = state_of(*key, now);
        all.push_back(std::move(out));
      } else {
        table.add({key->id, slug, key->name, key->test ? "test" : "live", state_of(*key, now),
                   key->expires_at ? format_time(*key->expires_at) : "never",
                   key->managed_by_config ? "config" : "api", join(key->permissions.names(), ",")});
      }
    }
    if (page->size() < query.limit) break;
    query.after_id = page->back().id;
  }
  if (options.json) {
    print_json(io.out, boost::json::object{{"keys", std::move(all)}});
  } else if (table.empty()) {
    io.err << "There are no keys. 'postern keys create --help' says how to make one.\n";
  } else {
    table.print(io.out);
  }
  return kDone;
}

int revoke(const RevokeOptions& options, const Io& io) {
  auto environment = open_environment(options.config, StorageOptions::Role::tool);
  if (!environment) return fail(io, environment.error());
  Environment& opened = **environment;
  OrganizationNames names{opened.storage()};

  // Another gateway may change the document in between; then it is read again.
  for (int attempt = 0; attempt < 5; ++attempt) {
    const auto document = opened.storage().document(resources::kApiKeyKind, options.id);
    if (!document) return fail(io, storage_error(document.error(), "reading the key"));
    if (!document->has_value()) {
      return fail(io, {ErrorKind::not_found,
                       "there is no key " + options.id + "; 'postern keys list' shows them",
                       {},
                       {}});
    }
    auto key = resources::api_key_from(**document);
    if (!key) return fail(io, key.error());
    if (key->managed_by_config) {
      return fail(io, {ErrorKind::conflict,
                       "key '" + key->name + "' of organization '" +
                           names.slug_of(key->organization) + "' is declared in " +
                           opened.config().file + ": remove it there and restart the gateway",
                       {},
                       {}});
    }
    const bool was_revoked = key->revoked_at.has_value();
    if (!was_revoked) {
      key->revoked_at = opened.clock().now();
      sdk::Document changed = resources::to_document(*key);
      changed.expires_at = (*document)->expires_at;
      const sdk::Unit unit{{sdk::PutDocument{std::move(changed), (*document)->version}}};
      const auto stored = opened.storage().commit({&unit, 1});
      if (!stored) return fail(io, storage_error(stored.error(), "storing the revocation"));
      if (stored->front().status != sdk::UnitResult::Status::stored) continue;
    }
    if (options.json) {
      print_json(io.out, to_json(*key, names.slug_of(key->organization)));
    } else {
      io.out << "Key " << key->id << " ('" << printable(key->name) << "') "
             << (was_revoked ? "was revoked at " : "is revoked since ")
             << format_time(*key->revoked_at) << ".\n";
    }
    return kDone;
  }
  return fail(io, {ErrorKind::conflict, "the key changed all the time; try again", {}, {}});
}

const CLI::Validator kPermission{
    [](std::string& text) -> std::string {
      if (resources::permission_of(text)) return {};
      const auto names = resources::permission_names();
      const std::string near = nearest(text, names);
      return "'" + text + "' is no permission" +
             (near.empty() ? "; they are " + join(names, ", ") : ": did you mean " + near + "?");
    },
    "PERMISSION"};
const CLI::Validator kCidr{
    [](std::string& text) -> std::string {
      const auto range = config::parse_cidr(text);
      if (!range) return "'" + text + "' is no address range: write 192.0.2.0/24 or 2001:db8::/32";
      if (!range->exact)
        return "'" + text + "' has bits set behind the slash's: " + range->network + "?";
      return {};
    },
    "CIDR"};
const CLI::Validator kDomain{
    [](std::string& text) -> std::string {
      if (config::is_domain(text, 2)) return {};
      return "'" + text + "' is no domain (write one that is not ASCII in its xn-- form)";
    },
    "DOMAIN"};
const CLI::Validator kName{
    [](std::string& text) -> std::string {
      if (!text.empty() && is_utf8(text) && utf8_length(text) <= 255 && printable(text) == text) {
        return {};
      }
      return "a name has 1 to 255 characters of UTF-8 and no control characters";
    },
    "NAME"};
const CLI::Validator kUuid{[](std::string& text) -> std::string {
                             if (!is_uuid(text)) return "'" + text + "' is no id (a UUID)";
                             text = ascii_lower(text);
                             return {};
                           },
                           "ID"};

}  // namespace

std::string make_api_key(bool test) {
  std::string text = base64_encode(random_bytes(32));
  text.erase(text.find_last_not_of('=') + 1);
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return (test ? "ms_test_" : "ms_live_") + text;
}

void add_keys(CLI::App& app, Session& session) {
  auto* keys = app.add_subcommand("keys", "Make, list and revoke API keys");
  keys->require_subcommand(1);
  keys->footer(
      "Works beside a running gateway and without one. A change takes effect within a second.");

  auto* creates = keys->add_subcommand("create", "Make a key and print it, this once");
  auto create_options = std::make_shared<CreateOptions>();
  add_config_option(*creates, create_options->config);
  creates->add_option("--organization", create_options->organization, "Whose key it is")
      ->type_name("SLUG")
      ->required();
  creates->add_option("--name", create_options->name, "What lists call it")
      ->check(kName)
      ->required();
  creates
      ->add_option(
          "--permissions", create_options->permissions,
          "What it may do, with commas between: " + join(resources::permission_names(), ", "))
      ->delimiter(',')
      ->check(kPermission)
      ->required();
  creates->add_flag("--test", create_options->test,
                    "A test key: its mail goes to the sandbox, nothing leaves the machine");
  creates
      ->add_option("--expires-in", create_options->expires_in,
                   "How long it works; default: for ever")
      ->check(kDuration);
  creates
      ->add_option("--allowed-ip", create_options->allowed_ips,
                   "Clients that may use it; may be given more than once; default: all")
      ->check(kCidr)
      ->allow_extra_args(false);
  creates
      ->add_option("--sender-domain", create_options->sender_domains,
                   "Domains that it may send from; may be given more than once; default: all")
      ->check(kDomain)
      ->allow_extra_args(false);
  creates->add_flag("--json", create_options->json, "Print one JSON object");
  creates->footer(
      "The key is the only line on standard output, so that a script can take it.\n\n"
      "Example:\n"
      "  key=$(postern keys create --organization demo --name shop --permissions SEND)\n\n"
      "Exit codes: 0 the key works, 1 it was not made, 2 wrong usage.");
  session.on(*creates,
             [create_options, &session] { return create(*create_options, session.io()); });

  auto* lists = keys->add_subcommand("list", "List keys, never their values");
  auto list_options = std::make_shared<ListOptions>();
  add_config_option(*lists, list_options->config);
  lists->add_option("--organization", list_options->organization, "Only this one's")
      ->type_name("SLUG");
  lists->add_flag("--json", list_options->json, "Print one JSON object");
  lists->footer(
      "Example:\n  postern keys list --organization demo\n\n"
      "Exit codes: 0 listed (also when there are none), 1 failed, 2 wrong usage.");
  session.on(*lists, [list_options, &session] { return list(*list_options, session.io()); });

  auto* revokes = keys->add_subcommand("revoke", "Make a key stop working, for ever");
  auto revoke_options = std::make_shared<RevokeOptions>();
  add_config_option(*revokes, revoke_options->config);
  revokes->add_option("id", revoke_options->id, "The id that 'keys list' shows")
      ->check(kUuid)
      ->required();
  revokes->add_flag("--json", revoke_options->json, "Print one JSON object");
  revokes->footer(
      "A key that the configuration declares is revoked by removing it there.\n\n"
      "Example:\n  postern keys revoke 01890a5d-ac96-774b-bcce-b302099a8057\n\n"
      "Exit codes: 0 it is revoked (also when it was before), 1 failed, 2 wrong usage.");
  session.on(*revokes,
             [revoke_options, &session] { return revoke(*revoke_options, session.io()); });
}

}  // namespace postern::cli
