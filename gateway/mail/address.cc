#include "mail/address.h"

#include <unicase.h>
#include <uninorm.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "mail/idna.h"
#include "mail/syntax.h"

namespace postern::mail {
namespace {

constexpr std::size_t kMaxLocalPart = 64;
constexpr std::size_t kMaxAddress = 254;
constexpr std::string_view kSeveral =
    "it holds more than one address, or a name with a comma or semicolon that is not in double "
    "quotes";

Error refuse(std::string_view why) {
  std::string message = "Not a valid email address: ";
  message += why;
  Error error{ErrorKind::invalid, message, {}, {}};
  error.issues.push_back({"", "invalid_recipient", std::move(message)});
  return error;
}

// Where `wanted` first stands outside double quotes; npos when nowhere; nullopt when a quoted
// string has no end.
std::optional<std::size_t> find_unquoted(std::string_view text, char wanted) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\') {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && c == wanted) {
      return i;
    }
  }
  if (quoted) return std::nullopt;
  return std::string_view::npos;
}

// Reads the quoted string that starts at text[at], moves `at` behind it; nullopt without an end.
std::optional<std::string> read_quoted(std::string_view text, std::size_t& at) {
  std::string out;
  for (std::size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      at = i + 1;
      return out;
    }
    if (text[i] == '\\' && ++i == text.size()) break;
    out += text[i];
  }
  return std::nullopt;
}

// What is wrong with a character that stands unquoted where it may not.
std::string misplaced(char c, std::string_view where) {
  switch (c) {
    case ',':
    case ';':
      return std::string(kSeveral);
    case '(':
    case ')':
      return "comments in parentheses are not accepted";
    case ':':
      return "groups (\"name: addresses;\") are not accepted";
    case ' ':
      return std::string(where) + " holds a space";
    default:
      return std::string(where) + " holds '" + c + "', which must stand in double quotes";
  }
}

// RFC 5322 3.2.5 phrase, with the dots of obs-phrase: words and quoted strings. Gives an error's
// text, or the name in `out`.
std::string read_name(std::string_view text, std::string& out) {
  bool space = false;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == ' ') {
      space = true;
      ++i;
      continue;
    }
    if (space && !out.empty()) out += ' ';
    space = false;
    if (text[i] == '"') {
      auto quoted = read_quoted(text, i);
      if (!quoted) return "a double quote is never closed";
      out += *quoted;
    } else if (is_atext(text[i]) || text[i] == '.' || is_high(text[i])) {
      out += text[i++];
    } else {
      return misplaced(text[i], "the name");
    }
  }
  return {};
}

bool is_dot_atom(std::string_view text) {
  if (text.empty() || text.front() == '.' || text.back() == '.') return false;
  if (text.find("..") != std::string_view::npos) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c == '.' || is_atext(c) || is_high(c); });
}

// Gives an error's text, or the normalized address in `out`.
std::string read_address(std::string_view text, std::string& out) {
  if (text.empty()) return "the address is empty";
  if (text.front() == '@') {
    return text.find(':') != std::string_view::npos
               ? "source routes (\"@relay:user@domain\") are not accepted"
               : "the local part, before the '@', is empty";
  }
  std::size_t at = 0;
  std::string local;
  if (text.front() == '"') {
    auto quoted = read_quoted(text, at);
    if (!quoted) return "a double quote is never closed";
    if (at == text.size()) return "there is no '@' after the local part";
    if (text[at] != '@') return "the local part mixes quoted and unquoted text";
    // Quotes that are not needed mean nothing (RFC 5321 4.1.2): one address, one spelling.
    if (is_dot_atom(*quoted)) {
      local = *std::move(quoted);
    } else {
      local = '"';
      for (const char c : *quoted) {
        if (c == '"' || c == '\\') local += '\\';
        local += c;
      }
      local += '"';
    }
  } else {
    for (; at < text.size() && text[at] != '@'; ++at) {
      const char c = text[at];
      if (is_atext(c) || c == '.' || is_high(c)) continue;
      if (c == '"') return "the local part mixes quoted and unquoted text";
      if (c == ' ' && text.find('@', at) == std::string_view::npos) break;
      return misplaced(c, "the local part");
    }
    if (at == text.size() || text[at] != '@') return "there is no '@'";
    local = text.substr(0, at);
    if (local.empty()) return "the local part, before the '@', is empty";
    if (local.front() == '.') return "the local part starts with a dot";
    if (local.back() == '.') return "the local part ends with a dot";
    if (local.find("..") != std::string::npos) return "the local part has two dots in a row";
  }
  if (local.size() > kMaxLocalPart) {
    return "the local part has " + std::to_string(local.size()) + " octets; 64 are allowed";
  }

  const std::string_view domain = text.substr(at + 1);
  if (domain.empty()) return "the domain, after the '@', is empty";
  if (domain.front() == '[') return "IP addresses in place of a domain are not accepted";
  // In this order: what explains most comes first.
  for (const std::string_view odd : {"(),;", "@", " "}) {
    const auto where = domain.find_first_of(odd);
    if (where == std::string_view::npos) continue;
    if (odd == "@") return "it holds more than one '@'";
    return misplaced(domain[where], "the domain");
  }
  auto ascii = domain_to_ascii(domain);
  if (!ascii) return std::move(ascii).error().what;
  out = std::move(local);
  const bool unicode = !is_ascii(out);
  out += '@';
  out += unicode ? domain_to_unicode(*ascii) : *ascii;
  if (out.size() > kMaxAddress) {
    return "the address has " + std::to_string(out.size()) + " octets; 254 are allowed";
  }
  return {};
}

}  // namespace

Result<Mailbox> parse_mailbox(std::string_view text) {
  if (!is_utf8(text)) return refuse("it is not valid UTF-8");
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '\r' || c == '\n') return refuse("it holds a line break");
    const bool c1 = c == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (c < 0x20 || c == 0x7F || c1) return refuse("it holds a control character");
  }
  text = trim(text);
  if (text.empty()) return refuse("it is empty");

  const auto open = find_unquoted(text, '<');
  if (!open) return refuse("a double quote is never closed");
  Mailbox mailbox;
  std::string_view address = text;
  if (*open != std::string_view::npos) {
    const std::string_view name = trim(text.substr(0, *open));
    if (*find_unquoted(name, ',') != std::string_view::npos ||
        *find_unquoted(name, ';') != std::string_view::npos) {
      return refuse(kSeveral);
    }
    const std::string_view rest = text.substr(*open + 1);
    const auto close = find_unquoted(rest, '>');
    if (!close) return refuse("a double quote is never closed");
    if (*close == std::string_view::npos) return refuse("the closing '>' is missing");
    const std::string_view after = trim(rest.substr(*close + 1));
    if (!after.empty()) {
      return refuse(after.front() == ',' || after.front() == ';' || after.front() == '('
                        ? misplaced(after.front(), "it")
                        : std::string("there is text after the closing '>'"));
    }
    if (auto why = read_name(name, mailbox.name); !why.empty()) return refuse(why);
    address = trim(rest.substr(0, *close));
  } else if (*find_unquoted(text, '>') != std::string_view::npos) {
    return refuse("there is a '>' without a '<' before it");
  }
  if (auto why = read_address(address, mailbox.address); !why.empty()) return refuse(why);
  return mailbox;
}

std::string_view domain_of(std::string_view address) {
  const auto at = address.rfind('@');
  return at == std::string_view::npos ? std::string_view{} : address.substr(at + 1);
}

std::string comparable(std::string_view address) {
  if (is_ascii(address)) return ascii_lower(address);
  const std::string_view domain = domain_of(address);
  const std::string_view local =
      domain.data() == nullptr ? address : address.substr(0, address.size() - domain.size() - 1);
  std::string out;
  // u8_tolower reads past what is not valid UTF-8, so such bytes compare as they are.
  if (is_ascii(local) || !is_utf8(local)) {
    out = ascii_lower(local);
  } else {
    std::size_t length = 0;
    const std::unique_ptr<std::uint8_t, void (*)(void*)> lower(
        u8_tolower(reinterpret_cast<const std::uint8_t*>(local.data()), local.size(), nullptr,
                   UNINORM_NFC, nullptr, &length),
        &std::free);
    if (lower) {
      out.assign(reinterpret_cast<const char*>(lower.get()), length);
    } else {
      out = local;
    }
  }
  if (domain.data() == nullptr) return out;
  out += '@';
  const auto ascii = domain_to_ascii(domain);
  out += ascii ? *ascii : ascii_lower(domain);
  return out;
}

bool needs_smtputf8(std::string_view address) {
  const auto at = address.rfind('@');
  return !is_ascii(at == std::string_view::npos ? address : address.substr(0, at));
}

}  // namespace postern::mail
