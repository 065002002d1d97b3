#include "api/problem.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <string>

namespace postern::api {
namespace {

struct Row {
  ErrorKind kind;
  int status;
  const char* code;
};
// The error table of the API contract.
const Row kRows[] = {
    {ErrorKind::invalid, 400, "VALIDATION_ERROR"},
    {ErrorKind::unauthenticated, 401, "AUTHENTICATION_ERROR"},
    {ErrorKind::forbidden, 403, "FORBIDDEN"},
    {ErrorKind::not_found, 404, "NOT_FOUND"},
    {ErrorKind::method_not_allowed, 405, "METHOD_NOT_ALLOWED"},
    {ErrorKind::conflict, 409, "CONFLICT"},
    {ErrorKind::payload_too_large, 413, "PAYLOAD_TOO_LARGE"},
    {ErrorKind::unsupported_media_type, 415, "UNSUPPORTED_MEDIA_TYPE"},
    {ErrorKind::impossible, 422, "VALIDATION_ERROR"},
    {ErrorKind::invalid_credentials, 422, "PROVIDER_INVALID_CREDENTIALS"},
    {ErrorKind::rate_limited, 429, "RATE_LIMIT_EXCEEDED"},
    {ErrorKind::internal, 500, "INTERNAL_ERROR"},
    {ErrorKind::unavailable, 503, "SERVICE_UNAVAILABLE"},
};

bool has_header(const http::Response& response, std::string_view name) {
  return std::any_of(response.headers.begin(), response.headers.end(),
                     [&](const auto& header) { return header.first == name; });
}

TEST(Problem, HasTheStatusCodeAndHeadersOfTheContract) {
  for (const Row& row : kRows) {
    const http::Response response = problem({row.kind, "why", {}, {}}, "req_1");
    EXPECT_EQ(response.status, row.status);
    const auto error = boost::json::parse(response.body).at("error");
    EXPECT_EQ(error.at("code").as_string(), row.code);
    EXPECT_EQ(error.at("request_id").as_string(), "req_1");
    EXPECT_FALSE(error.as_object().contains("details")) << "only where there are any";
    EXPECT_EQ(has_header(response, "Retry-After"), row.status == 429 || row.status == 503);
    EXPECT_EQ(has_header(response, "WWW-Authenticate"), row.status == 401);
  }
}

TEST(Problem, ListsEveryIssueAndEscapesWhatItShows) {
  const http::Response response =
      problem({ErrorKind::invalid, "a \"b\"", {{"to[1]", "x", "y\n"}, {"", "z", "w"}}, {}}, "r");
  const auto issues = boost::json::parse(response.body).at("error").at("details").at("issues");
  ASSERT_EQ(issues.as_array().size(), 2U);
  EXPECT_EQ(issues.at(0).at("path").as_string(), "to[1]");
}

}  // namespace
}  // namespace postern::api
