// Wiring only: the command line is in cli/, the gateway in cli/serve.cc.
#include <iostream>

#include "cli/cli.h"
#include "cli/serve.h"

// Read by jemalloc (jemalloc(3), TUNING), where it is linked. Threads free what others allocated, so
// a few arenas do; memory that a backlog needed goes back to the system within seconds.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "narenas:4,dirty_decay_ms:1000,muzzy_decay_ms:0,background_thread:true";
}

int main(int argc, char** argv) {
  return postern::cli::run({argv + 1, argv + argc}, {std::cin, std::cout, std::cerr},
                           postern::cli::serve);
}
