#include <stdexcept>

#include "postern/sdk/plugin.h"

namespace {

namespace sdk = postern::sdk;

sdk::Expected<std::unique_ptr<sdk::Provider>, std::string> make(sdk::HostServices&) {
  throw std::runtime_error("no trust store");
}

const sdk::PluginInfo& info() {
  static const sdk::PluginInfo info = [] {
    sdk::PluginInfo made;
    made.name = "THROWING";
    made.version = "1.0";
    made.make_provider = &make;
    return made;
  }();
  return info;
}

}  // namespace

POSTERN_PLUGIN(info)
