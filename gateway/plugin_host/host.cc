#include "plugin_host/host.h"

#include <dlfcn.h>

#include <algorithm>
#include <boost/dll/library_info.hpp>
#include <boost/dll/shared_library.hpp>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/bytes.h"
#include "plugin_host/call.h"
#include "plugin_host/elf.h"
#include "plugin_host/settings.h"

namespace postern::plugin_host {
namespace {

namespace fs = std::filesystem;

using EntryPoint = const sdk::PluginInfo*();

struct AbiField {
  const char* name;
  std::uint32_t sdk::AbiBlock::*value;
  const char* hint;
};
constexpr std::array kAbiFields = {
    AbiField{"abi_number", &sdk::AbiBlock::abi_number, "build it against this gateway's SDK"},
    AbiField{"pointer_bytes", &sdk::AbiBlock::pointer_bytes, "build it for this machine"},
    AbiField{"libstdcxx_abi", &sdk::AbiBlock::libstdcxx_abi,
             "build it with the same _GLIBCXX_USE_CXX11_ABI"},
    AbiField{"libstdcxx_debug", &sdk::AbiBlock::libstdcxx_debug,
             "build both with _GLIBCXX_DEBUG or neither"},
    AbiField{"sanitizer", &sdk::AbiBlock::sanitizer,
             "build both with the same sanitizer or with none"},
};

std::string sanitizer_name(std::uint32_t value) {
  switch (static_cast<sdk::Sanitizer>(value)) {
    case sdk::Sanitizer::none:
      return "0 (none)";
    case sdk::Sanitizer::address:
      return "1 (address)";
    case sdk::Sanitizer::thread:
      return "2 (thread)";
  }
  return std::to_string(value);
}

// Nothing but the block is read of a plugin until all of it agrees.
std::vector<Problem> check_abi(const sdk::AbiBlock& abi, const std::string& file) {
  const sdk::AbiBlock own = sdk::current_abi();
  if (abi.magic != own.magic) {
    return {{file, "magic",
             "is " + std::to_string(abi.magic) + ", this gateway needs " +
                 std::to_string(own.magic) + ": what the entry point returns is no PluginInfo"}};
  }
  if (abi.block_bytes != own.block_bytes) {
    return {{file, "block_bytes",
             "is " + std::to_string(abi.block_bytes) + ", this gateway needs " +
                 std::to_string(own.block_bytes) + ": build it against this gateway's SDK"}};
  }
  std::vector<Problem> problems;
  for (const AbiField& field : kAbiFields) {
    const std::uint32_t found = abi.*field.value;
    const std::uint32_t needed = own.*field.value;
    if (found == needed) continue;
    const bool sanitizer = field.value == &sdk::AbiBlock::sanitizer;
    const auto shown = [&](std::uint32_t value) {
      return sanitizer ? sanitizer_name(value) : std::to_string(value);
    };
    problems.push_back(
        {file, field.name,
         "is " + shown(found) + ", this gateway needs " + shown(needed) + ": " + field.hint});
  }
  return problems;
}

// Letters, digits, "_", "-" and ".", as it stands in YAML, in log lines and in metrics.
bool is_name(std::string_view text, std::string_view also) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           also.find(c) != std::string_view::npos;
  });
}

void check_info(const sdk::PluginInfo& info, const std::string& file,
                std::vector<Problem>& problems) {
  const auto report = [&](std::string field, std::string message) {
    problems.push_back({file, std::move(field), std::move(message)});
  };
  const auto kind = static_cast<std::uint32_t>(info.kind);
  const bool known = kind >= static_cast<std::uint32_t>(sdk::PluginKind::provider) &&
                     kind <= static_cast<std::uint32_t>(sdk::PluginKind::rate_limit);
  if (!known) {
    report("kind", "is " + std::to_string(kind) +
                       ", this gateway knows 1 (provider), 2 (storage) and 3 (rate_limit)");
  }
  if (!is_name(info.name, "_-")) {
    report("name", "is \"" + info.name + "\", a name needs 1 to 64 letters, digits, _ and -");
  }
  if (!is_name(info.version, "_-.+~")) {
    report("version",
           "is \"" + info.version + "\", a version needs 1 to 64 letters, digits and . _ - + ~");
  }
  if (!is_utf8(info.description)) report("description", "is not UTF-8 text");

  struct Factory {
    const char* name;
    sdk::PluginKind kind;
    bool set;
  };
  const std::array factories = {
      Factory{"make_provider", sdk::PluginKind::provider, info.make_provider != nullptr},
      Factory{"open_storage", sdk::PluginKind::storage, info.open_storage != nullptr},
      Factory{"open_rate_limit", sdk::PluginKind::rate_limit, info.open_rate_limit != nullptr},
  };
  for (const Factory& factory : factories) {
    const bool needed = factory.kind == info.kind;
    if (!known || factory.set == needed) continue;
    report(factory.name, std::string{factory.set ? "is set" : "is null"} + ", a plugin of kind " +
                             std::string{to_string(info.kind)} + " needs it " +
                             (needed ? "set" : "null"));
  }

  if (known && info.kind != sdk::PluginKind::provider && !info.credentials.empty()) {
    report("credentials", "has " + std::to_string(info.credentials.size()) +
                              " fields, a plugin of kind " + std::string{to_string(info.kind)} +
                              " has 0");
  }
  for (Issue& issue : check_schema(info.settings, "settings")) {
    report(std::move(issue.path), std::move(issue.message));
  }
  for (Issue& issue : check_schema(info.credentials, "credentials")) {
    report(std::move(issue.path), std::move(issue.message));
  }
}

// What the dynamic loader said, without the file's name, and what it means.
std::string loader_words(const std::string& file, const std::string& said) {
  std::string words = said;
  if (const auto at = words.find(file + ": "); at != std::string::npos) {
    words = words.substr(at + file.size() + 2);
  }
  constexpr std::string_view kUndefined = "undefined symbol: ";
  if (const auto at = words.find(kUndefined); at != std::string::npos) {
    const std::string symbol = words.substr(at + kUndefined.size());
    if (symbol.starts_with("__asan") || symbol.starts_with("__ubsan")) {
      return words + ": it was built with AddressSanitizer, and this gateway was not";
    }
    if (symbol.starts_with("__tsan")) {
      return words + ": it was built with ThreadSanitizer, and this gateway was not";
    }
    return words + ": nothing that it is linked with defines it; link it with --no-undefined";
  }
  return words;
}

std::vector<std::string> shared_libraries(const fs::path& directory,
                                          std::vector<Problem>& problems) {
  std::vector<std::string> files;
  std::error_code failed;
  fs::directory_iterator entries(directory, failed);
  for (; !failed && entries != fs::directory_iterator{}; entries.increment(failed)) {
    if (entries->path().extension() == ".so") files.push_back(entries->path().string());
  }
  if (failed) {
    problems.push_back({directory.string(), "directory", "can't be read: " + failed.message()});
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::string to_text(const Problem& problem) {
  return problem.file + ": " + problem.field + ": " + problem.message;
}

std::string_view to_string(sdk::PluginKind kind) {
  switch (kind) {
    case sdk::PluginKind::provider:
      return "provider";
    case sdk::PluginKind::storage:
      return "storage";
    case sdk::PluginKind::rate_limit:
      return "rate_limit";
  }
  return "unknown";
}

Inspection inspect(const std::string& path) {
  Inspection result;
  std::error_code failed;
  const fs::path whole = fs::absolute(path, failed);
  const std::string file = failed ? path : whole.lexically_normal().string();
  const auto refuse = [&](std::string field, std::string message) {
    result.problems.push_back({file, std::move(field), std::move(message)});
    return result;
  };

  if (auto problem = check_elf(file)) {
    return refuse(std::move(problem->field), std::move(problem->message));
  }
  try {
    const auto symbols = boost::dll::library_info(file, true).symbols();
    if (std::find(symbols.begin(), symbols.end(), sdk::kEntryPoint) == symbols.end()) {
      return refuse("entry_point", std::string{"is not exported: a plugin exports "} +
                                       sdk::kEntryPoint + ", this file exports " +
                                       std::to_string(symbols.size()) +
                                       " other symbols; none of its code was run");
    }
  } catch (...) {
    return refuse("elf_sections", "can't be read: " + current_exception_text());
  }

  const sdk::PluginInfo* info = nullptr;
  try {
    // Never unloaded: RTLD_NODELETE makes the end of `library` harmless.
    const auto mode = boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local |
                      static_cast<boost::dll::load_mode::type>(RTLD_NODELETE);
    boost::dll::fs::error_code not_loaded;
    boost::dll::shared_library library;
    library.load(file, mode, not_loaded);
    if (not_loaded) {
      const char* said = ::dlerror();
      return refuse("load",
                    "failed: " + loader_words(file, said != nullptr ? std::string{said}
                                                                    : not_loaded.message()));
    }
    auto* entry = library.get<EntryPoint>(sdk::kEntryPoint);
    info = entry();
  } catch (...) {
    return refuse("entry_point",
                  std::string{sdk::kEntryPoint} + " threw: " + current_exception_text());
  }
  if (info == nullptr) {
    return refuse("entry_point",
                  std::string{sdk::kEntryPoint} + " returned null, a PluginInfo is needed");
  }

  result.problems = check_abi(info->abi, file);
  if (!result.problems.empty()) return result;
  check_info(*info, file, result.problems);
  if (!result.problems.empty()) return result;
  result.plugin = LoadedPlugin{info->kind, info->name, info->version, file, info};
  return result;
}

std::vector<Problem> PluginHost::load(const std::vector<std::string>& directories) {
  std::vector<Problem> problems;
  std::vector<std::string> seen;
  for (const LoadedPlugin& plugin : plugins_) seen.push_back(plugin.file);
  for (const std::string& directory : directories) {
    for (const std::string& found : shared_libraries(directory, problems)) {
      std::error_code failed;
      const fs::path canonical = fs::canonical(found, failed);
      const std::string file = failed ? found : canonical.string();
      if (std::find(seen.begin(), seen.end(), file) != seen.end()) continue;
      seen.push_back(file);

      Inspection inspection = inspect(file);
      std::move(inspection.problems.begin(), inspection.problems.end(),
                std::back_inserter(problems));
      if (!inspection.plugin) continue;
      const LoadedPlugin& plugin = *inspection.plugin;
      if (const LoadedPlugin* earlier = find(plugin.kind, plugin.name)) {
        problems.push_back({plugin.file, "name",
                            "is \"" + plugin.name + "\", and so is that of the " +
                                std::string{to_string(plugin.kind)} + " plugin " + earlier->file});
        continue;
      }
      plugins_.push_back(plugin);
    }
  }
  return problems;
}

const LoadedPlugin* PluginHost::find(sdk::PluginKind kind, std::string_view name) const {
  const auto found = std::find_if(plugins_.begin(), plugins_.end(), [&](const LoadedPlugin& p) {
    return p.kind == kind && p.name == name;
  });
  return found == plugins_.end() ? nullptr : &*found;
}

std::vector<std::string> PluginHost::names(sdk::PluginKind kind) const {
  std::vector<std::string> names;
  for (const LoadedPlugin& plugin : plugins_) {
    if (plugin.kind == kind) names.push_back(plugin.name);
  }
  return names;
}

}  // namespace postern::plugin_host
