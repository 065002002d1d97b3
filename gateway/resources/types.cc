#include "resources/types.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/ids.h"

namespace postern::resources {
namespace {

constexpr std::array<std::string_view, kPermissionCount> kNames{
    "SEND",           "MESSAGES_READ",   "MESSAGES_READ_CONTENT", "TEMPLATES_READ",
    "TEMPLATES_WRITE", "PROVIDERS_READ", "PROVIDERS_WRITE",       "METRICS_READ",
    "DOMAINS_WRITE",  "SUPPRESSIONS_READ", "SUPPRESSIONS_WRITE",  "SETTINGS_WRITE"};

struct Range {
  std::array<unsigned char, 16> bytes{};
  int family = 0;
  int bits = 0;
};

std::optional<Range> parse_range(std::string_view text) {
  Range range;
  const auto slash = text.find('/');
  const std::string address{text.substr(0, slash)};
  if (inet_pton(AF_INET, address.c_str(), range.bytes.data()) == 1) {
    range.family = AF_INET;
    range.bits = 32;
  } else if (inet_pton(AF_INET6, address.c_str(), range.bytes.data()) == 1) {
    range.family = AF_INET6;
    range.bits = 128;
    // An IPv4 client on an IPv6 socket (RFC 4291 2.5.5.2) is the IPv4 address that it is.
    static constexpr std::array<unsigned char, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (std::equal(kMapped.begin(), kMapped.end(), range.bytes.begin()) && slash == text.npos) {
      std::copy_n(range.bytes.begin() + 12, 4, range.bytes.begin());
      range.family = AF_INET;
      range.bits = 32;
    }
  } else {
    return std::nullopt;
  }
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    int bits = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (error != std::errc{} || end != digits.data() + digits.size() || bits < 0 ||
        bits > range.bits) {
      return std::nullopt;
    }
    range.bits = bits;
  }
  return range;
}

}  // namespace

std::string_view name_of(Permission permission) {
  return kNames[static_cast<std::size_t>(permission)];
}

std::optional<Permission> permission_of(std::string_view name) {
  const auto* found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Permission>(found - kNames.begin());
}

std::vector<std::string> permission_names() { return {kNames.begin(), kNames.end()}; }

std::vector<std::string> Permissions::names() const {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kPermissionCount; ++i) {
    if (has(static_cast<Permission>(i))) names.emplace_back(kNames[i]);
  }
  return names;
}

bool operator==(const ProviderAccount& a, const ProviderAccount& b) {
  const auto same = [](const std::vector<sdk::RawSetting>& x, const std::vector<sdk::RawSetting>& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const auto& l, const auto& r) {
      return l.name == r.name && l.value == r.value;
    });
  };
  return a.id == b.id && a.organization == b.organization && a.slug == b.slug && a.type == b.type &&
         a.display_name == b.display_name && a.active == b.active && a.priority == b.priority &&
         a.weight == b.weight && a.max_concurrency == b.max_concurrency &&
         a.max_rate == b.max_rate && a.managed_by_config == b.managed_by_config &&
         same(a.settings, b.settings) && same(a.credentials, b.credentials);
}

std::string organization_id(std::string_view slug) {
  return uuid_v5("organization/" + std::string{slug});
}
std::string api_key_id(std::string_view organization_slug, std::string_view name) {
  return uuid_v5(std::string{organization_slug} + "/api_key/" + std::string{name});
}
std::string provider_account_id(std::string_view organization_slug, std::string_view slug) {
  return uuid_v5(std::string{organization_slug} + "/provider_account/" + std::string{slug});
}
std::string sandbox_account_id(std::string_view organization_id) {
  return uuid_v5(std::string{organization_id} + "/sandbox");
}

bool is_cidr(std::string_view cidr) { return parse_range(cidr).has_value(); }

bool in_cidr(std::string_view address, std::string_view cidr) {
  const auto one = parse_range(address);
  const auto range = parse_range(cidr);
  if (!one || !range || one->family != range->family || address.find('/') != address.npos) {
    return false;
  }
  const auto whole = static_cast<std::size_t>(range->bits / 8);
  if (!std::equal(one->bytes.begin(), one->bytes.begin() + static_cast<std::ptrdiff_t>(whole),
                  range->bytes.begin())) {
    return false;
  }
  const int rest = range->bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<unsigned char>(0xff << (8 - rest));
  return (one->bytes[whole] & mask) == (range->bytes[whole] & mask);
}

}  // namespace postern::resources
