#include "mail/idna.h"

#include <idn2.h>

#include <algorithm>
#include <memory>

#include "base/bytes.h"

namespace postern::mail {
namespace {

constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxDomain = 253;
using IdnString = std::unique_ptr<char, void (*)(void*)>;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_ldh(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-';
}

// Empty when the ASCII domain is well-formed.
std::string fault_of(std::string_view domain) {
  if (domain.back() == '.' && domain.size() > 1 && domain[domain.size() - 2] != '.') {
    return "the domain ends with a dot";
  }
  std::string_view label;
  for (std::size_t at = 0; at <= domain.size(); at += label.size() + 1) {
    label = domain.substr(at, domain.find('.', at) - at);
    if (label.empty()) return "the domain has an empty label";
    for (const char c : label) {
      if (is_ldh(c)) continue;
      const bool printable = c > 0x20 && c < 0x7F;
      return printable ? std::string("the domain holds '") + c + '\''
                       : std::string("the domain holds a character that is not allowed there");
    }
    if (label.size() > kMaxLabel) return "a label of the domain has more than 63 octets";
    if (label.front() == '-') return "a label of the domain starts with a hyphen";
    if (label.back() == '-') return "a label of the domain ends with a hyphen";
  }
  if (std::all_of(label.begin(), label.end(), is_digit)) {
    return "the domain's last label is all digits, as in an IP address";
  }
  if (domain.size() > kMaxDomain) return "the domain has more than 253 octets";
  return {};
}

}  // namespace

sdk::Expected<std::string, DomainFault> domain_to_ascii(std::string_view domain) {
  if (domain.empty()) return DomainFault{"the domain is empty"};
  const bool ascii = is_ascii(domain);
  if (ascii) {
    if (auto fault = fault_of(domain); !fault.empty()) return DomainFault{std::move(fault)};
  }
  std::string lower = ascii_lower(domain);
  if (ascii && !lower.starts_with("xn--") && lower.find(".xn--") == std::string::npos) {
    return lower;
  }
  if (!is_utf8(domain)) return DomainFault{"the domain is not valid UTF-8"};
  // libidn2 reads C strings: a NUL would hide what comes after it.
  if (domain.find('\0') != std::string_view::npos) {
    return DomainFault{"the domain holds a control character"};
  }
  std::uint8_t* raw = nullptr;
  const int code = idn2_lookup_u8(reinterpret_cast<const std::uint8_t*>(lower.c_str()), &raw,
                                  IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  const IdnString owner(reinterpret_cast<char*>(raw), &idn2_free);
  if (code == IDN2_TOO_BIG_LABEL) {
    return DomainFault{"a label of the domain has more than 63 octets"};
  }
  if (code == IDN2_TOO_BIG_DOMAIN) return DomainFault{"the domain has more than 253 octets"};
  if (code != IDN2_OK) {
    return DomainFault{std::string("the domain is not a valid internationalized name (") +
                       idn2_strerror(code) + ')'};
  }
  std::string out = ascii_lower(owner.get());
  if (out.empty()) return DomainFault{"the domain has an empty label"};
  if (auto fault = fault_of(out); !fault.empty()) return DomainFault{std::move(fault)};
  return out;
}

std::string domain_to_unicode(const std::string& ascii) {
  char* raw = nullptr;
  const int code = idn2_to_unicode_8z8z(ascii.c_str(), &raw, 0);
  const IdnString owner(raw, &idn2_free);
  return code == IDN2_OK ? std::string(owner.get()) : ascii;
}

}  // namespace postern::mail
