#include "config.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace postern::smtp {
namespace {

using sdk::Field;
using sdk::FieldType;

constexpr std::array<std::pair<std::string_view, Security>, 4> kSecurities{{
    {"starttls", Security::starttls},
    {"tls", Security::tls},
    {"opportunistic", Security::opportunistic},
    {"none", Security::none},
}};

constexpr std::array<std::pair<std::string_view, AuthChoice>, 6> kAuthChoices{{
    {"auto", AuthChoice::automatic},
    {"plain", AuthChoice::plain},
    {"login", AuthChoice::login},
    {"cram-md5", AuthChoice::cram_md5},
    {"xoauth2", AuthChoice::xoauth2},
    {"none", AuthChoice::none},
}};

template <typename Table, typename T>
void choose(const Table& table, std::string_view name, T& out) {
  for (const auto& [key, value] : table) {
    if (key == name) out = value;
  }
}

Field duration(std::string name, std::string value, std::string description) {
  Field field;
  field.name = std::move(name);
  field.type = FieldType::duration;
  field.default_value = std::move(value);
  field.min = 1;
  field.max = std::int64_t{24} * 3600 * 1000;
  field.description = std::move(description);
  return field;
}

Field boolean(std::string name, std::string value, std::string description) {
  Field field;
  field.name = std::move(name);
  field.type = FieldType::boolean;
  field.default_value = std::move(value);
  field.description = std::move(description);
  return field;
}

Field integer(std::string name, std::string value, std::int64_t min, std::int64_t max,
              std::string description) {
  Field field;
  field.name = std::move(name);
  field.type = FieldType::integer;
  field.default_value = std::move(value);
  field.min = min;
  field.max = max;
  field.description = std::move(description);
  return field;
}

Field text(std::string name, std::string description) {
  Field field;
  field.name = std::move(name);
  field.description = std::move(description);
  return field;
}

Field choice(std::string name, std::string value, std::vector<std::string> choices,
             std::string description) {
  Field field;
  field.name = std::move(name);
  field.type = FieldType::choice;
  field.default_value = std::move(value);
  field.choices = std::move(choices);
  field.description = std::move(description);
  return field;
}

Field secret(std::string name, bool is_secret, std::string description) {
  Field field = text(std::move(name), std::move(description));
  field.secret = is_secret;
  return field;
}

// What would end or split a command line.
bool is_plain_word(std::string_view word) {
  return std::none_of(word.begin(), word.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte == 0x7f;
  });
}

void read_duration(const sdk::Settings& settings, std::string_view name,
                   std::chrono::milliseconds& out) {
  if (settings.has(name)) out = std::chrono::milliseconds{settings.integer(name)};
}

void read_flag(const sdk::Settings& settings, std::string_view name, bool& out) {
  if (settings.has(name)) out = settings.flag(name);
}

}  // namespace

sdk::Schema settings_schema() {
  Field host = text("host", "Name or address of the SMTP server.");
  host.required = true;
  Field ca_file = text("ca_file", "PEM file of trusted certificates instead of the system's.");
  ca_file.type = FieldType::path;
  return {
      host,
      integer("port", "", 1, 65535, "TCP port; 587 with starttls, 465 with tls, else 25."),
      choice("security", "starttls", {"starttls", "tls", "opportunistic", "none"},
             "How the connection is encrypted; starttls and tls never fall back to plaintext."),
      boolean("verify_certificate", "true", "Whether the server's certificate must be valid."),
      ca_file,
      text("server_name", "Name that the certificate must be for; the default is host."),
      text("ehlo_name", "Name given in EHLO; the default is the gateway's host name."),
      choice("auth", "auto", {"auto", "plain", "login", "cram-md5", "xoauth2", "none"},
             "SASL mechanism; auto takes the strongest that the server offers."),
      boolean("allow_plaintext_auth", "false",
              "Whether credentials may go over an unencrypted connection."),
      integer("max_connections", "20", 1, 1000, "Connections open at once."),
      integer("max_messages_per_connection", "100", 0, 1'000'000,
              "Messages before a connection is replaced; 0 for no limit."),
      boolean("pipelining", "true", "Whether PIPELINING is used when the server offers it."),
      duration("connect_timeout", "30s", "For each address of the host."),
      duration("greeting_timeout", "5m", "For the greeting, EHLO, STARTTLS and AUTH, each."),
      duration("mail_timeout", "5m", "For the reply to MAIL."),
      duration("rcpt_timeout", "5m", "For the reply to each RCPT."),
      duration("data_initiation_timeout", "2m", "For the reply to DATA."),
      duration("data_block_timeout", "3m", "Without progress while the content is sent."),
      duration("data_termination_timeout", "10m", "For the reply to the content."),
      duration("idle_timeout", "30s", "How long an unused connection is kept."),
  };
}

sdk::Schema credentials_schema() {
  return {
      secret("username", false, "User name for AUTH."),
      secret("password", true, "Password for AUTH PLAIN, LOGIN and CRAM-MD5."),
      secret("access_token", true, "OAuth 2.0 bearer token for AUTH XOAUTH2."),
  };
}

sdk::Expected<Config, std::string> read_config(const sdk::ProviderAccount& account,
                                               const std::string& hostname) {
  const sdk::Settings& settings = account.settings;
  Config config;
  config.account = account.id;
  config.host = settings.text("host");
  if (config.host.empty()) return std::string{"host: must not be empty"};
  if (!is_plain_word(config.host)) {
    return std::string{"host: must not have spaces or control characters"};
  }
  choose(kSecurities, settings.text("security"), config.security);
  choose(kAuthChoices, settings.text("auth"), config.auth);
  switch (config.security) {
    case Security::starttls:
      config.port = 587;
      break;
    case Security::tls:
      config.port = 465;
      break;
    case Security::opportunistic:
    case Security::none:
      config.port = 25;
      break;
  }
  if (settings.has("port")) config.port = static_cast<std::uint16_t>(settings.integer("port"));
  read_flag(settings, "verify_certificate", config.verify_certificate);
  read_flag(settings, "allow_plaintext_auth", config.allow_plaintext_auth);
  read_flag(settings, "pipelining", config.pipelining);
  config.ca_file = settings.text("ca_file");
  config.server_name = settings.text("server_name");
  if (config.server_name.empty()) config.server_name = config.host;
  config.ehlo_name = settings.text("ehlo_name");
  if (config.ehlo_name.empty()) config.ehlo_name = hostname;
  if (!is_plain_word(config.ehlo_name) || !is_plain_word(config.server_name)) {
    return std::string{"ehlo_name, server_name: must not have spaces or control characters"};
  }
  if (settings.has("max_connections")) {
    config.max_connections =
        static_cast<std::uint32_t>(std::max<std::int64_t>(1, settings.integer("max_connections")));
  }
  if (settings.has("max_messages_per_connection")) {
    config.max_messages_per_connection =
        static_cast<std::uint32_t>(settings.integer("max_messages_per_connection"));
  }
  read_duration(settings, "connect_timeout", config.timeouts.connect);
  read_duration(settings, "greeting_timeout", config.timeouts.greeting);
  read_duration(settings, "mail_timeout", config.timeouts.mail);
  read_duration(settings, "rcpt_timeout", config.timeouts.rcpt);
  read_duration(settings, "data_initiation_timeout", config.timeouts.data_initiation);
  read_duration(settings, "data_block_timeout", config.timeouts.data_block);
  read_duration(settings, "data_termination_timeout", config.timeouts.data_termination);
  read_duration(settings, "idle_timeout", config.timeouts.idle);

  config.username = account.credentials.text("username");
  config.password = account.credentials.text("password");
  config.access_token = account.credentials.text("access_token");
  const bool any_secret = !config.password.empty() || !config.access_token.empty();
  if (config.username.empty() && any_secret) {
    return std::string{"username: is missing, but a password or access_token is given"};
  }
  if (config.has_credentials()) {
    if (!any_secret) return std::string{"password: is missing (or access_token)"};
    if (config.auth == AuthChoice::none) {
      return std::string{"auth: is none, but credentials are given"};
    }
    if (config.auth == AuthChoice::xoauth2 && config.access_token.empty()) {
      return std::string{"access_token: auth xoauth2 needs one"};
    }
    if (config.auth != AuthChoice::xoauth2 && config.auth != AuthChoice::automatic &&
        config.password.empty()) {
      return std::string{"password: the chosen auth mechanism needs one"};
    }
    if (config.security == Security::none && !config.allow_plaintext_auth) {
      return std::string{
          "security: is none, so the credentials would go over the network in the clear; choose "
          "starttls or tls, or set allow_plaintext_auth"};
    }
  } else if (config.auth != AuthChoice::automatic && config.auth != AuthChoice::none) {
    return std::string{"username: auth names a mechanism, but no credentials are given"};
  }
  return config;
}

}  // namespace postern::smtp
