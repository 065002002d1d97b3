#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <memory>
#include <ostream>

#include "cli/command.h"
#include "cli/environment.h"
#include "cli/output.h"

namespace postern::cli {
namespace {

using plugin_host::LoadedPlugin;

boost::json::object summary(const LoadedPlugin& plugin) {
  return {{"kind", plugin_host::to_string(plugin.kind)},
          {"name", plugin.name},
          {"version", plugin.version},
          {"description", plugin.info->description},
          {"file", plugin.file}};
}

boost::json::array problems_json(const std::vector<plugin_host::Problem>& problems) {
  boost::json::array out;
  for (const auto& problem : problems) {
    out.push_back(boost::json::object{
        {"file", problem.file}, {"field", problem.field}, {"message", problem.message}});
  }
  return out;
}

std::string_view name_of(sdk::FieldType type) {
  switch (type) {
    case sdk::FieldType::text:
      return "text";
    case sdk::FieldType::integer:
      return "integer";
    case sdk::FieldType::boolean:
      return "boolean";
    case sdk::FieldType::duration:
      return "duration";
    case sdk::FieldType::choice:
      return "choice";
    case sdk::FieldType::text_list:
      return "list";
    case sdk::FieldType::path:
      return "path";
  }
  return "unknown";
}

bool has_range(const sdk::Field& field) {
  return field.min != INT64_MIN || field.max != INT64_MAX;
}

std::string type_of(const sdk::Field& field) {
  if (field.type == sdk::FieldType::choice) return join(field.choices, "|");
  std::string out{name_of(field.type)};
  if (has_range(field)) {
    out += " " + (field.min == INT64_MIN ? std::string{} : std::to_string(field.min)) + ".." +
           (field.max == INT64_MAX ? std::string{} : std::to_string(field.max));
  }
  return out;
}

boost::json::array schema_json(const sdk::Schema& schema) {
  boost::json::array out;
  for (const auto& field : schema) {
    boost::json::object each{{"name", field.name},
                             {"type", name_of(field.type)},
                             {"required", field.required},
                             {"secret", field.secret},
                             {"default", json_or_null(field.default_value)},
                             {"description", field.description}};
    if (field.type == sdk::FieldType::choice) each["choices"] = json_list(field.choices);
    if (field.min != INT64_MIN) each["min"] = field.min;
    if (field.max != INT64_MAX) each["max"] = field.max;
    out.push_back(std::move(each));
  }
  return out;
}

boost::json::object capabilities_json(const sdk::Capabilities& can) {
  return {{"maxRecipients", can.max_recipients},
          {"maxMessageBytes", can.max_message_bytes},
          {"maxTags", can.max_tags},
          {"supportsTags", can.supports_tags},
          {"supportsMetadata", can.supports_metadata},
          {"supportsCustomHeaders", can.supports_custom_headers},
          {"supportsNamelessAttachments", can.supports_nameless_attachments},
          {"supportsInlineAttachments", can.supports_inline_attachments},
          {"supportsSmtputf8", can.supports_smtputf8},
          {"independentEnvelope", can.independent_envelope},
          {"deduplicates", can.deduplicates},
          {"finalDelivery", can.final_delivery},
          {"sendsEvents", can.sends_events},
          {"wantsMime", can.wants_mime}};
}

void print_schema(std::ostream& out, const std::string& title, const sdk::Schema& schema) {
  out << '\n' << title;
  if (schema.empty()) {
    out << ": none\n";
    return;
  }
  out << '\n';
  Table table{{"KEY", "TYPE", "DEFAULT", "DESCRIPTION"}};
  for (const auto& field : schema) {
    table.add({field.name, type_of(field),
               field.required                ? "(required)"
               : field.default_value.empty() ? "-"
                                             : field.default_value,
               (field.secret ? "Secret. " : "") + field.description});
  }
  table.print(out);
}

void print_capabilities(std::ostream& out, const sdk::Capabilities& can) {
  out << "\nCapabilities\n";
  Table table{{"CAPABILITY", "VALUE"}};
  for (const auto& [name, value] : capabilities_json(can)) {
    std::string text;
    if (const bool* flag = value.if_bool()) {
      text = *flag ? "yes" : "no";
    } else {
      const auto number = value.to_number<std::uint64_t>();
      text = number == 0 ? "no limit" : std::to_string(number);
    }
    table.add({std::string{name.data(), name.size()}, text});
  }
  table.print(out);
}

int list(const std::string& given, bool json, const Io& io) {
  const auto file = config_file_or_default(given);
  if (!file) return fail(io, file.error());
  const auto config = load_config(*file);
  if (!config) return fail(io, config.error());
  Tools tools{*config, Tools::Logs::quiet};
  const auto problems = tools.plugins.load(config->plugins.directories);
  if (json) {
    boost::json::array plugins;
    for (const auto& plugin : tools.plugins.plugins()) plugins.push_back(summary(plugin));
    print_json(io.out, boost::json::object{{"plugins", std::move(plugins)},
                                           {"problems", problems_json(problems)}});
  } else {
    Table table{{"KIND", "NAME", "VERSION", "FILE"}};
    for (const auto& plugin : tools.plugins.plugins()) {
      table.add({std::string{plugin_host::to_string(plugin.kind)}, plugin.name, plugin.version,
                 plugin.file});
    }
    if (table.empty()) {
      io.err << "There are no plugins in " << join(config->plugins.directories, ", ") << '\n';
    } else {
      table.print(io.out);
    }
  }
  for (const auto& problem : problems) io.err << "postern: " << to_text(problem) << '\n';
  return problems.empty() ? kDone : kFailed;
}

int info(const std::string& file, bool json, const Io& io) {
  const auto inspection = plugin_host::inspect(file);
  const sdk::PluginInfo* plugin = inspection.plugin ? inspection.plugin->info : nullptr;
  const bool is_provider = plugin != nullptr && plugin->kind == sdk::PluginKind::provider;
  if (json) {
    boost::json::object out{{"plugin", nullptr}, {"problems", problems_json(inspection.problems)}};
    if (plugin != nullptr) {
      boost::json::object about = summary(*inspection.plugin);
      about["abi"] = plugin->abi.abi_number;
      about["settings"] = schema_json(plugin->settings);
      if (is_provider) {
        about["credentials"] = schema_json(plugin->credentials);
        about["capabilities"] = capabilities_json(plugin->capabilities);
      }
      out["plugin"] = std::move(about);
    }
    print_json(io.out, out);
  } else if (plugin != nullptr) {
    Table head{{"Name", inspection.plugin->name}};
    head.add({"Kind", std::string{plugin_host::to_string(plugin->kind)}});
    head.add({"Version", plugin->version});
    head.add({"ABI", std::to_string(plugin->abi.abi_number)});
    head.add({"Description", plugin->description});
    head.add({"File", inspection.plugin->file});
    head.print(io.out);
    print_schema(io.out, "Settings", plugin->settings);
    if (is_provider) {
      print_schema(io.out, "Credentials", plugin->credentials);
      print_capabilities(io.out, plugin->capabilities);
    }
  }
  for (const auto& problem : inspection.problems) {
    io.err << "postern: " << to_text(problem) << '\n';
  }
  return plugin != nullptr && inspection.problems.empty() ? kDone : kFailed;
}

}  // namespace

void add_plugin(CLI::App& app, Session& session) {
  auto* plugin = app.add_subcommand("plugin", "See the plugins and what they can be told");
  plugin->require_subcommand(1);

  auto* lists = plugin->add_subcommand("list", "List the plugins that the gateway would load");
  auto config = std::make_shared<std::string>();
  auto list_json = std::make_shared<bool>(false);
  add_config_option(*lists, *config);
  lists->add_flag("--json", *list_json, "Print one JSON object");
  lists->footer(
      "Looks in plugins.directories of the configuration. What is refused is named on standard\n"
      "error, with the reason.\n\n"
      "Example:\n  postern plugin list\n\n"
      "Exit codes: 0 listed, 1 failed or a file was refused, 2 wrong usage.");
  session.on(*lists, [=, &session] { return list(*config, *list_json, session.io()); });

  auto* infos = plugin->add_subcommand("info", "Explain one plugin: its settings and capabilities");
  auto file = std::make_shared<std::string>();
  auto info_json = std::make_shared<bool>(false);
  infos->add_option("file", *file, "The plugin, a .so file")->required();
  infos->add_flag("--json", *info_json, "Print one JSON object");
  infos->footer(
      "Example:\n  postern plugin info build/release/lib/postern/plugins/provider_smtp.so\n\n"
      "Exit codes: 0 the gateway would load it, 1 it would not (the reason is on standard error),\n"
      "2 wrong usage.");
  session.on(*infos, [=, &session] { return info(*file, *info_json, session.io()); });
}

}  // namespace postern::cli
