#include <stdexcept>

#include "postern/sdk/plugin.h"

namespace {

const postern::sdk::PluginInfo& info() {
  throw std::runtime_error("no license found");
}

}  // namespace

POSTERN_PLUGIN(info)
