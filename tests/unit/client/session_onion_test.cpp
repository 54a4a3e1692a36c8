// SPDX-License-Identifier: Apache-2.0

// What the client builds, opened as service nodes open it: by the parsers and keys of control/service.

#include "tools/client/session_onion.hpp"

#include <array>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "control/service/encoding.hpp"
#include "control/service/onion_layer.hpp"
#include "crypto_accel/primitives.hpp"

namespace allium::client {
namespace {

using control::Channel;
using control::EncryptType;
using control::IdentitySecret;
using control::OnionEnvelope;

const std::string kRequest = R"({"method":"info","params":{}})";

crypto_accel::PublicKey key(std::string_view hex) {
  return control::array_of<32>(control::from_hex(hex).value()).value();
}

std::vector<IdentitySecret> nodes(std::size_t count) {
  std::vector<IdentitySecret> made;
  for (std::size_t i = 0; i < count; ++i) {
    made.push_back(IdentitySecret::generate(system_random()));
  }
  return made;
}

std::vector<SessionHop> path_of(const std::vector<IdentitySecret>& nodes) {
  std::vector<SessionHop> path;
  for (const IdentitySecret& node : nodes) {
    path.push_back(session_hop(node.public_key()).value());
  }
  return path;
}

Channel channel_of(const Secret<32>& secret, const crypto_accel::PublicKey& client) {
  Channel channel;
  channel.client = client;
  channel.node = crypto_accel::x25519_public(secret);
  EXPECT_TRUE(crypto_accel::x25519(secret, client, channel.shared.bytes()));
  return channel;
}

std::string answer_of(const Channel& end, EncryptType type, std::string_view inner) {
  return control::to_base64(control::bytes_of(control::seal(end, type, inner, system_random())));
}

class EveryType : public testing::TestWithParam<EncryptType> {};

TEST_P(EveryType, IsOpenedByEachNodeOfThePathAndAnsweredByTheLast) {
  const std::vector<IdentitySecret> keys = nodes(4);
  const SessionOnion onion =
      build_session_onion(path_of(keys), kRequest, GetParam(), system_random()).value();
  OnionEnvelope envelope = control::parse_client_envelope(onion.body).value();

  for (std::size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(envelope.type, GetParam());
    EXPECT_EQ(envelope.hop, static_cast<int>(i));
    const Channel channel = channel_of(keys[i].x25519_secret(), envelope.client);
    const auto plain = control::open(channel, envelope.type, envelope.blob);
    ASSERT_TRUE(plain) << "node " << i;
    auto layer = control::parse_onion_layer(*plain, envelope.hop).value();
    if (auto* next = std::get_if<control::OnionForNode>(&layer)) {
      ASSERT_LT(i + 1, keys.size());
      EXPECT_EQ(next->next, keys[i + 1].public_key());
      envelope = std::move(next->envelope);
      continue;
    }
    ASSERT_EQ(i + 1, keys.size());
    const auto& ours = std::get<control::OnionForUs>(layer);
    EXPECT_EQ(ours.request, kRequest);
    EXPECT_FALSE(ours.body_as_json);
    EXPECT_TRUE(ours.answer_as_base64);
    const auto answer = open_session_answer(
        onion, answer_of(channel, GetParam(), R"({"status":421,"body":"{\"snodes\":[]}"})"));
    ASSERT_TRUE(answer) << answer.error().text;
    EXPECT_EQ(answer->status, 421);
    EXPECT_EQ(answer->body, R"({"snodes":[]})");
  }
}

INSTANTIATE_TEST_SUITE_P(Types, EveryType,
                         testing::Values(EncryptType::aes_gcm, EncryptType::xchacha20,
                                         EncryptType::aes_cbc));

TEST(SessionOnion, MayHaveOneNodeOrAsManyAsNodesHandOn) {
  for (const std::size_t count : {std::size_t{1}, kSessionHopsMax}) {
    EXPECT_TRUE(build_session_onion(path_of(nodes(count)), kRequest, EncryptType::aes_gcm,
                                    system_random()));
  }
}

TEST(SessionOnion, HasOtherKeysInEveryLayerAndRequest) {
  const std::vector<SessionHop> path = path_of(nodes(2));
  const auto build = [&] {
    return build_session_onion(path, kRequest, EncryptType::xchacha20, system_random()).value();
  };
  const SessionOnion first = build();
  const SessionOnion second = build();
  const auto outer = control::parse_client_envelope(first.body).value().client;
  EXPECT_NE(outer, first.end.client);
  EXPECT_NE(outer, control::parse_client_envelope(second.body).value().client);
  EXPECT_NE(first.end.client, second.end.client);
}

TEST(SessionOnion, RefusesWhatNoNodeTakes) {
  const std::vector<SessionHop> path = path_of(nodes(1));
  const auto build = [](std::span<const SessionHop> hops, std::string_view request) {
    return build_session_onion(hops, request, EncryptType::aes_gcm, system_random());
  };
  EXPECT_EQ(build({}, kRequest).error().code, Errc::out_of_range);
  EXPECT_EQ(build(std::vector<SessionHop>(kSessionHopsMax + 1, path[0]), kRequest).error().code,
            Errc::out_of_range);
  const std::string large(kSessionBodyBytesMax, 'x');
  EXPECT_EQ(build(path, large).error().code, Errc::out_of_range);
  EXPECT_EQ(build(path, large + "x").error().code, Errc::out_of_range);
  EXPECT_TRUE(build(path, std::string(kSessionBodyBytesMax - 1000, 'x')));
  const SessionHop weak{path[0].ed25519, {}};
  EXPECT_EQ(build(std::array{weak}, kRequest).error().code, Errc::malformed);
  EXPECT_EQ(session_hop({1}).error().code, Errc::malformed);
}

// The pair and the ciphertexts of libsession's tests.
SessionOnion vector_onion(EncryptType type) {
  SessionOnion onion;
  onion.type = type;
  onion.end.client = key("bbdfc83022d0aff084a6f0c529a93d1c4d728bf7e41199afed0e01ae70d20540");
  onion.end.node = key("caea52c5b0c316d85ffb53ea536826618b13dee40685f166f632653114526a78");
  const Secret<32> secret(key("ccc335912da8939e2b44816728a5a4773063efa82bf7ae2d42a0abfa2caa452d"));
  EXPECT_TRUE(crypto_accel::x25519(secret, onion.end.node, onion.end.shared.bytes()));
  return onion;
}

TEST(SessionAnswer, OpensTheVectorsAndSeesThatTheyAreNoAnswers) {
  for (const auto& [type, hex] :
       {std::pair(EncryptType::aes_gcm,
                  "1eb6ae1cd72f60999486365749bd5dc15cc0b6a2a44d7d063daa5e93722f0c025fd00306403b61"),
        std::pair(EncryptType::xchacha20,
                  "9e1a3abe60eff3ea5c23556cc7e225b6f94355315f7281f66ecf4dbb06e7899a52b863e03cde3b28"
                  "7d1638d765db75de02b032")}) {
    const SessionOnion onion = vector_onion(type);
    const std::string sealed = control::from_hex(hex).value();
    EXPECT_EQ(control::open(onion.end, type, sealed), "Hello world");
    EXPECT_EQ(
        open_session_answer(onion, control::to_base64(control::bytes_of(sealed))).error().code,
        Errc::malformed);
  }
}

TEST(SessionAnswer, MayHaveItsBodyAsAValue) {
  const SessionOnion onion = vector_onion(EncryptType::aes_gcm);
  const auto answer = open_session_answer(
      onion, answer_of(onion.end, onion.type, R"({"status":200,"body":{"a":[1]}})"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, R"({"a":[1]})");
}

TEST(SessionAnswer, IsRefusedWhereItIsNone) {
  const SessionOnion onion = vector_onion(EncryptType::aes_gcm);
  EXPECT_EQ(open_session_answer(onion, "Invalid ciphertext!").error().code, Errc::malformed);
  EXPECT_EQ(open_session_answer(onion, "").error().code, Errc::bad_signature);
  std::string changed =
      control::seal(onion.end, onion.type, R"({"status":200,"body":""})", system_random());
  changed.back() = static_cast<char>(changed.back() ^ 1);
  EXPECT_EQ(open_session_answer(onion, control::to_base64(control::bytes_of(changed))).error().code,
            Errc::bad_signature);
  for (const std::string_view inner :
       {"", "{", "[]", "{}", R"({"status":200})", R"({"body":""})", R"({"status":"200","body":""})",
        R"({"status":20,"body":""})", R"({"status":600,"body":""})"}) {
    const auto answer = open_session_answer(onion, answer_of(onion.end, onion.type, inner));
    ASSERT_FALSE(answer) << inner;
    EXPECT_EQ(answer.error().code, Errc::malformed);
  }
}

}  // namespace
}  // namespace allium::client
