// api/openapi.h: the API's own description, made from openapi.yaml when the gateway is built.
#pragma once

#include <string_view>

namespace postern::api {

std::string_view openapi_json();

}  // namespace postern::api
