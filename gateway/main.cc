// Wiring only: the command line is in cli/, the gateway in cli/serve.cc.
#include <iostream>

#include "cli/cli.h"
#include "cli/serve.h"

int main(int argc, char** argv) {
  return postern::cli::run({argv + 1, argv + argc}, {std::cin, std::cout, std::cerr},
                           postern::cli::serve);
}
