// api/api.h: the API listener's application: which endpoint, who may call it, within which limits.
// Checks run in the contract's order: 404/405, 401, 403, 429, 413/415, 400, 422.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/call.h"
#include "auth/authenticator.h"
#include "base/clock.h"
#include "http/application.h"
#include "http/router.h"
#include "ratelimit/limiter.h"
#include "resources/types.h"
#include "telemetry/metrics.h"

namespace postern::api {

struct ApiLimits {
  ratelimit::Limit send{100, 100};
  ratelimit::Limit other{1000, 1000};
  ratelimit::Limit unauthenticated{20.0 / 60, 20};
  std::uint64_t send_body_bytes = 35ULL << 20;
  std::uint64_t body_bytes = 1ULL << 20;
};

enum class Body : std::uint8_t { none, json, send };

struct Endpoint {
  std::string method;
  std::string pattern;
  std::optional<resources::Permission> permission;  // none: public
  Body body = Body::none;
  std::function<void(Call)> handler;
};

// Thread-safe once built.
class Api final : public http::Application {
 public:
  // References outlive it.
  Api(std::vector<Endpoint> endpoints, auth::Authenticator& authenticator,
      ratelimit::Limiter& limiter, telemetry::Metrics& metrics, ApiLimits limits);

  void admit(std::shared_ptr<const http::Head> head, http::Admission admission) override;
  void handle(http::Request request, http::Reply reply) override;
  http::Response refused(const http::Head& partial, const Error& error) override;

 private:
  struct Admitted;
  using Headers = std::vector<std::pair<std::string, std::string>>;

  void authorize(std::shared_ptr<const http::Head> head, http::Router::Match match,
                 Result<auth::Principal> principal, const http::Admission& admission);
  void refuse(const http::Admission& admission, const http::Head& head, const Error& error,
              const Headers& headers, std::size_t endpoint);
  [[nodiscard]] ratelimit::Decision take_unauthenticated(const http::Head& head);
  [[nodiscard]] std::uint64_t body_limit(Body body) const;

  std::vector<Endpoint> endpoints_;
  std::vector<telemetry::RouteMetrics*> route_metrics_;
  telemetry::RouteMetrics& unrouted_;
  http::Router router_;
  auth::Authenticator& authenticator_;
  ratelimit::Limiter& limiter_;
  ApiLimits limits_;
};

}  // namespace postern::api
