// The client's side of SASL over SMTP: RFC 4954, 4616 (PLAIN), 2195 (CRAM-MD5), the LOGIN of
// draft-murchison-sasl-login, and Google's and Microsoft's XOAUTH2.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config.h"

namespace postern::smtp {

enum class Mechanism : std::uint8_t { plain, login, cram_md5, xoauth2 };

// What the server's EHLO said about AUTH.
struct Mechanisms {
  bool plain = false;
  bool login = false;
  bool cram_md5 = false;
  bool xoauth2 = false;
};

std::string_view name_of(Mechanism mechanism);

// The mechanism to use: the configured one, or for auto XOAUTH2 when there is an access token, then
// CRAM-MD5, PLAIN, LOGIN. None when the server doesn't offer what is needed.
std::optional<Mechanism> choose_mechanism(const Config& config, const Mechanisms& offered);

// One AUTH exchange. Lines have no CRLF.
class AuthExchange {
 public:
  AuthExchange(Mechanism mechanism, const Config& config)
      : mechanism_{mechanism}, config_{config} {}

  // The AUTH command, with the initial response where the mechanism has one that fits the line.
  std::string start();
  // The answer to a 334; `challenge` is its text, base64. None: the challenge makes no sense.
  std::optional<std::string> answer(std::string_view challenge);

 private:
  [[nodiscard]] std::string initial_response() const;

  Mechanism mechanism_;
  const Config& config_;
  bool sent_initial_ = false;
  int answers_ = 0;
};

std::string base64(std::string_view bytes);
std::optional<std::string> unbase64(std::string_view text);

}  // namespace postern::smtp
