// config/values.h: the kinds of value that a scalar can hold. Pure functions; nullopt or an empty
// answer means that the text is none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/config.h"

namespace postern::config {

// "35MiB", "512KiB", "1GiB", "4096B"; bytes.
std::optional<std::uint64_t> parse_size(std::string_view text);
std::string format_size(std::uint64_t bytes);

// "100/s", "20/min", "3600/h"; a whole number of at least 1 and at most a million.
std::optional<RateLimit> parse_rate(std::string_view text);

// "127.0.0.1:8025" or "[::1]:8025": an IP address, no name.
std::optional<Endpoint> parse_endpoint(std::string_view text);

std::optional<std::int64_t> parse_integer(std::string_view text);
std::optional<bool> parse_boolean(std::string_view text);  // true or false

// RFC 1123 2.1 in A-label form, at least `min_labels` labels, no dot at the end.
bool is_domain(std::string_view text, int min_labels = 1);

bool is_slug(std::string_view text);              // [a-z0-9][a-z0-9-]{0,62}
std::string suggest_slug(std::string_view text);  // the nearest slug; may be empty

struct Cidr {
  std::string network;  // the address with its host bits cleared, and "/length"
  bool exact = false;   // the text had no host bits set
};
// "10.0.0.0/8", "2001:db8::/32", or one address.
std::optional<Cidr> parse_cidr(std::string_view text);

// ms_live_ or ms_test_ and at least 32 characters of [A-Za-z0-9_-].
bool is_api_key(std::string_view text);

}  // namespace postern::config
