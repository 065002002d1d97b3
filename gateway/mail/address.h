// mail/address.h: mail addresses by RFC 5321 4.1.2, RFC 5322 3.4 and RFC 6531. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "postern/sdk/provider.h"

namespace postern::mail {

using sdk::Mailbox;

// Reads "a@b", "<a@b>", "Name <a@b>" or "\"Quoted, Name\" <a@b>"; the name may be UTF-8 and may
// hold RFC 5322 quoted strings (given back unquoted). One address only: no groups, no lists, no
// comments, no route. Control characters, CR and LF are refused wherever they stand. The result's
// address is normalized: domain in lower case and A-label form (IDNA2008, RFC 5891), unless the
// local part is not ASCII; then the domain stays as U-labels (RFC 6531). Limits: local part 64
// octets, domain 253 (RFC 1035 2.3.4), whole 254 (RFC 5321 4.5.3.1). Quotes that a local part does
// not need are taken off. One label (user@localhost) is a domain. Domain literals ([192.0.2.1]) and
// bare IP addresses are refused. The error has one issue, with the code invalid_recipient, an empty
// path that the caller sets, and one sentence that says what is wrong, fit to show to a client.
Result<Mailbox> parse_mailbox(std::string_view text);

// The domain of a normalized address; empty when there is no '@'. Points into `address`.
std::string_view domain_of(std::string_view address);

// The form in which addresses compare (suppressions): lower case, domain as A-labels, a local part
// beyond ASCII in NFC. Takes any bytes; what is no address still compares as itself.
std::string comparable(std::string_view address);

// True when an address needs the SMTPUTF8 extension: its local part is not ASCII.
bool needs_smtputf8(std::string_view address);

}  // namespace postern::mail
