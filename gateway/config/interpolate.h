// config/interpolate.h: ${env:NAME} and ${file:PATH} in a scalar.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace postern::config {

struct Interpolation {
  std::string text;                   // meaningful when problems is empty
  bool replaced = false;              // something came from outside: its value is never shown
  std::vector<std::string> problems;  // each names a variable or a path, never a value
  std::string hint;
};

// The environment is read when called. Relative paths are relative to `directory`. One newline at
// the end of a file is dropped. "$${" gives "${"; a "$" before anything else is itself. What comes
// from outside is not interpolated again.
Interpolation interpolate(std::string_view text, const std::string& directory);

// The PATH of a text that is "${file:PATH}" and nothing else, absolute; else empty.
std::string whole_file_reference(std::string_view text, const std::string& directory);

std::string absolute_path(std::string_view path, const std::string& directory);

inline constexpr std::size_t kMaxSecretFileBytes = 64U << 10;
}  // namespace postern::config
