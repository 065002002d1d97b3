// cli/serve.h: the gateway itself: everything wired together, started in order and stopped in
// reverse.
#pragma once

#include <string>

namespace postern::cli {

// Serves until SIGTERM or SIGINT, then drains; a second signal ends it at once. Prints
// "ready api=HOST:PORT admin=HOST:PORT" on standard output once both listeners accept. Answers the
// exit code.
int serve(const std::string& config_file);

}  // namespace postern::cli
