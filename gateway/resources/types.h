// resources/types.h: what an organization owns, as values.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "postern/sdk/settings.h"

namespace postern::resources {

enum class Permission : std::uint8_t {
  send,
  messages_read,
  messages_read_content,
  templates_read,
  templates_write,
  providers_read,
  providers_write,
  metrics_read,
  domains_write,
  suppressions_read,
  suppressions_write,
  settings_write,
};
inline constexpr std::size_t kPermissionCount = 12;

std::string_view name_of(Permission permission);  // "MESSAGES_READ"
std::optional<Permission> permission_of(std::string_view name);
std::vector<std::string> permission_names();

class Permissions {
 public:
  Permissions() = default;
  Permissions(std::initializer_list<Permission> permissions) {
    for (const Permission p : permissions) add(p);
  }
  void add(Permission permission) { bits_ |= 1U << static_cast<unsigned>(permission); }
  [[nodiscard]] bool has(Permission permission) const {
    return (bits_ & (1U << static_cast<unsigned>(permission))) != 0;
  }
  [[nodiscard]] std::vector<std::string> names() const;
  bool operator==(const Permissions&) const = default;

 private:
  std::uint32_t bits_ = 0;
};

// Tokens a second, and how many may be taken at once.
struct Limit {
  double per_second = 0;
  double burst = 0;
  bool operator==(const Limit&) const = default;
};

struct Organization {
  std::string id;  // UUID
  std::string slug;
  std::string name;
  bool managed_by_config = false;
  bool disabled = false;  // no key of it works; its queue still drains
  bool hold_unknown_outcomes = false;
  std::optional<Limit> send_limit;
  std::optional<Limit> other_limit;
  bool operator==(const Organization&) const = default;
};

struct ApiKey {
  std::string id;
  std::string organization;  // id
  std::string name;
  std::string sha256;        // lower-case hexadecimal, of the whole key
  bool test = false;
  Permissions permissions;
  std::vector<std::string> allowed_ips;     // CIDR; empty: any
  std::vector<std::string> sender_domains;  // empty: any
  std::optional<UnixMillis> expires_at;
  std::optional<UnixMillis> revoked_at;
  bool managed_by_config = false;
  UnixMillis created_at = 0;
  bool operator==(const ApiKey&) const = default;
};

struct ProviderAccount {
  std::string id;
  std::string organization;
  std::string slug;
  std::string type;  // "SMTP"
  std::string display_name;
  bool active = true;
  int priority = 1;  // lower first
  int weight = 1;
  std::uint32_t max_concurrency = 0;  // 0: the gateway's default
  double max_rate = 0;                // messages a second; 0: no limit
  std::vector<sdk::RawSetting> settings;
  std::vector<sdk::RawSetting> credentials;  // in the clear here, sealed in storage
  bool managed_by_config = false;
};
bool operator==(const ProviderAccount& a, const ProviderAccount& b);

// The stable id of what YAML declares (api.md: UUIDv5 of organization, kind and slug).
std::string organization_id(std::string_view slug);
std::string api_key_id(std::string_view organization_slug, std::string_view name);
std::string provider_account_id(std::string_view organization_slug, std::string_view slug);
// The built-in account that takes the mail of test keys; nothing leaves the machine.
std::string sandbox_account_id(std::string_view organization_id);
inline constexpr std::string_view kSandboxType = "SANDBOX";

// Whether the address is in the range: "192.0.2.0/24", "2001:db8::/32", or one address. False for
// anything that is no address. is_cidr checks the range itself.
bool in_cidr(std::string_view address, std::string_view cidr);
bool is_cidr(std::string_view cidr);

}  // namespace postern::resources
