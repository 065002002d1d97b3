#include "config/config.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <type_traits>
#include <utility>

#include "base/bytes.h"
#include "base/clock.h"
#include "config/interpolate.h"
#include "config/keys.h"
#include "config/organizations.h"
#include "config/reader.h"
#include "config/values.h"
#include "config/yaml.h"

namespace postern::config {
namespace {

std::string system_host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

void set(const Target& target, const Value& value, Config& config) {
  std::visit(
      [&](auto member) {
        if constexpr (!std::is_same_v<decltype(member), std::monostate>) {
          auto& field = member(config);
          using Field = std::remove_reference_t<decltype(field)>;
          if constexpr (std::is_same_v<Field, std::chrono::milliseconds>) {
            field = std::chrono::milliseconds{std::get<std::int64_t>(value)};
          } else if constexpr (std::is_integral_v<Field>) {
            field = static_cast<Field>(std::get<std::int64_t>(value));
          } else {
            field = std::get<Field>(value);
          }
        }
      },
      target);
}

// Everything in fixed sections that sets one member of Config.
void read_section(Reader& reader, const Mapping& in, Config& config) {
  for (const Key& key : all_keys()) {
    if (key.section != in.section) continue;
    if (key.type == Type::mapping) {
      if (const auto inner = reader.mapping(in, key.name)) read_section(reader, *inner, config);
    } else if (!std::holds_alternative<std::monostate>(key.target)) {
      if (const auto value = reader.value(in, key.name)) set(key.target, *value, config);
    }
  }
}

const Node* child(const Node& node, std::string_view name) {
  const Node::Entry* entry = node.find(name);
  return entry == nullptr ? nullptr : entry->value.get();
}

// A section that read_section has checked already; nothing when it is absent or no mapping.
std::optional<Mapping> checked(const Mapping& root, std::string_view name) {
  const Node* node = child(*root.node, name);
  if (node == nullptr || node->kind != Node::Kind::mapping) return std::nullopt;
  return Mapping{node, std::string{name}, name};
}

void read_plugins(Reader& reader, const Mapping& in, Config& config) {
  for (const Reader::Item& item : reader.texts(in, "directories")) {
    if (item.scalar.text.empty() || item.scalar.text.find('\0') != std::string::npos) {
      reader.problem(item.mark, item.path, "must be the path of a directory");
      continue;
    }
    config.plugins.directories.push_back(absolute_path(item.scalar.text, reader.directory()));
  }
}

void read_master_key(Reader& reader, const Mapping& in, Config& config) {
  const Node* node = child(*in.node, "master_key");
  if (node == nullptr) return;
  if (node->kind == Node::Kind::scalar) {
    config.secrets.master_key_file = whole_file_reference(node->text, reader.directory());
    std::error_code error;
    if (!config.secrets.master_key_file.empty() &&
        !std::filesystem::exists(config.secrets.master_key_file, error) && !error) {
      return;  // it is made when storage is empty
    }
  }
  const auto key = find_key("secrets", "master_key");
  const auto scalar = reader.scalar(in, "master_key");
  if (!scalar) return;
  const auto length = static_cast<std::int64_t>(scalar->text.size());
  if (length < key->min || length > key->max) {
    reader.problem(in, "master_key",
                   "must have " + range_text(*key) + ", has " + std::to_string(length),
                   "openssl rand -base64 32 makes one");
    return;
  }
  config.secrets.master_key = scalar->text;
}

void check_together(Reader& reader, const Mapping& root, const Config& config) {
  const auto& [api, admin] = std::pair{config.server.api, config.server.admin};
  if (api.port != 0 && api.port == admin.port && api.address == admin.address) {
    reader.problem(Mapping{child(*root.node, "server") ? child(*root.node, "server") : root.node,
                           "server", "server"},
                   "admin", "listens where server.api does", "give it another port");
  }
  if (config.dispatch.retry_first > config.dispatch.retry_most) {
    if (const auto dispatch = checked(root, "dispatch")) {
      const bool first = dispatch->node->find("retry_first") != nullptr;
      reader.problem(*dispatch, first ? "retry_first" : "retry_most",
                     "retry_first, " + format_duration(config.dispatch.retry_first) +
                         ", is longer than retry_most, " +
                         format_duration(config.dispatch.retry_most));
    }
  }
}

void complete(Config& config) {
  const std::string system = system_host_name();
  if (config.server.hostname.empty()) {
    // A name without a dot is refused by many servers as an EHLO argument (RFC 5321 2.3.5).
    config.server.hostname = is_domain(system, 2) ? ascii_lower(system) : "localhost.localdomain";
  }
  if (config.server.node.empty()) config.server.node = system;
}

Loaded failure(const std::string& file, std::string message, std::string hint = "") {
  Loaded loaded;
  loaded.problems.push_back({{file, 0, 0}, "", std::move(message), std::move(hint)});
  return loaded;
}

Loaded load_checked(std::string_view text, const std::string& file, const std::string& directory) {
  std::error_code error;
  const std::string absolute =
      std::filesystem::absolute(directory.empty() ? "." : directory, error).lexically_normal();
  const Tree tree = parse_yaml(text);
  Reader reader{file, absolute};
  for (const YamlProblem& problem : tree.problems) {
    reader.problem(problem.mark, problem.path, problem.message, problem.hint);
  }
  Config config;
  config.file = file;
  config.directory = absolute;
  if (tree.root) {
    if (const auto root = reader.mapping(*tree.root, "", "", tree.root->mark)) {
      read_section(reader, *root, config);
      if (const auto in = checked(*root, "plugins")) read_plugins(reader, *in, config);
      if (const auto in = checked(*root, "storage")) {
        config.storage.settings = reader.settings(*in, "settings");
      }
      if (const auto in = checked(*root, "secrets")) read_master_key(reader, *in, config);
      config.organizations = read_organizations(reader, *root);
      check_together(reader, *root, config);
      complete(config);
    }
  }
  Loaded loaded;
  config.locations = reader.take_locations();
  loaded.problems = reader.take_problems();
  if (loaded.problems.empty()) loaded.config = std::move(config);
  return loaded;
}

}  // namespace

std::string to_text(const Problem& problem) {
  std::string text = problem.where.file;
  if (problem.where.line > 0) {
    text += ':' + std::to_string(problem.where.line) + ':' + std::to_string(problem.where.column);
  }
  text += ": ";
  if (!problem.path.empty()) text += problem.path + ": ";
  text += problem.message;
  if (!problem.hint.empty()) text += " (" + problem.hint + ")";
  return text;
}

Loaded load_text(std::string_view text, const std::string& file, const std::string& directory) {
  try {
    return load_checked(text, file, directory);
  } catch (const std::exception&) {  // memory, or a path that the file system refuses
    return failure(file, "can't be read as a configuration");
  }
}

Loaded load(const std::string& path) {
  try {
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) {
      return failure(path, "is a directory", "name the file in it");
    }
    errno = 0;
    std::ifstream in{path, std::ios::binary};
    if (!in) {
      const int reason = errno != 0 ? errno : EIO;
      return failure(path, "can't be read: " + std::generic_category().message(reason));
    }
    std::string text;
    std::array<char, 16384> chunk{};
    while (text.size() <= kMaxFileBytes && in) {
      in.read(chunk.data(), chunk.size());
      text.append(chunk.data(), static_cast<std::size_t>(in.gcount()));
    }
    if (in.bad()) return failure(path, "can't be read: " + std::generic_category().message(errno));
    return load_text(text, path, std::filesystem::path{path}.parent_path().string());
  } catch (const std::exception&) {
    return failure(path, "can't be read");
  }
}

Problem problem_at(const Config& config, std::string path, std::string message, std::string hint) {
  Problem problem{{config.file, 0, 0}, std::move(path), std::move(message), std::move(hint)};
  for (std::string_view around = problem.path; !around.empty();) {
    if (const auto found = config.locations.find(around); found != config.locations.end()) {
      problem.where = found->second;
      break;
    }
    const std::size_t cut = around.find_last_of(".[");
    around = around.substr(0, cut == std::string_view::npos ? 0 : cut);
  }
  return problem;
}

}  // namespace postern::config
