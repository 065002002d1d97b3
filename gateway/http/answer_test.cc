#include "http/answer.h"

#include <gmock/gmock.h>

namespace postern::http {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string written(const Response& response, AnswerFrame frame = {}) {
  AnswerWriter writer;
  writer.set_time(1'769'851'800'123);
  if (frame.request_id.empty()) frame.request_id = "req_1";
  std::string out;
  writer.append_head(out, response, frame);
  return out;
}

TEST(Answer, CarriesWhatEveryAnswerCarries) {
  Response response;
  response.status = 202;
  response.body = "{}";
  EXPECT_EQ(written(response),
            "HTTP/1.1 202 Accepted\r\nDate: Sat, 31 Jan 2026 09:30:00 GMT\r\n"
            "X-Request-Id: req_1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
            "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n");
}

TEST(Answer, NoHeaderValueCanEndItsLine) {
  Response response;
  response.content_type = "text/plain\r\nX-Evil: 1";
  response.headers = {{"X-A", std::string("b\r\nSet-Cookie: c\n\0d\x7f", 20)}, {"X-B", "e\tf"}};
  const std::vector<std::pair<std::string, std::string>> more{{"X-C", "g\r\n\r\nbody"}};
  const std::string out = written(response, {.request_id = "req_1", .more_headers = &more});
  EXPECT_THAT(out, HasSubstr("Content-Type: text/plainX-Evil: 1\r\n"));
  EXPECT_THAT(out, HasSubstr("X-A: bSet-Cookie: cd\r\n"));
  EXPECT_THAT(out, HasSubstr("X-B: e\tf\r\n"));
  EXPECT_THAT(out, HasSubstr("X-C: gbody\r\n"));
  EXPECT_EQ(out.find("\r\n\r\n"), out.size() - 4);
}

TEST(Answer, HeaderNamesThatAreNoTokensAreDropped) {
  Response response;
  response.headers = {{"X-A: b\r\nX-B", "c"}, {"", "d"}, {"X C", "e"}};
  const std::string out = written(response);
  for (const char* piece : {"X-A", "X-B", "X C", ": d"}) EXPECT_THAT(out, Not(HasSubstr(piece)));
}

TEST(Answer, FramingHeadersAreTheServersAlone) {
  Response response;
  response.body = "abc";
  response.headers = {{"content-length", "9"},
                      {"Transfer-Encoding", "chunked"},
                      {"CONNECTION", "upgrade"},
                      {"X-Request-ID", "mine"}};
  const std::string out = written(response);
  EXPECT_THAT(out, HasSubstr("Content-Length: 3\r\n"));
  EXPECT_THAT(out, Not(HasSubstr("Length: 9")));
  EXPECT_THAT(out, Not(HasSubstr("chunked")));
  EXPECT_THAT(out, Not(HasSubstr("upgrade")));
  EXPECT_THAT(out, Not(HasSubstr("mine")));
}

TEST(Answer, TheResponsesHeadersWinOverTheAdmissions) {
  Response response;
  response.headers = {{"X-RateLimit-Remaining", "7"}, {"Cache-Control", "max-age=60"}};
  const std::vector<std::pair<std::string, std::string>> more{{"x-ratelimit-remaining", "8"},
                                                              {"X-RateLimit-Limit", "100"}};
  const std::string out = written(response, {.request_id = "req_1", .more_headers = &more});
  EXPECT_THAT(out, HasSubstr("X-RateLimit-Remaining: 7\r\n"));
  EXPECT_THAT(out, Not(HasSubstr(": 8\r\n")));
  EXPECT_THAT(out, HasSubstr("X-RateLimit-Limit: 100\r\n"));
  EXPECT_THAT(out, HasSubstr("Cache-Control: max-age=60\r\n"));
  EXPECT_THAT(out, Not(HasSubstr("no-store")));
}

TEST(Answer, NoContentHasNoLength) {
  Response response;
  response.status = 204;
  EXPECT_THAT(written(response), Not(HasSubstr("Content-Length")));
}

TEST(Answer, SaysWhatBecomesOfTheConnection) {
  using Say = AnswerFrame::Connection;
  EXPECT_THAT(written({}, {.request_id = "req_1", .connection = Say::close}),
              HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(written({}, {.request_id = "req_1", .connection = Say::keep_alive}),
              HasSubstr("Connection: keep-alive\r\n"));
  EXPECT_THAT(written({}), Not(HasSubstr("Connection:")));
}

TEST(Answer, AStatusThatIsNoneBecomes500) {
  Response response;
  response.status = 1000;
  EXPECT_THAT(written(response), testing::StartsWith("HTTP/1.1 500 Internal Server Error\r\n"));
}

}  // namespace
}  // namespace postern::http
