#include "postern/sdk_http/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>

#include "test_server.h"

namespace postern::sdk_http {
namespace {

using sdk::HttpFailure;
using sdk::HttpRequest;
using sdk::HttpResponse;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

HttpRequest request(std::string url, std::string body = "",
                    milliseconds time = milliseconds{20'000}) {
  HttpRequest made;
  made.url = std::move(url);
  made.body = std::move(body);
  made.deadline = std::chrono::steady_clock::now() + time;
  return made;
}

// Starts a request; the future fails the test rather than wait for ever.
class Answer {
 public:
  Answer(sdk::HttpClient& client, HttpRequest made, std::stop_token cancel = {}) {
    client.start(std::move(made), std::move(cancel), [state = state_](HttpResponse response) {
      if (state->calls.fetch_add(1) == 0) state->promise.set_value(std::move(response));
    });
  }
  HttpResponse get() {
    auto future = state_->promise.get_future();
    if (future.wait_for(seconds{30}) != std::future_status::ready) {
      throw std::runtime_error("no answer");
    }
    return future.get();
  }
  [[nodiscard]] int calls() const { return state_->calls; }

 private:
  struct State {
    std::promise<HttpResponse> promise;
    std::atomic<int> calls{0};
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// A port of loopback that nobody listens on: bound, so that nobody else takes it.
class DeadPort {
 public:
  DeadPort() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(fd_, generic, sizeof address) != 0 || ::getsockname(fd_, generic, &bytes) != 0) {
      throw std::runtime_error("dead port");
    }
    port_ = ntohs(address.sin_port);
  }
  ~DeadPort() { ::close(fd_); }
  DeadPort(const DeadPort&) = delete;
  DeadPort& operator=(const DeadPort&) = delete;
  [[nodiscard]] std::string url(const char* scheme = "http") const {
    return std::string{scheme} + "://127.0.0.1:" + std::to_string(port_) + "/";
  }

 private:
  int fd_;
  std::uint16_t port_ = 0;
};

TEST(HttpClient, SendsMethodHeadersAndBodyAndReadsTheAnswer) {
  TestServer server;
  Client client({.user_agent = "Postern/test", .ca_file = "", .idle_connections = 4});
  HttpRequest made = request(server.url("/echo?a=b%20c"), std::string{"{\"x\":\0}", 7});
  made.url = server.url("/echo");
  made.headers = {
      {"Authorization", "Bearer t"}, {"Content-Type", "application/json"}, {"X-Empty", ""}};
  const HttpResponse response = Answer(client, made).get();
  EXPECT_EQ(response.failure, HttpFailure::none) << response.error;
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.sent);
  EXPECT_THAT(response.headers, Contains(Pair("x-mixed-case", "Value")));
  EXPECT_THAT(response.body,
              AllOf(HasSubstr("POST /echo HTTP/1.1\r\n"), HasSubstr("Authorization: Bearer t\r\n"),
                    HasSubstr("Content-Type: application/json\r\n"), HasSubstr("X-Empty:\r\n"),
                    HasSubstr("User-Agent: Postern/test\r\n"), HasSubstr("Content-Length: 7\r\n"),
                    Not(HasSubstr("Expect")), Not(HasSubstr("urlencoded"))));
  EXPECT_TRUE(response.body.ends_with(made.body));
}

TEST(HttpClient, KnowsTheMethodsThatProvidersUse) {
  TestServer server;
  Client client;
  for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
    HttpRequest made = request(server.url("/echo"));
    made.method = method;
    const HttpResponse response = Answer(client, made).get();
    EXPECT_EQ(response.status, 200) << method << response.error;
    EXPECT_TRUE(response.body.starts_with(std::string{method} + " /echo ")) << response.body;
  }
  HttpRequest head = request(server.url("/echo"));
  head.method = "HEAD";
  const HttpResponse response = Answer(client, head).get();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "");
  EXPECT_EQ(Answer(client, request(server.url("/empty"), "x")).get().status, 204);
}

TEST(HttpClient, AnswersStatusesAndFollowsNoRedirect) {
  TestServer server;
  Client client;
  for (const int status : {301, 307, 400, 401, 429, 500, 503}) {
    const HttpResponse response =
        Answer(client, request(server.url("/status/" + std::to_string(status)), "x")).get();
    EXPECT_EQ(response.failure, HttpFailure::none);
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(response.body, "words");
  }
  EXPECT_EQ(server.requests(), 7U);
}

TEST(HttpClient, ReusesConnections) {
  TestServer server;
  Client client;
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(Answer(client, request(server.url("/echo"), "x")).get().status, 200);
  }
  EXPECT_EQ(server.connections(), 1U);
}

TEST(HttpClient, SaysNotSentWhenNobodyListens) {
  DeadPort dead;
  Client client;
  const HttpResponse response = Answer(client, request(dead.url(), "x")).get();
  EXPECT_EQ(response.failure, HttpFailure::not_sent);
  EXPECT_FALSE(response.sent);
  EXPECT_EQ(response.status, 0);
  EXPECT_NE(response.error, "");
}

TEST(HttpClient, SaysNotSentWhenTheNameIsUnknown) {
  Client client;
  // RFC 6761 6.4: no server knows it. Without any name server it is the deadline that ends it.
  const HttpResponse response =
      Answer(client, request("http://provider.invalid/", "x", seconds{2})).get();
  EXPECT_EQ(response.failure, HttpFailure::not_sent);
  EXPECT_FALSE(response.sent);
}

TEST(HttpClient, SaysUnansweredWhenTheAnswerDoesNotCome) {
  TestServer server;
  Client client;
  for (const char* path : {"/silent", "/cut-before", "/cut-in-head", "/cut-in-body", "/stall"}) {
    SCOPED_TRACE(path);
    const bool waits = std::string{path} == "/silent" || std::string{path} == "/stall";
    const auto before = std::chrono::steady_clock::now();
    Answer answer(client, request(server.url(path), "body", milliseconds{waits ? 300 : 20'000}));
    const HttpResponse response = answer.get();
    EXPECT_EQ(response.failure, HttpFailure::unanswered) << response.error;
    EXPECT_TRUE(response.sent);
    EXPECT_EQ(response.status, 0);
    EXPECT_EQ(response.body, "");
    if (waits) {
      EXPECT_GE(std::chrono::steady_clock::now() - before, milliseconds{300});
    }
    EXPECT_EQ(answer.calls(), 1);
  }
}

TEST(HttpClient, NeverRepeatsARequestWhoseReusedConnectionDies) {
  TestServer server;
  Client client;
  ASSERT_EQ(Answer(client, request(server.url("/echo"), "x")).get().status, 200);
  const HttpResponse response = Answer(client, request(server.url("/cut-before"), "x")).get();
  EXPECT_EQ(response.failure, HttpFailure::unanswered) << response.error;
  EXPECT_TRUE(response.sent);
  EXPECT_EQ(server.requests(), 2U);
  // Neither one that has no body but is a POST.
  ASSERT_EQ(Answer(client, request(server.url("/echo"), "x")).get().status, 200);
  EXPECT_EQ(Answer(client, request(server.url("/cut-before"), "")).get().failure,
            HttpFailure::unanswered);
  EXPECT_EQ(server.requests(), 4U);
}

TEST(HttpClient, BoundsTheSizeOfAnAnswer) {
  TestServer server;
  Client client;
  HttpRequest fits = request(server.url("/big/5000"), "x");
  fits.max_response_bytes = 5000;
  EXPECT_EQ(Answer(client, fits).get().body.size(), 5000U);
  HttpRequest over = request(server.url("/big/5001"), "x");
  over.max_response_bytes = 5000;
  const HttpResponse response = Answer(client, over).get();
  EXPECT_EQ(response.failure, HttpFailure::unanswered);
  EXPECT_THAT(response.error, HasSubstr("larger than 5000 bytes"));
  const HttpResponse head = Answer(client, request(server.url("/big-head"), "x")).get();
  EXPECT_EQ(head.failure, HttpFailure::unanswered);
  EXPECT_THAT(head.error, HasSubstr("headers"));
}

TEST(HttpClient, KeepsTheHeadersOfTheFinalAnswerOnly) {
  TestServer server;
  Client client;
  const HttpResponse response = Answer(client, request(server.url("/interim"), "x")).get();
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.headers, Not(Contains(Pair("x-early", "yes"))));
}

TEST(HttpClient, CancelsBeforeAndAfterTheRequestLeft) {
  TestServer server;
  Client client;
  std::stop_source early;
  early.request_stop();
  const HttpResponse before =
      Answer(client, request(server.url("/echo"), "x"), early.get_token()).get();
  EXPECT_EQ(before.failure, HttpFailure::canceled);
  EXPECT_FALSE(before.sent);

  std::stop_source late;
  Answer answer(client, request(server.url("/silent"), "x"), late.get_token());
  ASSERT_TRUE(server.wait_for_requests(1));
  late.request_stop();
  const HttpResponse after = answer.get();
  EXPECT_EQ(after.failure, HttpFailure::canceled);
  EXPECT_TRUE(after.sent);
}

TEST(HttpClient, ServesAPoolWithinItsLimitAndInOrder) {
  TestServer server;
  Client client;
  std::vector<Answer> answers;
  for (int i = 0; i < 12; ++i) {
    HttpRequest made = request(server.url("/wait"), "x");
    made.pool = "account";
    made.max_per_pool = 3;
    answers.emplace_back(client, made);
  }
  ASSERT_TRUE(server.wait_for_requests(3));
  // Another pool does not wait for this one, and this one has not gone beyond its limit.
  HttpRequest other = request(server.url("/echo"), "x");
  other.pool = "other";
  other.max_per_pool = 1;
  EXPECT_EQ(Answer(client, other).get().status, 200);
  EXPECT_EQ(server.requests(), 4U);
  server.release();
  for (Answer& answer : answers) EXPECT_EQ(answer.get().status, 200);
  EXPECT_EQ(server.requests(), 13U);
  EXPECT_LE(server.most_at_once(), 4U);
}

TEST(HttpClient, TellsThatWhatWaitedForItsPoolWasNotSent) {
  TestServer server;
  Client client;
  std::stop_source stop;
  HttpRequest first = request(server.url("/silent"), "x");
  first.pool = "p";
  first.max_per_pool = 1;
  Answer holder(client, first);
  ASSERT_TRUE(server.wait_for_requests(1));
  HttpRequest second = first;
  second.deadline = std::chrono::steady_clock::now() + milliseconds{100};
  const HttpResponse expired = Answer(client, second).get();
  EXPECT_EQ(expired.failure, HttpFailure::not_sent);
  EXPECT_FALSE(expired.sent);
  Answer canceled(client, first, stop.get_token());
  stop.request_stop();
  const HttpResponse response = canceled.get();
  EXPECT_EQ(response.failure, HttpFailure::canceled);
  EXPECT_FALSE(response.sent);
  EXPECT_EQ(server.requests(), 1U);
}

TEST(HttpClient, RefusesWhatCannotBeSentWhole) {
  TestServer server;
  Client client;
  std::vector<HttpRequest> bad(7, request(server.url("/echo"), "x"));
  bad[0].headers = {{"X-A", "b\r\nX-Injected: c"}};
  bad[1].headers = {{"X A", "b"}};
  bad[2].method = "GET /x";
  bad[3].url = "ftp://127.0.0.1/";
  bad[4].url = "http://127.0.0.1:" + std::to_string(server.port()) + "/\r\nX: y";
  bad[5].deadline = std::chrono::steady_clock::now() - seconds{1};
  bad[6].url = "";
  for (const HttpRequest& made : bad) {
    const HttpResponse response = Answer(client, made).get();
    EXPECT_EQ(response.failure, HttpFailure::not_sent) << made.url;
    EXPECT_FALSE(response.sent);
    EXPECT_NE(response.error, "");
  }
  EXPECT_EQ(server.requests(), 0U);
}

TEST(HttpClient, UsesItsProxyAndNotTheEnvironments) {
  TestServer proxy;
  TestServer server;
  DeadPort dead;
  ASSERT_EQ(::setenv("http_proxy", dead.url().c_str(), 1), 0);
  Client client;
  EXPECT_EQ(Answer(client, request(server.url("/echo"), "x")).get().status, 200);
  ::unsetenv("http_proxy");
  HttpRequest made = request(server.url("/anything"), "x");
  made.proxy = proxy.url("");
  EXPECT_EQ(Answer(client, made).get().failure, HttpFailure::none);
  EXPECT_EQ(proxy.requests(), 1U);
  EXPECT_EQ(server.requests(), 1U);
  HttpRequest tunnel = request(dead.url("https"), "x");
  tunnel.proxy = proxy.url("");  // answers CONNECT with 404
  const HttpResponse refused = Answer(client, tunnel).get();
  EXPECT_EQ(refused.failure, HttpFailure::not_sent) << refused.error;
  EXPECT_FALSE(refused.sent);
}

TEST(HttpClient, VerifiesCertificatesUnlessToldOtherwise) {
  TestServer server(TestServer::Tls::on);
  Client client;
  const HttpResponse refused = Answer(client, request(server.url("/echo"), "x")).get();
  EXPECT_EQ(refused.failure, HttpFailure::not_sent) << refused.error;
  EXPECT_FALSE(refused.sent);
  EXPECT_EQ(server.requests(), 0U);

  HttpRequest lenient = request(server.url("/echo"), "x");
  lenient.verify_peer = false;
  EXPECT_EQ(Answer(client, lenient).get().status, 200);
  // A connection that was not verified is not reused for a request that wants it verified.
  EXPECT_EQ(Answer(client, request(server.url("/echo"), "x")).get().failure, HttpFailure::not_sent);
  EXPECT_EQ(server.requests(), 1U);
}

TEST(HttpClient, TrustsTheFileThatItIsGiven) {
  TestServer server(TestServer::Tls::on);
  std::string path = (std::filesystem::temp_directory_path() / "postern-ca-XXXXXX").string();
  const int fd = ::mkstemp(path.data());
  ASSERT_GE(fd, 0);
  ::close(fd);
  std::ofstream(path) << server.certificate();
  Client client({.user_agent = "Postern", .ca_file = path, .idle_connections = 4});
  EXPECT_EQ(Answer(client, request(server.url("/echo"), "x")).get().status, 200);
  const HttpResponse cut = Answer(client, request(server.url("/cut-before"), "x")).get();
  EXPECT_EQ(cut.failure, HttpFailure::unanswered) << cut.error;
  EXPECT_TRUE(cut.sent);
  EXPECT_EQ(server.requests(), 2U);
  std::filesystem::remove(path);
}

TEST(HttpClient, SurvivesAServerThatClosesTlsWhileTheBodyIsWritten) {
  TestServer server(TestServer::Tls::on);
  Client client;
  for (int i = 0; i < 10; ++i) {  // an unhandled SIGPIPE would end this process
    HttpRequest made = request(server.url("/cut-early"), std::string(4 << 20, 'x'));
    made.verify_peer = false;
    const HttpResponse response = Answer(client, made).get();
    EXPECT_EQ(response.failure, HttpFailure::unanswered) << response.error;
    EXPECT_TRUE(response.sent);
  }
}

TEST(HttpClient, AnswersEverythingAtItsEnd) {
  TestServer server;
  std::vector<Answer> answers;
  {
    Client client;
    for (int i = 0; i < 10; ++i) {
      HttpRequest made = request(server.url("/silent"), "x");
      made.pool = "p";
      made.max_per_pool = 4;
      answers.emplace_back(client, made);
    }
    ASSERT_TRUE(server.wait_for_requests(4));
  }
  int sent = 0;
  for (Answer& answer : answers) {
    const HttpResponse response = answer.get();
    EXPECT_EQ(response.failure, HttpFailure::canceled);
    sent += response.sent ? 1 : 0;
    EXPECT_EQ(answer.calls(), 1);
  }
  EXPECT_EQ(sent, 4);
}

TEST(HttpClient, TakesRequestsFromManyThreadsAndFromItsOwn) {
  TestServer server;
  Client client;
  std::atomic<int> good{0};
  std::atomic<int> ended{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) {
          HttpRequest made = request(server.url("/echo"), "x");
          made.pool = "p";
          made.max_per_pool = 8;
          std::stop_source stop;
          client.start(made, stop.get_token(), [&, made](const HttpResponse& first) {
            if (first.status == 200) ++good;
            client.start(made, {}, [&](const HttpResponse& second) {
              if (second.status == 200) ++good;
              ++ended;
              ended.notify_all();
            });
          });
        }
      });
    }
  }
  for (int now = ended; now < 200; now = ended) ended.wait(now);
  EXPECT_EQ(good, 400);
  EXPECT_LE(server.most_at_once(), 8U);
}

}  // namespace
}  // namespace postern::sdk_http
