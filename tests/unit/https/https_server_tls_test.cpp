// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include <gtest/gtest.h>
#include <openssl/err.h>

#include "tests/unit/https/test_server.hpp"

namespace allium::control {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using test::get_request;
using test::raw_context;
using test::RawClient;
using test::TestServer;
using test::tls_options;

using Session = std::shared_ptr<SSL_SESSION>;

/// One request; the session afterwards, which is when the ticket of TLS 1.3 has come.
Session visit(TestServer& server, SSL_CTX& context, const Session& offered, bool& resumed) {
  RawClient client(server.endpoint());
  EXPECT_TRUE(client.begin_tls(context, offered.get()));
  EXPECT_TRUE(client.send(get_request("/")));
  EXPECT_TRUE(client.receive_answer());
  resumed = SSL_session_reused(client.tls()) == 1;
  Session session(SSL_get1_session(client.tls()), SSL_SESSION_free);
  SSL_shutdown(client.tls());
  return session;
}

class HttpsServerTls : public testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(Versions, HttpsServerTls, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& suite) {
                           return suite.param == TLS1_2_VERSION ? "tls12" : "tls13";
                         });

TEST_P(HttpsServerTls, ResumesASession) {
  TestServer server(tls_options());
  const auto context = raw_context(GetParam(), GetParam());
  bool resumed = true;

  const Session first = visit(server, *context, nullptr, resumed);
  EXPECT_FALSE(resumed);
  const Session second = visit(server, *context, first, resumed);
  EXPECT_TRUE(resumed);
  visit(server, *context, second, resumed);
  EXPECT_TRUE(resumed);

  EXPECT_EQ(server.counters().handshakes, 3U);
  EXPECT_EQ(server.counters().handshakes_resumed, 2U);
}

TEST_P(HttpsServerTls, ForgetsSessionsWithItsTicketKeys) {
  auto options = tls_options();
  options.ticket_key_lifetime = 0s;  // new ones at every sweep
  options.sweep_interval = 1ms;
  TestServer server(std::move(options));
  const auto context = raw_context(GetParam(), GetParam());
  bool resumed = true;
  const Session session = visit(server, *context, nullptr, resumed);

  for (int i = 0; i < 500 && resumed; ++i) {
    visit(server, *context, session, resumed);
  }

  EXPECT_FALSE(resumed);
}

TEST_P(HttpsServerTls, PrefersAes128OverEcdheWithEcdsa) {
  TestServer server(tls_options());
  const auto context = raw_context(GetParam(), GetParam());
  RawClient client(server.endpoint());

  ASSERT_TRUE(client.begin_tls(*context));

  const std::string suite = SSL_get_cipher_name(client.tls());
  EXPECT_EQ(suite, GetParam() == TLS1_2_VERSION ? "ECDHE-ECDSA-AES128-GCM-SHA256"
                                                : "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(SSL_get_negotiated_group(client.tls()), NID_X25519);
  EXPECT_EQ(EVP_PKEY_get_id(X509_get0_pubkey(SSL_get0_peer_certificate(client.tls()))),
            EVP_PKEY_EC);
}

TEST_P(HttpsServerTls, TakesChachaFromClientsThatPreferIt) {
  TestServer server(tls_options());
  const auto context = raw_context(GetParam(), GetParam());
  SSL_CTX_set_cipher_list(context.get(),
                          "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256");
  SSL_CTX_set_ciphersuites(context.get(), "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256");
  RawClient client(server.endpoint());

  ASSERT_TRUE(client.begin_tls(*context));

  EXPECT_NE(std::string(SSL_get_cipher_name(client.tls())).find("CHACHA20"), std::string::npos);
}

TEST(HttpsServerTlsRules, TakesP256FromClientsWithoutX25519) {
  TestServer server(tls_options());
  const auto context = raw_context();
  SSL_CTX_set1_groups_list(context.get(), "P-256");
  RawClient client(server.endpoint());

  ASSERT_TRUE(client.begin_tls(*context));

  EXPECT_EQ(SSL_get_negotiated_group(client.tls()), NID_X9_62_prime256v1);
}

TEST(HttpsServerTlsRules, RefusesTls11) {
  TestServer server(tls_options());
  const auto context = raw_context(TLS1_1_VERSION, TLS1_1_VERSION);
  SSL_CTX_set_security_level(context.get(), 0);  // or OpenSSL itself would not offer it
  RawClient client(server.endpoint());

  ERR_clear_error();
  EXPECT_FALSE(client.begin_tls(*context));

  EXPECT_EQ(ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
  EXPECT_TRUE(
      server.eventually([](const auto& counters) { return counters.handshakes_failed == 1; }));
}

TEST(HttpsServerTlsRules, RefusesClientsThatTakeRsaOnly) {
  TestServer server(tls_options());
  const auto by_suite = raw_context(TLS1_2_VERSION, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(by_suite.get(), "ECDHE-RSA-AES128-GCM-SHA256:AES128-GCM-SHA256");
  const auto by_signature = raw_context();
  SSL_CTX_set1_sigalgs_list(by_signature.get(), "RSA-PSS+SHA256:RSA+SHA256");

  for (SSL_CTX* context : {by_suite.get(), by_signature.get()}) {
    RawClient client(server.endpoint());
    EXPECT_FALSE(client.begin_tls(*context));
  }
  EXPECT_TRUE(
      server.eventually([](const auto& counters) { return counters.handshakes_failed == 2; }));
}

TEST(HttpsServerTlsRules, RefusesRenegotiation) {
  TestServer server(tls_options());
  const auto context = raw_context(TLS1_2_VERSION, TLS1_2_VERSION);
  RawClient client(server.endpoint());
  ASSERT_TRUE(client.begin_tls(*context));

  SSL_renegotiate(client.tls());
  ERR_clear_error();
  EXPECT_NE(SSL_do_handshake(client.tls()), 1);

  EXPECT_EQ(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
}

TEST(HttpsServerTlsRules, ClosesOnPlainText) {
  TestServer server(tls_options());
  RawClient client(server.endpoint());

  client.send(get_request("/"));

  EXPECT_TRUE(client.is_closed_by_server());
  EXPECT_EQ(server.counters().handshakes_failed, 1U);
}

}  // namespace
}  // namespace allium::control
