#include "queue/crash_point.h"

#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace postern::queue {

namespace detail {
std::atomic<CrashPoint> armed{CrashPoint::none};
namespace {
std::atomic<int> passages_left{0};
}

void pass(CrashPoint) {
  if (passages_left.fetch_sub(1) == 1) ::_exit(137);
}
}  // namespace detail

void arm_crash_point() {
  const char* text = std::getenv("POSTERN_CRASH_POINT");
  if (text == nullptr || *text == '\0') return;
  static constexpr std::array<std::pair<std::string_view, CrashPoint>, 7> kNames{
      {{"accept", CrashPoint::accept},
       {"before_commit", CrashPoint::before_commit},
       {"after_commit", CrashPoint::after_commit},
       {"before_send", CrashPoint::before_send},
       {"after_send", CrashPoint::after_send},
       {"before_finish", CrashPoint::before_finish},
       {"after_finish", CrashPoint::after_finish}}};
  const std::string_view value{text};
  const auto colon = value.find(':');
  int passages = 1;
  if (colon != std::string_view::npos) {
    std::from_chars(value.data() + colon + 1, value.data() + value.size(), passages);
  }
  for (const auto& [name, point] : kNames) {
    if (value.substr(0, colon) != name || passages < 1) continue;
    detail::passages_left = passages;
    detail::armed = point;
    return;
  }
  std::fprintf(stderr, "postern: POSTERN_CRASH_POINT=%s names no crash point\n", text);
  std::exit(2);
}

}  // namespace postern::queue
