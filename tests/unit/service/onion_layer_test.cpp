// SPDX-License-Identifier: Apache-2.0
#include "control/service/onion_layer.hpp"

#include <gtest/gtest.h>

#include "control/service/bt.hpp"

namespace allium::control {
namespace {

const std::string kKey(64, 'a');

std::string frame(std::string_view blob, std::string_view json) {
  std::string text;
  for (unsigned shift = 0; shift < 32; shift += 8) {
    text += static_cast<char>(blob.size() >> shift & 0xff);
  }
  return text.append(blob).append(json);
}

std::string control(const std::string& more = "") {
  return R"({"ephemeral_key":")" + kKey + "\"" + more + "}";
}

TEST(ClientEnvelope, HasBlobKeyAndDefaults) {
  const OnionEnvelope envelope = parse_client_envelope(frame("blob", control())).value();
  EXPECT_EQ(envelope.blob, "blob");
  EXPECT_EQ(envelope.client[0], 0xaa);
  EXPECT_EQ(envelope.type, EncryptType::aes_gcm);
  EXPECT_EQ(envelope.hop, 0);
}

TEST(ClientEnvelope, SaysWhichTypeAndHop) {
  const auto envelope =
      parse_client_envelope(frame("", control(R"(,"enc_type":"xchacha20","hop_no":3,"x":[1])")));
  EXPECT_EQ(envelope->type, EncryptType::xchacha20);
  EXPECT_EQ(envelope->hop, 3);
  EXPECT_EQ(parse_client_envelope(frame("", control(R"(,"hop_no":-9)")))->hop, 0);
}

TEST(ClientEnvelope, RefusesBadFramesInTheWordsOfThePeers) {
  EXPECT_EQ(parse_client_envelope("abc").error().text,
            "Unexpected payload size; expected ciphertext size");
  EXPECT_EQ(parse_client_envelope(std::string("\5\0\0\0abc", 7)).error().text,
            "Unexpected payload size 3, expected >= 5");
  for (const std::string& text :
       {frame("b", ""), frame("b", "{"), frame("b", "[]"), frame("b", "{}"),
        frame("b", R"({"ephemeral_key":"aa"})"), frame("b", R"({"ephemeral_key":7})"),
        frame("b", control(R"(,"enc_type":"rot13")")), frame("b", control(R"(,"enc_type":1)")),
        std::string("\xff\xff\xff\xff{}", 6),
        frame("b", control(",\"x\":\"" + std::string(kLayerJsonBytesMax, 'x') + "\""))}) {
    const auto envelope = parse_client_envelope(text);
    ASSERT_FALSE(envelope) << text.substr(0, 80);
    EXPECT_EQ(envelope.error().code, Errc::malformed);
  }
}

TEST(NodeEnvelope, GoesRound) {
  OnionEnvelope envelope;
  envelope.blob = std::string("\0\1\2", 3);
  envelope.client.fill(0xcd);
  envelope.type = EncryptType::xchacha20;
  envelope.hop = 15;
  const std::string text = serialise_node_envelope(envelope);
  EXPECT_EQ(text.substr(0, 12), std::string("d4:data3:\0\1\2", 12));
  const OnionEnvelope again = parse_node_envelope(text).value();
  EXPECT_EQ(again.blob, envelope.blob);
  EXPECT_EQ(again.client, envelope.client);
  EXPECT_EQ(again.type, envelope.type);
  EXPECT_EQ(again.hop, envelope.hop);
  envelope.hop = 99;
  EXPECT_EQ(parse_node_envelope(serialise_node_envelope(envelope))->hop, kHopsMax + 1);
}

TEST(OnionLayer, WithHeadersIsForUs) {
  const auto layer =
      parse_onion_layer(frame("{}", R"({"headers":"","json":true,"base64":false})"), 0);
  const auto& ours = std::get<OnionForUs>(layer.value());
  EXPECT_EQ(ours.request, "{}");
  EXPECT_TRUE(ours.body_as_json);
  EXPECT_FALSE(ours.answer_as_base64);
  const auto plain = parse_onion_layer(frame("x", R"({"body":null,"headers":{}})"), 0);
  EXPECT_FALSE(std::get<OnionForUs>(plain.value()).body_as_json);
  EXPECT_TRUE(std::get<OnionForUs>(plain.value()).answer_as_base64);
}

TEST(OnionLayer, WithADestinationIsForANodeOneHopFurther) {
  const auto layer = parse_onion_layer(
      frame("b", control(R"(,"destination":")" + std::string(64, 'b') + "\"")), 4);
  const auto& node = std::get<OnionForNode>(layer.value());
  EXPECT_EQ(node.next[31], 0xbb);
  EXPECT_EQ(node.envelope.hop, 5);
  const auto one_too_many = parse_onion_layer(
      frame("b", control(R"(,"destination":")" + std::string(64, 'b') + "\"")), kHopsMax);
  EXPECT_EQ(std::get<OnionForNode>(one_too_many.value()).envelope.hop, kHopsMax + 1);
}

TEST(OnionLayer, WithAHostIsForAServerThatGetsItWhole) {
  const std::string text = frame("b", R"({"host":"example.org","target":"/oxen/v4/lsrpc"})");
  const auto layer = parse_onion_layer(text, 0);
  const auto& server = std::get<OnionForServer>(layer.value());
  EXPECT_EQ(server.scheme, "https");
  EXPECT_EQ(server.port, 443);
  EXPECT_EQ(server.layer, text);
  EXPECT_TRUE(is_server_allowed(server));
}

TEST(OnionLayer, RefusesWrongTypes) {
  for (const std::string_view json :
       {R"({"headers":{},"json":1})", R"({"headers":{},"base64":"no"})",
        R"({"host":1,"target":"/"})", R"({"host":"h"})", R"({"host":"h","target":"/","port":0})",
        R"({"host":"h","target":"/","port":65536})", R"({"host":"h","target":"/","port":"443"})",
        R"({"host":"h","target":"/","protocol":7})", R"({})", R"({"destination":"zz"})"}) {
    EXPECT_FALSE(parse_onion_layer(frame("b", json), 0)) << json;
  }
}

TEST(Exit, PostsToLsrpcOnly) {
  OnionForServer server{"https", "example.org", 443, "/loki/v3/lsrpc", ""};
  EXPECT_TRUE(is_server_allowed(server));
  for (const std::string_view target :
       {"/loki/v3/lsrpc?x", "/v3/lsrpc", "/loki/v3", "loki/v3/lsrpc", "", "/oxen/\r\nX: y/lsrpc",
        "/oxen/a b/lsrpc"}) {
    server.target = target;
    EXPECT_FALSE(is_server_allowed(server)) << target;
  }
  server.target = "/oxen/v4/lsrpc";
  server.host = "sogs_1.example.org";
  EXPECT_TRUE(is_server_allowed(server));
  server.scheme = "ftp";
  EXPECT_FALSE(is_server_allowed(server));
  server.scheme = "http";
  for (const std::string_view host : {"", "a/b", "a b", "a@b", "a\r\nb", "a?b"}) {
    server.host = host;
    EXPECT_FALSE(is_server_allowed(server)) << host;
  }
}

}  // namespace
}  // namespace allium::control
