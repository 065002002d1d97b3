#include "config/keys.h"

#include <algorithm>
#include <array>

#include "base/clock.h"
#include "config/values.h"

namespace postern::config {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t kSecond = 1000;
constexpr std::int64_t kMinute = 60 * kSecond;
constexpr std::int64_t kHour = 60 * kMinute;
constexpr std::int64_t kDay = 24 * kHour;
constexpr std::int64_t kKiB = 1 << 10;
constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kGiB = 1 << 30;

constexpr std::array<std::string_view, 4> kLevels{"debug", "info", "warning", "error"};
constexpr std::array<std::string_view, 2> kFormats{"text", "json"};
constexpr std::array<std::string_view, 2> kModes{"live", "test"};
constexpr std::array<std::string_view, 2> kUnknownOutcomes{"retry", "hold"};
constexpr std::array<std::string_view, 12> kPermissions{"SEND",
                                                        "MESSAGES_READ",
                                                        "MESSAGES_READ_CONTENT",
                                                        "TEMPLATES_READ",
                                                        "TEMPLATES_WRITE",
                                                        "PROVIDERS_READ",
                                                        "PROVIDERS_WRITE",
                                                        "METRICS_READ",
                                                        "DOMAINS_WRITE",
                                                        "SUPPRESSIONS_READ",
                                                        "SUPPRESSIONS_WRITE",
                                                        "SETTINGS_WRITE"};

constexpr std::array kKeys{
    Key{.section = "", .name = "server", .type = Type::mapping},
    Key{.section = "", .name = "plugins", .type = Type::mapping},
    Key{.section = "", .name = "storage", .type = Type::mapping},
    Key{.section = "", .name = "secrets", .type = Type::mapping},
    Key{.section = "", .name = "rate_limits", .type = Type::mapping},
    Key{.section = "", .name = "queue", .type = Type::mapping},
    Key{.section = "", .name = "dispatch", .type = Type::mapping},
    Key{.section = "", .name = "logging", .type = Type::mapping},
    Key{.section = "", .name = "organizations", .type = Type::mappings},

    Key{.section = "server", .name = "api", .type = Type::mapping},
    Key{.section = "server", .name = "admin", .type = Type::mapping},
    Key{.section = "server",
        .name = "hostname",
        .type = Type::domain,
        .default_is = "the system's host name",
        .target = +[](Config& c) -> std::string& { return c.server.hostname; }},
    Key{.section = "server",
        .name = "node",
        .type = Type::text,
        .default_is = "the system's host name",
        .min = 1,
        .max = 128,
        .target = +[](Config& c) -> std::string& { return c.server.node; }},
    Key{.section = "server",
        .name = "workers",
        .type = Type::integer,
        .fallback = "0",
        .min = 0,
        .max = 256,
        .target = +[](Config& c) -> std::uint32_t& { return c.server.workers; }},
    Key{.section = "server", .name = "limits", .type = Type::mapping},

    Key{.section = "server.api",
        .name = "listen",
        .type = Type::endpoint,
        .fallback = "127.0.0.1:8025",
        .target = +[](Config& c) -> Endpoint& { return c.server.api; }},
    Key{.section = "server.admin",
        .name = "listen",
        .type = Type::endpoint,
        .fallback = "127.0.0.1:8026",
        .target = +[](Config& c) -> Endpoint& { return c.server.admin; }},

    Key{.section = "server.limits",
        .name = "send_body",
        .type = Type::size,
        .fallback = "35MiB",
        .min = kKiB,
        .max = kGiB,
        .target = +[](Config& c) -> std::uint64_t& { return c.server.max_send_body_bytes; }},
    Key{.section = "server.limits",
        .name = "body",
        .type = Type::size,
        .fallback = "1MiB",
        .min = kKiB,
        .max = kGiB,
        .target = +[](Config& c) -> std::uint64_t& { return c.server.max_body_bytes; }},
    Key{.section = "server.limits",
        .name = "body_memory",
        .type = Type::size,
        .fallback = "256MiB",
        .min = kMiB,
        .max = 64 * kGiB,
        .target = +[](Config& c) -> std::uint64_t& { return c.server.body_memory_bytes; }},
    Key{.section = "server.limits",
        .name = "attachments",
        .type = Type::size,
        .fallback = "25MiB",
        .min = 0,
        .max = kGiB,
        .target = +[](Config& c) -> std::uint64_t& { return c.server.max_attachment_bytes; }},
    Key{.section = "server.limits",
        .name = "connections",
        .type = Type::integer,
        .fallback = "10000",
        .min = 1,
        .max = 1'000'000,
        .target = +[](Config& c) -> std::uint32_t& { return c.server.connections; }},
    Key{.section = "server.limits",
        .name = "connections_per_address",
        .type = Type::integer,
        .fallback = "1000",
        .min = 1,
        .max = 1'000'000,
        .target = +[](Config& c) -> std::uint32_t& { return c.server.connections_per_address; }},
    Key{.section = "server.limits",
        .name = "idle_timeout",
        .type = Type::duration,
        .fallback = "75s",
        .min = kSecond,
        .max = kDay,
        .target = +[](Config& c) -> milliseconds& { return c.server.idle_timeout; }},
    Key{.section = "server.limits",
        .name = "head_timeout",
        .type = Type::duration,
        .fallback = "10s",
        .min = 100,
        .max = kHour,
        .target = +[](Config& c) -> milliseconds& { return c.server.head_timeout; }},
    Key{.section = "server.limits",
        .name = "body_timeout",
        .type = Type::duration,
        .fallback = "60s",
        .min = 100,
        .max = kDay,
        .target = +[](Config& c) -> milliseconds& { return c.server.body_timeout; }},

    Key{.section = "plugins",
        .name = "directories",
        .type = Type::texts,
        .required = true,
        .min = 1,
        .max = 64},

    Key{.section = "storage",
        .name = "plugin",
        .type = Type::plugin_name,
        .fallback = "sqlite",
        .target = +[](Config& c) -> std::string& { return c.storage.plugin; }},
    Key{.section = "storage", .name = "settings", .type = Type::settings},

    Key{.section = "secrets",
        .name = "master_key",
        .type = Type::text,
        .required = true,
        .secret = true,
        .min = 32,
        .max = 4096},

    Key{.section = "rate_limits",
        .name = "send",
        .type = Type::rate,
        .fallback = "100/s",
        .target = +[](Config& c) -> RateLimit& { return c.rate_limits.send; }},
    Key{.section = "rate_limits",
        .name = "other",
        .type = Type::rate,
        .fallback = "1000/s",
        .target = +[](Config& c) -> RateLimit& { return c.rate_limits.other; }},
    Key{.section = "rate_limits",
        .name = "unauthenticated",
        .type = Type::rate,
        .fallback = "20/min",
        .target = +[](Config& c) -> RateLimit& { return c.rate_limits.unauthenticated; }},

    Key{.section = "queue",
        .name = "ready_messages",
        .type = Type::integer,
        .fallback = "2000",
        .min = 1,
        .max = 1'000'000,
        .target = +[](Config& c) -> std::uint32_t& { return c.queue.ready_messages; }},
    Key{.section = "queue",
        .name = "ready_bytes",
        .type = Type::size,
        .fallback = "16MiB",
        .min = kMiB,
        .max = 64 * kGiB,
        .target = +[](Config& c) -> std::uint64_t& { return c.queue.ready_bytes; }},
    Key{.section = "queue",
        .name = "commit_messages",
        .type = Type::integer,
        .fallback = "500",
        .min = 1,
        .max = 10'000,
        .target = +[](Config& c) -> std::uint32_t& { return c.queue.commit_messages; }},
    Key{.section = "queue",
        .name = "pending_commits",
        .type = Type::integer,
        .fallback = "10000",
        .min = 1,
        .max = 1'000'000,
        .target = +[](Config& c) -> std::uint32_t& { return c.queue.pending_commits; }},
    Key{.section = "queue",
        .name = "pending_bytes",
        .type = Type::size,
        .fallback = "256MiB",
        .min = kMiB,
        .max = 64 * kGiB,
        .target = +[](Config& c) -> std::uint64_t& { return c.queue.pending_bytes; }},
    Key{.section = "queue",
        .name = "max_messages",
        .type = Type::integer,
        .fallback = "0",
        .min = 0,
        .max = 1'000'000'000'000,
        .target = +[](Config& c) -> std::uint64_t& { return c.queue.max_messages; }},
    Key{.section = "queue",
        .name = "lease",
        .type = Type::duration,
        .fallback = "60s",
        .min = kSecond,
        .max = kHour,
        .target = +[](Config& c) -> milliseconds& { return c.queue.lease; }},
    Key{.section = "queue",
        .name = "poll",
        .type = Type::duration,
        .fallback = "500ms",
        .min = 10,
        .max = kMinute,
        .target = +[](Config& c) -> milliseconds& { return c.queue.poll; }},

    Key{.section = "dispatch",
        .name = "account_concurrency",
        .type = Type::integer,
        .fallback = "40",
        .min = 1,
        .max = 10'000,
        .target = +[](Config& c) -> std::uint32_t& { return c.dispatch.account_concurrency; }},
    Key{.section = "dispatch",
        .name = "attempt_timeout",
        .type = Type::duration,
        .fallback = "5m",
        .min = 100,
        .max = kHour,
        .target = +[](Config& c) -> milliseconds& { return c.dispatch.attempt_timeout; }},
    Key{.section = "dispatch",
        .name = "retry_first",
        .type = Type::duration,
        .fallback = "1m",
        .min = 10,
        .max = kDay,
        .target = +[](Config& c) -> milliseconds& { return c.dispatch.retry_first; }},
    Key{.section = "dispatch",
        .name = "retry_most",
        .type = Type::duration,
        .fallback = "1h",
        .min = 10,
        .max = 7 * kDay,
        .target = +[](Config& c) -> milliseconds& { return c.dispatch.retry_most; }},
    Key{.section = "dispatch",
        .name = "give_up_after",
        .type = Type::duration,
        .fallback = "24h",
        .min = kSecond,
        .max = 30 * kDay,
        .target = +[](Config& c) -> milliseconds& { return c.dispatch.give_up_after; }},
    Key{.section = "dispatch",
        .name = "unknown_retry",
        .type = Type::duration,
        .fallback = "5m",
        .min = 10,
        .max = kDay,
        .target = +[](Config& c) -> milliseconds& { return c.dispatch.unknown_retry; }},
    Key{.section = "dispatch",
        .name = "drain",
        .type = Type::duration,
        .fallback = "30s",
        .min = 0,
        .max = kHour,
        .target = +[](Config& c) -> milliseconds& { return c.dispatch.drain; }},

    Key{.section = "logging",
        .name = "level",
        .type = Type::choice,
        .fallback = "info",
        .choices = kLevels,
        .target = +[](Config& c) -> std::string& { return c.logging.level; }},
    Key{.section = "logging",
        .name = "format",
        .type = Type::choice,
        .fallback = "text",
        .choices = kFormats,
        .target = +[](Config& c) -> std::string& { return c.logging.format; }},

    Key{.section = "organizations[]", .name = "id", .type = Type::slug, .required = true},
    Key{.section = "organizations[]",
        .name = "name",
        .type = Type::text,
        .default_is = "the id",
        .min = 1,
        .max = 255},
    Key{.section = "organizations[]",
        .name = "unknown_outcome",
        .type = Type::choice,
        .fallback = "retry",
        .choices = kUnknownOutcomes},
    Key{.section = "organizations[]", .name = "rate_limits", .type = Type::mapping},
    Key{.section = "organizations[]", .name = "keys", .type = Type::mappings},
    Key{.section = "organizations[]", .name = "providers", .type = Type::mappings},

    Key{.section = "organizations[].rate_limits",
        .name = "send",
        .type = Type::rate,
        .default_is = "rate_limits.send"},
    Key{.section = "organizations[].rate_limits",
        .name = "other",
        .type = Type::rate,
        .default_is = "rate_limits.other"},

    Key{.section = "organizations[].keys[]",
        .name = "name",
        .type = Type::text,
        .required = true,
        .min = 1,
        .max = 255},
    Key{.section = "organizations[].keys[]", .name = "key", .type = Type::text, .secret = true},
    Key{.section = "organizations[].keys[]",
        .name = "key_sha256",
        .type = Type::text,
        .secret = true,
        .min = 64,
        .max = 64},
    Key{.section = "organizations[].keys[]",
        .name = "mode",
        .type = Type::choice,
        .default_is = "as in key; with key_sha256, live",
        .choices = kModes},
    Key{.section = "organizations[].keys[]",
        .name = "permissions",
        .type = Type::texts,
        .required = true,
        .min = 1,
        .max = 64,
        .choices = kPermissions},
    Key{.section = "organizations[].keys[]",
        .name = "allowed_ips",
        .type = Type::texts,
        .default_is = "any address",
        .min = 1,
        .max = 1000},
    Key{.section = "organizations[].keys[]",
        .name = "sender_domains",
        .type = Type::texts,
        .default_is = "any domain",
        .min = 1,
        .max = 1000},
    Key{.section = "organizations[].keys[]",
        .name = "expires_at",
        .type = Type::time,
        .default_is = "never"},

    Key{.section = "organizations[].providers[]",
        .name = "id",
        .type = Type::slug,
        .required = true},
    Key{.section = "organizations[].providers[]",
        .name = "type",
        .type = Type::type_name,
        .required = true},
    Key{.section = "organizations[].providers[]",
        .name = "active",
        .type = Type::boolean,
        .fallback = "true"},
    Key{.section = "organizations[].providers[]",
        .name = "priority",
        .type = Type::integer,
        .fallback = "1",
        .min = 1,
        .max = 1000},
    Key{.section = "organizations[].providers[]",
        .name = "weight",
        .type = Type::integer,
        .fallback = "1",
        .min = 1,
        .max = 1000},
    Key{.section = "organizations[].providers[]",
        .name = "display_name",
        .type = Type::text,
        .default_is = "the id",
        .min = 1,
        .max = 255},
    Key{.section = "organizations[].providers[]",
        .name = "max_concurrency",
        .type = Type::integer,
        .default_is = "dispatch.account_concurrency",
        .min = 1,
        .max = 10'000},
    Key{.section = "organizations[].providers[]",
        .name = "max_rate",
        .type = Type::rate,
        .default_is = "no limit"},
    Key{.section = "organizations[].providers[]", .name = "settings", .type = Type::settings},
    Key{.section = "organizations[].providers[]",
        .name = "credentials",
        .type = Type::settings,
        .secret = true},
};

std::string join(std::span<const std::string_view> words) {
  std::string out;
  for (const std::string_view word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

}  // namespace

std::span<const Key> all_keys() {
  return kKeys;
}

const Key* find_key(std::string_view section, std::string_view name) {
  const auto found = std::find_if(kKeys.begin(), kKeys.end(), [&](const Key& key) {
    return key.section == section && key.name == name;
  });
  return found == kKeys.end() ? nullptr : &*found;
}

std::span<const std::string_view> permission_names() {
  return kPermissions;
}

std::string_view type_text(const Key& key) {
  switch (key.type) {
    case Type::mapping:
      return "mapping";
    case Type::mappings:
      return "list of mappings";
    case Type::settings:
      return "settings";
    case Type::text:
      return "text";
    case Type::texts:
      return "list of text";
    case Type::slug:
      return "slug";
    case Type::type_name:
      return "type name";
    case Type::plugin_name:
      return "plugin name";
    case Type::domain:
      return "domain";
    case Type::endpoint:
      return "address:port";
    case Type::integer:
      return "number";
    case Type::boolean:
      return "true or false";
    case Type::choice:
      return "word";
    case Type::duration:
      return "duration";
    case Type::size:
      return "size";
    case Type::rate:
      return "rate";
    case Type::time:
      return "time";
  }
  return "";
}

std::string default_text(const Key& key) {
  if (key.required) return "required";
  if (!key.fallback.empty()) return "`" + std::string{key.fallback} + "`";
  return std::string{key.default_is};
}

std::string range_text(const Key& key) {
  if (key.type == Type::choice) return join(key.choices);
  if (key.type == Type::rate) return "1 to 1000000 a unit";
  if (key.max == 0) return "";
  const auto limit = [&](std::int64_t value) {
    if (key.type == Type::duration) return format_duration(milliseconds{value});
    if (key.type == Type::size) return format_size(static_cast<std::uint64_t>(value));
    return std::to_string(value);
  };
  std::string text = limit(key.min);
  if (key.min != key.max) text += " to " + limit(key.max);
  if (key.type == Type::text) text += " characters";
  if (key.type == Type::texts) text += " items";
  return text;
}

}  // namespace postern::config
