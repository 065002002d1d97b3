// cli/cli.h: the command line of `postern`. CLI11 is used in this folder alone.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace postern::cli {

// What a command exits with.
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kWrongUsage = 2;

// Where a command reads and writes. Answers go to `out`, everything else to `err`.
struct Io {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
};

// Runs the gateway until it is told to stop; answers the exit code.
using Serve = std::function<int(const std::string& config_file)>;

// Parses the arguments (without the program's name), runs one command, and answers the exit code.
// Never throws.
int run(std::vector<std::string> arguments, Io io, const Serve& serve);

}  // namespace postern::cli
