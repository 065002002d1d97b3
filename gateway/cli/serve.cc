#include "cli/serve.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <optional>

#include "api/admin.h"
#include "api/api.h"
#include "api/messages.h"
#include "api/openapi.h"
#include "api/send.h"
#include "auth/authenticator.h"
#include "cli/command.h"
#include "cli/environment.h"
#include "dispatch/accounts.h"
#include "dispatch/dispatcher.h"
#include "http/server.h"
#include "postern/sdk_http/client.h"
#include "queue/committer.h"
#include "queue/crash_point.h"
#include "queue/delivery_queue.h"
#include "ratelimit/limiter.h"
#include "resources/directory.h"
#include "resources/reconcile.h"

namespace postern::cli {
namespace {

constexpr std::size_t kReaderThreads = 2;
constexpr std::size_t kReaderQueue = 10'000;
constexpr std::chrono::milliseconds kHttpPatience{10'000};

// Signals are taken by sigwait on the main thread; every thread inherits the mask.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is a failed write, and that has an answer
  return signals;
}

// The soft limit is a default for programs that use select(); this one does not.
void raise_open_files() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

std::string host_and_port(const std::string& address, std::uint16_t port) {
  const bool v6 = address.find(':') != std::string::npos;
  return (v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

http::ServerOptions listener(const config::Config::Server& server,
                             const config::Endpoint& endpoint) {
  http::ServerOptions options;
  options.address = endpoint.address;
  options.port = endpoint.port;
  options.workers = server.workers;
  options.limits.body_memory = server.body_memory_bytes;
  options.limits.connections = server.connections;
  options.limits.connections_per_address = server.connections_per_address;
  options.limits.idle = server.idle_timeout;
  options.limits.head = server.head_timeout;
  options.limits.first_byte = server.head_timeout;
  options.limits.body = server.body_timeout;
  return options;
}

queue::CommitterOptions committer_options(const config::Config::Queue& queue) {
  queue::CommitterOptions options;
  options.group_units = queue.commit_messages;
  options.pending_units = queue.pending_commits;
  options.pending_bytes = queue.pending_bytes;
  return options;
}

queue::DeliveryQueueOptions queue_options(const config::Config& config) {
  queue::DeliveryQueueOptions options;
  options.node = config.server.node;
  options.ready_messages = config.queue.ready_messages;
  options.ready_bytes = config.queue.ready_bytes;
  options.max_messages = config.queue.max_messages;
  options.lease = config.queue.lease;
  options.poll = config.queue.poll;
  return options;
}

dispatch::DispatcherOptions dispatcher_options(const config::Config::Dispatch& dispatch) {
  dispatch::DispatcherOptions options;
  options.retry.first = dispatch.retry_first;
  options.retry.most = dispatch.retry_most;
  options.retry.give_up_after = dispatch.give_up_after;
  options.retry.unknown_retry = dispatch.unknown_retry;
  options.attempt_timeout = dispatch.attempt_timeout;
  // A paused account is probed as often as a message would be retried.
  options.breaker.first = std::min(options.breaker.first, dispatch.retry_first);
  options.breaker.most = std::min(options.breaker.most, dispatch.retry_most);
  return options;
}

api::ApiLimits api_limits(const config::Config& config) {
  const auto limit = [](const config::RateLimit& l) {
    return ratelimit::Limit{l.per_second, l.burst};
  };
  api::ApiLimits limits;
  limits.send = limit(config.rate_limits.send);
  limits.other = limit(config.rate_limits.other);
  limits.unauthenticated = limit(config.rate_limits.unauthenticated);
  limits.send_body_bytes = config.server.max_send_body_bytes;
  limits.body_bytes = config.server.max_body_bytes;
  return limits;
}

// The parts of a running gateway, in the order in which they depend on each other; they end in
// reverse.
class Gateway {
 public:
  explicit Gateway(Environment& environment)
      : environment_(environment),
        config_(environment.config()),
        logger_(environment.log()),
        readers_(kReaderThreads, kReaderQueue),
        directory_(environment.storage(), readers_, environment.secrets(), environment.clock(),
                   logger_, {}),
        committer_(environment.storage(), logger_, environment.metrics(),
                   committer_options(config_.queue)),
        queue_(committer_, environment.storage(), readers_, environment.clock(), logger_,
               queue_options(config_)),
        accounts_(environment.plugins(), environment.services(), environment.guards(),
                  config_.directory, config_.dispatch.account_concurrency),
        dispatcher_(queue_, committer_, directory_, readers_, accounts_, environment.clock(),
                    logger_, environment.metrics(), dispatcher_options(config_.dispatch)),
        authenticator_(directory_, environment.clock()),
        limiter_(environment.clock()),
        send_(accounts_, committer_, queue_, environment.clock(), logger_, environment.metrics(),
              {config_.server.max_attachment_bytes, 1'000}),
        get_message_(environment.storage(), readers_, logger_),
        api_(endpoints(), authenticator_, limiter_, environment.metrics(), api_limits(config_)),
        admin_(environment.storage(), readers_, committer_, queue_, environment.metrics()),
        api_server_(listener(config_.server, config_.server.api), api_, environment.clock(),
                    logger_),
        admin_server_(admin_listener(), admin_, environment.clock(), logger_) {}

  Result<Done> start() {
    if (auto done = directory_.start([this](const std::string& organization) {
          dispatcher_.organization_changed(organization);
        });
        !done) {
      return done;
    }
    dispatcher_.start();
    if (auto done = queue_.start([this] { dispatcher_.wake(); }); !done) return done;
    if (auto done = admin_server_.start(); !done) return done;
    return api_server_.start();
  }

  [[nodiscard]] std::string addresses() const {
    return "api=" + host_and_port(config_.server.api.address, api_server_.port()) +
           " admin=" + host_and_port(config_.server.admin.address, admin_server_.port());
  }

  // Nothing that was accepted is lost by this: what was not delivered in time is in storage.
  void stop() {
    admin_.set_draining();
    api_server_.stop(kHttpPatience);
    dispatcher_.drain(config_.dispatch.drain);
    queue_.stop();
    directory_.stop();
    readers_.stop();  // what it still loads goes back through the committer
    committer_.stop();
    admin_server_.stop(std::chrono::milliseconds{0});
  }

 private:
  std::vector<api::Endpoint> endpoints() {
    using resources::Permission;
    using Shape = api::SendEmail::Shape;
    return {
        {"POST", "/v1/send", Permission::send, api::Body::send,
         [this](api::Call call) { send_(std::move(call), Shape::receipt); }},
        {"POST", "/v1/messages", Permission::send, api::Body::send,
         [this](api::Call call) { send_(std::move(call), Shape::resource); }},
        {"GET", "/v1/messages/{id}", Permission::messages_read, api::Body::none,
         [this](api::Call call) { get_message_(std::move(call)); }},
        {"GET", "/v1/openapi.json", std::nullopt, api::Body::none,
         [](const api::Call& call) { call.answer.json(200, std::string{api::openapi_json()}); }},
    };
  }

  http::ServerOptions admin_listener() const {
    http::ServerOptions options = listener(config_.server, config_.server.admin);
    options.workers = 1;
    return options;
  }

  Environment& environment_;
  const config::Config& config_;
  sdk::Logger& logger_;
  ThreadPool readers_;
  resources::Directory directory_;
  queue::Committer committer_;
  queue::DeliveryQueue queue_;
  dispatch::Accounts accounts_;
  dispatch::Dispatcher dispatcher_;
  auth::Authenticator authenticator_;
  ratelimit::Limiter limiter_;
  api::SendEmail send_;
  api::GetMessage get_message_;
  api::Api api_;
  api::Admin admin_;
  http::Server api_server_;
  http::Server admin_server_;
};

}  // namespace

int serve(const std::string& config_file) {
  raise_open_files();
  const sigset_t signals = block_signals();
  queue::arm_crash_point();
  const Io io{std::cin, std::cout, std::cerr};

  auto environment = Environment::open(config_file, sdk::StorageOptions::Role::gateway,
                                       std::make_unique<sdk_http::Client>());
  if (!environment) return fail(io, environment.error());
  auto reconciled = resources::reconcile((*environment)->config(), (*environment)->storage(),
                                         (*environment)->secrets());
  if (!reconciled) return fail(io, reconciled.error());
  (*environment)
      ->log()
      .info("configuration is in storage", {{"created", std::to_string(reconciled->created)},
                                            {"changed", std::to_string(reconciled->changed)},
                                            {"disabled", std::to_string(reconciled->disabled)}});

  Gateway gateway{**environment};
  if (auto started = gateway.start(); !started) {
    gateway.stop();
    return fail(io, started.error());
  }
  std::cout << "ready " << gateway.addresses() << std::endl;

  int signal = 0;
  sigwait(&signals, &signal);
  (*environment)->log().info("stopping", {{"signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"}});
  // Whoever asks twice does not want to wait; what is in flight is taken over at the next start.
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGINT, SIG_DFL);
  gateway.stop();
  (*environment)->log().info("stopped", {});
  return kDone;
}

}  // namespace postern::cli
