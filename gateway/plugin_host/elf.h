// plugin_host/elf.h: whether a file is a whole shared library of this machine, before anything is
// mapped: the dynamic loader itself dies of SIGBUS on a file that was cut short.
#pragma once

#include <optional>
#include <string>

namespace postern::plugin_host {

struct ElfProblem {
  std::string field;
  std::string message;
};
// Reads the headers alone (System V ABI, chapter 4). nullopt: nothing is wrong with them.
std::optional<ElfProblem> check_elf(const std::string& file);

}  // namespace postern::plugin_host
