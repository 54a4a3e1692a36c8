// SPDX-License-Identifier: Apache-2.0

// The load against a server on loopback that counts, refuses or answers wrongly.

#include "tools/bench/service_load.hpp"

#include <unistd.h>

#include <atomic>

#include <gtest/gtest.h>

#include "tests/unit/https/test_server.hpp"

namespace allium::bench {
namespace {

using control::HttpRequest;
using control::HttpResponse;
using control::Respond;

class ServiceLoad : public testing::Test {
 protected:
  /// A plan for `count` requests after the warm-up, right where the answer is the request's body.
  static LoadPlan plan_for(const control::test::TestServer& server, std::size_t count,
                           std::size_t in_flight) {
    LoadPlan plan;
    plan.target = "/echo";
    RunningNode node;
    node.name = "n1";
    node.pid = getpid();
    node.node.ip = "127.0.0.1";
    node.node.https_port = server.endpoint().port();
    plan.nodes = {node};
    plan.in_flight = in_flight;
    plan.warm_up_count = warm_up_count(count, in_flight);
    for (std::size_t i = 0; i < plan.warm_up_count + count; ++i) {
      plan.bodies.push_back(std::to_string(i));
    }
    plan.check = [](std::size_t index, std::string_view body) {
      return body == std::to_string(index) ? std::string() : "not " + std::to_string(index);
    };
    return plan;
  }

  /// Answers with `status` and what came, from the request with number `first_wrong` on with something else.
  control::Handler handler(unsigned status = 200, int first_wrong = 1 << 30) {
    return [this, status, first_wrong](HttpRequest request, const Respond& respond) {
      ++received;
      const bool is_right = std::stoi(request.body) < first_wrong;
      respond({is_right ? 200 : status,
               "text/plain",
               is_right || status != 200 ? request.body : "something else",
               {}});
    };
  }

  std::atomic<std::size_t> received = 0;
};

TEST_F(ServiceLoad, SendsEveryRequestOnceOverAsManyConnectionsAsAreInFlight) {
  for (const std::size_t in_flight : {std::size_t{1}, std::size_t{16}}) {
    received = 0;
    control::test::TestServer server(control::test::tls_options(), handler());
    const LoadPlan plan = plan_for(server, 200, in_flight);
    const LoadResult result = run_load(plan).value();
    EXPECT_TRUE(result.is_valid()) << result.first_failure;
    EXPECT_EQ(result.requests, 200U);
    EXPECT_EQ(result.latencies_ms.size(), 200U);
    EXPECT_EQ(received, plan.bodies.size());
    EXPECT_EQ(server.counters().connections, in_flight);
    EXPECT_EQ(result.connections, 0U) << "made before the window";
    EXPECT_GT(result.window_s, 0);
    ASSERT_EQ(result.cpu_us.size(), 1U);
    EXPECT_GT(result.cpu_us[0], 0);
    EXPECT_GT(result.cpu_us_client, 0);
  }
}

TEST_F(ServiceLoad, CountsAnswersThatAreWrong) {
  control::test::TestServer server(control::test::tls_options(), handler(200, 130));
  const LoadResult result = run_load(plan_for(server, 100, 16)).value();
  EXPECT_FALSE(result.is_valid());
  EXPECT_EQ(result.failures, 2U) << "132 were sent";
  EXPECT_EQ(result.first_failure, "n1 answered wrongly: not 130");
}

TEST_F(ServiceLoad, GivesUpOnANodeThatRefuses) {
  control::test::TestServer server(control::test::tls_options(), handler(429, 200));
  const LoadResult result = run_load(plan_for(server, 1000, 16)).value();
  EXPECT_FALSE(result.is_valid());
  EXPECT_GE(result.failures, kFailuresMax);
  EXPECT_LT(received, 200 + kFailuresMax + 16);
  EXPECT_NE(result.first_failure.find("n1 answered 429"), std::string::npos);
  EXPECT_NE(result.first_failure.find("[limits]"), std::string::npos);
}

TEST_F(ServiceLoad, MeasuresNothingAfterAWarmUpThatFailed) {
  control::test::TestServer server(control::test::tls_options(), handler(503, 90));
  const LoadPlan plan = plan_for(server, 1000, 16);
  const LoadResult result = run_load(plan).value();
  EXPECT_FALSE(result.is_valid());
  EXPECT_EQ(result.failures, plan.warm_up_count - 90);
  EXPECT_EQ(result.requests, 0U);
}

TEST_F(ServiceLoad, SaysThatNobodyListens) {
  LoadPlan plan;
  {
    control::test::TestServer server(control::test::tls_options(), handler());
    plan = plan_for(server, 10, 2);
  }
  const LoadResult result = run_load(plan).value();
  EXPECT_FALSE(result.is_valid());
  EXPECT_NE(result.first_failure.find("n1: "), std::string::npos);
}

TEST_F(ServiceLoad, IsNoMeasurementOfAProcessThatIsGone) {
  control::test::TestServer server(control::test::tls_options(), handler());
  LoadPlan plan = plan_for(server, 10, 1);
  plan.nodes.front().pid = -1;
  const auto result = run_load(plan);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::unavailable);
  EXPECT_NE(result.error().text.find("allium devnet start n1"), std::string::npos);
}

}  // namespace
}  // namespace allium::bench
