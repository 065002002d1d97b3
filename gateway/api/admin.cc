#include "api/admin.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "api/problem.h"

namespace postern::api {
namespace {

namespace bj = boost::json;

enum Route : std::size_t { kHealthz, kReadyz, kMetrics };

}  // namespace

Admin::Admin(sdk::Storage& storage, ThreadPool& readers, queue::Committer& committer,
             queue::DeliveryQueue& queue, telemetry::Metrics& metrics)
    : storage_(storage),
      readers_(readers),
      committer_(committer),
      queue_(queue),
      metrics_(metrics) {
  router_.add("GET", "/healthz", kHealthz);
  router_.add("GET", "/readyz", kReadyz);
  router_.add("GET", "/metrics", kMetrics);
}

void Admin::admit(std::shared_ptr<const http::Head> head, http::Admission admission) {
  using Kind = http::Router::Match::Kind;
  const auto match = router_.match(head->method, head->path);
  if (match.kind == Kind::found) {
    http::Admitted admitted;
    admitted.context = match.endpoint;
    return admission.accept(std::move(admitted));
  }
  const bool method = match.kind == Kind::no_such_method;
  http::Response response = problem(
      method ? Error{ErrorKind::method_not_allowed, match.allow + " is allowed here", {}, {}}
             : Error{ErrorKind::not_found,
                     "No such route; this listener has /healthz, /readyz and /metrics", {}, {}},
      head->request_id);
  if (method) response.headers.emplace_back("Allow", match.allow);
  admission.refuse(std::move(response));
}

void Admin::handle(http::Request request, http::Reply reply) {
  http::Response response;
  switch (std::any_cast<std::size_t>(request.context)) {
    case kHealthz:
      response.body = R"({"status":"ok"})";
      return reply.send(std::move(response));
    case kMetrics:
      response.body = expose();
      response.content_type = "text/plain; version=0.0.4; charset=utf-8";
      return reply.send(std::move(response));
    default:
      break;
  }
  if (!readers_.run([this, reply] { ready(reply); })) {
    reply.send(problem({ErrorKind::unavailable, "The gateway is busy", {}, std::chrono::seconds{1}},
                       request.head->request_id));
  }
}

void Admin::ready(const http::Reply& reply) {
  const bool pings = storage_.ping().ok();
  // On an idle gateway no commit would ever show that storage works again: this one writes.
  if (pings && committer_.failing()) {
    sdk::PutDocument probe;
    probe.document.kind = "system";
    probe.document.id = "readiness_probe";
    probe.document.json = "{}";
    committer_.submit({{std::move(probe)}}, [](const Result<sdk::UnitResult>&) {});
  }
  const bool storage = pings && !committer_.failing();
  const bool queue = !queue_.full();
  const bool serving = !draining_;
  const bool all = storage && queue && serving;
  http::Response response;
  response.status = all ? 200 : 503;
  if (!all) response.headers.emplace_back("Retry-After", "1");
  response.body = bj::serialize(
      bj::object{{"status", all ? "ready" : "not_ready"},
                 {"checks", bj::object{{"storage", storage ? "ok" : "failing"},
                                       {"queue", queue ? "ok" : "full"},
                                       {"serving", serving ? "ok" : "draining"}}}});
  reply.send(std::move(response));
}

std::string Admin::expose() {
  metrics_.queue_depth(sdk::Queue::deliveries).set(static_cast<double>(queue_.depth().queued));
  return metrics_.expose();
}

http::Response Admin::refused(const http::Head& partial, const Error& error) {
  return problem(error, partial.request_id);
}

}  // namespace postern::api
