#include "routing/routing.h"

#include <algorithm>
#include <vector>

namespace postern::routing {
namespace {

std::vector<Issue> unsupported(const resources::ProviderAccount& account,
                               const sdk::Capabilities& can, const Traits& traits) {
  std::vector<Issue> issues;
  const auto lacks = [&](bool bad, const char* path, const std::string& what) {
    if (!bad) return;
    issues.push_back({path, "capability_unsupported",
                      "Provider account '" + account.display_name + "' (" + account.type + ") " + what});
  };
  lacks(can.max_recipients != 0 && traits.recipients > can.max_recipients, "to",
        "takes at most " + std::to_string(can.max_recipients) + " recipients a message");
  lacks(traits.tags > 0 && !can.supports_tags, "tags", "supports no tags");
  lacks(can.supports_tags && can.max_tags != 0 && traits.tags > can.max_tags, "tags",
        "takes at most " + std::to_string(can.max_tags) + " tags");
  lacks(traits.has_metadata && !can.supports_metadata, "metadata", "supports no metadata");
  lacks(traits.has_custom_headers && !can.supports_custom_headers, "headers",
        "supports no custom headers");
  lacks(traits.has_inline_attachments && !can.supports_inline_attachments, "attachments",
        "supports no inline attachments");
  lacks(traits.has_nameless_attachments && !can.supports_nameless_attachments, "attachments",
        "needs a filename for every attachment");
  lacks(traits.needs_smtputf8 && !can.supports_smtputf8, "to",
        "supports no addresses with UTF-8 local parts");
  lacks(can.max_message_bytes != 0 && traits.approximate_bytes > can.max_message_bytes,
        "attachments",
        "takes messages of at most " + std::to_string(can.max_message_bytes) + " bytes");
  return issues;
}

}  // namespace

Result<Route> choose(const resources::OrganizationView& organization, const Traits& traits,
                     const CapabilitiesOf& capabilities, std::span<const std::string> tried) {
  if (traits.test) {
    return Route{resources::sandbox_account_id(organization.organization.id),
                 std::string{resources::kSandboxType}};
  }
  std::vector<Issue> issues;
  bool any_active = false;
  for (const auto& account : organization.accounts) {  // by priority
    if (!account.active) continue;
    if (!traits.provider_id.empty() && account.id != traits.provider_id) continue;
    any_active = true;
    if (std::find(tried.begin(), tried.end(), account.id) != tried.end()) continue;
    const sdk::Capabilities* can = capabilities(account.type);
    if (can == nullptr) {
      issues.push_back({"", "provider_unavailable",
                        "Provider account '" + account.display_name + "' needs the plugin for " +
                            account.type + ", which is not loaded"});
      continue;
    }
    auto missing = unsupported(account, *can, traits);
    if (missing.empty()) return Route{account.id, account.type};
    issues.insert(issues.end(), std::make_move_iterator(missing.begin()),
                  std::make_move_iterator(missing.end()));
  }
  if (!issues.empty()) {
    return Error{ErrorKind::impossible, "No active provider account can carry this message",
                 std::move(issues), {}};
  }
  if (!any_active && !traits.provider_id.empty()) {
    return Error{ErrorKind::impossible,
                 "No such active provider account",
                 {{"providerId", "no_active_provider",
                   "The organization has no active provider account with this id"}},
                 {}};
  }
  return Error{ErrorKind::impossible,
               "The organization has no active provider",
               {{"", "no_active_provider",
                 "Activate or declare a provider account before sending"}},
               {}};
}

}  // namespace postern::routing
