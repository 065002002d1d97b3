#include "http/router.h"

#include <gtest/gtest.h>

namespace postern::http {
namespace {

using Kind = Router::Match::Kind;

Router routes() {
  Router router;
  router.add("GET", "/v1/messages", 1);
  router.add("POST", "/v1/messages", 2);
  router.add("GET", "/v1/messages/{id}", 3);
  router.add("POST", "/v1/messages/batch", 4);
  router.add("POST", "/v1/messages/{id}/cancel", 5);
  router.add("DELETE", "/v1/suppressions/{email}", 6);
  router.add("GET", "/", 7);
  return router;
}

TEST(Router, FindsByMethodAndPath) {
  const Router router = routes();
  EXPECT_EQ(router.match("GET", "/v1/messages").endpoint, 1U);
  EXPECT_EQ(router.match("POST", "/v1/messages").endpoint, 2U);
  EXPECT_EQ(router.match("GET", "/").endpoint, 7U);
  const auto cancel = router.match("POST", "/v1/messages/42/cancel");
  EXPECT_EQ(cancel.kind, Kind::found);
  EXPECT_EQ(cancel.endpoint, 5U);
  ASSERT_EQ(cancel.params.size(), 1U);
  EXPECT_EQ(cancel.params[0], (std::pair<std::string, std::string>("id", "42")));
}

TEST(Router, LiteralSegmentsWinOverParameters) {
  const Router router = routes();
  EXPECT_EQ(router.match("POST", "/v1/messages/batch").endpoint, 4U);
  const auto get = router.match("GET", "/v1/messages/batch");
  EXPECT_EQ(get.kind, Kind::no_such_method);
  EXPECT_EQ(get.allow, "POST");
}

TEST(Router, TellsAllMethodsOfAPath) {
  const auto match = routes().match("PATCH", "/v1/messages");
  EXPECT_EQ(match.kind, Kind::no_such_method);
  EXPECT_EQ(match.allow, "GET, HEAD, POST");
}

TEST(Router, HeadIsAnsweredByGet) {
  const Router router = routes();
  EXPECT_EQ(router.match("HEAD", "/v1/messages/7").endpoint, 3U);
  EXPECT_EQ(router.match("HEAD", "/v1/suppressions/x").kind, Kind::no_such_method);
}

TEST(Router, KnowsNoOtherPaths) {
  const Router router = routes();
  for (const char* path : {"/v1/messages/", "/v1/messages/7/", "/v1", "/v1/messages//cancel", "",
                           "*", "v1/messages", "/v1/Messages", "//v1/messages"}) {
    EXPECT_EQ(router.match("GET", path).kind, Kind::no_such_path) << path;
  }
}

TEST(Router, DecodesAParameterAfterItWasSplit) {
  const Router router = routes();
  const auto match = router.match("DELETE", "/v1/suppressions/a%2Fb%40c.test");
  ASSERT_EQ(match.kind, Kind::found);
  EXPECT_EQ(match.params[0].second, "a/b@c.test");
  EXPECT_EQ(router.match("DELETE", "/v1/suppressions/a+b").params[0].second, "a+b");
  for (const char* path : {"/v1/suppressions/%", "/v1/suppressions/%2", "/v1/suppressions/%zz",
                           "/v1/suppressions/%00"}) {
    EXPECT_EQ(router.match("DELETE", path).kind, Kind::bad_encoding) << path;
  }
}

TEST(RouterDeathTest, RefusesTheSameRouteTwice) {
  Router router = routes();
  EXPECT_DEATH(router.add("GET", "/v1/messages/{other}", 9), "added twice");
}

}  // namespace
}  // namespace postern::http
