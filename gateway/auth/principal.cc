#include "auth/principal.h"

#include <algorithm>

#include "base/bytes.h"

namespace postern::auth {

Result<Done> Principal::require(resources::Permission permission) const {
  if (key().permissions.has(permission)) return Done{};
  return Error{ErrorKind::forbidden,
               "The key lacks the permission " + std::string{resources::name_of(permission)},
               {},
               {}};
}

Result<Done> Principal::check_client(std::string_view client_address) const {
  const auto& ranges = key().allowed_ips;
  if (ranges.empty() || std::any_of(ranges.begin(), ranges.end(), [&](const std::string& range) {
        return resources::in_cidr(client_address, range);
      })) {
    return Done{};
  }
  return Error{ErrorKind::forbidden, "The key may not be used from this IP address", {}, {}};
}

Result<Done> Principal::check_sender_domain(std::string_view domain) const {
  const auto& domains = key().sender_domains;
  if (domains.empty() || std::any_of(domains.begin(), domains.end(), [&](const std::string& each) {
        return ascii_iequals(each, domain);
      })) {
    return Done{};
  }
  return Error{ErrorKind::forbidden,
               "The key may not send from the domain " + std::string{domain},
               {{"from", "sender_domain_forbidden", "The key is limited to other sender domains"}},
               {}};
}

}  // namespace postern::auth
