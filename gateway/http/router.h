// http/router.h: which endpoint a method and path name. Immutable once built; thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::http {

class Router {
 public:
  struct Match {
    enum class Kind { found, no_such_path, no_such_method, bad_encoding };
    Kind kind = Kind::no_such_path;
    std::size_t endpoint = 0;                                 // the index given to add
    std::vector<std::pair<std::string, std::string>> params;  // decoded, in order
    std::string allow;                                        // no_such_method: "GET, HEAD, POST"
  };

  // `pattern` is "/v1/messages/{id}": a segment in braces takes any one segment that is not empty.
  // Literal segments win over parameters. Adding the same twice is a programming error (abort).
  void add(std::string_view method, std::string_view pattern, std::size_t endpoint);

  // HEAD matches what GET does. A trailing slash names another path. Segments are matched before
  // they are percent-decoded, so an encoded slash never splits one.
  [[nodiscard]] Match match(std::string_view method, std::string_view encoded_path) const;

 private:
  struct Route {
    std::string method;
    std::vector<std::string> segments;
    std::size_t endpoint;
  };
  std::vector<Route> routes_;
};

}  // namespace postern::http
