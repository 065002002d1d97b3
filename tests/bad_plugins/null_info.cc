#include "postern/sdk/plugin.h"

extern "C" __attribute__((visibility("default"))) const postern::sdk::PluginInfo*
postern_plugin_v1() {
  return nullptr;
}
