#include "http/message.h"

#include "base/bytes.h"

namespace postern::http {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Error bad_parameter(std::string path, std::string code, std::string message) {
  return {ErrorKind::invalid,
          "Bad query parameter",
          {{std::move(path), std::move(code), std::move(message)}}};
}

}  // namespace

std::string_view Head::header(std::string_view name) const {
  for (const Header& header : headers) {
    if (ascii_iequals(header.name, name)) return header.value;
  }
  return {};
}

bool Head::has_header(std::string_view name) const {
  for (const Header& header : headers) {
    if (ascii_iequals(header.name, name)) return true;
  }
  return false;
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (c == '\0') return std::nullopt;
    out.push_back(c);
  }
  return out;
}

const std::string* Query::find(std::string_view key) const {
  for (const auto& [name, value] : values) {
    if (name == key) return &value;
  }
  return nullptr;
}

Result<Query> parse_query(std::string_view query) {
  Query out;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    auto key = percent_decode(pair.substr(0, equals), true);
    auto value = equals == std::string_view::npos ? std::optional<std::string>("")
                                                  : percent_decode(pair.substr(equals + 1), true);
    if (!key || !is_utf8(*key)) {
      return bad_parameter("", "bad_encoding", "A parameter's name is not percent-encoded UTF-8");
    }
    if (!value || !is_utf8(*value)) {
      return bad_parameter(*key, "bad_encoding", "The value is not percent-encoded UTF-8");
    }
    if (out.find(*key) != nullptr) {
      return bad_parameter(*key, "duplicate_parameter", "The parameter stands more than once");
    }
    out.values.emplace_back(*std::move(key), *std::move(value));
  }
  return out;
}

}  // namespace postern::http
