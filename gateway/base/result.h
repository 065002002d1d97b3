// base/result.h: the gateway's one error type. A Result is a value or an Error; an Error knows what
// a client may be told of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "postern/sdk/result.h"

namespace postern {

// Each kind is one HTTP status and code of the API's error table.
enum class ErrorKind : std::uint8_t {
  invalid,                  // 400 VALIDATION_ERROR
  unauthenticated,          // 401 AUTHENTICATION_ERROR
  forbidden,                // 403 FORBIDDEN
  not_found,                // 404 NOT_FOUND
  method_not_allowed,       // 405 METHOD_NOT_ALLOWED
  conflict,                 // 409 CONFLICT
  payload_too_large,        // 413 PAYLOAD_TOO_LARGE
  unsupported_media_type,   // 415 UNSUPPORTED_MEDIA_TYPE
  impossible,               // 422 VALIDATION_ERROR
  invalid_credentials,      // 422 PROVIDER_INVALID_CREDENTIALS
  rate_limited,             // 429 RATE_LIMIT_EXCEEDED
  internal,                 // 500 INTERNAL_ERROR
  unavailable,              // 503 SERVICE_UNAVAILABLE
};

// One thing that is wrong, where, and what to do. `path` is that of the field, "to[1]".
struct Issue {
  std::string path;
  std::string code;  // lower_snake
  std::string message;
};

struct Error {
  ErrorKind kind = ErrorKind::internal;
  std::string message;
  std::vector<Issue> issues;
  std::chrono::seconds retry_after{0};  // rate_limited and unavailable
};

template <typename T>
using Result = sdk::Expected<T, Error>;
using sdk::Done;

}  // namespace postern
