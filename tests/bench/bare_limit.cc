// bare_limit PLUGINS DATABASE [WORKERS [BORN_LEASED]]: the least that a durable accept can cost.
// The gateway's HTTP layer, the body parsed as JSON, and the rows that the gateway stores for a
// message to one recipient, committed in groups by the gateway's committer through the same storage
// plugin; nothing else: no keys, no limits, no validation, no log, no dispatch. The first
// BORN_LEASED messages are stored leased, the rest not: what a gateway does that delivers nothing.
// Prints "listening on PORT" and runs until SIGINT or SIGTERM.
#include <atomic>
#include <boost/json/parse.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "http/server.h"
#include "plugin_host/deadlines.h"
#include "plugin_host/guarded.h"
#include "plugin_host/host.h"
#include "plugin_host/settings.h"
#include "queue/committer.h"
#include "queue/delivery_state.h"
#include "telemetry/metrics.h"

namespace {

using namespace postern;
namespace bj = boost::json;

constexpr char kReceiptEnd[] =
    R"(","providerId":"pa_0000000000000000000000000000","providerType":"SMTP","status":"queued",)"
    R"("domainVerified":false,"suppressedCount":0,"mode":"live"})";

class Quiet final : public sdk::Logger {
 public:
  void log(sdk::LogLevel, std::string_view message,
           const std::vector<std::pair<std::string_view, std::string>>& fields) override {
    std::fprintf(stderr, "%.*s", static_cast<int>(message.size()), message.data());
    for (const auto& [name, value] : fields) {
      std::fprintf(stderr, " %.*s=%s", static_cast<int>(name.size()), name.data(), value.c_str());
    }
    std::fputc('\n', stderr);
  }
};

class NoHttp final : public sdk::HttpClient {
 public:
  void start(sdk::HttpRequest, std::stop_token,
             std::function<void(sdk::HttpResponse)> done) override {
    sdk::HttpResponse response;
    response.failure = sdk::HttpFailure::not_sent;
    done(std::move(response));
  }
};

// Every message goes from and to the first mailboxes of the body, both written as "a@b".
class BareAccept final : public http::Application {
 public:
  BareAccept(queue::Committer& committer, const Clock& clock, std::int64_t born_leased)
      : committer_(committer),
        clock_(clock),
        born_leased_(born_leased),
        organization_(uuid_v5("organization")),
        account_(uuid_v5("account")),
        owner_("bench/" + uuid_v7(clock)) {}

  void admit(std::shared_ptr<const http::Head>, http::Admission admission) override {
    http::Admitted admitted;
    admitted.response_headers = {{"X-RateLimit-Limit", "1000000"},
                                 {"X-RateLimit-Remaining", "999999"},
                                 {"X-RateLimit-Reset", "1713960000"}};
    admission.accept(std::move(admitted));
  }

  void handle(http::Request request, http::Reply reply) override {
    boost::system::error_code failure;
    const bj::value body = bj::parse(request.body, failure);
    const bj::object* fields = failure ? nullptr : body.if_object();
    if (fields == nullptr) return reply.send({400, "{}", "application/json", {}});

    const UnixMillis now = clock_.now();
    sdk::EnqueueMessage enqueue;
    sdk::MessageRecord& message = enqueue.message;
    message.id = uuid_v7(clock_);
    message.organization = organization_;
    message.stream = "transactional";
    message.account = account_;
    message.provider_type = "SMTP";
    message.from = text(*fields, "from");
    message.sender_domain = message.from.substr(message.from.find('@') + 1);
    message.subject = text(*fields, "subject");
    message.message_id_header = "<" + message.id + "@" + message.sender_domain + ">";
    message.recipient_count = 1;
    message.created_at = message.updated_at = now;

    sdk::RecipientRecord recipient;
    recipient.address = text(*fields, "to");
    recipient.updated_at = now;
    enqueue.recipients.push_back(std::move(recipient));

    queue::DeliveryState state;
    state.body_bytes = request.body.size();
    const std::uint64_t bytes = request.body.size();
    enqueue.body = std::make_shared<const std::string>(std::move(request.body));
    sdk::WorkItem& work = enqueue.work;
    work.id = work.message_id = message.id;
    work.organization = organization_;
    work.lane = account_;
    work.due = now;
    work.payload = queue::encode(state);
    if (born_leased_.load(std::memory_order_relaxed) > 0 && born_leased_.fetch_sub(1) > 0) {
      enqueue.lease_owner = owner_;
    }

    sdk::EventRecord queued;
    queued.id = uuid_v7(clock_);
    queued.message_id = message.id;
    queued.organization = organization_;
    queued.at = now;
    queued.account = account_;

    std::string receipt = R"({"messageId":")" + message.id + kReceiptEnd;
    sdk::Unit unit;
    unit.ops.reserve(2);
    unit.ops.emplace_back(std::move(enqueue));
    unit.ops.emplace_back(sdk::AppendEvent{std::move(queued)});
    const bool taken = committer_.try_submit(
        std::move(unit), bytes,
        [reply, receipt = std::move(receipt)](const Result<sdk::UnitResult>& result) mutable {
          const bool stored = result && result->status == sdk::UnitResult::Status::stored;
          reply.send({stored ? 202 : 503, std::move(receipt), "application/json", {}});
        });
    if (!taken) reply.send({503, "{}", "application/json", {}});
  }

  http::Response refused(const http::Head&, const Error& error) override {
    return {400, "{\"error\":{\"message\":\"" + error.message + "\"}}", "application/json", {}};
  }

 private:
  static std::string text(const bj::object& fields, std::string_view name) {
    const bj::value* value = fields.if_contains(name);
    const bj::string* string = value == nullptr ? nullptr : value->if_string();
    return string == nullptr ? std::string{} : std::string{string->c_str(), string->size()};
  }

  queue::Committer& committer_;
  const Clock& clock_;
  std::atomic<std::int64_t> born_leased_;
  std::string organization_;
  std::string account_;
  std::string owner_;
};

int fail(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return fail("usage: bare_limit PLUGINS DATABASE [WORKERS [BORN_LEASED]]");
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  Quiet logger;
  SystemClock clock;
  NoHttp outside;
  telemetry::Metrics metrics;
  plugin_host::Deadlines deadlines;
  sdk::HostServices services{logger, clock, outside, "gateway.example.com"};
  const plugin_host::GuardContext guards{deadlines, logger, metrics};
  plugin_host::PluginHost plugins{services};
  for (const auto& problem : plugins.load({argv[1]})) {
    std::fprintf(stderr, "%s\n", plugin_host::to_text(problem).c_str());
  }
  const auto* plugin = plugins.find(sdk::PluginKind::storage, "sqlite");
  if (plugin == nullptr) return fail("there is no storage plugin sqlite");
  auto settings = plugin_host::resolve(plugin->info->settings, {{"path", std::string{argv[2]}}},
                                       ".", "settings");
  if (!settings) return fail(settings.error().message);
  sdk::StorageOptions options;
  options.settings = std::move(*settings);
  auto storage = plugin_host::open_storage(*plugin, options, services, guards);
  if (!storage) return fail(storage.error().message);

  queue::Committer committer{**storage, logger, metrics, {}};
  BareAccept application{committer, clock, argc > 4 ? std::atoll(argv[4]) : 0};
  http::ServerOptions listener;
  if (argc > 3) listener.workers = static_cast<std::uint32_t>(std::atoi(argv[3]));
  http::Server server(listener, application, clock, logger);
  if (const auto started = server.start(); !started) return fail(started.error().message);
  std::printf("listening on %d\n", server.port());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  server.stop(std::chrono::seconds{1});
  committer.stop();
  return 0;
}
