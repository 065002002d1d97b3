// Built rightly, describing itself wrongly; which way is picked by a definition.
#include "postern/sdk/plugin.h"

namespace {

namespace sdk = postern::sdk;

sdk::Expected<std::unique_ptr<sdk::Provider>, std::string> make(sdk::HostServices&) {
  return std::string{"is never made"};
}

const sdk::PluginInfo& info() {
  static const sdk::PluginInfo info = [] {
    sdk::PluginInfo made;
    made.name = "WRONG";
    made.version = "1";
    made.description = "A plugin with a mistake in it.";
    made.make_provider = &make;
#if defined(CASE_WRONG_KIND)
    made.kind = static_cast<sdk::PluginKind>(9);
#elif defined(CASE_MISSING_FACTORY)
    made.make_provider = nullptr;
#elif defined(CASE_EXTRA_FACTORY)
    made.kind = sdk::PluginKind::storage;
    made.name = "wrong";
#elif defined(CASE_BAD_NAME)
    made.name = "two words";
#elif defined(CASE_EMPTY_VERSION)
    made.version = "";
#elif defined(CASE_TWIN)
    made.name = "TWIN";
#elif defined(CASE_BAD_SCHEMA)
    const auto field = [](const char* name, sdk::FieldType type) {
      sdk::Field made_field;
      made_field.name = name;
      made_field.type = type;
      return made_field;
    };
    sdk::Field port = field("port", sdk::FieldType::integer);
    port.default_value = "many";
    sdk::Field mode = field("mode", sdk::FieldType::choice);
    sdk::Field size = field("size", sdk::FieldType::integer);
    size.min = 10;
    size.max = 2;
    sdk::Field host = field("host", sdk::FieldType::text);
    host.required = true;
    host.default_value = "localhost";
    sdk::Field level = field("level", sdk::FieldType::choice);
    level.choices = {"low", "high"};
    level.default_value = "middle";
    made.settings = {port,
                     port,
                     mode,
                     size,
                     host,
                     level,
                     field("BadName", sdk::FieldType::text),
                     field("odd", static_cast<sdk::FieldType>(99))};
    made.credentials = {field("", sdk::FieldType::text)};
#endif
    return made;
  }();
  return info;
}

}  // namespace

POSTERN_PLUGIN(info)
