#include "base/clock.h"

#include <array>
#include <charconv>
#include <cstdio>

namespace postern {
namespace {

using std::chrono::milliseconds;

struct Civil {
  int year;
  unsigned month, day, hour, minute, second, millis, weekday;
};

Civil civil(UnixMillis time) {
  const std::chrono::sys_time<milliseconds> point{milliseconds{time}};
  const auto day = std::chrono::floor<std::chrono::days>(point);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss<milliseconds> clock{point - day};
  return {static_cast<int>(date.year()),
          static_cast<unsigned>(date.month()),
          static_cast<unsigned>(date.day()),
          static_cast<unsigned>(clock.hours().count()),
          static_cast<unsigned>(clock.minutes().count()),
          static_cast<unsigned>(clock.seconds().count()),
          static_cast<unsigned>(clock.subseconds().count()),
          std::chrono::weekday{day}.c_encoding()};
}

// Reads exactly `digits` decimal digits at `at`.
std::optional<int> fixed(std::string_view text, std::size_t at, std::size_t digits) {
  if (at + digits > text.size()) return std::nullopt;
  int value = 0;
  for (const char c : text.substr(at, digits)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

UnixMillis SystemClock::now() const {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::chrono::steady_clock::time_point SystemClock::monotonic() const {
  return std::chrono::steady_clock::now();
}

std::string format_time(UnixMillis time) {
  const Civil c = civil(time);
  std::array<char, 40> out{};
  const int n = std::snprintf(out.data(), out.size(), "%04d-%02u-%02uT%02u:%02u:%02u.%03uZ", c.year,
                              c.month, c.day, c.hour, c.minute, c.second, c.millis);
  return {out.data(), static_cast<std::size_t>(n)};
}

std::string format_mail_date(UnixMillis time) {
  static constexpr std::array kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const Civil c = civil(time);
  std::array<char, 48> out{};
  const int n = std::snprintf(out.data(), out.size(), "%s, %02u %s %04d %02u:%02u:%02u +0000",
                              kDays[c.weekday], c.day, kMonths[c.month - 1], c.year, c.hour,
                              c.minute, c.second);
  return {out.data(), static_cast<std::size_t>(n)};
}

std::optional<UnixMillis> parse_time(std::string_view text) {
  const auto year = fixed(text, 0, 4), month = fixed(text, 5, 2), day = fixed(text, 8, 2);
  const auto hour = fixed(text, 11, 2), minute = fixed(text, 14, 2), second = fixed(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') ||
      text[13] != ':' || text[16] != ':') {
    return std::nullopt;
  }
  if (*hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{*year},
                                         std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;

  std::size_t at = 19;
  int millis = 0;
  if (at < text.size() && text[at] == '.') {
    ++at;
    int scale = 100;
    const std::size_t first = at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
      millis += (text[at] - '0') * scale;
      scale /= 10;
    }
    if (at == first) return std::nullopt;
  }
  int offset_minutes = 0;
  if (at + 1 == text.size() && (text[at] == 'Z' || text[at] == 'z')) {
    offset_minutes = 0;
  } else {
    const auto h = fixed(text, at + 1, 2), m = fixed(text, at + 4, 2);
    if (at + 6 != text.size() || (text[at] != '+' && text[at] != '-') || text[at + 3] != ':' ||
        !h || !m || *h > 23 || *m > 59) {
      return std::nullopt;
    }
    offset_minutes = (*h * 60 + *m) * (text[at] == '-' ? -1 : 1);
  }
  const auto days = std::chrono::sys_days{date}.time_since_epoch();
  const std::int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(days).count() +
                               *hour * 3600 + *minute * 60 + *second - offset_minutes * 60;
  return seconds * 1000 + millis;
}

std::optional<milliseconds> parse_duration(std::string_view text) {
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{} || count < 0) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  static constexpr std::array<std::pair<std::string_view, std::int64_t>, 5> kUnits{
      {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
  static constexpr std::int64_t kMax = std::int64_t{3653} * 86'400'000;
  for (const auto& [name, millis] : kUnits) {
    if (unit != name) continue;
    if (count > kMax / millis) return std::nullopt;
    return milliseconds{count * millis};
  }
  return std::nullopt;
}

std::string format_duration(milliseconds duration) {
  static constexpr std::array<std::pair<std::string_view, std::int64_t>, 5> kUnits{
      {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};
  const std::int64_t count = duration.count();
  for (const auto& [name, millis] : kUnits) {
    if (count != 0 && count % millis == 0) return std::to_string(count / millis) + std::string{name};
  }
  return "0s";
}

}  // namespace postern
