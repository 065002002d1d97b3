// null_handler [PORT [WORKERS]]: the gateway's HTTP server with an application that does nothing,
// for a load generator. Prints "listening on PORT" and runs until SIGINT or SIGTERM.
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/clock.h"
#include "http/server.h"

namespace {

class Nothing final : public postern::http::Application {
 public:
  void admit(std::shared_ptr<const postern::http::Head>,
             postern::http::Admission admission) override {
    postern::http::Admitted admitted;
    admitted.response_headers = {{"X-RateLimit-Limit", "100"},
                                 {"X-RateLimit-Remaining", "99"},
                                 {"X-RateLimit-Reset", "1713960000"}};
    admission.accept(std::move(admitted));
  }
  void handle(postern::http::Request, postern::http::Reply reply) override {
    postern::http::Response response;
    response.status = 202;
    response.body = R"({"messageId":"01900000-0000-7000-8000-000000000000","status":"queued"})";
    reply.send(std::move(response));
  }
  postern::http::Response refused(const postern::http::Head&,
                                  const postern::Error& error) override {
    postern::http::Response response;
    response.body = "{\"error\":{\"message\":\"" + error.message + "\"}}";
    return response;
  }
};

class Quiet final : public postern::sdk::Logger {
 public:
  void log(postern::sdk::LogLevel, std::string_view message,
           const std::vector<std::pair<std::string_view, std::string>>&) override {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(message.size()), message.data());
  }
};

}  // namespace

int main(int argc, char** argv) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  Nothing application;
  Quiet logger;
  const postern::SystemClock clock;
  postern::http::ServerOptions options;
  if (argc > 1) options.port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  if (argc > 2) options.workers = static_cast<std::uint32_t>(std::atoi(argv[2]));
  postern::http::Server server(options, application, clock, logger);
  if (const auto started = server.start(); !started) {
    std::fprintf(stderr, "%s\n", started.error().message.c_str());
    return 1;
  }
  std::printf("listening on %d\n", server.port());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  server.stop(std::chrono::seconds{1});
  return 0;
}
