// The server as a client sees it: requests, answers, and what becomes of the connection.
#include <gmock/gmock.h>

#include <atomic>

#include "http/server_fixture.h"

namespace postern::http {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST_F(ServerTest, AnswersOnAKeptConnection) {
  start();
  Client client(port());
  for (int i = 0; i < 3; ++i) {
    const auto answer = client.ask(post("/a" + std::to_string(i) + "?q", "hello"));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, "POST /a" + std::to_string(i) + " hello");
    EXPECT_FALSE(answer->headers.contains("connection"));
    EXPECT_THAT(answer->headers.at("x-request-id"), StartsWith("req_"));
    EXPECT_EQ(answer->headers.at("x-request-id").size(), 30U);
    EXPECT_THAT(answer->headers.at("date"), testing::EndsWith(" GMT"));
    EXPECT_EQ(answer->headers.at("cache-control"), "no-store");
    EXPECT_EQ(answer->headers.at("x-content-type-options"), "nosniff");
  }
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(ServerTest, TellsTheApplicationEverythingOfTheHead) {
  Head seen;
  application_.on_handle = [&](const Request& request, const Reply& reply) {
    seen = *request.head;
    reply.send(text(200, ""));
  };
  start();
  Client client(port());
  const auto answer = client.ask(
      "PUT http://x/p%20q?r=s HTTP/1.1\r\nHost: x\r\nX-Two:  a b \r\nx-two: c\r\n"
      "Content-Length: 3\r\n\r\nabc");
  ASSERT_TRUE(answer);
  EXPECT_EQ(seen.method, "PUT");
  EXPECT_EQ(seen.path, "/p%20q");
  EXPECT_EQ(seen.query, "r=s");
  EXPECT_EQ(seen.client_address, "127.0.0.1");
  EXPECT_EQ(seen.request_id, answer->headers.at("x-request-id"));
  EXPECT_EQ(seen.content_length, 3U);
  EXPECT_TRUE(seen.has_body);
  ASSERT_EQ(seen.headers.size(), 4U);
  EXPECT_EQ(seen.headers[1].name, "X-Two");
  EXPECT_EQ(seen.headers[1].value, "a b");
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  start();
  Client client(port());
  std::string all;
  for (int i = 0; i < 200; ++i) all += post("/" + std::to_string(i), std::string(300, 'x'));
  ASSERT_TRUE(client.send(all));
  for (int i = 0; i < 200; ++i) {
    const auto answer = client.receive();
    ASSERT_TRUE(answer) << i;
    ASSERT_THAT(answer->body, StartsWith("POST /" + std::to_string(i) + " x"));
  }
}

TEST_F(ServerTest, TakesARequestByteByByte) {
  start();
  Client client(port());
  for (const char c : "\r\n" + post("/slow", "body") +
                          "POST /c HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "3;a=\"b\"\r\nabc\r\n0010\r\n0123456789abcdef\r\n0\r\nX: y\r\n\r\n") {
    ASSERT_TRUE(client.send({&c, 1}));
  }
  EXPECT_EQ(client.receive()->body, "POST /slow body");
  EXPECT_EQ(client.receive()->body, "POST /c abc0123456789abcdef");
}

TEST_F(ServerTest, DropsTrailersAndGoesOnBehindThem) {
  std::atomic<std::size_t> headers{0};
  application_.on_handle = [&](const Request& request, const Reply& reply) {
    headers = request.head->headers.size();
    reply.send(text(200, request.body));
  };
  start();
  Client client(port());
  const std::string chunked =
      "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n";
  ASSERT_TRUE(client.send(chunked + chunked));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(client.receive()->body, "hello");
    EXPECT_EQ(headers, 2U);
  }
}

TEST_F(ServerTest, TakesALargeBodyWhole) {
  application_.on_admit = [](const std::shared_ptr<const Head>&, const Admission& admission) {
    admission.accept({.body_limit = 64 << 20, .response_headers = {}, .context = {}});
  };
  std::string body;
  for (std::uint32_t i = 0; body.size() < (20U << 20); ++i) body += std::to_string(i) + ',';
  bool same = false;
  application_.on_handle = [&](const Request& request, const Reply& reply) {
    same = request.body == body;
    reply.send(text(200, "ok"));
  };
  start();
  Client client(port());
  ASSERT_TRUE(client.ask(post("/", body)));
  EXPECT_TRUE(same);
}

TEST_F(ServerTest, GivesALargeAnswerWholeToASlowReader) {
  std::string body;
  for (std::uint32_t i = 0; body.size() < (20U << 20); ++i) body += std::to_string(i) + ',';
  application_.on_handle = [&](const Request& request, const Reply& reply) {
    reply.send(text(200, request.head->path == "/big" ? body : "small"));
  };
  start();
  Client client(port(), false, 4096);
  ASSERT_TRUE(client.send(get("/big") + get("/small")));
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->body == body);
  EXPECT_EQ(client.receive()->body, "small");
}

TEST_F(ServerTest, HeadHasTheLengthAndNoBody) {
  start();
  Client client(port());
  ASSERT_TRUE(client.send("HEAD /h HTTP/1.1\r\nHost: t\r\n\r\n" + get("/after")));
  const auto head = client.receive(true);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->headers.at("content-length"), "8");
  EXPECT_EQ(client.receive()->body, "GET /after ");
}

TEST_F(ServerTest, ClosesWhenTheClientAsks) {
  start();
  Client client(port());
  const auto answer = client.ask(get("/", "Connection: close\r\n"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->headers.at("connection"), "close");
  EXPECT_TRUE(client.ended());
}

TEST_F(ServerTest, SpeaksHttp10) {
  start();
  Client once(port());
  const auto answer = once.ask("GET / HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->headers.at("connection"), "close");
  EXPECT_TRUE(once.ended());

  Client kept(port());
  for (int i = 0; i < 2; ++i) {
    const auto again = kept.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    ASSERT_TRUE(again);
    EXPECT_EQ(again->headers.at("connection"), "keep-alive");
  }
}

TEST_F(ServerTest, AnswersAClientThatHasFinishedSending) {
  start();
  Client client(port());
  ASSERT_TRUE(client.send(post("/half", "closed")));
  client.finish();
  EXPECT_EQ(client.receive()->body, "POST /half closed");
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
}

TEST_F(ServerTest, AnswersABadRequestOnceAndCloses) {
  start();
  for (const std::string& bad :
       {std::string("GARBAGE\r\n\r\n"), std::string("GET / HTTP/1.1\n\n"),
        std::string("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        std::string("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "5;a\n\r\nhello\r\n0\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "5\r\nhelloX\r\n0\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "0\r\nContent-Length: 3\r\n\r\n"),
        std::string("\x16\x03\x01\x02\x00\x01", 6)}) {
    Client client(port());
    ASSERT_TRUE(client.send(bad + get("/smuggled")));
    const auto answer = client.receive();
    ASSERT_TRUE(answer) << bad;
    EXPECT_EQ(answer->status, 400) << bad;
    EXPECT_EQ(answer->headers.at("connection"), "close");
    EXPECT_THAT(answer->body, HasSubstr("refused"));
    EXPECT_THAT(answer->body, HasSubstr("127.0.0.1"));
    EXPECT_THAT(answer->body, HasSubstr(answer->headers.at("x-request-id")));
    EXPECT_TRUE(client.ended()) << bad;
  }
}

TEST_F(ServerTest, ARequestThatEndsTooEarlyIsRefusedNotHandled) {
  std::atomic<int> handled{0};
  application_.on_handle = [&](const Request&, const Reply& reply) {
    ++handled;
    reply.send(text(200, ""));
  };
  start();
  for (const char* truncated :
       {"GET / HTTP/1.1\r\nHos", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"}) {
    Client client(port());
    ASSERT_TRUE(client.send(truncated));
    client.finish();
    const auto answer = client.receive();
    ASSERT_TRUE(answer) << truncated;
    EXPECT_EQ(answer->status, 400);
    EXPECT_TRUE(client.ended());
  }
  EXPECT_EQ(handled, 0);
}

TEST_F(ServerTest, AConnectionWithoutARequestEndsWithoutAWord) {
  start();
  Client client(port());
  client.finish();
  EXPECT_TRUE(client.ended());
}

TEST_F(ServerTest, ListensOnIpv6) {
  options_.address = "::1";
  std::string address;
  application_.on_handle = [&](const Request& request, const Reply& reply) {
    address = request.head->client_address;
    reply.send(text(200, ""));
  };
  start();
  Client client(port(), true);
  ASSERT_TRUE(client.ask(get("/")));
  EXPECT_EQ(address, "::1");
}

TEST_F(ServerTest, ToldByIpv6AnIpv4ClientIsStillIpv4) {
  options_.address = "::";
  std::string address;
  application_.on_handle = [&](const Request& request, const Reply& reply) {
    address = request.head->client_address;
    reply.send(text(200, ""));
  };
  start();
  Client client(port());
  ASSERT_TRUE(client.ask(get("/")));
  EXPECT_EQ(address, "127.0.0.1");
}

TEST_F(ServerTest, NamesTheAddressThatCantBeHad) {
  start();
  ServerOptions taken{.port = port()};
  Server second(taken, application_, system_clock(), logger_);
  const auto started = second.start();
  ASSERT_FALSE(started.ok());
  EXPECT_THAT(started.error().message, HasSubstr("127.0.0.1 port " + std::to_string(port())));
  EXPECT_THAT(started.error().message, HasSubstr("in use"));

  Server nonsense({.address = "localhost"}, application_, system_clock(), logger_);
  EXPECT_FALSE(nonsense.start().ok());
}

TEST_F(ServerTest, StartsAgainOnTheSamePort) {
  start();
  const std::uint16_t first = port();
  {
    Client client(first);
    ASSERT_TRUE(client.ask(get("/")));
  }
  server_->stop(1s);
  EXPECT_FALSE(Client(first).connected());
  options_.port = first;
  start();
  EXPECT_EQ(port(), first);
  Client client(first);
  EXPECT_TRUE(client.ask(get("/")));
}

}  // namespace
}  // namespace postern::http
