// mail/idna.h: domain names as A-labels and U-labels, IDNA2008 (RFC 5891) with the non-transitional
// mapping of UTS 46. libidn2 lives here alone. Pure functions; thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "postern/sdk/result.h"

namespace postern::mail {

// What is wrong with a domain, half a sentence: "the domain has an empty label".
struct DomainFault {
  std::string what;
};

// The domain in lower case and A-labels. A single label is a domain too.
// Refused: empty labels (so a
// final dot too), labels of more than 63 octets, other characters than letters, digits and
// hyphens, hyphens at an end of a label, "xn--" labels that are no A-labels, an all-digit last
// label (an IP address, or nothing that DNS has), more than 253 octets (RFC 1035 2.3.4).
sdk::Expected<std::string, DomainFault> domain_to_ascii(std::string_view domain);

// The domain with U-labels in place of A-labels. `ascii` is what domain_to_ascii gave.
std::string domain_to_unicode(const std::string& ascii);

}  // namespace postern::mail
