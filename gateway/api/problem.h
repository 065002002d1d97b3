// api/problem.h: how the API says that something is wrong (api.md "Errors"). Pure.
#pragma once

#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace postern::api {

struct StatusAndCode {
  int status;
  std::string_view code;  // "VALIDATION_ERROR"
};
StatusAndCode status_of(ErrorKind kind);

// The JSON answer to an error, with Retry-After and WWW-Authenticate where the contract has them.
http::Response problem(const Error& error, std::string_view request_id);

}  // namespace postern::api
