#include "auth.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

namespace postern::smtp {
namespace {

constexpr std::size_t kMaxCommand = 510;  // RFC 5321 4.5.3.1.4, without CRLF

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string hmac_md5_hex(std::string_view key, std::string_view data) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (HMAC(EVP_md5(), key.data(), static_cast<int>(key.size()), bytes_of(data), data.size(),
           digest.data(), &size) == nullptr) {
    return {};
  }
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (unsigned int i = 0; i < size; ++i) {
    out += kHex[digest[i] >> 4];
    out += kHex[digest[i] & 15];
  }
  return out;
}

}  // namespace

std::string base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes_of(bytes),
                                   static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

std::optional<std::string> unbase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  if (text.empty()) return std::string{};
  std::string out(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes_of(text),
                                   static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  std::size_t padding = 0;
  if (text.ends_with("==")) {
    padding = 2;
  } else if (text.ends_with('=')) {
    padding = 1;
  }
  out.resize(static_cast<std::size_t>(size) - padding);
  return out;
}

std::string_view name_of(Mechanism mechanism) {
  switch (mechanism) {
    case Mechanism::plain:
      return "PLAIN";
    case Mechanism::login:
      return "LOGIN";
    case Mechanism::cram_md5:
      return "CRAM-MD5";
    case Mechanism::xoauth2:
      return "XOAUTH2";
  }
  return "";
}

std::optional<Mechanism> choose_mechanism(const Config& config, const Mechanisms& offered) {
  const auto when = [](bool is_offered, Mechanism mechanism) {
    return is_offered ? std::optional{mechanism} : std::nullopt;
  };
  switch (config.auth) {
    case AuthChoice::plain:
      return when(offered.plain, Mechanism::plain);
    case AuthChoice::login:
      return when(offered.login, Mechanism::login);
    case AuthChoice::cram_md5:
      return when(offered.cram_md5, Mechanism::cram_md5);
    case AuthChoice::xoauth2:
      return when(offered.xoauth2, Mechanism::xoauth2);
    case AuthChoice::none:
      return std::nullopt;
    case AuthChoice::automatic:
      break;
  }
  if (!config.access_token.empty() && offered.xoauth2) return Mechanism::xoauth2;
  if (config.password.empty()) return std::nullopt;
  if (offered.cram_md5) return Mechanism::cram_md5;
  if (offered.plain) return Mechanism::plain;
  return when(offered.login, Mechanism::login);
}

std::string AuthExchange::initial_response() const {
  if (mechanism_ == Mechanism::plain) {
    std::string plain;
    plain += '\0';
    plain += config_.username;
    plain += '\0';
    plain += config_.password;
    return base64(plain);
  }
  if (mechanism_ == Mechanism::xoauth2) {
    return base64("user=" + config_.username + "\1auth=Bearer " + config_.access_token + "\1\1");
  }
  return {};
}

std::string AuthExchange::start() {
  std::string command = "AUTH " + std::string{name_of(mechanism_)};
  const std::string initial = initial_response();
  // A longer one waits for an empty challenge (RFC 4954 4).
  if (!initial.empty() && command.size() + 1 + initial.size() <= kMaxCommand) {
    command += ' ' + initial;
    sent_initial_ = true;
  }
  return command;
}

std::optional<std::string> AuthExchange::answer(std::string_view challenge) {
  const int turn = answers_++;
  switch (mechanism_) {
    case Mechanism::plain:
      if (sent_initial_ || turn > 0) return std::nullopt;
      return initial_response();
    case Mechanism::xoauth2:
      if (!sent_initial_ && turn == 0) return initial_response();
      // The challenge holds the error; an empty answer makes the server say 535.
      if (turn > 1) return std::nullopt;
      return std::string{};
    case Mechanism::login:
      if (turn == 0) return base64(config_.username);
      if (turn == 1) return base64(config_.password);
      return std::nullopt;
    case Mechanism::cram_md5: {
      if (turn > 0) return std::nullopt;
      const auto nonce = unbase64(challenge);
      if (!nonce) return std::nullopt;
      const std::string digest = hmac_md5_hex(config_.password, *nonce);
      if (digest.empty()) return std::nullopt;
      return base64(config_.username + ' ' + digest);
    }
  }
  return std::nullopt;
}

}  // namespace postern::smtp
