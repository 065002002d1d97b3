// Admissions and replies that come later, from other threads, twice, or never; and stopping.
#include <gmock/gmock.h>

#include <condition_variable>
#include <deque>
#include <thread>

#include "http/server_fixture.h"

namespace postern::http {
namespace {

using testing::HasSubstr;

// A thread that runs what it is given, in order.
class Elsewhere {
 public:
  Elsewhere() : thread_([this] { run(); }) {}
  ~Elsewhere() {
    post({});
    thread_.join();
  }
  void post(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    more_.notify_one();
  }

 private:
  void run() {
    for (;;) {
      std::function<void()> job;
      {
        std::unique_lock lock(mutex_);
        more_.wait(lock, [&] { return !jobs_.empty(); });
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      if (!job) return;
      job();
    }
  }
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<std::function<void()>> jobs_;
  std::thread thread_;
};

// Handles that a test keeps.
template <typename T>
class Kept {
 public:
  void put(T value) {
    const std::lock_guard lock(mutex_);
    value_.emplace(std::move(value));
  }
  bool there() {
    const std::lock_guard lock(mutex_);
    return value_.has_value();
  }
  T take() {
    EXPECT_TRUE(eventually([&] { return there(); }));
    const std::lock_guard lock(mutex_);
    T out = *std::move(value_);
    value_.reset();
    return out;
  }

 private:
  std::mutex mutex_;
  std::optional<T> value_;
};

TEST_F(ServerTest, TakesAdmissionsAndRepliesFromOtherThreads) {
  Elsewhere elsewhere;
  application_.on_admit = [&](const std::shared_ptr<const Head>& head, const Admission& admission) {
    elsewhere.post([=] {
      admission.accept({.body_limit = 100, .response_headers = {}, .context = head->path + "!"});
    });
  };
  application_.on_handle = [&](Request request, const Reply& reply) {
    elsewhere.post(
        [=] { reply.send(text(200, std::any_cast<std::string>(request.context) + request.body)); });
  };
  start();
  Client client(port());
  std::string all;
  for (int i = 0; i < 50; ++i) all += post("/" + std::to_string(i), "b");
  ASSERT_TRUE(client.send(all));
  for (int i = 0; i < 50; ++i) {
    const auto answer = client.receive();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->body, "/" + std::to_string(i) + "!b");
  }
}

TEST_F(ServerTest, AsksForOneRequestAtATime) {
  std::atomic<int> asked{0};
  Kept<Reply> kept;
  application_.on_handle = [&](const Request&, const Reply& reply) {
    ++asked;
    kept.put(reply);
  };
  start();
  Client client(port());
  ASSERT_TRUE(client.send(get("/1") + get("/2")));
  const Reply first = kept.take();
  Client other(port());  // the server has had every occasion to ask for /2
  ASSERT_TRUE(other.send("GARBAGE\r\n\r\n"));
  ASSERT_TRUE(other.receive());
  EXPECT_EQ(asked, 1);
  first.send(text(200, "one"));
  EXPECT_EQ(client.receive()->body, "one");
  kept.take().send(text(200, "two"));
  EXPECT_EQ(client.receive()->body, "two");
}

TEST_F(ServerTest, TheFirstAnswerCounts) {
  application_.on_admit = [](const std::shared_ptr<const Head>&, const Admission& admission) {
    admission.accept({});
    admission.refuse(text(403, "too late"));
  };
  application_.on_handle = [](const Request&, const Reply& reply) {
    reply.send(text(200, "first"));
    reply.send(text(500, "second"));
  };
  start();
  Client client(port());
  ASSERT_TRUE(client.send(get("/") + get("/")));
  EXPECT_EQ(client.receive()->body, "first");
  EXPECT_EQ(client.receive()->body, "first");
  EXPECT_TRUE(client.silent());
}

TEST_F(ServerTest, AnAdmissionThatIsKeptAnswersNothingLater) {
  Kept<Admission> kept;
  application_.on_admit = [&](const std::shared_ptr<const Head>&, const Admission& admission) {
    admission.accept({});
    kept.put(admission);
  };
  start();
  Client client(port());
  ASSERT_EQ(client.ask(get("/"))->status, 200);
  kept.take().refuse(text(403, "too late"));
  EXPECT_EQ(client.ask(get("/"))->status, 200);
}

TEST_F(ServerTest, AHandleThatIsDroppedAnswers500) {
  std::optional<Elsewhere> elsewhere(std::in_place);
  application_.on_admit = [&](const std::shared_ptr<const Head>& head, const Admission& admission) {
    if (head->path == "/admission") return;
    if (head->path == "/admission-elsewhere") return elsewhere->post([admission] {});
    admission.accept({.body_limit = 100, .response_headers = {{"X-Kept", "yes"}}, .context = {}});
  };
  application_.on_handle = [&](const Request& request, const Reply& reply) {
    if (request.head->path == "/reply-elsewhere") elsewhere->post([reply] {});
  };
  start();
  Client client(port());
  for (const char* path : {"/admission", "/admission-elsewhere", "/reply", "/reply-elsewhere"}) {
    const auto answer = client.ask(post(path, "body"));
    ASSERT_TRUE(answer) << path;
    EXPECT_EQ(answer->status, 500) << path;
    EXPECT_THAT(answer->body, HasSubstr("refused"));
    EXPECT_EQ(answer->headers.contains("x-kept"), std::string_view(path).starts_with("/reply"));
    EXPECT_FALSE(answer->headers.contains("connection")) << path;
  }
  EXPECT_TRUE(logger_.said("a request was left without an answer"));
}

TEST_F(ServerTest, AnExceptionOfTheApplicationAnswers500) {
  application_.on_admit = [&](const std::shared_ptr<const Head>& head, const Admission& admission) {
    if (head->path == "/admit") throw std::runtime_error("a secret");
    admission.accept({});
  };
  application_.on_handle = [](const Request&, const Reply&) { throw 42; };
  start();
  Client client(port());
  for (const char* path : {"/admit", "/handle"}) {
    const auto answer = client.ask(get(path));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 500);
    EXPECT_THAT(answer->body, testing::Not(HasSubstr("secret")));
  }
  EXPECT_TRUE(logger_.said("a request handler threw"));
}

TEST_F(ServerTest, HandlesOutliveTheirConnectionAndTheServer) {
  Kept<Reply> kept;
  application_.on_handle = [&](const Request&, const Reply& reply) { kept.put(reply); };
  start();
  {
    Client gone(port());
    ASSERT_TRUE(gone.send(get("/gone")));
    ASSERT_TRUE(eventually([&] { return kept.there(); }));
    gone.reset();
  }
  ASSERT_TRUE(eventually([&] { return server_->connections() == 0; }));
  kept.take().send(text(200, "nobody"));

  Client cut(port());
  ASSERT_TRUE(cut.send(get("/cut")));
  const Reply reply = kept.take();
  server_->stop(0ms);
  EXPECT_FALSE(cut.receive());
  reply.send(text(200, "nobody"));
}

TEST_F(ServerTest, SendsContinueOnlyWhenTheBodyIsWanted) {
  application_.on_admit = [&](const std::shared_ptr<const Head>& head, const Admission& admission) {
    if (head->path == "/no") return admission.refuse(text(401, "no"));
    admission.accept({.body_limit = 10, .response_headers = {}, .context = {}});
  };
  start();
  const std::string expect = "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n";
  Client wanted(port());
  EXPECT_EQ(wanted.ask("POST / HTTP/1.1\r\nHost: t\r\n" + expect)->status, 100);
  EXPECT_EQ(wanted.ask("body")->body, "POST / body");

  Client refused(port());
  const auto no = refused.ask("POST /no HTTP/1.1\r\nHost: t\r\n" + expect);
  ASSERT_TRUE(no);
  EXPECT_EQ(no->status, 401);
  EXPECT_EQ(no->headers.at("connection"), "close");
  EXPECT_TRUE(refused.ended());

  Client large(port());
  EXPECT_EQ(large
                .ask("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 11\r\n"
                     "Expect: 100-continue\r\n\r\n")
                ->status,
            413);

  Client hasty(port());  // RFC 9110 10.1.1: no 100 when the body is coming already
  EXPECT_EQ(hasty.ask("POST / HTTP/1.1\r\nHost: t\r\n" + expect + "body")->status, 200);
}

TEST_F(ServerTest, StopLetsRequestsInFlightFinish) {
  Kept<Reply> kept;
  application_.on_handle = [&](const Request&, const Reply& reply) { kept.put(reply); };
  start();
  Client idle(port());
  Client busy(port());
  ASSERT_TRUE(eventually([&] { return server_->connections() == 2; }));
  ASSERT_TRUE(busy.send(get("/")));
  const Reply reply = kept.take();
  std::thread stopper([&] { server_->stop(kPatience); });
  EXPECT_TRUE(idle.ended());
  Client late(port());
  const auto turned_away = late.receive();
  reply.send(text(200, "finished"));
  const auto answer = busy.receive();
  EXPECT_TRUE(busy.ended());
  busy.close();
  late.close();
  stopper.join();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "finished");
  EXPECT_EQ(answer->headers.at("connection"), "close");
  ASSERT_TRUE(turned_away);
  EXPECT_EQ(turned_away->status, 503);
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(ServerTest, StopClosesWhatIsStillOpenWhenPatienceEnds) {
  Kept<Reply> kept;
  application_.on_handle = [&](const Request&, const Reply& reply) { kept.put(reply); };
  start();
  Client busy(port());
  ASSERT_TRUE(busy.send(get("/")));
  const Reply reply = kept.take();
  const auto before = std::chrono::steady_clock::now();
  server_->stop(50ms);
  EXPECT_LT(std::chrono::steady_clock::now() - before, kPatience);
  EXPECT_FALSE(busy.receive());
}

}  // namespace
}  // namespace postern::http
