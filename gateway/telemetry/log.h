// telemetry/log.h: structured logs, one line a record. spdlog is behind this header alone.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "postern/sdk/host.h"

namespace spdlog {
class logger;
}

namespace postern::telemetry {

enum class LogFormat : std::uint8_t {
  text,  // 2026-01-31T09:30:00.000Z INFO message key=value key="quoted value"
  json,  // {"time":"2026-01-31T09:30:00.000Z","level":"info","message":"…","key":"value"}
};

std::optional<sdk::LogLevel> parse_level(std::string_view name);   // debug info warning error
std::optional<LogFormat> parse_log_format(std::string_view name);  // text json

// Writes one line a record. Whatever a caller passes, a record stays one line: control characters,
// line separators and bytes that are no UTF-8 are escaped or replaced. A field whose name looks
// like that of a secret ("password", "api_key", "Authorization", …) is written as "***"; that is
// the last defence, callers must not pass secrets at all. Thread-safe.
class Log final : public sdk::Logger {
 public:
  using Fields = std::vector<std::pair<std::string_view, std::string>>;
  using Sink = std::function<void(std::string_view line)>;  // a line without its line end

  // To standard error, or to `sink` where one is given (called by one thread at a time).
  static std::shared_ptr<Log> make(sdk::LogLevel level, LogFormat format, Sink sink = nullptr);
  // The same with the names of the configuration; the error names what is unknown.
  static Result<std::shared_ptr<Log>> make(std::string_view level, std::string_view format,
                                           Sink sink = nullptr);

  // Field names should be constants in lower_snake_case. "time", "level" and "message" are the
  // record's own: a field of that name gets an underscore in front.
  void log(sdk::LogLevel level, std::string_view message, const Fields& fields) override;

  void debug(std::string_view message, const Fields& fields = {});
  void info(std::string_view message, const Fields& fields = {});
  void warning(std::string_view message, const Fields& fields = {});
  void error(std::string_view message, const Fields& fields = {});

  // A logger that adds `fields` (component, request_id, …) to every record. Shares level and
  // destination with this one, and may outlive it.
  [[nodiscard]] std::shared_ptr<Log> child(const Fields& fields) const;

  // Takes effect at once, for this logger and all that are related by child().
  void set_level(sdk::LogLevel level);
  [[nodiscard]] bool enabled(sdk::LogLevel level) const;

 private:
  Log(std::shared_ptr<spdlog::logger> logger, LogFormat format, std::string fixed);

  std::shared_ptr<spdlog::logger> logger_;
  LogFormat format_;
  std::string fixed_;  // the fields of child(), as they are written
};

// Whether a field of this name is masked.
bool looks_secret(std::string_view field_name);

}  // namespace postern::telemetry
