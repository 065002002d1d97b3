// No answer may ever reach a client that did not ask for it: clients come, abort at any point, and
// their descriptors are used again while answers to them are still on their way.
#include <gmock/gmock.h>

#include <condition_variable>
#include <random>
#include <thread>

#include "http/server_fixture.h"

namespace postern::http {
namespace {

constexpr int kRequests = 50'000;
constexpr int kClients = 4;  // threads

// Answers what it is given from a thread of its own, in groups, some time later.
class LateAnswers {
 public:
  LateAnswers() : thread_([this] { run(); }) {}
  ~LateAnswers() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    more_.notify_one();
    thread_.join();
  }
  void add(std::function<void()> answer) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(answer));
    more_.notify_one();
  }

 private:
  void run() {
    std::vector<std::function<void()>> group;
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        more_.wait(lock, [&] { return done_ || !waiting_.empty(); });
        if (waiting_.empty()) return;
        group.swap(waiting_);
      }
      std::shuffle(group.begin(), group.end(), random_);
      for (const auto& answer : group) answer();
      group.clear();
    }
  }
  std::mutex mutex_;
  std::condition_variable more_;
  std::vector<std::function<void()>> waiting_;
  bool done_ = false;
  std::minstd_rand random_{7};
  std::thread thread_;
};

struct Tally {
  int asked = 0;
  int answered = 0;
  int foreign = 0;
};

// One client after the other, each with a few requests, each request with a nonce that the answer
// must repeat. Most leave before they have their last answer.
Tally aborting_clients(std::uint16_t port, int number) {
  std::minstd_rand random(static_cast<unsigned>(number) + 1);
  const auto dice = [&](unsigned sides) { return static_cast<int>(random() % sides); };
  Tally tally;
  while (tally.asked < kRequests / kClients) {
    Client client(port);
    bool alive = client.connected();
    const int requests = 1 + dice(6);
    for (int i = 0; alive && i < requests; ++i) {
      const std::string nonce = std::to_string(number) + '-' + std::to_string(++tally.asked);
      const std::string request =
          post("/" + nonce, std::string(static_cast<std::size_t>(dice(200)), 'x'));
      const bool last = i + 1 == requests;
      switch (last ? dice(5) : 4) {
        case 0:  // in the middle of the request
          client.send(std::string_view(request).substr(
              0, static_cast<std::size_t>(dice(static_cast<unsigned>(request.size())))));
          alive = false;
          break;
        case 1:  // without waiting for the answer
          client.send(request);
          alive = false;
          break;
        case 2:  // with more requests behind it
          client.send(request + request + request);
          alive = false;
          break;
        case 3:  // having sent all, and still there for a moment
          client.send(request);
          client.finish();
          alive = false;
          break;
        default: {
          const auto answer = client.ask(request);
          alive = answer.has_value();
          tally.answered += alive ? 1 : 0;
          tally.foreign += alive && answer->body != nonce ? 1 : 0;
        }
      }
    }
    dice(2) == 0 ? client.reset() : client.close();
  }
  return tally;
}

TEST_F(ServerTest, NoAnswerReachesAStranger) {
  LateAnswers late;
  application_.on_admit = [&](const std::shared_ptr<const Head>& head, const Admission& admission) {
    if (head->path.back() % 2 == 0) return admission.accept({});
    late.add([admission] { admission.accept({}); });
  };
  application_.on_handle = [&](const Request& request, const Reply& reply) {
    late.add([head = request.head, reply] { reply.send(text(200, head->path.substr(1))); });
  };
  start();
  std::vector<Tally> tallies(kClients);
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back(
        [&, i] { tallies[static_cast<std::size_t>(i)] = aborting_clients(port(), i); });
  }
  for (std::thread& client : clients) client.join();

  Tally sum;
  for (const Tally& tally : tallies) {
    sum.asked += tally.asked;
    sum.answered += tally.answered;
    sum.foreign += tally.foreign;
  }
  EXPECT_GE(sum.asked, kRequests);
  EXPECT_GT(sum.answered, kRequests / 2);
  EXPECT_EQ(sum.foreign, 0);
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
}

}  // namespace
}  // namespace postern::http
