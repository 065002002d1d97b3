// One SMTP account as its settings say, checked.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "postern/sdk/provider.h"

namespace postern::smtp {

enum class Security : std::uint8_t { starttls, tls, opportunistic, none };
enum class AuthChoice : std::uint8_t { automatic, plain, login, cram_md5, xoauth2, none };

// Defaults are the minima of RFC 5321 4.5.3.2; the deadline of an attempt cuts them all short.
struct Timeouts {
  std::chrono::milliseconds connect{30'000};    // for each address of the host
  std::chrono::milliseconds greeting{300'000};  // also EHLO, STARTTLS, the handshake, AUTH
  std::chrono::milliseconds mail{300'000};      // also RSET
  std::chrono::milliseconds rcpt{300'000};
  std::chrono::milliseconds data_initiation{120'000};
  std::chrono::milliseconds data_block{180'000};  // without progress
  std::chrono::milliseconds data_termination{600'000};
  std::chrono::milliseconds idle{30'000};  // of a pooled connection
};

struct Config {
  std::string account;  // for logs
  std::string host;
  std::uint16_t port = 587;
  Security security = Security::starttls;
  bool verify_certificate = true;
  std::string ca_file;      // empty: the system's trust store
  std::string server_name;  // for SNI and verification
  std::string ehlo_name;
  AuthChoice auth = AuthChoice::automatic;
  bool allow_plaintext_auth = false;
  std::uint32_t max_connections = 20;
  std::uint32_t max_messages_per_connection = 100;  // 0: no limit
  bool pipelining = true;
  Timeouts timeouts;
  std::string username;
  std::string password;
  std::string access_token;

  [[nodiscard]] bool has_credentials() const { return !username.empty(); }
};

sdk::Schema settings_schema();
sdk::Schema credentials_schema();

// The error is for the operator. `hostname` is the gateway's, the default of ehlo_name.
sdk::Expected<Config, std::string> read_config(const sdk::ProviderAccount& account,
                                               const std::string& hostname);

}  // namespace postern::smtp
