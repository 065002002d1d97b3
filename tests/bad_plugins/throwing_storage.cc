#include <stdexcept>

#include "postern/sdk/plugin.h"

namespace {

namespace sdk = postern::sdk;

sdk::Expected<std::unique_ptr<sdk::Storage>, sdk::StorageError> open(const sdk::StorageOptions&,
                                                                     sdk::HostServices&) {
  throw std::runtime_error("disk on fire");
}

const sdk::PluginInfo& info() {
  static const sdk::PluginInfo info = [] {
    sdk::PluginInfo made;
    made.kind = sdk::PluginKind::storage;
    made.name = "throwing";
    made.version = "1.0";
    made.open_storage = &open;
    return made;
  }();
  return info;
}

}  // namespace

POSTERN_PLUGIN(info)
