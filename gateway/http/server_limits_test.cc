// Limits of size, number and time.
#include <gmock/gmock.h>

#include "http/server_fixture.h"

namespace postern::http {
namespace {

using testing::HasSubstr;

TEST_F(ServerTest, RefusesAHeadThatIsTooLarge) {
  options_.limits.header_bytes = 1024;
  options_.limits.header_count = 20;
  start();
  Client large(port());
  ASSERT_TRUE(large.send("GET / HTTP/1.1\r\nHost: t\r\nA: " + std::string(2000, 'a')));
  EXPECT_EQ(large.receive()->status, 431);
  EXPECT_TRUE(large.ended());

  std::string many;
  for (int i = 0; i < 20; ++i) many += "A: b\r\n";
  Client numerous(port());
  EXPECT_EQ(numerous.ask(get("/", many))->status, 431);
}

TEST_F(ServerTest, RefusesABodyOverTheLimitAndKeepsTheConnectionWhenItIsSmall) {
  application_.on_admit = [](const std::shared_ptr<const Head>&, const Admission& admission) {
    admission.accept({.body_limit = 10, .response_headers = {{"X-Limit", "1"}}, .context = {}});
  };
  start();
  Client client(port());
  const auto over = client.ask(post("/", "eleven char"));
  ASSERT_TRUE(over);
  EXPECT_EQ(over->status, 413);
  EXPECT_EQ(over->headers.at("x-limit"), "1");
  EXPECT_FALSE(over->headers.contains("connection"));
  EXPECT_EQ(client.ask(post("/", "ten chars!"))->body, "POST / ten chars!");

  const std::string chunked =
      "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
      "6\r\n123456\r\n6\r\n123456\r\n0\r\n\r\n";
  const auto sum = client.ask(chunked + get("/smuggled"));
  ASSERT_TRUE(sum);
  EXPECT_EQ(sum->status, 413);
  EXPECT_EQ(sum->headers.at("connection"), "close");
  EXPECT_TRUE(client.ended());
}

TEST_F(ServerTest, DoesNotReadALargeRefusedBody) {
  application_.on_admit = [](const std::shared_ptr<const Head>&, const Admission& admission) {
    admission.refuse(text(401, "no"));
  };
  options_.limits.drain_bytes = 1000;
  start();
  Client client(port());
  const auto small = client.ask(post("/", std::string(1000, 'x')));
  ASSERT_TRUE(small);
  EXPECT_FALSE(small->headers.contains("connection"));
  const auto large = client.ask("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\n");
  ASSERT_TRUE(large);
  EXPECT_EQ(large->status, 401);
  EXPECT_EQ(large->headers.at("connection"), "close");
  EXPECT_TRUE(client.ended());
}

TEST_F(ServerTest, StopsDroppingARefusedBodyThatDoesNotEnd) {
  application_.on_admit = [](const std::shared_ptr<const Head>&, const Admission& admission) {
    admission.refuse(text(401, "no"));
  };
  options_.limits.drain_bytes = 1000;
  start();
  Client client(port());
  EXPECT_EQ(client.ask("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")->status,
            401);
  while (client.send("10\r\n0123456789abcdef\r\n") && client.silent()) {
  }
  EXPECT_FALSE(client.receive());
}

TEST_F(ServerTest, TheClientCanReadTheAnswerToABodyThatWasNotRead) {
  application_.on_admit = [](const std::shared_ptr<const Head>&, const Admission& admission) {
    admission.refuse(text(401, "no"));
  };
  start();
  Client client(port());
  ASSERT_TRUE(client.send(post("/", std::string(500'000, 'x'))));
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 401);
  EXPECT_TRUE(client.ended());  // and not by RST
}

TEST_F(ServerTest, RefusesConnectionsBeyondTheLimitWith503) {
  options_.limits.connections = 2;
  start();
  Client first(port());
  Client second(port());
  ASSERT_TRUE(first.ask(get("/")));
  ASSERT_TRUE(second.ask(get("/")));
  {
    Client third(port());
    const auto answer = third.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 503);
    EXPECT_THAT(answer->body, HasSubstr("Too many connections"));
    EXPECT_TRUE(third.ended());
  }
  first.close();
  EXPECT_TRUE(eventually([&] { return server_->connections() == 1; }));
  Client fourth(port());
  EXPECT_EQ(fourth.ask(get("/"))->status, 200);
}

TEST_F(ServerTest, RefusesConnectionsBeyondTheLimitOfOneAddress) {
  options_.limits.connections_per_address = 1;
  start();
  Client first(port());
  ASSERT_TRUE(first.ask(get("/")));
  Client second(port());
  const auto answer = second.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503);
  EXPECT_THAT(answer->body, HasSubstr("from this address"));
}

TEST_F(ServerTest, ManyConnectionsFarBeyondTheLimitAreClosedWithoutAWord) {
  options_.limits.connections = 1;
  start();
  Client first(port());
  ASSERT_TRUE(first.ask(get("/")));
  std::vector<std::unique_ptr<Client>> crowd;
  for (int i = 0; i < 100; ++i) crowd.push_back(std::make_unique<Client>(port()));
  int told = 0;
  for (const auto& client : crowd) told += client->receive() ? 1 : 0;
  EXPECT_GE(told, 60);
  EXPECT_LT(told, 100);
  EXPECT_EQ(first.ask(get("/"))->status, 200);
}

class TimeoutTest : public ServerTest {
 protected:
  // Moves time on until the client sees its connection's next answer or end.
  void pass(milliseconds time) { clock.advance(time); }
  void start_at_rest() { start(clock); }
  // Everything that was sent has been read by the server before time moves: another request on
  // each worker has been answered since.
  void settle() {
    for (int i = 0; i < 4; ++i) {
      Client other(port());
      ASSERT_TRUE(other.ask(get("/")));
    }
  }
  ManualClock clock;
};

TEST_F(TimeoutTest, AConnectionWithoutAFirstByteClosesWithoutAWord) {
  start_at_rest();
  Client client(port());
  ASSERT_TRUE(eventually([&] { return server_->connections() == 1; }));
  pass(9'900ms);
  settle();
  EXPECT_TRUE(client.silent());
  pass(200ms);
  EXPECT_TRUE(client.ended());
}

TEST_F(TimeoutTest, AnIdleConnectionClosesWithoutAWord) {
  start_at_rest();
  Client client(port());
  ASSERT_TRUE(client.ask(get("/")));
  pass(74'900ms);
  settle();
  EXPECT_TRUE(client.silent());
  pass(200ms);
  EXPECT_TRUE(client.ended());
}

TEST_F(TimeoutTest, AHeadThatTakesTooLongGets408) {
  start_at_rest();
  Client client(port());
  ASSERT_TRUE(client.ask(get("/first") + "GET / HTT"));
  settle();
  pass(10'100ms);
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 408);
  EXPECT_EQ(answer->headers.at("connection"), "close");
  EXPECT_TRUE(client.ended());
}

TEST_F(TimeoutTest, ABodyThatTakesTooLongGets408WithTheAdmissionsHeaders) {
  application_.on_admit = [](const std::shared_ptr<const Head>&, const Admission& admission) {
    admission.accept({.body_limit = 100, .response_headers = {{"X-Kept", "yes"}}, .context = {}});
  };
  start_at_rest();
  Client client(port());
  ASSERT_EQ(client
                .ask("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n"
                     "Expect: 100-continue\r\n\r\n")
                ->status,
            100);
  pass(60'100ms);
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 408);
  EXPECT_EQ(answer->headers.at("x-kept"), "yes");
  EXPECT_TRUE(client.ended());
}

TEST_F(TimeoutTest, ARequestMayBeHandledForAsLongAsItTakes) {
  std::mutex mutex;
  std::optional<Reply> kept;
  application_.on_handle = [&](const Request& request, const Reply& reply) {
    if (request.head->path != "/long") return reply.send(text(200, ""));
    const std::lock_guard lock(mutex);
    kept = reply;
  };
  start_at_rest();
  Client client(port());
  ASSERT_TRUE(client.send(get("/long")));
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return kept.has_value();
  }));
  pass(24h);
  settle();
  kept->send(text(200, "at last"));
  EXPECT_EQ(client.receive()->body, "at last");
}

TEST_F(TimeoutTest, AClientThatNeverReadsIsCutAndCostsNoTime) {
  application_.on_handle = [](const Request& request, const Reply& reply) {
    reply.send(text(200, request.head->path == "/" ? "" : std::string(32 << 20, 'x')));
  };
  start_at_rest();
  Client stuck(port(), false, 4096);
  ASSERT_TRUE(stuck.send(get("/big") + get("/big")));
  settle();
  timespec before{};
  timespec after{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  ::poll(nullptr, 0, 300);
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  const auto spent = std::chrono::seconds(after.tv_sec - before.tv_sec) +
                     std::chrono::nanoseconds(after.tv_nsec - before.tv_nsec);
  EXPECT_LT(spent, 150ms) << "a worker spins";
  EXPECT_GE(server_->connections(), 1U);
  pass(30'100ms);
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
}

}  // namespace
}  // namespace postern::http
