#include "postern/sdk/plugin.h"

int symbol_that_nobody_defines();

namespace {

const postern::sdk::PluginInfo& info() {
  static const postern::sdk::PluginInfo info = [] {
    postern::sdk::PluginInfo made;
    made.name = std::to_string(symbol_that_nobody_defines());
    return made;
  }();
  return info;
}

}  // namespace

POSTERN_PLUGIN(info)
