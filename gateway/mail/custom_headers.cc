#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "mail/message.h"
#include "mail/syntax.h"

namespace postern::mail {
namespace {

constexpr std::size_t kMaxName = 76;

// Set by the gateway, or by the mailers on the way. Lower case; a final '*' stands for any rest.
constexpr std::array<std::string_view, 31> kReserved{
    "from",
    "to",
    "cc",
    "bcc",
    "sender",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-*",
    "dkim-signature",
    "domainkey-*",
    "received",
    "received-*",
    "return-path",
    "resent-*",
    "arc-*",
    "list-unsubscribe*",
    "authentication-results",
    "delivered-to",
    "x-original-to",
    "envelope-to",
    "x-envelope-*",
    "apparently-to",
    "original-recipient",
    "original-from",
    "downgraded-*",
    "bimi-*",
    "tls-report-*",
    "x-postern-*",
};

bool is_reserved(std::string_view name) {
  const std::string lower = ascii_lower(name);
  return std::any_of(kReserved.begin(), kReserved.end(), [&](std::string_view reserved) {
    if (!reserved.ends_with('*')) return lower == reserved;
    return lower.starts_with(reserved.substr(0, reserved.size() - 1));
  });
}

Error refuse(std::string_view code, std::string message) {
  Error error{ErrorKind::invalid, message, {}, {}};
  error.issues.push_back({"", std::string(code), std::move(message)});
  return error;
}

}  // namespace

Result<Done> check_custom_header(std::string_view name, std::string_view value) {
  constexpr std::string_view kInvalid = "invalid_header";
  if (name.empty()) return refuse(kInvalid, "The header's name is empty");
  for (const char c : name) {
    // RFC 5322 2.2: printable ASCII but the colon.
    if (c <= 0x20 || c >= 0x7F || c == ':') {
      return refuse(kInvalid,
                    "The header's name may hold only printable ASCII characters, no space and no "
                    "colon");
    }
  }
  if (name.size() > kMaxName) {
    return refuse(kInvalid, "The header's name has " + std::to_string(name.size()) +
                                " characters; 76 are allowed");
  }
  if (is_reserved(name)) {
    return refuse("reserved_header",
                  "The header " + std::string(name) + " is set by the gateway itself");
  }
  if (!is_utf8(value)) return refuse(kInvalid, "The header's value is not valid UTF-8");
  for (const char c : value) {
    if (c == '\r' || c == '\n') return refuse(kInvalid, "The header's value holds a line break");
    if (is_control(c) && c != '\t') {
      return refuse(kInvalid, "The header's value holds a control character");
    }
  }
  return Done{};
}

}  // namespace postern::mail
