#include "http/router.h"

#include <cstdio>
#include <cstdlib>

#include "http/message.h"

namespace postern::http {
namespace {

bool is_parameter(std::string_view segment) {
  return segment.size() >= 2 && segment.front() == '{' && segment.back() == '}';
}

// "/a/b" is "a", "b"; "/a/" is "a", "". Precondition: starts with '/'.
std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> out;
  out.reserve(8);
  for (;;) {
    path.remove_prefix(1);
    const std::size_t slash = path.find('/');
    out.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return out;
    path.remove_prefix(slash);
  }
}

bool fits(const std::vector<std::string>& pattern, const std::vector<std::string_view>& path) {
  if (pattern.size() != path.size()) return false;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (is_parameter(pattern[i]) ? path[i].empty() : pattern[i] != path[i]) return false;
  }
  return true;
}

// Below 0: `a` is the more literal one, seen from the left. Both fit the same path.
int compare_shape(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    const int difference = int{is_parameter(a[i])} - int{is_parameter(b[i])};
    if (difference != 0) return difference;
  }
  return 0;
}

bool same_pattern(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (is_parameter(a[i]) != is_parameter(b[i])) return false;
    if (!is_parameter(a[i]) && a[i] != b[i]) return false;
  }
  return true;
}

}  // namespace

void Router::add(std::string_view method, std::string_view pattern, std::size_t endpoint) {
  Route route{std::string(method), {}, endpoint};
  if (pattern.starts_with('/')) {
    for (const std::string_view segment : split(pattern)) route.segments.emplace_back(segment);
  }
  bool wrong = route.segments.empty();
  for (const Route& other : routes_) {
    wrong = wrong || (other.method == route.method && same_pattern(other.segments, route.segments));
  }
  if (wrong) {
    std::fprintf(stderr, "postern: route %s %.*s is no path, or was added twice\n",
                 route.method.c_str(), static_cast<int>(pattern.size()), pattern.data());
    std::abort();
  }
  routes_.push_back(std::move(route));
}

Router::Match Router::match(std::string_view method, std::string_view encoded_path) const {
  Match out;
  if (!encoded_path.starts_with('/')) return out;
  const std::vector<std::string_view> path = split(encoded_path);

  const Route* shape = nullptr;  // the most literal pattern that fits, under any method
  for (const Route& route : routes_) {
    if (!fits(route.segments, path)) continue;
    if (shape == nullptr || compare_shape(route.segments, shape->segments) < 0) shape = &route;
  }
  if (shape == nullptr) return out;

  const Route* exact = nullptr;
  const Route* get = nullptr;
  std::vector<std::string> methods;
  for (const Route& route : routes_) {
    if (!same_pattern(route.segments, shape->segments)) continue;
    if (route.method == method) exact = &route;
    if (route.method == "GET") get = &route;
    methods.push_back(route.method);
  }
  const Route* chosen = exact != nullptr ? exact : method == "HEAD" ? get : nullptr;
  if (chosen == nullptr) {
    out.kind = Match::Kind::no_such_method;
    for (const std::string& allowed : methods) {
      if (!out.allow.empty()) out.allow += ", ";
      out.allow += allowed;
      if (allowed == "GET") out.allow += ", HEAD";
    }
    return out;
  }

  for (std::size_t i = 0; i < path.size(); ++i) {
    const std::string& segment = chosen->segments[i];
    if (!is_parameter(segment)) continue;
    auto value = percent_decode(path[i]);
    if (!value) {
      out.kind = Match::Kind::bad_encoding;
      out.params.clear();
      return out;
    }
    out.params.emplace_back(segment.substr(1, segment.size() - 2), *std::move(value));
  }
  out.kind = Match::Kind::found;
  out.endpoint = chosen->endpoint;
  return out;
}

}  // namespace postern::http
