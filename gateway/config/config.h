// config/config.h: the configuration file as typed values. yaml-cpp is behind this header alone.
// config/README.md at the top of the tree is the reference of every key.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postern/sdk/settings.h"

namespace postern::config {

struct Location {
  std::string file;
  int line = 0;    // 1-based; 0: not in the file (a default)
  int column = 0;  // 1-based
};

struct Problem {
  Location where;
  std::string path;     // "organizations[0].keys[1].permissions[0]"
  std::string message;  // what is wrong
  std::string hint;     // what to do: 'did you mean "permissions"?'; may be empty
};
// "postern.yaml:12:7: organizations[0].keys[1].name: must be text (hint)"
std::string to_text(const Problem& problem);

struct Endpoint {
  std::string address = "127.0.0.1";  // no brackets
  std::uint16_t port = 0;
};

struct RateLimit {  // "100/s", "20/min", "3600/h"
  double per_second = 0;
  double burst = 0;  // what the text's number is: 100 for "100/s", 20 for "20/min"
};

struct ApiKey {
  std::string name;
  std::string key_sha256;                // 64 hexadecimal digits, of the whole key
  bool test = false;                     // the key is ms_test_…
  std::vector<std::string> permissions;  // names of api.md
  std::vector<std::string> allowed_ips;  // CIDR
  std::vector<std::string> sender_domains;
  std::optional<std::int64_t> expires_at;  // UnixMillis
};

struct ProviderAccount {
  std::string slug;
  std::string type;          // "SMTP"; known types are the loaded plugins', checked later
  std::string display_name;  // default: the slug
  bool active = true;
  int priority = 1;  // lower first
  int weight = 1;
  std::uint32_t max_concurrency = 0;      // 0: dispatch.account_concurrency
  double max_rate = 0;                    // messages a second; 0: no limit
  std::vector<sdk::RawSetting> settings;  // typed later by the plugin's schema
  std::vector<sdk::RawSetting> credentials;
};

struct Organization {
  std::string slug;
  std::string name;
  std::optional<RateLimit> send_limit;  // else rate_limits
  std::optional<RateLimit> other_limit;
  bool hold_unknown_outcomes = false;  // unknown_outcome: hold | retry
  std::vector<ApiKey> keys;
  std::vector<ProviderAccount> providers;
};

struct Config {
  std::string file;       // as given
  std::string directory;  // what relative paths are relative to, absolute

  struct Server {
    Endpoint api{"127.0.0.1", 8025};
    Endpoint admin{"127.0.0.1", 8026};
    std::string hostname;       // for EHLO and Message-ID; default: the system's
    std::string node;           // names this gateway's leases; default: the system's host name
    std::uint32_t workers = 0;  // 0: one a core
    std::uint64_t max_send_body_bytes = 35ULL << 20;
    std::uint64_t max_body_bytes = 1ULL << 20;
    std::uint64_t body_memory_bytes = 256ULL << 20;  // of all bodies being read; above: 503
    std::uint64_t max_attachment_bytes = 25ULL << 20;  // decoded, in all
    std::uint32_t connections = 10'000;
    std::uint32_t connections_per_address = 1'000;
    std::chrono::milliseconds idle_timeout{75'000};
    std::chrono::milliseconds head_timeout{10'000};
    std::chrono::milliseconds body_timeout{60'000};
  } server;

  struct Plugins {
    std::vector<std::string> directories;  // absolute
  } plugins;

  struct Storage {
    std::string plugin = "sqlite";
    std::vector<sdk::RawSetting>
        settings;  // relative paths are made absolute by the plugin's schema
  } storage;

  struct Secrets {
    std::string master_key;       // the resolved secret, or empty when it is to be made
    std::string master_key_file;  // the path of ${file:…}, absolute; where a new one is written
  } secrets;

  struct RateLimits {
    RateLimit send{100, 100};
    RateLimit other{1000, 1000};
    RateLimit unauthenticated{20.0 / 60, 20};
  } rate_limits;

  struct Queue {
    std::uint32_t ready_messages = 2'000;        // in memory; the rest waits in storage
    std::uint64_t ready_bytes = 16ULL << 20;     // of bodies, in memory
    std::uint32_t commit_messages = 500;         // of one group at most
    std::uint32_t pending_commits = 10'000;      // waiting for a commit; above: 503
    std::uint64_t pending_bytes = 256ULL << 20;  // of bodies waiting for a commit; above: 503
    std::uint64_t max_messages = 0;              // queued in all, 0: no limit; above: 503
    std::chrono::milliseconds lease{60'000};
    std::chrono::milliseconds poll{500};  // for due work and changes in storage
  } queue;

  struct Dispatch {
    std::uint32_t account_concurrency = 40;  // calls at once to one account, until recorded
    std::chrono::milliseconds attempt_timeout{300'000};
    std::chrono::milliseconds retry_first{60'000};  // backoff: first, doubling, up to retry_most
    std::chrono::milliseconds retry_most{3'600'000};
    std::chrono::milliseconds give_up_after{86'400'000};
    std::chrono::milliseconds unknown_retry{300'000};  // after an ambiguous outcome, same account
    std::chrono::milliseconds drain{30'000};           // SIGTERM to the end of attempts in flight
  } dispatch;

  struct Logging {
    std::string level = "info";   // debug, info, warning, error
    std::string format = "text";  // text, json
  } logging;

  std::vector<Organization> organizations;

  // Where a path ("storage.settings.path") stands, for problems that are found later.
  std::map<std::string, Location, std::less<>> locations;
};

struct Loaded {
  std::optional<Config> config;   // none when there is any problem
  std::vector<Problem> problems;  // all of them, in the order of the file
};

// Reads and checks a file, resolving ${env:NAME} and ${file:PATH} (a ${file:} that does not exist
// is a problem, except for secrets.master_key, where config.secrets.master_key stays empty). Never
// throws. No problem's text holds a secret's value.
Loaded load(const std::string& path);

// The same for a text that is already in memory: `file` is what problems call it, `directory` (made
// absolute) what its relative paths are relative to.
Loaded load_text(std::string_view text, const std::string& file, const std::string& directory);

// A problem that is found after loading (by a plugin's schema, say), with the place in the file of
// `path`, or of the nearest path around it when `path` itself is not written there.
Problem problem_at(const Config& config, std::string path, std::string message,
                   std::string hint = "");

}  // namespace postern::config
