// storage_sqlite: one file, one gateway. See README.md.
#include "postern/sdk/plugin.h"

#include <utility>

#include "storage.h"

namespace {

using postern::sdk::Field;
using postern::sdk::FieldType;

const postern::sdk::PluginInfo& info() {
  static const postern::sdk::PluginInfo plugin = [] {
    postern::sdk::PluginInfo made;
    made.kind = postern::sdk::PluginKind::storage;
    made.name = "sqlite";
    made.version = "1.0.0";
    made.description = "Keeps everything in one SQLite file on a local disk, for one gateway.";
    const auto field = [](std::string name, FieldType type, std::string value, std::string about) {
      Field made_field;
      made_field.name = std::move(name);
      made_field.type = type;
      made_field.default_value = std::move(value);
      made_field.description = std::move(about);
      return made_field;
    };
    Field path = field("path", FieldType::path, "",
                       "The database file; made when missing, readable by its owner only.");
    path.required = true;
    Field busy = field("busy_timeout", FieldType::duration, "5s",
                       "How long to wait for another process that writes to the file.");
    busy.min = 0;
    busy.max = 600'000;
    Field readers =
        field("readers", FieldType::integer, "2", "Sessions that read beside the one that writes.");
    readers.min = 1;
    readers.max = 64;
    Field cache = field("cache_kib", FieldType::integer, "4096",
                        "Page cache of the writing session in KiB; each reader has a quarter.");
    cache.min = 256;
    cache.max = 16'777'216;
    made.settings = {path, busy, readers, cache};
    made.open_storage = [](const postern::sdk::StorageOptions& options,
                           postern::sdk::HostServices& host) {
      return postern::storage_sqlite::SqliteStorage::open(options, host);
    };
    return made;
  }();
  return plugin;
}

}  // namespace

POSTERN_PLUGIN(info)
