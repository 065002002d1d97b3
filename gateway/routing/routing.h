// routing/routing.h: which provider account takes a message; the only place that says
// no_active_provider. Pure.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "base/result.h"
#include "postern/sdk/provider.h"
#include "resources/directory.h"

namespace postern::routing {

struct Route {
  std::string account;        // id
  std::string provider_type;  // "SMTP"
};

// What routing has to know of a message.
struct Traits {
  bool test = false;             // to the sandbox
  std::string provider_id;       // forced account; empty: by priority
  std::uint32_t recipients = 1;
  std::uint32_t tags = 0;
  bool has_metadata = false;
  bool has_custom_headers = false;
  bool has_inline_attachments = false;
  bool has_nameless_attachments = false;
  bool needs_smtputf8 = false;
  std::uint64_t approximate_bytes = 0;
};

// Whether an account of this type is loaded, and what it can do; null: no such plugin.
using CapabilitiesOf = std::function<const sdk::Capabilities*(const std::string& provider_type)>;

// The active account with the lowest priority that can carry the message, leaving out `tried`.
// Errors: impossible with the issue no_active_provider; or capability_unsupported, which names
// everything that no active account can do. A provider_id that names none of the organization's
// active accounts is no_active_provider too, at its path.
Result<Route> choose(const resources::OrganizationView& organization, const Traits& traits,
                     const CapabilitiesOf& capabilities, std::span<const std::string> tried = {});

}  // namespace postern::routing
