#include "config/interpolate.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>

#include "base/bytes.h"

namespace postern::config {
namespace {

constexpr std::string_view kOpen = "${";

struct Source {
  std::optional<std::string> value;
  std::string problem;
};

Source from_environment(const std::string& name) {
  const auto is_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  };
  if (name.empty() || !std::all_of(name.begin(), name.end(), is_word)) {
    return {{}, "${env:NAME} needs a name of letters, digits and \"_\""};
  }
  // The environment isn't written while the gateway runs, so getenv is safe on any thread.
  const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe)
  if (value == nullptr) return {{}, "the environment variable " + name + " is not set"};
  return {std::string{value}, ""};
}

Source from_file(const std::string& path, const std::string& directory) {
  if (path.empty()) return {{}, "${file:PATH} needs a path"};
  const std::string absolute = absolute_path(path, directory);
  std::error_code error;
  const auto status = std::filesystem::status(absolute, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    return {{}, "the file " + absolute + " does not exist"};
  }
  // Anything else might block for ever or never end.
  if (error || !std::filesystem::is_regular_file(status)) {
    return {{}, "the file " + absolute + (error ? " can't be read" : " is not a regular file")};
  }
  errno = 0;
  std::ifstream in{absolute, std::ios::binary};
  std::string content(kMaxSecretFileBytes + 1, '\0');
  if (!in || !(in.read(content.data(), static_cast<std::streamsize>(content.size())) || in.eof())) {
    const int reason = errno;
    return {{},
            "the file " + absolute + " can't be read" +
                (reason != 0 ? ": " + std::generic_category().message(reason) : "")};
  }
  content.resize(static_cast<std::size_t>(in.gcount()));
  if (content.size() > kMaxSecretFileBytes) {
    return {{}, "the file " + absolute + " is larger than 64 KiB"};
  }
  if (content.ends_with('\n')) content.pop_back();
  if (content.ends_with('\r')) content.pop_back();
  return {std::move(content), ""};
}

}  // namespace

std::string absolute_path(std::string_view path, const std::string& directory) {
  const std::filesystem::path given{path};
  const std::filesystem::path full =
      given.is_absolute() ? given : std::filesystem::path{directory} / given;
  return full.lexically_normal().string();
}

Interpolation interpolate(std::string_view text, const std::string& directory) {
  Interpolation out;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t open = text.find(kOpen, at);
    if (open == std::string_view::npos) break;
    if (open > at && text[open - 1] == '$') {
      out.text += text.substr(at, open - 1 - at);
      out.text += kOpen;
      at = open + kOpen.size();
      continue;
    }
    out.text += text.substr(at, open - at);
    const std::size_t start = open + kOpen.size();
    const std::size_t close = text.find('}', start);
    const std::string_view inner =
        close == std::string_view::npos ? std::string_view{} : text.substr(start, close - start);
    out.hint = "write ${env:NAME} or ${file:PATH}; $${ stands for ${ itself";
    if (close == std::string_view::npos) {
      out.problems.emplace_back("\"${\" is not closed by \"}\"");
      return out;
    }
    at = close + 1;
    if (inner.find(kOpen) != std::string_view::npos) {
      out.problems.emplace_back("\"${\" inside \"${…}\" is not understood");
      return out;
    }
    Source source;
    if (inner.starts_with("env:")) {
      source = from_environment(std::string{inner.substr(4)});
    } else if (inner.starts_with("file:")) {
      source = from_file(std::string{inner.substr(5)}, directory);
    } else {
      source.problem = "\"${…}\" is neither ${env:NAME} nor ${file:PATH}";
    }
    out.replaced = true;
    if (source.value) {
      out.text += *source.value;
    } else {
      out.problems.push_back(std::move(source.problem));
    }
  }
  out.text += text.substr(std::min(at, text.size()));
  const bool syntax =
      std::any_of(out.problems.begin(), out.problems.end(),
                  [](const auto& problem) { return problem.find("${") != std::string::npos; });
  if (!syntax) out.hint.clear();
  return out;
}

std::string whole_file_reference(std::string_view text, const std::string& directory) {
  constexpr std::string_view kStart = "${file:";
  if (!text.starts_with(kStart) || text.find('}') != text.size() - 1) return {};
  const std::string_view path = text.substr(kStart.size(), text.size() - kStart.size() - 1);
  return path.empty() ? std::string{} : absolute_path(path, directory);
}

}  // namespace postern::config
