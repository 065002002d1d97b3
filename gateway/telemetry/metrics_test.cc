#include "telemetry/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace postern::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Metrics, CountsRequestsByRouteAndStatus) {
  Metrics metrics;
  RouteMetrics& send = metrics.route("POST", "/v1/send");
  send.count(202);
  send.count(202);
  send.count(422);
  send.count(12345);
  EXPECT_EQ(&send, &metrics.route("POST", "/v1/send"));
  const std::string text = metrics.expose();
  EXPECT_THAT(
      text,
      HasSubstr(R"(postern_http_requests_total{method="POST",route="/v1/send",status="202"} 2)"));
  EXPECT_THAT(
      text,
      HasSubstr(R"(postern_http_requests_total{method="POST",route="/v1/send",status="422"} 1)"));
  EXPECT_THAT(
      text,
      HasSubstr(R"(postern_http_requests_total{method="POST",route="/v1/send",status="500"} 1)"));
}

TEST(Metrics, CountsOutcomesByVerdictAndAmbiguity) {
  Metrics metrics;
  metrics.outcome(sdk::Verdict::accepted, false).add();
  metrics.outcome(sdk::Verdict::deferred, true).add(2);
  const std::string text = metrics.expose();
  EXPECT_THAT(text, HasSubstr(R"(postern_outcomes_total{ambiguous="false",verdict="accepted"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(postern_outcomes_total{ambiguous="true",verdict="deferred"} 2)"));
  EXPECT_THAT(text, HasSubstr(R"(verdict="refused"} 0)"));
}

TEST(Metrics, ExposesGaugesHistogramsAndFaults) {
  Metrics metrics;
  metrics.queue_depth(sdk::Queue::webhooks).set(7);
  metrics.connections_open.add(3);
  metrics.connections_open.add(-1);
  metrics.commit_group_size.observe(40);
  metrics.commits_stored.add();
  metrics.plugin("SMTP").count(PluginFault::answered_twice);
  const std::string text = metrics.expose();
  EXPECT_THAT(text, HasSubstr(R"(postern_queue_items{queue="webhooks"} 7)"));
  EXPECT_THAT(text, HasSubstr("postern_http_connections 2"));
  EXPECT_THAT(text, HasSubstr(R"(postern_commit_group_size_bucket{le="50"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(postern_commit_group_size_bucket{le="20"} 0)"));
  EXPECT_THAT(text, HasSubstr(R"(postern_commits_total{result="stored"} 1)"));
  EXPECT_THAT(text,
              HasSubstr(R"(postern_plugin_faults_total{fault="answered_twice",plugin="SMTP"} 1)"));
  EXPECT_THAT(text, HasSubstr("process_resident_memory_bytes"));
  EXPECT_THAT(text, Not(HasSubstr("process_resident_memory_bytes 0\n")));
}

TEST(Metrics, BoundsTheNumberOfRoutesAndPlugins) {
  Metrics metrics;
  for (std::size_t i = 0; i < Metrics::kMostRoutes + 50; ++i) {
    metrics.route("GET", "/r" + std::to_string(i)).count(200);
    metrics.plugin("p" + std::to_string(i)).count(PluginFault::threw);
  }
  const std::string text = metrics.expose();
  EXPECT_THAT(text, HasSubstr(R"(route="other",status="200"} 50)"));
  EXPECT_THAT(text, Not(HasSubstr("/r300\"")));
  EXPECT_THAT(text, HasSubstr(R"(plugin="other")"));
  EXPECT_THAT(text, Not(HasSubstr(R"(plugin="p70")")));
}

TEST(Metrics, LosesNoCountWhenThreadsMeet) {
  Metrics metrics;
  RouteMetrics& route = metrics.route("GET", "/x");
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) route.count(200 + i % 4);
    });
  }
  threads.clear();
  EXPECT_THAT(metrics.expose(), HasSubstr(R"(route="/x",status="203"} 1000)"));
}

TEST(Metrics, DefaultHandlesCountNothing) {
  Counter{}.add();
  Gauge{}.set(1);
  Histogram{}.observe(1);
  EXPECT_THAT(Metrics{}.expose(), HasSubstr("postern_http_connections_accepted_total 0"));
}

}  // namespace
}  // namespace postern::telemetry
