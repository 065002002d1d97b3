// Built as a plugin should be, but says that one field of its ABI is another.
#include "postern/sdk/plugin.h"

namespace {

const postern::sdk::PluginInfo& info() {
  static const postern::sdk::PluginInfo info = [] {
    postern::sdk::PluginInfo made;
    made.abi.WRONG_FIELD += 41;
    made.name = "WRONG";
    made.version = "1";
    return made;
  }();
  return info;
}

}  // namespace

POSTERN_PLUGIN(info)
