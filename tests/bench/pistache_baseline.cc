// pistache_baseline [PORT [WORKERS]]: Pistache's own HTTP layer with a handler that does nothing,
// answering the same body as null_handler. Prints "listening on PORT" and runs until SIGINT or
// SIGTERM. Its clients must send "Connection: keep-alive", or it asks them to close.
#include <pistache/endpoint.h>
#include <pistache/http.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace {

class Nothing final : public Pistache::Http::Handler {
 public:
  HTTP_PROTOTYPE(Nothing)

  void onRequest(const Pistache::Http::Request&, Pistache::Http::ResponseWriter writer) override {
    writer.headers()
        .addRaw(Pistache::Http::Header::Raw("Content-Type", "application/json"))
        .addRaw(Pistache::Http::Header::Raw("X-Request-Id", "req_01J00000000000000000000000"))
        .addRaw(Pistache::Http::Header::Raw("X-RateLimit-Limit", "100"))
        .addRaw(Pistache::Http::Header::Raw("X-RateLimit-Remaining", "99"))
        .addRaw(Pistache::Http::Header::Raw("X-RateLimit-Reset", "1713960000"));
    writer.send(Pistache::Http::Code::Accepted,
                R"({"messageId":"01900000-0000-7000-8000-000000000000","status":"queued"})");
  }
};

}  // namespace

int main(int argc, char** argv) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  const auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 0);
  const unsigned workers =
      argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : std::thread::hardware_concurrency();
  Pistache::Http::Endpoint endpoint(
      Pistache::Address(Pistache::Ipv4::loopback(), Pistache::Port(port)));
  using Option = Pistache::Tcp::Options;
  endpoint.init(Pistache::Http::Endpoint::options()
                    .threads(static_cast<int>(workers))
                    .flags(Pistache::Flags<Option>(Option::ReuseAddr) | Option::NoDelay)
                    .maxRequestSize(1 << 20));
  endpoint.setHandler(Pistache::Http::make_handler<Nothing>());
  endpoint.serveThreaded();
  std::printf("listening on %d\n", static_cast<int>(endpoint.getPort()));
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  endpoint.shutdown();
  return 0;
}
