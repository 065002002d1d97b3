// api/call.h: one authorized request on its way through an endpoint.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/problem.h"
#include "auth/principal.h"
#include "base/result.h"
#include "http/application.h"
#include "telemetry/metrics.h"

namespace postern::api {

// Answers once; may be copied, kept, and answered from any thread. Counts the answer.
class Answer {
 public:
  Answer(http::Reply reply, telemetry::RouteMetrics& metrics, std::string request_id)
      : reply_(std::move(reply)), metrics_(&metrics), request_id_(std::move(request_id)) {}

  void json(int status, std::string body) const {
    http::Response response;
    response.status = status;
    response.body = std::move(body);
    send(std::move(response));
  }
  void problem(const Error& error) const { send(api::problem(error, request_id_)); }
  [[nodiscard]] const std::string& request_id() const { return request_id_; }

 private:
  void send(http::Response response) const {
    metrics_->count(response.status);
    reply_.send(std::move(response));
  }
  http::Reply reply_;
  telemetry::RouteMetrics* metrics_;
  std::string request_id_;
};

struct Call {
  std::shared_ptr<const http::Head> head;
  std::optional<auth::Principal> principal;  // set on every endpoint that is not public
  std::vector<std::pair<std::string, std::string>> params;
  std::string body;
  Answer answer;
};

}  // namespace postern::api
