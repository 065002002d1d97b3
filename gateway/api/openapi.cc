#include "api/openapi.h"

#include <string>

namespace postern::api {

std::string_view openapi_json() {
  static const std::string document =
#include "openapi.inc"
      ;
  return document;
}

}  // namespace postern::api
