#include "api/api.h"

#include <utility>

#include "api/problem.h"
#include "base/bytes.h"

namespace postern::api {
namespace {

// Of a request that needs none: what a client sends all the same is read and not looked at.
constexpr std::uint64_t kIgnoredBody = 4'096;

std::vector<std::pair<std::string, std::string>> rate_headers(const ratelimit::Decision& decision) {
  return {{"X-RateLimit-Limit", std::to_string(decision.limit)},
          {"X-RateLimit-Remaining", std::to_string(decision.remaining)},
          {"X-RateLimit-Reset", std::to_string(decision.reset)}};
}

Error too_many(const ratelimit::Decision& decision) {
  return {ErrorKind::rate_limited,
          "Too many requests; try again in " + std::to_string(decision.retry_after.count()) + " s",
          {},
          decision.retry_after};
}

// "application/json", with any parameters but another charset.
bool is_json(std::string_view content_type) {
  const auto semicolon = content_type.find(';');
  if (!ascii_iequals(trim(content_type.substr(0, semicolon)), "application/json")) return false;
  if (semicolon == std::string_view::npos) return true;
  const std::string parameters = ascii_lower(content_type.substr(semicolon + 1));
  return parameters.find("charset") == std::string::npos ||
         parameters.find("utf-8") != std::string::npos;
}

}  // namespace

// From admit to handle.
struct Api::Admitted {
  std::size_t endpoint = 0;
  std::optional<auth::Principal> principal;
  std::vector<std::pair<std::string, std::string>> params;
};

Api::Api(std::vector<Endpoint> endpoints, auth::Authenticator& authenticator,
         ratelimit::Limiter& limiter, telemetry::Metrics& metrics, ApiLimits limits)
    : endpoints_(std::move(endpoints)),
      unrouted_(metrics.route("-", "-")),
      authenticator_(authenticator),
      limiter_(limiter),
      limits_(limits) {
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    router_.add(endpoints_[i].method, endpoints_[i].pattern, i);
    route_metrics_.push_back(&metrics.route(endpoints_[i].method, endpoints_[i].pattern));
  }
}

std::uint64_t Api::body_limit(Body body) const {
  switch (body) {
    case Body::send: return limits_.send_body_bytes;
    case Body::json: return limits_.body_bytes;
    case Body::none: break;
  }
  return kIgnoredBody;
}

ratelimit::Decision Api::take_unauthenticated(const http::Head& head) {
  return limiter_.take("ip/" + head.client_address, limits_.unauthenticated);
}

void Api::refuse(const http::Admission& admission, const http::Head& head, const Error& error,
                 const Headers& headers, std::size_t endpoint) {
  http::Response response = problem(error, head.request_id);
  response.headers.insert(response.headers.end(), headers.begin(), headers.end());
  (endpoint < route_metrics_.size() ? *route_metrics_[endpoint] : unrouted_).count(response.status);
  admission.refuse(std::move(response));
}

void Api::admit(std::shared_ptr<const http::Head> head, http::Admission admission) {
  using Kind = http::Router::Match::Kind;
  auto match = router_.match(head->method, head->path);
  if (match.kind != Kind::found) {
    const auto headers = rate_headers(take_unauthenticated(*head));
    if (match.kind == Kind::no_such_method) {
      Headers with_allow = headers;
      with_allow.emplace_back("Allow", match.allow);
      return refuse(admission, *head,
                    {ErrorKind::method_not_allowed,
                     head->method + " is not allowed here; " + match.allow + " is", {}, {}},
                    with_allow, endpoints_.size());
    }
    if (match.kind == Kind::bad_encoding) {
      return refuse(admission, *head,
                    {ErrorKind::invalid, "The path has a bad percent-encoding", {}, {}}, headers,
                    endpoints_.size());
    }
    return refuse(admission, *head, {ErrorKind::not_found, "No such route", {}, {}}, headers,
                  endpoints_.size());
  }
  if (!endpoints_[match.endpoint].permission) {
    const auto decision = take_unauthenticated(*head);
    if (!decision.granted) {
      return refuse(admission, *head, too_many(decision), rate_headers(decision), match.endpoint);
    }
    http::Admitted admitted;
    admitted.body_limit = body_limit(Body::none);
    admitted.response_headers = rate_headers(decision);
    admitted.context = Admitted{match.endpoint, std::nullopt, std::move(match.params)};
    return admission.accept(std::move(admitted));
  }
  const std::string_view authorization = head->header("authorization");
  authenticator_.authenticate(
      authorization, [this, head, match = std::move(match), admission](Result<auth::Principal> who) {
        authorize(head, match, std::move(who), admission);
      });
}

void Api::authorize(std::shared_ptr<const http::Head> head, http::Router::Match match,
                    Result<auth::Principal> principal, const http::Admission& admission) {
  const Endpoint& endpoint = endpoints_[match.endpoint];
  if (!principal) {
    if (principal.error().kind != ErrorKind::unauthenticated) {
      const auto look = limiter_.look("ip/" + head->client_address, limits_.unauthenticated);
      return refuse(admission, *head, principal.error(), rate_headers(look), match.endpoint);
    }
    const auto decision = take_unauthenticated(*head);
    return refuse(admission, *head, decision.granted ? principal.error() : too_many(decision),
                  rate_headers(decision), match.endpoint);
  }

  const bool sends = endpoint.body == Body::send;
  const auto& organization = principal->organization().organization;
  const auto& own = sends ? organization.send_limit : organization.other_limit;
  const ratelimit::Limit limit = own    ? ratelimit::Limit{own->per_second, own->burst}
                                 : sends ? limits_.send
                                         : limits_.other;
  const auto decision =
      limiter_.take((sends ? "send/" : "other/") + principal->organization_id(), limit);
  const Headers headers = rate_headers(decision);

  if (auto allowed = principal->check_client(head->client_address); !allowed) {
    return refuse(admission, *head, allowed.error(), headers, match.endpoint);
  }
  if (auto allowed = principal->require(*endpoint.permission); !allowed) {
    return refuse(admission, *head, allowed.error(), headers, match.endpoint);
  }
  if (!decision.granted) return refuse(admission, *head, too_many(decision), headers, match.endpoint);
  if (endpoint.body != Body::none && head->has_body) {
    if (head->content_length > body_limit(endpoint.body)) {
      return refuse(admission, *head,
                    {ErrorKind::payload_too_large,
                     "The body has " + std::to_string(head->content_length) + " bytes; at most " +
                         std::to_string(body_limit(endpoint.body)) + " are accepted",
                     {},
                     {}},
                    headers, match.endpoint);
    }
    if (!is_json(head->header("content-type"))) {
      return refuse(admission, *head,
                    {ErrorKind::unsupported_media_type,
                     "Content-Type must be application/json, in UTF-8", {}, {}},
                    headers, match.endpoint);
    }
    if (head->has_header("content-encoding")) {
      return refuse(admission, *head,
                    {ErrorKind::unsupported_media_type,
                     "Content-Encoding is not supported; send the body as it is", {}, {}},
                    headers, match.endpoint);
    }
  }
  http::Admitted admitted;
  admitted.body_limit = body_limit(endpoint.body);
  admitted.response_headers = headers;
  admitted.context = Admitted{match.endpoint, *std::move(principal), std::move(match.params)};
  admission.accept(std::move(admitted));
}

void Api::handle(http::Request request, http::Reply reply) {
  auto& admitted = std::any_cast<Admitted&>(request.context);
  const Answer answer{std::move(reply), *route_metrics_[admitted.endpoint], request.head->request_id};
  const auto query = http::parse_query(request.head->query);
  if (!query) return answer.problem(query.error());
  if (!query->values.empty()) {
    Error error{ErrorKind::invalid, "Request validation failed", {}, {}};
    for (const auto& [name, value] : query->values) {
      error.issues.push_back({name, "unknown_parameter", "Unknown query parameter"});
    }
    return answer.problem(error);
  }
  endpoints_[admitted.endpoint].handler({std::move(request.head), std::move(admitted.principal),
                                         std::move(admitted.params), std::move(request.body),
                                         answer});
}

http::Response Api::refused(const http::Head& partial, const Error& error) {
  http::Response response = problem(error, partial.request_id);
  const auto look = limiter_.look("ip/" + partial.client_address, limits_.unauthenticated);
  for (auto& header : rate_headers(look)) response.headers.push_back(std::move(header));
  unrouted_.count(response.status);
  return response;
}

}  // namespace postern::api
