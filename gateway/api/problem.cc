#include "api/problem.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace postern::api {

namespace bj = boost::json;

StatusAndCode status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid: return {400, "VALIDATION_ERROR"};
    case ErrorKind::unauthenticated: return {401, "AUTHENTICATION_ERROR"};
    case ErrorKind::forbidden: return {403, "FORBIDDEN"};
    case ErrorKind::not_found: return {404, "NOT_FOUND"};
    case ErrorKind::method_not_allowed: return {405, "METHOD_NOT_ALLOWED"};
    case ErrorKind::conflict: return {409, "CONFLICT"};
    case ErrorKind::payload_too_large: return {413, "PAYLOAD_TOO_LARGE"};
    case ErrorKind::unsupported_media_type: return {415, "UNSUPPORTED_MEDIA_TYPE"};
    case ErrorKind::impossible: return {422, "VALIDATION_ERROR"};
    case ErrorKind::invalid_credentials: return {422, "PROVIDER_INVALID_CREDENTIALS"};
    case ErrorKind::rate_limited: return {429, "RATE_LIMIT_EXCEEDED"};
    case ErrorKind::internal: return {500, "INTERNAL_ERROR"};
    case ErrorKind::unavailable: return {503, "SERVICE_UNAVAILABLE"};
  }
  return {500, "INTERNAL_ERROR"};
}

http::Response problem(const Error& error, std::string_view request_id) {
  const auto [status, code] = status_of(error.kind);
  bj::object body{{"code", code}, {"message", error.message}, {"request_id", request_id}};
  if (!error.issues.empty()) {
    bj::array issues;
    for (const Issue& issue : error.issues) {
      issues.push_back(
          bj::object{{"path", issue.path}, {"code", issue.code}, {"message", issue.message}});
    }
    body["details"] = bj::object{{"issues", std::move(issues)}};
  }
  http::Response response;
  response.status = status;
  response.body = bj::serialize(bj::object{{"error", std::move(body)}});
  if (status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (status == 429 || status == 503) {
    response.headers.emplace_back(
        "Retry-After", std::to_string(std::max<std::int64_t>(1, error.retry_after.count())));
  }
  return response;
}

}  // namespace postern::api
