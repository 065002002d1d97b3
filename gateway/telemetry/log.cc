#include "telemetry/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "base/bytes.h"
#include "base/clock.h"

namespace postern::telemetry {
namespace {

constexpr std::string_view kMask = "***";
constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

struct LevelName {
  sdk::LogLevel level;
  std::string_view name;
  std::string_view upper;
  spdlog::level::level_enum spdlog;
};
constexpr std::array kLevels = {
    LevelName{sdk::LogLevel::debug, "debug", "DEBUG", spdlog::level::debug},
    LevelName{sdk::LogLevel::info, "info", "INFO", spdlog::level::info},
    LevelName{sdk::LogLevel::warning, "warning", "WARNING", spdlog::level::warn},
    LevelName{sdk::LogLevel::error, "error", "ERROR", spdlog::level::err},
};

// A level that a plugin made up is taken for an error rather than trusted as an index.
const LevelName& names_of(sdk::LogLevel level) {
  const auto index = static_cast<std::size_t>(level);
  return index < kLevels.size() ? kLevels[index] : kLevels.back();
}

// The length of the UTF-8 sequence that text begins with; 0 when it begins with none.
std::size_t sequence_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  return length <= text.size() && is_utf8(text.substr(0, length)) ? length : 0;
}

// C0, DEL, C1, and the separators that some viewers take for line ends.
bool is_control(std::string_view sequence) {
  const auto first = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return first < 0x20 || first == 0x7f;
  if (sequence.size() == 2) return first == 0xc2 && static_cast<unsigned char>(sequence[1]) < 0xa0;
  return sequence == "\xe2\x80\xa8" || sequence == "\xe2\x80\xa9";
}

void append_hex_escape(std::string& out, std::string_view sequence) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  unsigned code = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 2) code = static_cast<unsigned char>(sequence[1]);  // U+0080..U+009F
  if (sequence.size() == 3) code = sequence[2] == '\xa8' ? 0x2028 : 0x2029;
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kDigits[(code >> shift) & 15];
}

// The escapes of JSON (RFC 8259 7), used in text records too. `quoted`: also of quote and
// backslash.
void append_escaped(std::string& out, std::string_view text, bool quoted) {
  while (!text.empty()) {
    // Most of what is logged is printable ASCII.
    std::size_t plain = 0;
    while (plain < text.size()) {
      const auto c = static_cast<unsigned char>(text[plain]);
      if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\') break;
      ++plain;
    }
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) return;

    const std::size_t length = sequence_length(text);
    if (length == 0) {
      out += kReplacement;
      text.remove_prefix(1);
      continue;
    }
    const std::string_view sequence = text.substr(0, length);
    if (sequence == "\n") {
      out += "\\n";
    } else if (sequence == "\r") {
      out += "\\r";
    } else if (sequence == "\t") {
      out += "\\t";
    } else if (is_control(sequence)) {
      append_hex_escape(out, sequence);
    } else if (quoted && (sequence == "\"" || sequence == "\\")) {
      out += '\\';
      out += sequence;
    } else {
      out += sequence;
    }
    text.remove_prefix(length);
  }
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  append_escaped(out, text, true);
  out += '"';
}

// A text record's value needs quotes unless it is one visible ASCII word.
void append_text_value(std::string& out, std::string_view value) {
  const bool bare = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return c > ' ' && c < '\x7f' && c != '"' && c != '\\' && c != '=';
  });
  if (bare) {
    out += value;
  } else {
    append_json_string(out, value);
  }
}

void append_text_name(std::string& out, std::string_view name) {
  for (const char c : name) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '.' || c == '-';
    out += fine ? c : '_';
  }
}

void append_fields(std::string& out, LogFormat format, const Log::Fields& fields) {
  for (const auto& [name, value] : fields) {
    const std::string_view shown = looks_secret(name) ? kMask : std::string_view{value};
    const bool reserved = name == "time" || name == "level" || name == "message";
    if (format == LogFormat::json) {
      out += reserved ? ",\"_" : ",\"";
      append_escaped(out, name, true);
      out += "\":";
      append_json_string(out, shown);
    } else {
      out += reserved ? " _" : " ";
      append_text_name(out, name);
      out += '=';
      append_text_value(out, shown);
    }
  }
}

class CallbackSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit CallbackSink(Log::Sink write) : write_(std::move(write)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    write_(std::string_view{message.payload.data(), message.payload.size()});
  }
  void flush_() override {}

  Log::Sink write_;
};

}  // namespace

std::optional<sdk::LogLevel> parse_level(std::string_view name) {
  for (const LevelName& level : kLevels) {
    if (level.name == name) return level.level;
  }
  return std::nullopt;
}

std::optional<LogFormat> parse_log_format(std::string_view name) {
  if (name == "text") return LogFormat::text;
  if (name == "json") return LogFormat::json;
  return std::nullopt;
}

bool looks_secret(std::string_view field_name) {
  static constexpr std::array<std::string_view, 11> kSecret = {
      "password", "passwd", "secret",      "token",  "authorization", "cookie",
      "apikey",   "key",    "credentials", "bearer", "passphrase"};
  // The words of "api_key", "X-Api-Key" and "apiKey" are "api" and "key".
  std::string word;
  std::string last;
  bool secret = false;
  const auto end_word = [&] {
    if (word.empty()) return;
    secret = secret || std::find(kSecret.begin(), kSecret.end(), word) != kSecret.end();
    last = std::exchange(word, {});
  };
  char before = '\0';
  for (const char c : field_name) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool letter = upper || (c >= 'a' && c <= 'z');
    if (!letter || (upper && before >= 'a' && before <= 'z')) end_word();
    if (letter) word += static_cast<char>(upper ? c + ('a' - 'A') : c);
    before = c;
  }
  end_word();
  // "key_id" and "token_count" tell nothing.
  return secret && last != "id" && last != "count" && last != "name";
}

Log::Log(std::shared_ptr<spdlog::logger> logger, LogFormat format, std::string fixed)
    : logger_(std::move(logger)), format_(format), fixed_(std::move(fixed)) {}

std::shared_ptr<Log> Log::make(sdk::LogLevel level, LogFormat format, Sink sink) {
  spdlog::sink_ptr destination;
  if (sink) {
    destination = std::make_shared<CallbackSink>(std::move(sink));
  } else {
    destination = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  }
  auto logger = std::make_shared<spdlog::logger>("postern", std::move(destination));
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v"));
  logger->set_level(names_of(level).spdlog);
  return std::shared_ptr<Log>(new Log(std::move(logger), format, {}));
}

Result<std::shared_ptr<Log>> Log::make(std::string_view level, std::string_view format, Sink sink) {
  const auto parsed_level = parse_level(level);
  const auto parsed_format = parse_log_format(format);
  if (!parsed_level) {
    return Error{ErrorKind::invalid, "log level must be debug, info, warning or error", {}, {}};
  }
  if (!parsed_format) {
    return Error{ErrorKind::invalid, "log format must be text or json", {}, {}};
  }
  return make(*parsed_level, *parsed_format, std::move(sink));
}

void Log::log(sdk::LogLevel level, std::string_view message, const Fields& fields) {
  const LevelName& names = names_of(level);
  if (!logger_->should_log(names.spdlog)) return;

  std::string line;
  line.reserve(96 + message.size() + fixed_.size() + fields.size() * 32);
  const std::string time = format_time(SystemClock{}.now());
  if (format_ == LogFormat::json) {
    line += "{\"time\":\"";
    line += time;
    line += "\",\"level\":\"";
    line += names.name;
    line += "\",\"message\":";
    append_json_string(line, message);
  } else {
    line += time;
    line += ' ';
    line += names.upper;
    line += ' ';
    append_escaped(line, message, false);
  }
  line += fixed_;
  append_fields(line, format_, fields);
  if (format_ == LogFormat::json) line += '}';
  logger_->log(names.spdlog, spdlog::string_view_t{line.data(), line.size()});
}

void Log::debug(std::string_view message, const Fields& fields) {
  log(sdk::LogLevel::debug, message, fields);
}
void Log::info(std::string_view message, const Fields& fields) {
  log(sdk::LogLevel::info, message, fields);
}
void Log::warning(std::string_view message, const Fields& fields) {
  log(sdk::LogLevel::warning, message, fields);
}
void Log::error(std::string_view message, const Fields& fields) {
  log(sdk::LogLevel::error, message, fields);
}

std::shared_ptr<Log> Log::child(const Fields& fields) const {
  std::string fixed = fixed_;
  append_fields(fixed, format_, fields);
  return std::shared_ptr<Log>(new Log(logger_, format_, std::move(fixed)));
}

void Log::set_level(sdk::LogLevel level) {
  logger_->set_level(names_of(level).spdlog);
}

bool Log::enabled(sdk::LogLevel level) const {
  return logger_->should_log(names_of(level).spdlog);
}

}  // namespace postern::telemetry
