#include "config/values.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/bytes.h"

namespace postern::config {
namespace {

constexpr std::array<std::pair<std::string_view, std::uint64_t>, 4> kSizeUnits{
    {{"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"B", 1}}};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_alphanumeric(char c) {
  return is_digit(c) || is_lower(c) || is_upper(c);
}

template <typename T>
std::optional<T> whole_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct Address {
  int family = AF_INET;
  std::array<unsigned char, 16> bytes{};
  int bits = 32;
};

std::optional<Address> parse_address(std::string_view text) {
  const std::string copy{text};
  Address address;
  if (inet_pton(AF_INET, copy.c_str(), address.bytes.data()) == 1) return address;
  address.family = AF_INET6;
  address.bits = 128;
  if (inet_pton(AF_INET6, copy.c_str(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
  for (const auto& [unit, bytes] : kSizeUnits) {
    if (!text.ends_with(unit)) continue;
    const auto count = whole_number<std::uint64_t>(text.substr(0, text.size() - unit.size()));
    if (!count || *count > UINT64_MAX / bytes) return std::nullopt;
    return *count * bytes;
  }
  return std::nullopt;
}

std::string format_size(std::uint64_t bytes) {
  for (const auto& [unit, size] : kSizeUnits) {
    if (bytes >= size && bytes % size == 0) return std::to_string(bytes / size) + std::string{unit};
  }
  return "0B";
}

std::optional<RateLimit> parse_rate(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, double>, 3> kUnits{
      {{"/s", 1}, {"/min", 60}, {"/h", 3600}}};
  for (const auto& [unit, seconds] : kUnits) {
    if (!text.ends_with(unit)) continue;
    const auto count = whole_number<std::uint32_t>(text.substr(0, text.size() - unit.size()));
    if (!count || *count < 1 || *count > 1'000'000) return std::nullopt;
    return RateLimit{*count / seconds, static_cast<double>(*count)};
  }
  return std::nullopt;
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = whole_number<std::uint16_t>(text.substr(colon + 1));
  std::string_view host = text.substr(0, colon);
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  const auto address = parse_address(host);
  if (!port || !address || (address->family == AF_INET6) != brackets) return std::nullopt;
  return Endpoint{std::string{host}, *port};
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  return whole_number<std::int64_t>(text);
}

std::optional<bool> parse_boolean(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

bool is_domain(std::string_view text, int min_labels) {
  if (text.empty() || text.size() > 253) return false;
  int labels = 0;
  bool numeric = false;  // the last label; an IP address is no domain
  while (true) {
    const std::string_view label = text.substr(0, text.find('.'));
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') {
      return false;
    }
    if (!std::all_of(label.begin(), label.end(),
                     [](char c) { return is_alphanumeric(c) || c == '-'; })) {
      return false;
    }
    ++labels;
    numeric = std::all_of(label.begin(), label.end(), is_digit);
    if (label.size() == text.size()) break;
    text.remove_prefix(label.size() + 1);
  }
  return labels >= min_labels && !numeric;
}

bool is_slug(std::string_view text) {
  return !text.empty() && text.size() <= 63 && text.front() != '-' &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_digit(c) || is_lower(c) || c == '-'; });
}

std::string suggest_slug(std::string_view text) {
  std::string slug;
  for (const char c : ascii_lower(text)) {
    if (is_digit(c) || is_lower(c)) {
      slug += c;
    } else if (!slug.empty() && slug.back() != '-') {
      slug += '-';
    }
  }
  slug.resize(std::min<std::size_t>(slug.size(), 63));
  while (!slug.empty() && slug.back() == '-') slug.pop_back();
  return slug;
}

std::optional<Cidr> parse_cidr(std::string_view text) {
  const std::size_t slash = text.find('/');
  auto address = parse_address(text.substr(0, slash));
  if (!address) return std::nullopt;
  int length = address->bits;
  if (slash != std::string_view::npos) {
    const auto given = whole_number<std::uint8_t>(text.substr(slash + 1));
    if (!given || *given > address->bits) return std::nullopt;
    length = *given;
  }
  Cidr cidr;
  cidr.exact = true;
  for (int bit = length; bit < address->bits; ++bit) {
    unsigned char& byte = address->bytes[static_cast<std::size_t>(bit / 8)];
    const auto mask = static_cast<unsigned char>(0x80U >> (bit % 8));
    if ((byte & mask) == 0) continue;
    cidr.exact = false;
    byte = static_cast<unsigned char>(byte & ~mask);
  }
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  inet_ntop(address->family, address->bytes.data(), buffer.data(), buffer.size());
  cidr.network = std::string{buffer.data()} + '/' + std::to_string(length);
  return cidr;
}

bool is_api_key(std::string_view text) {
  if (!text.starts_with("ms_live_") && !text.starts_with("ms_test_")) return false;
  const std::string_view rest = text.substr(8);
  return rest.size() >= 32 && std::all_of(rest.begin(), rest.end(), [](char c) {
           return is_alphanumeric(c) || c == '_' || c == '-';
         });
}

}  // namespace postern::config
