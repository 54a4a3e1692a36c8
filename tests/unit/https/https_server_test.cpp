// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/https_server.hpp"

#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/https/test_server.hpp"

namespace allium::control {
namespace {

using std::chrono_literals::operator""ms;
using test::get_request;
using test::plain_options;
using test::post_request;
using test::RawClient;
using test::TestServer;
using test::tls_options;

/// Both kinds of server are the same to these tests.
class HttpsServerOf : public testing::TestWithParam<bool> {
 protected:
  static ServerOptions options() { return GetParam() ? tls_options() : plain_options(); }

  void begin(RawClient& client) const {
    if (GetParam()) {
      ASSERT_TRUE(client.begin_tls(*context_));
    }
  }

 private:
  std::shared_ptr<SSL_CTX> context_ = test::raw_context();
};

INSTANTIATE_TEST_SUITE_P(BothTransports, HttpsServerOf, testing::Bool(),
                         [](const auto& suite) { return suite.param ? "tls" : "plain"; });

TEST_P(HttpsServerOf, AnswersTwoRequestsOverOneConnection) {
  TestServer server(options());
  RawClient client(server.endpoint());
  begin(client);

  for (const std::string target : {"/one", "/two"}) {
    ASSERT_TRUE(client.send(post_request(target, "12345")));
    const auto answer = client.receive_answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, "POST " + target + " 5");
  }
  EXPECT_EQ(server.counters().connections, 1U);
  EXPECT_EQ(server.counters().requests, 2U);
}

TEST_P(HttpsServerOf, AnswersPipelinedRequestsInTheirOrder) {
  std::vector<Respond> waiting;
  TestServer server(options(), [&waiting](const HttpRequest& request, Respond respond) {
    if (request.target == "/0") {
      waiting.push_back(std::move(respond));  // the others must wait for it
    } else {
      test::echo(request, respond);
    }
  });
  RawClient client(server.endpoint());
  begin(client);

  std::string requests;
  for (int i = 0; i < 200; ++i) {
    requests += post_request("/" + std::to_string(i), std::string(50, 'x'));
  }
  ASSERT_TRUE(client.send(requests));
  ASSERT_TRUE(server.eventually([](const auto& counters) { return counters.requests == 1; }));
  server.service().on([&waiting] { waiting[0]({200, "text/plain", "late", {}}); });

  for (int i = 0; i < 200; ++i) {
    const auto answer = client.receive_answer();
    ASSERT_TRUE(answer) << i;
    EXPECT_EQ(answer->body, i == 0 ? "late" : "POST /" + std::to_string(i) + " 50");
  }
}

TEST_P(HttpsServerOf, SendsTheHeadersOfTheProtocol) {
  TestServer server(options(), [](const HttpRequest& request, const Respond& respond) {
    respond({404,
             "text/plain",
             "get " + request.target + " Not Found",
             {{"X-Extra", "a\r\nX-Injected: b"}}});
  });
  RawClient client(server.endpoint());
  begin(client);

  ASSERT_TRUE(client.send(get_request("/nothing")));
  const auto answer = client.receive_answer();

  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->head.starts_with("HTTP/1.1 404 Not Found\r\n")) << answer->head;
  EXPECT_EQ(answer->body, "get /nothing Not Found");
  EXPECT_EQ(answer->header("Server"), "Oxen Storage Server/2.8.0");
  EXPECT_EQ(answer->header("Content-Type"), "text/plain");
  EXPECT_EQ(answer->header("Content-Length"), "22");
  EXPECT_EQ(answer->header("X-Extra"), "aX-Injected: b");
  const std::string date = answer->header("Date").value_or("");
  EXPECT_EQ(date.size(), 29U) << date;
  EXPECT_TRUE(date.ends_with(" GMT")) << date;
}

TEST_P(HttpsServerOf, GivesTheHandlerAllOfTheRequest) {
  HttpRequest seen;
  TestServer server(options(), [&seen](HttpRequest request, const Respond& respond) {
    seen = std::move(request);
    respond({});
  });
  RawClient client(server.endpoint());
  begin(client);

  ASSERT_TRUE(
      client.send("PUT /a?b=c HTTP/1.1\r\nhost: here\r\nX-Loki-Long-Poll: 1\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
  ASSERT_TRUE(client.receive_answer());

  EXPECT_EQ(seen.method, "PUT");
  EXPECT_EQ(seen.target, "/a?b=c");
  EXPECT_EQ(seen.host(), "here");
  EXPECT_EQ(seen.header("x-loki-long-poll"), "1");
  EXPECT_EQ(seen.header("x-other"), "");
  EXPECT_EQ(seen.body, "abcde");
  EXPECT_EQ(seen.peer.to_string(), "127.0.0.1");
}

TEST_P(HttpsServerOf, CarriesLargeBodiesBothWays) {
  TestServer server(options(), [](HttpRequest request, const Respond& respond) {
    respond({200, "application/octet-stream", std::move(request.body), {}});
  });
  RawClient client(server.endpoint());
  begin(client);
  std::string body(3'000'000, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) {
    body[i] = static_cast<char>(i * 7 + i / 251);
  }

  ASSERT_TRUE(client.send(post_request("/", body)));
  const auto answer = client.receive_answer();

  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->body == body);
}

TEST_P(HttpsServerOf, ClosesWhenTheClientWantsIt) {
  TestServer server(options());
  RawClient client(server.endpoint());
  begin(client);

  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));

  ASSERT_TRUE(client.receive_answer());
  EXPECT_TRUE(client.is_closed_by_server());
}

TEST_P(HttpsServerOf, TakesALateAnswerAndIgnoresTheSecond) {
  Respond respond;
  TestServer server(options(), [&respond](const HttpRequest& /*request*/, Respond given) {
    respond = std::move(given);
  });
  RawClient client(server.endpoint());
  begin(client);
  ASSERT_TRUE(client.send(get_request("/")));
  ASSERT_TRUE(server.eventually([](const auto& counters) { return counters.requests == 1; }));

  server.service().on([&respond] {
    const Respond copy = respond;
    respond({200, "text/plain", "first", {}});
    respond({200, "text/plain", "second", {}});
    copy({200, "text/plain", "third", {}});
  });

  EXPECT_EQ(client.receive_answer().value().body, "first");
  ASSERT_TRUE(client.send(get_request("/")));
  ASSERT_TRUE(server.eventually([](const auto& counters) { return counters.requests == 2; }));
  server.service().on([&respond] { respond({200, "text/plain", "fourth", {}}); });
  EXPECT_EQ(client.receive_answer().value().body, "fourth");
}

TEST_P(HttpsServerOf, SurvivesAnAnswerAfterTheClientHasGone) {
  Respond respond;
  auto short_time = options();
  short_time.answer_timeout = 20ms;
  TestServer server(
      std::move(short_time),
      [&respond](const HttpRequest& /*request*/, Respond given) { respond = std::move(given); });
  {
    RawClient client(server.endpoint());
    begin(client);
    ASSERT_TRUE(client.send(get_request("/")));
    ASSERT_TRUE(server.eventually([](const auto& counters) { return counters.requests == 1; }));
  }
  ASSERT_TRUE(
      server.eventually([](const auto& counters) { return counters.connections_open == 0; }));

  server.service().on([&respond] {
    respond({200, "text/plain", std::string(1'000'000, 'x'), {}});
  });

  EXPECT_EQ(server.counters().timeouts_answer, 1U);
}

TEST_P(HttpsServerOf, Answers500WhenTheHandlerForgetsToAnswer) {
  TestServer server(options(), [](const HttpRequest& /*request*/, const Respond& /*respond*/) {});
  RawClient client(server.endpoint());
  begin(client);

  ASSERT_TRUE(client.send(get_request("/")));

  EXPECT_EQ(client.receive_answer().value().status, 500);
}

TEST_P(HttpsServerOf, SendsTheHeaderAloneForHead) {
  TestServer server(options());
  RawClient client(server.endpoint());
  begin(client);

  ASSERT_TRUE(client.send("HEAD /a HTTP/1.1\r\nHost: test\r\n\r\n" + get_request("/b")));
  std::string received;
  while (received.find("GET /b 0") == std::string::npos) {
    const std::string more = client.receive();
    ASSERT_FALSE(more.empty());
    received += more;
  }

  EXPECT_NE(received.find("Content-Length: 9\r\n"), std::string::npos);  // of "HEAD /a 0"
  EXPECT_EQ(received.find("HEAD /a 0"), std::string::npos);
}

TEST_P(HttpsServerOf, SendsContinueToClientsThatWaitForIt) {
  TestServer server(options());
  RawClient client(server.endpoint());
  begin(client);

  ASSERT_TRUE(client.send(
      "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
  EXPECT_EQ(client.receive(), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(client.send("abc"));

  EXPECT_EQ(client.receive_answer().value().body, "POST / 3");
}

TEST_P(HttpsServerOf, ClosesAllOnStop) {
  Respond kept;
  TestServer server(options(), [&kept](const HttpRequest& /*request*/, Respond respond) {
    kept = std::move(respond);
  });
  RawClient idle(server.endpoint());
  begin(idle);
  RawClient handled(server.endpoint());
  begin(handled);
  ASSERT_TRUE(handled.send(get_request("/")));
  ASSERT_TRUE(server.eventually([](const auto& counters) { return counters.requests == 1; }));

  server.service().on([&] {
    server.server().stop();
    kept({});
  });

  EXPECT_TRUE(idle.is_closed_by_server());
  EXPECT_TRUE(handled.is_closed_by_server());
  EXPECT_EQ(server.counters().connections_open, 0U);
}

TEST(HttpsServer, ListensOnIpv6AndIpv4AtTheSameTime) {
  std::string seen;
  std::unique_ptr<TestServer> made;
  Result<boost::asio::ip::tcp::endpoint> v4 = fail(Errc::unavailable, "not tried");
  // Another program may have the port of the other family: then another port.
  for (int i = 0; i < 5 && !v4; ++i) {
    made = std::make_unique<TestServer>(
        tls_options(),
        [&seen](const HttpRequest& request, const Respond& respond) {
          seen = request.peer.to_string();
          respond({});
        },
        "::1");
    v4 = made->service().on([&] {
      return made->server().listen(
          {boost::asio::ip::address_v4::loopback(), made->endpoint().port()});
    });
  }
  TestServer& server = *made;
  ASSERT_TRUE(v4) << v4.error().text;  // the IPv6 endpoint has not taken the port of IPv4
  const auto context = test::raw_context();

  for (const auto& endpoint : {server.endpoint(), *v4}) {
    RawClient client(endpoint);
    ASSERT_TRUE(client.begin_tls(*context));
    ASSERT_TRUE(client.send(get_request("/")));
    ASSERT_TRUE(client.receive_answer());
    EXPECT_EQ(seen, endpoint.address().to_string());
  }
}

TEST(HttpsServer, SaysWhyItCannotListen) {
  TestServer server(plain_options());

  const auto second =
      server.service().on([&] { return server.server().listen(server.endpoint()); });

  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::io);
}

}  // namespace
}  // namespace allium::control
