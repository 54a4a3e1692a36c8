// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/https_client.hpp"

#include <atomic>
#include <functional>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/https/raw_server.hpp"
#include "tests/unit/https/test_server.hpp"

namespace allium::control {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using test::plain_options;
using test::RawPeer;
using test::RawServer;
using test::TestServer;
using test::tls_options;

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

class HttpsClientTest : public testing::Test {
 protected:
  explicit HttpsClientTest(ClientOptions options = {}) { remake(std::move(options)); }

  void remake(ClientOptions options) {
    client_.reset();
    client_.emplace(HttpsClient::create(io_, std::move(options)).value());
  }

  /// The answer to one post; the service runs until it is there.
  Result<HttpResponse> post(const Url& url, std::string body = "body",
                            const HttpHeaders& headers = {},
                            std::chrono::milliseconds timeout = 5s) {
    return answer_of([&](HttpsClient::Callback done) {
      client_->post(url, headers, std::move(body), timeout, std::move(done));
    });
  }

  Result<HttpResponse> get(const Url& url) {
    return answer_of([&](HttpsClient::Callback done) { client_->get(url, 5s, std::move(done)); });
  }

  Result<HttpResponse> answer_of(const std::function<void(HttpsClient::Callback)>& send) {
    std::optional<Result<HttpResponse>> answer;
    send([&answer](Result<HttpResponse> result) {
      EXPECT_FALSE(answer);
      answer = std::move(result);
    });
    EXPECT_FALSE(answer);
    io_.restart();
    while (!answer && io_.run_one() > 0) {
    }
    return answer ? std::move(*answer) : fail(Errc::internal, "no callback");
  }

  boost::asio::io_context io_{1};
  std::optional<HttpsClient> client_;
};

Url url_of(const TestServer& server, const char* scheme) {
  return {scheme, server.endpoint().address().to_string(), server.endpoint().port(), "/a?b"};
}

Url url_of(const RawServer& server) {
  return {"http", "127.0.0.1", server.port(), "/"};
}

TEST_F(HttpsClientTest, PostsAndReusesItsConnection) {
  for (const char* scheme : {"https", "http"}) {
    remake({.user_agent = "Oxen Storage Server/2.8.0"});
    HttpRequest seen;
    TestServer server(scheme == std::string("https") ? tls_options() : plain_options(),
                      [&seen](HttpRequest request, const Respond& respond) {
                        seen = std::move(request);
                        respond({404, "text/plain", "none", {{"X-Extra", "1"}}});
                      });

    for (int i = 0; i < 3; ++i) {
      const auto answer =
          post(url_of(server, scheme), std::string(100'000, 'x'), {{"X-Mine", "2"}});

      ASSERT_TRUE(answer) << answer.error().text;
      EXPECT_EQ(answer->status, 404U);
      EXPECT_EQ(answer->content_type, "text/plain");
      EXPECT_EQ(answer->body, "none");
      EXPECT_EQ(header_of(answer->headers, "x-extra"), "1");
    }
    EXPECT_EQ(seen.method, "POST");
    EXPECT_EQ(seen.target, "/a?b");
    EXPECT_EQ(seen.host(), "127.0.0.1:" + std::to_string(server.endpoint().port()));
    EXPECT_EQ(seen.header("User-Agent"), "Oxen Storage Server/2.8.0");
    EXPECT_EQ(seen.header("X-Mine"), "2");
    EXPECT_EQ(seen.body.size(), 100'000U);
    EXPECT_EQ(client_->counters().connections, 1U);
    EXPECT_EQ(client_->counters().reuses, 2U);
    EXPECT_EQ(client_->idle_connections(), 1U);
    client_.reset();
  }
}

TEST_F(HttpsClientTest, ResumesItsTlsSession) {
  auto options = tls_options();
  options.idle_timeout = 1ms;  // so that each post needs a connection of its own
  TestServer server(std::move(options));

  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(post(url_of(server, "https")));
    ASSERT_TRUE(
        server.eventually([](const auto& counters) { return counters.connections_open == 0; }));
  }

  EXPECT_EQ(client_->counters().handshakes, 3U);
  EXPECT_EQ(client_->counters().handshakes_resumed, 2U);
  EXPECT_EQ(server.counters().handshakes_resumed, 2U);
}

TEST_F(HttpsClientTest, NoticesThatTheServerHasClosedAKeptConnection) {
  TestServer server(plain_options());
  ASSERT_TRUE(post(url_of(server, "http")));
  ASSERT_EQ(client_->idle_connections(), 1U);

  server.service().on([&server] { server.server().stop(); });
  io_.restart();
  while (client_->idle_connections() > 0 && io_.run_one() > 0) {
  }

  EXPECT_EQ(client_->idle_connections(), 0U);
}

TEST_F(HttpsClientTest, RepeatsAGetThatMetADyingKeptConnection) {
  RawServer server({[](RawPeer& peer) {
                      peer.receive_request();
                      peer.send(kOk);
                      peer.receive_request();  // and closes
                    },
                    [](RawPeer& peer) {
                      EXPECT_TRUE(peer.receive_request().starts_with("GET /"));
                      peer.send(kOk);
                    }});

  ASSERT_TRUE(get(url_of(server)));
  const auto answer = get(url_of(server));

  ASSERT_TRUE(answer) << answer.error().text;
  EXPECT_EQ(answer->body, "ok");
  EXPECT_EQ(client_->counters().retries, 1U);
  EXPECT_EQ(client_->counters().connections, 2U);
}

// The server may have done what it says before it went.
TEST_F(HttpsClientTest, SendsAPostOnceAlsoWhenTheKeptConnectionDies) {
  std::atomic<int> seconds = 0;
  RawServer server({[&seconds](RawPeer& peer) {
                      peer.receive_request();
                      peer.send(kOk);
                      seconds += peer.receive_request().ends_with("second") ? 1 : 0;  // and closes
                    },
                    [&seconds](RawPeer& peer) {
                      seconds += peer.receive_request().ends_with("second") ? 1 : 0;
                      peer.send(kOk);
                    }});

  ASSERT_TRUE(post(url_of(server), "first"));
  const auto answer = post(url_of(server), "second");

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::unavailable);
  EXPECT_EQ(client_->counters().retries, 0U);
  EXPECT_TRUE(post(url_of(server), "third"));
  EXPECT_EQ(seconds, 1);
}

TEST_F(HttpsClientTest, DoesNotRepeatARequestOnceAnAnswerHasBegun) {
  RawServer server({[](RawPeer& peer) {
    peer.receive_request();
    peer.send(kOk);
    peer.receive_request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Le");
  }});

  ASSERT_TRUE(post(url_of(server), "first"));
  const auto answer = post(url_of(server), "second");

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::unavailable);
  EXPECT_EQ(client_->counters().retries, 0U);
}

TEST_F(HttpsClientTest, DoesNotRepeatARequestOnANewConnection) {
  RawServer server({[](RawPeer& peer) { peer.receive_request(); }});

  const auto answer = post(url_of(server));

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::unavailable);
  EXPECT_EQ(client_->counters().connections, 1U);
}

TEST_F(HttpsClientTest, GivesUpOnAServerThatNeverAnswers) {
  RawServer server({[](RawPeer& peer) { peer.await_end(); }});

  const auto answer = post(url_of(server), "body", {}, 50ms);

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::timeout);
  EXPECT_EQ(client_->counters().timeouts, 1U);
}

TEST_F(HttpsClientTest, GivesUpOnAServerThatNeverShakesHands) {
  RawServer server({[](RawPeer& peer) { peer.await_end(); }});
  Url url = url_of(server);
  url.scheme = "https";

  const auto answer = post(url, "body", {}, 50ms);

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::timeout);
}

TEST_F(HttpsClientTest, SaysThatItCannotConnect) {
  std::uint16_t port = 0;
  {
    RawServer gone({});
    port = gone.port();
  }

  const auto answer = post({"https", "127.0.0.1", port, "/"});

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::unavailable);
  EXPECT_EQ(answer.error().text,
            "Failed to connect to 127.0.0.1 port " + std::to_string(port) + ": Connection refused");
}

TEST_F(HttpsClientTest, ResolvesNames) {
  TestServer server(plain_options());
  Url url = url_of(server, "http");
  url.host = "localhost";

  const auto answer = post(url);

  ASSERT_TRUE(answer) << answer.error().text;
  EXPECT_EQ(answer->status, 200U);
}

TEST(Url, IsReadOrRefused) {
  const auto url = parse_url("http://10.88.0.1:22023/network");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->scheme, "http");
  EXPECT_EQ(url->host, "10.88.0.1");
  EXPECT_EQ(url->port, 22023);
  EXPECT_EQ(url->target, "/network");
  EXPECT_EQ(parse_url("https://example.org")->port, 443);
  EXPECT_EQ(parse_url("http://example.org/")->port, 80);
  EXPECT_EQ(parse_url("https://example.org")->target, "/");
  EXPECT_EQ(parse_url("https://[fd88::1]:5/x?y=1")->host, "fd88::1");
  EXPECT_EQ(parse_url("https://[fd88::1]:5/x?y=1")->target, "/x?y=1");
  for (const char* const text :
       {"", "http", "ftp://x/", "http://", "http:///x", "http://x:0/", "http://x:65536/",
        "http://x:1a/", "http://[::1/", "http://user@x/", "http://a b/", "http://x/a b"}) {
    EXPECT_FALSE(parse_url(text)) << text;
  }
}

TEST_F(HttpsClientTest, ConnectsToNoAddressThatIsNotAllowedWhateverItsName) {
  ClientOptions options;
  options.may_connect = [](const boost::asio::ip::address& address) {
    return !address.is_loopback();
  };
  remake(options);
  TestServer server(plain_options());
  Url url = url_of(server, "http");
  for (const char* const host : {"127.0.0.1", "localhost", "::1"}) {
    url.host = host;
    const auto answer = post(url);
    ASSERT_FALSE(answer) << host;
    EXPECT_EQ(answer.error().code, Errc::refused) << answer.error().text;
  }
}

TEST_F(HttpsClientTest, RefusesASelfSignedCertificateWhereItIsToVerify) {
  TestServer server(tls_options());
  Url url = url_of(server, "https");
  ASSERT_TRUE(post(url));
  url.trust = Trust::system_roots;

  const auto answer = post(url);

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::unavailable);
  EXPECT_NE(answer.error().text.find("certificate: self"), std::string::npos)
      << answer.error().text;
}

TEST_F(HttpsClientTest, BoundsTheAnswer) {
  remake({.user_agent = {}, .answer_header_bytes_max = 1000, .answer_body_bytes_max = 1000});
  for (const std::string& text : {std::string("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"),
                                  "HTTP/1.1 200 OK\r\n\r\n" + std::string(1001, 'x'),
                                  "HTTP/1.1 200 OK\r\nX: " + std::string(1001, 'x')}) {
    RawServer server({[&text](RawPeer& peer) {
      peer.receive_request();
      peer.send(text);
    }});

    const auto answer = post(url_of(server));

    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::out_of_range) << answer.error().text;
  }
}

TEST_F(HttpsClientTest, BoundsAllAnswersTogether) {
  ClientOptions options;
  options.answers_bytes_max = 10'000;
  remake(options);
  const auto half = [](RawPeer& peer) {
    peer.receive_request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + std::string(6'000, 'x'));
    peer.await_end();
  };
  RawServer first({half});
  RawServer second({half});
  std::vector<Errc> failures;
  for (const RawServer* server : {&first, &second}) {
    client_->post(url_of(*server), {}, "", 500ms, [&](const Result<HttpResponse>& result) {
      ASSERT_FALSE(result);
      failures.push_back(result.error().code);
    });
  }
  while (failures.size() < 2 && io_.run_one() > 0) {
  }
  EXPECT_EQ(failures, (std::vector<Errc>{Errc::full, Errc::timeout}));

  RawServer whole({[](RawPeer& peer) {
    peer.receive_request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + std::string(9'000, 'x'));
  }});
  EXPECT_TRUE(post(url_of(whole))) << "there is room again";
}

TEST_F(HttpsClientTest, TakesAnswersThatEndWithTheConnectionAndInterimOnes) {
  RawServer server({[](RawPeer& peer) {
    peer.receive_request();
    peer.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n\r\nall");
  }});

  const auto answer = post(url_of(server));

  ASSERT_TRUE(answer) << answer.error().text;
  EXPECT_EQ(answer->status, 201U);
  EXPECT_EQ(answer->body, "all");
  EXPECT_EQ(client_->idle_connections(), 0U);
}

TEST_F(HttpsClientTest, RefusesInterimAnswersWithoutEnd) {
  RawServer server({[](RawPeer& peer) {
    peer.receive_request();
    std::string interim;
    for (int i = 0; i < 17; ++i) {
      interim += "HTTP/1.1 100 Continue\r\n\r\n";
    }
    peer.send(interim + "HTTP/1.1 201 Created\r\n\r\n");
  }});

  const auto answer = post(url_of(server));

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::malformed);
}

TEST_F(HttpsClientTest, LeavesTheLoopToOthersWhileAServerSends) {
  RawServer server({[](RawPeer& peer) {
    peer.receive_request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + std::string(9'000'000, 'x'));
  }});
  bool is_over = false;
  client_->post(url_of(server), {}, "", 10s, [&](const Result<HttpResponse>& result) {
    EXPECT_TRUE(result);
    is_over = true;
  });
  std::size_t turns = 0;
  while (!is_over && io_.run_one() > 0) {
    ++turns;
  }
  EXPECT_GE(turns, 9'000'000U / (17 * 64 * 1024));
}

TEST_F(HttpsClientTest, RefusesWhatIsNotHttp) {
  RawServer server({[](RawPeer& peer) {
    peer.receive_request();
    peer.send("SSH-2.0-OpenSSH\r\n");
  }});

  const auto answer = post(url_of(server));

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::malformed);
}

TEST_F(HttpsClientTest, SendsNothingForUrlsAndHeadersThatWouldBreakTheRequest) {
  const Url good{"http", "127.0.0.1", 1, "/"};
  const std::vector<std::pair<Url, HttpHeaders>> broken = {
      {{"ftp", good.host, 1, "/"}, {}},
      {{"http", "", 1, "/"}, {}},
      {{"http", "a\r\nX: b", 1, "/"}, {}},
      {{"http", "user@host", 1, "/"}, {}},
      {{"http", good.host, 0, "/"}, {}},
      {{"http", good.host, 1, ""}, {}},
      {{"http", good.host, 1, "no/slash"}, {}},
      {{"http", good.host, 1, "/loki/ HTTP/1.1\r\nHost: other\r\n\r\nGET /lsrpc"}, {}},
      {good, {{"X", "a\r\nb: c"}}},
      {good, {{"X\r\n", "a"}}},
      {good, {{"content-length", "5"}}}};

  for (const auto& [url, headers] : broken) {
    const auto answer = post(url, "body", headers);

    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::malformed) << url.host << url.target;
  }
  EXPECT_EQ(client_->counters().requests, 0U);
}

TEST_F(HttpsClientTest, KeepsAFewConnectionsOfAHostAndRefusesTooManyRequests) {
  remake({.user_agent = {}, .requests_per_host_max = 6, .idle_per_host_max = 2});
  TestServer server(plain_options());
  int answered = 0;
  int refused = 0;

  for (int i = 0; i < 8; ++i) {
    client_->post(url_of(server, "http"), {}, "", 5s, [&](const Result<HttpResponse>& result) {
      ++(result ? answered : refused);
      EXPECT_TRUE(result || result.error().code == Errc::full);
    });
  }
  while (answered + refused < 8 && io_.run_one() > 0) {
  }

  EXPECT_EQ(answered, 6);
  EXPECT_EQ(refused, 2);
  EXPECT_EQ(client_->idle_connections(), 2U);
}

TEST_F(HttpsClientTest, ClosesKeptConnectionsAfterAWhile) {
  remake({.user_agent = {}, .idle_timeout = 10ms});
  TestServer server(tls_options());
  ASSERT_TRUE(post(url_of(server, "https")));

  while (client_->idle_connections() > 0 && io_.run_one() > 0) {
  }

  EXPECT_TRUE(
      server.eventually([](const auto& counters) { return counters.connections_open == 0; }));
}

TEST_F(HttpsClientTest, CallsNobodyAfterStop) {
  RawServer server({[](RawPeer& peer) { peer.await_end(); }});
  bool called = false;
  client_->post(url_of(server), {}, "", 5s, [&called](const auto& /*result*/) { called = true; });
  while (client_->counters().connections == 0 && io_.run_one() > 0) {
  }

  client_->stop();
  io_.run();

  EXPECT_FALSE(called);
}

TEST_F(HttpsClientTest, MayBeDestroyedWithinACallback) {
  TestServer server(plain_options());
  bool called = false;
  client_->post(url_of(server, "http"), {}, "", 5s, [this, &called](const auto& /*result*/) {
    called = true;
    client_.reset();
  });

  io_.run();

  EXPECT_TRUE(called);
}

}  // namespace
}  // namespace allium::control
