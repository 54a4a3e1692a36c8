// SPDX-License-Identifier: Apache-2.0
// What strangers can make the server hold, and for how long.
#include <malloc.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
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

TEST(HttpsServerBounds, Answers413ToABodyAnnouncedTooLargeAndCloses) {
  TestServer server(tls_options());
  RawClient client(server.endpoint());
  const auto context = test::raw_context();
  ASSERT_TRUE(client.begin_tls(*context));

  ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10485761\r\n\r\n"));

  const auto answer = client.receive_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 413);
  EXPECT_EQ(answer->header("Connection"), "close");
  EXPECT_TRUE(client.is_closed_by_server());
  EXPECT_EQ(server.counters().refused_body_size, 1U);
  EXPECT_EQ(server.counters().requests, 0U);
}

TEST(HttpsServerBounds, TakesABodyOfExactlyTheLimit) {
  auto options = plain_options();
  options.body_bytes_max = 1000;
  TestServer server(std::move(options));
  RawClient client(server.endpoint());

  ASSERT_TRUE(client.send(post_request("/", std::string(1000, 'x'))));

  EXPECT_EQ(client.receive_answer().value().body, "POST / 1000");
}

TEST(HttpsServerBounds, Answers413ToChunksBeyondTheLimit) {
  auto options = plain_options();
  options.body_bytes_max = 1000;
  TestServer server(std::move(options));
  RawClient client(server.endpoint());

  ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
  for (int i = 0; i < 3; ++i) {
    client.send("190\r\n" + std::string(0x190, 'x') + "\r\n");
  }

  EXPECT_EQ(client.receive_answer().value().status, 413);
}

TEST(HttpsServerBounds, LetsTheClientSeeItsRefusalWhileItIsStillSending) {
  TestServer server(plain_options());
  RawClient client(server.endpoint());

  ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n"));
  ASSERT_TRUE(client.send(std::string(500'000, 'x')));

  EXPECT_EQ(client.receive_answer().value().status, 413);
}

TEST(HttpsServerBounds, CutsAClientThatSendsOnAfterItsRefusal) {
  TestServer server(plain_options());
  RawClient client(server.endpoint());
  ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n"));

  std::size_t sent_bytes = 0;
  while (sent_bytes < 90'000'000 && client.send(std::string(100'000, 'x'))) {
    sent_bytes += 100'000;
  }

  EXPECT_LT(sent_bytes, 30'000'000U);  // 1 MiB and the kernel's buffers
}

TEST(HttpsServerBounds, Answers431ToAHeaderTooLarge) {
  for (const std::string& header :
       {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(9000, 'x'),
        "GET /" + std::string(9000, 'x'),
        "GET / HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n"}) {
    TestServer server(plain_options());
    RawClient client(server.endpoint());

    ASSERT_TRUE(client.send(header));

    EXPECT_EQ(client.receive_answer().value().status, 431);
    EXPECT_TRUE(client.is_closed_by_server());
    EXPECT_EQ(server.counters().refused_header_size, 1U);
  }
}

TEST(HttpsServerBounds, Answers400ToWhatIsNotHttp) {
  for (const std::string text :
       {"\x16\x03\x01\x02 this is TLS\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    TestServer server(plain_options());
    RawClient client(server.endpoint());

    ASSERT_TRUE(client.send(text));

    EXPECT_EQ(client.receive_answer().value().status, 400) << text;
    EXPECT_EQ(server.counters().refused_malformed, 1U);
  }
}

/// The head of a request for 400,000 bytes, and some of them.
std::string begun_upload(std::size_t bytes) {
  return "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n" + std::string(bytes, 'x');
}

TEST(HttpsServerBounds, BoundsTheArrivingBodiesOfAnAddressAndNotThoseOfOthers) {
  auto options = plain_options();
  options.bodies_bytes_per_address_max = 300'000;
  TestServer server(std::move(options));
  RawClient first(server.endpoint());
  RawClient second(server.endpoint());

  ASSERT_TRUE(first.send(begun_upload(150'000)));
  ASSERT_TRUE(second.send(begun_upload(350'000)));
  EXPECT_EQ(second.receive_answer().value().status, 503);
  EXPECT_EQ(server.counters().refused_bodies_full, 1U);

  RawClient other(server.endpoint(), boost::asio::ip::make_address("127.0.0.2"));
  ASSERT_TRUE(other.send(post_request("/", std::string(250'000, 'x'))));
  EXPECT_EQ(other.receive_answer().value().status, 200);
  second.close();
  RawClient third(server.endpoint());  // the memory of the second is free again
  ASSERT_TRUE(third.send(post_request("/", std::string(30'000, 'x'))));
  EXPECT_EQ(third.receive_answer().value().status, 200);
}

TEST(HttpsServerBounds, ServesOthersWhileBodiesOfOneAddressStall) {
  TestServer server(plain_options());
  std::vector<std::unique_ptr<RawClient>> stalled;
  for (int i = 0; i < 8; ++i) {
    stalled.push_back(std::make_unique<RawClient>(server.endpoint()));
    stalled.back()->send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
    stalled.back()->send(std::string(9'900'000, 'x'));  // or until it is refused
  }

  RawClient other(server.endpoint(), boost::asio::ip::make_address("127.0.0.2"));
  ASSERT_TRUE(other.send(post_request("/", std::string(9'900'000, 'x'))));
  EXPECT_EQ(other.receive_answer().value().status, 200);
}

TEST(HttpsServerBounds, GivesThePlaceOfTheLongestArrivingBodyWhenAllTogetherAreTooMuch) {
  auto options = plain_options();
  options.bodies_bytes_max = 300'000;
  TestServer server(std::move(options));
  RawClient first(server.endpoint());
  ASSERT_TRUE(first.send(begun_upload(150'000)));
  ASSERT_TRUE(
      server.eventually([](const auto& counters) { return counters.connections_open == 1; }));
  RawClient second(server.endpoint());
  ASSERT_TRUE(second.send(post_request("/", std::string(290'000, 'x'))));

  EXPECT_EQ(second.receive_answer().value().status, 200);
  EXPECT_TRUE(first.is_closed_by_server());
  EXPECT_EQ(server.counters().evicted_unfinished, 1U);
}

TEST(HttpsServerBounds, ClosesABodyThatArrivesTooSlowly) {
  auto options = plain_options();
  options.body_window = 50ms;
  TestServer server(std::move(options));
  RawClient small(server.endpoint());
  RawClient large(server.endpoint());

  ASSERT_TRUE(small.send(begun_upload(60'000)));  // which may take its time
  ASSERT_TRUE(large.send(begun_upload(100'000)));
  EXPECT_TRUE(large.is_closed_by_server());
  EXPECT_EQ(server.counters().timeouts_request, 1U);
  EXPECT_EQ(server.counters().connections_open, 1U);
}

TEST(HttpsServerBounds, HoldsNoMuchMoreOfABodyThanHasArrived) {
  auto options = plain_options();
  options.bodies_bytes_per_address_max = 130'000;
  TestServer server(std::move(options));
  RawClient client(server.endpoint());
  // A doubling buffer would hold 160,000 and more for it.
  ASSERT_TRUE(client.send(post_request("/", std::string(100'000, 'x'))));
  EXPECT_EQ(client.receive_answer().value().status, 200);
}

TEST(HttpsServerBounds, ClosesAConnectionThatDoesNotFinishItsHandshake) {
  auto options = tls_options();
  options.handshake_timeout = 30ms;
  TestServer server(std::move(options));
  RawClient client(server.endpoint());

  EXPECT_TRUE(client.is_closed_by_server());
  EXPECT_EQ(server.counters().timeouts_handshake, 1U);
}

TEST(HttpsServerBounds, ClosesAnIdleConnection) {
  auto options = plain_options();
  options.idle_timeout = 30ms;
  TestServer server(std::move(options));
  RawClient client(server.endpoint());

  ASSERT_TRUE(client.send(get_request("/")));
  ASSERT_TRUE(client.receive_answer());

  EXPECT_TRUE(client.is_closed_by_server());
  EXPECT_EQ(server.counters().timeouts_idle, 1U);
}

TEST(HttpsServerBounds, ClosesAClientThatDripsItsRequest) {
  auto options = plain_options();
  options.request_timeout = 100ms;
  TestServer server(std::move(options));
  RawClient client(server.endpoint());
  const std::string request = "GET / HTTP/1.1\r\nX: " + std::string(4000, 'x');

  // Every byte is progress, and none of it counts.
  std::size_t sent_bytes = 0;
  while (sent_bytes < request.size() && server.counters().timeouts_request == 0) {
    if (!client.send(request.substr(sent_bytes++, 1))) {
      break;
    }
  }

  EXPECT_TRUE(client.is_closed_by_server());
  EXPECT_EQ(server.counters().timeouts_request, 1U);
}

TEST(HttpsServerBounds, ClosesAClientThatDoesNotReadItsAnswer) {
  auto options = plain_options();
  options.write_timeout = 50ms;
  TestServer server(std::move(options), [](const HttpRequest& /*request*/, const Respond& respond) {
    respond({200, "application/octet-stream", std::string(30'000'000, 'x'), {}});
  });
  RawClient client(server.endpoint());

  ASSERT_TRUE(client.send(get_request("/")));

  EXPECT_TRUE(server.eventually([](const auto& counters) { return counters.timeouts_write == 1; }));
  EXPECT_EQ(server.counters().connections_open, 0U);
}

TEST(HttpsServerBounds, HandlesNoNewRequestOfAClientThatDoesNotRead) {
  TestServer server(plain_options(), [](const HttpRequest& /*request*/, const Respond& respond) {
    respond({200, "application/octet-stream", std::string(30'000'000, 'x'), {}});
  });
  RawClient client(server.endpoint());

  std::string requests;
  for (int i = 0; i < 100; ++i) {
    requests += get_request("/");
  }
  ASSERT_TRUE(client.send(requests));
  ASSERT_TRUE(server.eventually([](const auto& counters) { return counters.requests >= 1; }));
  RawClient other(
      server.endpoint());  // has gone through the loop many times when it has its answer
  ASSERT_TRUE(other.send(get_request("/")));
  ASSERT_TRUE(other.receive_answer());

  EXPECT_EQ(server.counters().requests, 2U);
}

TEST(HttpsServerBounds, ClosesConnectionsBeyondTheLimitOfAnAddress) {
  auto options = plain_options();
  options.connections_per_address_max = 2;
  TestServer server(std::move(options));
  RawClient first(server.endpoint());
  RawClient second(server.endpoint());
  RawClient third(server.endpoint());

  EXPECT_TRUE(third.is_closed_by_server());
  EXPECT_EQ(server.counters().refused_address_full, 1U);
  first.close();
  ASSERT_TRUE(
      server.eventually([](const auto& counters) { return counters.connections_open == 1; }));
  RawClient fourth(server.endpoint());
  ASSERT_TRUE(fourth.send(get_request("/")));
  EXPECT_TRUE(fourth.receive_answer());
}

TEST(HttpsServerBounds, LetsHundredsOfClientsBehindOneAddressIn) {
  TestServer server(plain_options());
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 300; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.endpoint()));
    ASSERT_TRUE(clients.back()->send(get_request("/")));
    ASSERT_TRUE(clients.back()->receive_answer()) << i;
  }
  EXPECT_EQ(server.counters().connections_open, 300U);
}

TEST(HttpsServerBounds, GivesThePlaceOfTheLongestIdleToANewConnection) {
  auto options = plain_options();
  options.connections_max = 2;
  TestServer server(std::move(options));
  RawClient first(server.endpoint());
  RawClient second(server.endpoint());
  ASSERT_TRUE(second.send(get_request("/")));
  ASSERT_TRUE(second.receive_answer());
  ASSERT_TRUE(first.send(get_request("/")));
  ASSERT_TRUE(first.receive_answer());

  RawClient third(server.endpoint());
  ASSERT_TRUE(third.send(get_request("/")));

  EXPECT_TRUE(third.receive_answer());
  EXPECT_TRUE(second.is_closed_by_server());
  ASSERT_TRUE(first.send(get_request("/")));
  EXPECT_TRUE(first.receive_answer());
  EXPECT_EQ(server.counters().evicted_idle, 1U);
}

TEST(HttpsServerBounds, ClosesANewConnectionWhenAllOthersAreBusy) {
  auto options = plain_options();
  options.connections_max = 1;
  Respond kept;
  TestServer server(std::move(options), [&kept](const HttpRequest& /*request*/, Respond respond) {
    kept = std::move(respond);
  });
  RawClient busy(server.endpoint());
  ASSERT_TRUE(busy.send(get_request("/")));
  ASSERT_TRUE(server.eventually([](const auto& counters) { return counters.requests == 1; }));

  RawClient refused(server.endpoint());

  EXPECT_TRUE(refused.is_closed_by_server());
  EXPECT_EQ(server.counters().refused_all_full, 1U);
  server.service().on([&kept] { kept({}); });
  EXPECT_TRUE(busy.receive_answer());
}

/// A client's first TLS message.
std::string client_hello() {
  const auto context = test::raw_context();
  const std::unique_ptr<SSL, void (*)(SSL*)> client(SSL_new(context.get()), SSL_free);
  SSL_set_bio(client.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_connect(client.get());
  char* bytes = nullptr;
  const long count = BIO_get_mem_data(SSL_get_wbio(client.get()), &bytes);
  return {bytes, static_cast<std::size_t>(count)};
}

TEST(HttpsServerBounds, TakesAHelloThatComesInPieces) {
  TestServer server(tls_options());
  const std::string hello = client_hello();
  RawClient client(server.endpoint());
  for (std::size_t at = 0; at < hello.size(); at += 100) {
    ASSERT_TRUE(client.send(hello.substr(at, 100)));
    // Another one goes through the loop meanwhile, so that the piece is looked at.
    RawClient other(server.endpoint());
    ASSERT_TRUE(other.begin_tls(*test::raw_context()));
  }

  const std::string answer = client.receive();

  ASSERT_FALSE(answer.empty());
  EXPECT_EQ(answer.front(), 22);  // a handshake record: the server's hello
}

TEST(HttpsServerBounds, EndsAHandshakeThatWasBrokenOff) {
  TestServer server(tls_options());
  RawClient client(server.endpoint());
  ASSERT_TRUE(client.send(client_hello().substr(0, 50)));

  ::shutdown(client.descriptor(), SHUT_WR);

  EXPECT_TRUE(client.is_closed_by_server());
  EXPECT_EQ(server.counters().handshakes_failed, 1U);
}

TEST(HttpsServerBounds, EndsAHandshakeThatIsNoTls) {
  TestServer server(tls_options());
  RawClient client(server.endpoint());

  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));

  EXPECT_TRUE(client.is_closed_by_server());
  EXPECT_EQ(server.counters().handshakes_failed, 1U);
}

TEST(HttpsServerBounds, GivesThePlaceOfTheSlowestHandshakeWhenNoneIsIdle) {
  auto options = tls_options();
  options.connections_max = 2;
  TestServer server(std::move(options));
  RawClient slowest(server.endpoint());
  ASSERT_TRUE(server.eventually([](const auto& counters) { return counters.connections == 1; }));
  RawClient slow(server.endpoint());
  ASSERT_TRUE(server.eventually([](const auto& counters) { return counters.connections == 2; }));

  RawClient good(server.endpoint());
  const auto context = test::raw_context();
  ASSERT_TRUE(good.begin_tls(*context));
  ASSERT_TRUE(good.send(get_request("/")));

  EXPECT_TRUE(good.receive_answer());
  EXPECT_TRUE(slowest.is_closed_by_server());
  EXPECT_EQ(server.counters().evicted_unfinished, 1U);
  EXPECT_EQ(server.counters().connections_open, 2U);
}

TEST(HttpsServerBounds, BoundsAllAnswersThatNobodyReads) {
  auto options = plain_options();
  options.answers_bytes_max = 50'000'000;
  TestServer server(std::move(options), [](const HttpRequest& request, const Respond& respond) {
    const std::size_t bytes = request.target == "/big" ? 30'000'000 : 10;
    respond({200, "application/octet-stream", std::string(bytes, 'x'), {}});
  });
  RawClient first(server.endpoint());
  ASSERT_TRUE(first.send(get_request("/big")));
  ASSERT_TRUE(server.eventually([](const auto& counters) { return counters.requests == 1; }));
  RawClient second(server.endpoint());
  ASSERT_TRUE(second.send(get_request("/big")));

  ASSERT_TRUE(server.eventually([](const auto& counters) { return counters.requests == 2; }));

  EXPECT_TRUE(
      server.eventually([](const auto& counters) { return counters.evicted_writing == 1; }));
  EXPECT_EQ(server.counters().connections_open, 1U);
  RawClient good(server.endpoint());
  ASSERT_TRUE(good.send(get_request("/")));
  EXPECT_TRUE(good.receive_answer());
}

// Sanitizers have memory of their own, and ask the kernel through a pipe what is memory at all:
// without descriptors they find faults that are none.
#if !defined(__SANITIZE_ADDRESS__)
TEST(HttpsServerBounds, PausesWhenThereAreNoDescriptors) {
  TestServer server(plain_options());
  RawClient early(server.endpoint());
  ASSERT_TRUE(early.send(get_request("/")));
  ASSERT_TRUE(early.receive_answer());
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int highest = ::dup(early.descriptor());
  ::close(highest);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(highest) + 1;  // room for the client's own socket
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);

  RawClient client(server.endpoint());
  client.send(get_request("/"));
  const bool failed =
      server.eventually([](const auto& counters) { return counters.accept_errors >= 2; });
  const std::uint64_t errors = server.counters().accept_errors;
  setrlimit(RLIMIT_NOFILE, &before);

  EXPECT_TRUE(failed);
  EXPECT_LT(errors, 5U);  // a loop that spins would have thousands
  EXPECT_TRUE(client.receive_answer());
}

std::size_t resident_kib() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word == "VmRSS:") {
      std::size_t kib = 0;
      status >> kib;
      return kib;
    }
  }
  return 0;
}

TEST(HttpsServerBounds, Keeps500SlowClientsUnder64KibEach) {
  constexpr std::size_t kClients = 500;
  auto options = tls_options();
  options.connections_per_address_max = kClients + 1;
  TestServer server(std::move(options));
  const auto context = test::raw_context();
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  std::vector<std::unique_ptr<RawClient>> clients;
  const auto connect = [&] {
    clients.push_back(std::make_unique<RawClient>(server.endpoint()));
    ASSERT_TRUE(clients.back()->begin_tls(*context));
    ASSERT_TRUE(
        clients.back()->send("POST /storage_rpc/v1 HTTP/1.1\r\nX: " + std::string(4000, 'x')));
  };
  connect();         // what is made once
  ::malloc_trim(0);  // or the growth would hide in what earlier tests have left

  const std::size_t before_kib = resident_kib();
  while (clients.size() <= kClients) {
    connect();
  }
  ASSERT_TRUE(server.eventually(
      [](const auto& counters) { return counters.connections_open == kClients + 1; }));
  const std::size_t grown_kib = resident_kib() - before_kib;

  // The clients' half of it is counted in.
  RecordProperty("kib_per_connection", static_cast<int>(grown_kib / kClients));
  EXPECT_GT(grown_kib / kClients, 4U);  // what each has sent at least
  EXPECT_LT(grown_kib / kClients, 64U);
  ASSERT_TRUE(clients.front()->send("\r\n\r\n"));
  EXPECT_TRUE(clients.front()->receive_answer());
}
#endif

}  // namespace
}  // namespace allium::control
