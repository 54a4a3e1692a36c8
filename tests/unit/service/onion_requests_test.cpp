// SPDX-License-Identifier: Apache-2.0

// Onion requests through nodes of one process: what a client builds by the protocol's description, they open, hand on and
// answer.

#include "control/service/onion_requests.hpp"

#include <deque>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "control/service/encoding.hpp"
#include "crypto_accel/kernel_registry.hpp"
#include "crypto_accel/primitives.hpp"
#include "tests/unit/service/swarm_world.hpp"

namespace allium::control::test {
namespace {

namespace json = boost::json;

std::string frame(std::string_view blob, const json::object& control) {
  std::string text;
  for (unsigned shift = 0; shift < 32; shift += 8) {
    text += static_cast<char>(blob.size() >> shift & 0xff);
  }
  return text.append(blob) + json::serialize(control);
}

class OnionRequestsTest : public testing::Test, private OnionLinks {
 protected:
  OnionRequestsTest() {
    const auto kernels = crypto_accel::select_kernels("").value();
    for (std::size_t i = 0; i < world.size(); ++i) {
      TestNode& node = world.node(i);
      onions.push_back(std::make_unique<OnionRequests>(
          OnionSurroundings{
              node.membership, node.rpc(), *this, *kernels.x25519, *kernels.aead, system_random(),
              [this](std::function<void()> what) { world.at(world.now_ms, std::move(what)); }},
          node.identity.x25519_secret()));
    }
  }

  /// A layer for `node`: the blob sealed to its key, and what the one before has to know.
  std::string layer(std::size_t node, std::string_view inner, EncryptType type,
                    json::object& control, Channel* keep = nullptr) {
    Secret<32> secret;
    system_random()(secret.bytes());
    Channel channel;
    channel.client = crypto_accel::x25519_public(secret);
    channel.node = x25519_of(world.node(node).key()).value();
    crypto_accel::SharedSecret shared;
    EXPECT_TRUE(crypto_accel::x25519(secret, channel.node, shared));
    channel.shared = Secret<32>(shared);
    control["ephemeral_key"] = to_hex(channel.client);
    control["enc_type"] = encrypt_type_name(type);
    std::string blob = seal(channel, type, inner, system_random());
    if (keep != nullptr) {
      keep->client = channel.client;
      keep->node = channel.node;
      keep->shared = Secret<32>(shared);
    }
    return blob;
  }

  /// The body for the first of `path`; the last one is meant.
  std::string request(const std::vector<std::size_t>& path, std::string_view rpc, EncryptType type,
                      Channel& end, const json::object& headers = {{"headers", json::object{}}}) {
    json::object control;
    std::string blob = layer(path.back(), frame(rpc, headers), type, control, &end);
    for (std::size_t hop = path.size() - 1; hop-- > 0;) {
      control["destination"] = to_hex(world.node(path[hop + 1]).key());
      const std::string inner = frame(blob, control);
      control = {};
      blob = layer(path[hop], inner, type, control);
    }
    return frame(blob, control);
  }

  OnionAnswer ask(std::size_t node, std::string_view body) {
    std::optional<OnionAnswer> answer;
    onions[node]->from_client(body, [&](OnionAnswer given) { answer = std::move(given); });
    for (int i = 0; i < 100 && !answer; ++i) {
      world.run(1);
    }
    EXPECT_TRUE(answer);
    return answer.value_or(OnionAnswer{});
  }

  json::object opened(const OnionAnswer& answer, const Channel& end, EncryptType type) {
    EXPECT_EQ(answer.status, Status::ok) << answer.body;
    const auto plain = open(end, type, from_base64(answer.body).value_or(""));
    EXPECT_TRUE(plain);
    return plain ? json::parse(*plain).as_object() : json::object();
  }

  bool is_unreachable(const ServiceNode& node) const override {
    return dead == std::optional(node.ed25519);
  }

  void to_node(const ServiceNode& node, std::string part,
               std::function<void(Result<std::vector<std::string>>)> done) override {
    parts.push_back(part);
    for (std::size_t i = 0; i < world.size(); ++i) {
      if (world.node(i).key() == node.ed25519 && silent != std::optional(node.ed25519)) {
        onions[i]->from_node(part, [done](OnionAnswer answer) {
          done(std::vector<std::string>{std::to_string(static_cast<int>(answer.status)),
                                        std::move(answer.body)});
        });
        return;
      }
    }
    done(fail(silence, "nobody"));
  }

  void to_server(const OnionForServer& server,
                 std::function<void(Result<OnionAnswer>)> done) override {
    servers.push_back(server);
    done(server_answer);
  }

  SwarmWorld world{5};
  std::vector<std::unique_ptr<OnionRequests>> onions;
  std::optional<NodeKey> dead;
  std::optional<NodeKey> silent;  ///< does not answer, and how that ends
  Errc silence = Errc::timeout;
  std::vector<std::string> parts;
  std::vector<OnionForServer> servers;
  Result<OnionAnswer> server_answer = OnionAnswer{Status::ok, "from the server"};
};

const std::string kInfo = R"({"method":"info","params":{}})";

TEST_F(OnionRequestsTest, RefusesAPathThatIsTooLongInTheOpen) {
  const auto ask_at_hop = [this](int hop) {
    Channel end;
    const std::string body = request({0, 1}, kInfo, EncryptType::aes_gcm, end);
    OnionEnvelope envelope = parse_client_envelope(body).value();
    envelope.hop = hop;
    std::optional<OnionAnswer> answer;
    onions[0]->from_node(serialise_node_envelope(envelope),
                         [&](OnionAnswer given) { answer = std::move(given); });
    world.run(100);
    return answer.value_or(OnionAnswer{Status::internal, "none"});
  };
  EXPECT_EQ(ask_at_hop(kHopsMax - 1).status, Status::ok);
  parts.clear();
  for (const int hop : {kHopsMax, kHopsMax + 1}) {
    const OnionAnswer answer = ask_at_hop(hop);
    EXPECT_EQ(answer.status, Status::bad_request);
    EXPECT_EQ(answer.body, "onion request max path length exceeded");
  }
  EXPECT_EQ(parts.size(), 1U) << "the node one too far says it, or this one of itself";
}

TEST_F(OnionRequestsTest, WritesBytesInBase64) {
  for (const bool as_json : {false, true}) {
    Channel end;
    const json::object headers = {{"headers", json::object{}}, {"json", as_json}};
    const std::string body = request({0, 1}, R"({"method":"active_nodes_bin","params":{}})",
                                     EncryptType::aes_gcm, end, headers);
    const json::object inner = opened(ask(0, body), end, EncryptType::aes_gcm);
    EXPECT_EQ(inner.at("status"), 200);
    EXPECT_EQ(from_base64(inner.at("body").as_string()).value_or("").size(), 5 * 51U);
  }
}

class EveryEncryption : public OnionRequestsTest,
                        public testing::WithParamInterface<EncryptType> {};

TEST_P(EveryEncryption, CrossesFourNodesAndComesBack) {
  Channel end;
  const OnionAnswer answer = ask(0, request({0, 1, 2, 3}, kInfo, GetParam(), end));
  const json::object inner = opened(answer, end, GetParam());
  EXPECT_EQ(inner.at("status"), 200);
  const json::value body = json::parse(inner.at("body").as_string());
  EXPECT_EQ(body.at("version"), (json::array{2, 8, 0}));
  EXPECT_EQ(parts.size(), 3U);
}

INSTANTIATE_TEST_SUITE_P(Types, EveryEncryption,
                         testing::Values(EncryptType::aes_gcm, EncryptType::xchacha20,
                                         EncryptType::aes_cbc));

TEST_F(OnionRequestsTest, AnswersAtTheFirstNodeToo) {
  Channel end;
  const OnionAnswer answer = ask(2, request({2}, kInfo, EncryptType::aes_gcm, end));
  EXPECT_EQ(opened(answer, end, EncryptType::aes_gcm).at("status"), 200);
}

TEST_F(OnionRequestsTest, GivesTheBodyAsJsonAndRawWhereAskedTo) {
  Channel end;
  const json::object headers = {{"headers", ""}, {"json", true}, {"base64", false}};
  const OnionAnswer answer = ask(0, request({0, 1}, kInfo, EncryptType::xchacha20, end, headers));
  const auto plain = open(end, EncryptType::xchacha20, answer.body);
  ASSERT_TRUE(plain);
  EXPECT_TRUE(json::parse(*plain).at("body").is_object());
}

TEST_F(OnionRequestsTest, KeepsStatusesOfTheRpcInside) {
  Channel end;
  const OnionAnswer answer =
      ask(0, request({0, 1}, R"({"method":"fly","params":{}})", EncryptType::aes_gcm, end));
  const json::object inner = opened(answer, end, EncryptType::aes_gcm);
  EXPECT_EQ(inner.at("status"), 400);
  EXPECT_EQ(inner.at("body"), "no method fly");
}

TEST_F(OnionRequestsTest, SaysWhatIsWrongWithAPathInTheOpen) {
  Channel end;
  const std::string good = request({0, 1}, kInfo, EncryptType::aes_gcm, end);
  EXPECT_EQ(ask(0, "abc").status, Status::bad_request);
  EXPECT_EQ(ask(0, "abc").body.substr(0, 30), "Error parsing onion request: U");
  const OnionAnswer wrong_key = ask(3, good);
  EXPECT_EQ(wrong_key.status, Status::bad_request);
  EXPECT_EQ(wrong_key.body, "Invalid ciphertext");

  OnionAnswer answer;
  silent = world.node(1).key();
  for (const auto& [code, status, text] :
       {std::tuple(Errc::timeout, Status::gateway_timeout, std::string("Request time out")),
        std::tuple(Errc::full, Status::unavailable,
                   std::string("too many onion requests on their way: try again")),
        std::tuple(Errc::unavailable, Status::bad_gateway,
                   "Next node is currently unreachable: " + to_hex(*silent))}) {
    silence = code;
    answer = ask(0, good);
    EXPECT_EQ(answer.status, status);
    EXPECT_EQ(answer.body, text);
  }

  dead = world.node(1).key();
  answer = ask(0, good);
  EXPECT_EQ(answer.status, Status::bad_gateway);
  EXPECT_EQ(answer.body, "Next node is currently unreachable: " + to_hex(world.node(1).key()));

  json::object control;
  json::object next = {{"destination", std::string(64, '1')},
                       {"ephemeral_key", std::string(64, '2')}};
  const std::string blob = layer(0, frame("x", next), EncryptType::aes_gcm, control);
  answer = ask(0, frame(blob, control));
  EXPECT_EQ(answer.status, Status::bad_gateway);
  EXPECT_EQ(answer.body, "Next node not found: " + std::string(64, '1'));
}

TEST_F(OnionRequestsTest, SaysInsideThatAnInnerLayerIsNone) {
  json::object control;
  Channel end;
  const std::string blob = layer(0, "nonsense", EncryptType::aes_gcm, control, &end);
  const json::object inner = opened(ask(0, frame(blob, control)), end, EncryptType::aes_gcm);
  EXPECT_EQ(inner.at("status"), 400);
  EXPECT_EQ(inner.at("body"), "Invalid json");
}

TEST_F(OnionRequestsTest, RefusesPathsWithoutEnd) {
  // The counter that nodes pass on stops them; a client cannot build that many layers into so small a one.
  json::object control;
  const std::string blob = layer(0, "x", EncryptType::aes_gcm, control);
  control["hop_no"] = kHopsMax + 1;
  EXPECT_EQ(ask(0, frame(blob, control)).body, "onion request max path length exceeded");
}

TEST_F(OnionRequestsTest, PostsToServersWhatIsInTheLayer) {
  json::object control;
  const json::object server = {{"host", "example.org"},
                               {"target", "/oxen/v4/lsrpc"},
                               {"ephemeral_key", std::string(64, '3')}};
  const std::string inner = frame("for the server", server);
  const std::string blob = layer(0, inner, EncryptType::aes_gcm, control);
  EXPECT_EQ(ask(0, frame(blob, control)).body, "from the server");
  ASSERT_EQ(servers.size(), 1U);
  EXPECT_EQ(servers[0].layer, inner);
  EXPECT_EQ(servers[0].scheme, "https");
  server_answer = fail(Errc::unavailable, "Failed to connect");
  OnionAnswer answer = ask(0, frame(blob, control));
  EXPECT_EQ(answer.status, Status::bad_gateway);
  EXPECT_EQ(answer.body, "Failed to connect");
  server_answer = fail(Errc::timeout, "late");
  EXPECT_EQ(ask(0, frame(blob, control)).status, Status::gateway_timeout);
}

TEST_F(OnionRequestsTest, PostsNowhereElse) {
  json::object control;
  Channel end;
  const json::object server = {{"host", "example.org"}, {"target", "/admin"}};
  const std::string blob = layer(0, frame("x", server), EncryptType::aes_gcm, control, &end);
  const json::object inner = opened(ask(0, frame(blob, control)), end, EncryptType::aes_gcm);
  EXPECT_EQ(inner.at("status"), 400);
  EXPECT_EQ(inner.at("body"), "Invalid url");
  EXPECT_TRUE(servers.empty());
}

TEST_F(OnionRequestsTest, OpensWhatArrivesTogetherInOneBatch) {
  std::vector<Channel> ends(100);
  int answers = 0;
  for (Channel& end : ends) {
    onions[0]->from_client(request({0}, kInfo, EncryptType::aes_gcm, end),
                           [&](const OnionAnswer& answer) {
                             EXPECT_EQ(answer.status, Status::ok);
                             ++answers;
                           });
  }
  world.run(1);
  EXPECT_EQ(answers, 100);
  EXPECT_EQ(onions[0]->counters().batches, 4U) << "three full ones and the rest";
}

TEST_F(OnionRequestsTest, TellsGoodFromBadWithinABatch) {
  constexpr std::array kTypes{EncryptType::aes_gcm, EncryptType::xchacha20, EncryptType::aes_cbc};
  std::vector<Channel> ends(30);
  std::vector<OnionAnswer> answers(ends.size());
  const auto is_bad = [](std::size_t i) { return i % 4 == 1; };
  for (std::size_t i = 0; i < ends.size(); ++i) {
    std::string body = request({0}, kInfo, kTypes[i % 3], ends[i]);
    if (is_bad(i)) {
      // Sealed for another node; or a byte of the nonce changed, which no padding would notice.
      body = kTypes[i % 3] == EncryptType::aes_cbc ? request({1}, kInfo, kTypes[i % 3], ends[i])
                                                   : body.replace(5, 1, 1, char(body[5] + 1));
    }
    onions[0]->from_client(body, [&, i](OnionAnswer answer) { answers[i] = std::move(answer); });
  }
  world.run(1);
  EXPECT_EQ(onions[0]->counters().batches, 1U);
  for (std::size_t i = 0; i < ends.size(); ++i) {
    if (is_bad(i)) {
      // What the wrong key makes of CBC is now and then padded well, and then no JSON.
      EXPECT_TRUE(answers[i].body == "Invalid ciphertext" || kTypes[i % 3] == EncryptType::aes_cbc);
      EXPECT_EQ(answers[i].body.find("version"), std::string::npos);
    } else {
      EXPECT_EQ(opened(answers[i], ends[i], kTypes[i % 3]).at("status"), 200) << i;
    }
  }
}

TEST_F(OnionRequestsTest, RefusesPointsOfLowOrder) {
  const json::object control = {{"ephemeral_key", std::string(64, '0')}};
  const OnionAnswer answer = ask(0, frame(std::string(64, 'x'), control));
  EXPECT_EQ(answer.status, Status::bad_request);
  EXPECT_EQ(answer.body, "Invalid ciphertext");
}

TEST_F(OnionRequestsTest, OpensNothingThatIsSealedWithTheSecretOfALowOrderPoint) {
  Channel nobody;
  nobody.node = x25519_of(world.node(0).key()).value();
  const std::string inner = frame(kInfo, {{"headers", json::object{}}});
  for (const EncryptType type :
       {EncryptType::aes_gcm, EncryptType::xchacha20, EncryptType::aes_cbc}) {
    const json::object control = {{"ephemeral_key", std::string(64, '0')},
                                  {"enc_type", encrypt_type_name(type)}};
    const OnionAnswer answer = ask(0, frame(seal(nobody, type, inner, system_random()), control));
    EXPECT_EQ(answer.status, Status::bad_request);
    EXPECT_EQ(answer.body, "Invalid ciphertext");
  }
}

TEST_F(OnionRequestsTest, IsNotReadyBeforeItKnowsAnyNode) {
  world.node(0).membership.update(std::make_shared<const ServiceNodes>(), 0);
  Channel end;
  const OnionAnswer answer = ask(0, request({0}, kInfo, EncryptType::aes_gcm, end));
  EXPECT_EQ(answer.status, Status::unavailable);
  EXPECT_EQ(answer.body, "Snode not ready: " + to_hex(world.node(0).key()));
}

TEST_F(OnionRequestsTest, ComeAsAClientWithTheAccountsLimit) {
  TestNode& node = world.node(0);
  int asked = 0;
  StorageRpc limited(
      {node.store(),
       node.identity,
       node.membership,
       node.swarm(),
       system_random(),
       [this] { return world.now_ms; },
       [this](std::function<void()> what) { world.at(world.now_ms, std::move(what)); },
       {},
       [&asked](const storage::Account&, Asker asker) {
         EXPECT_EQ(asker, Asker::anybody) << "a public inbox proves nobody";
         return ++asked < 2;
       },
       {}});
  const TestAccount owner(5, 1);
  const std::string store = json::serialize(
      json::object{{"method", "store"}, {"params", owner.store("x", world.now_ms)}});
  std::vector<Status> statuses;
  for (const RpcSource source : {RpcSource::onion, RpcSource::onion, RpcSource::client}) {
    limited.call_json(store, source, [&](const Answer& a) { statuses.push_back(a.status); });
  }
  world.run(10);
  EXPECT_EQ(std::multiset<Status>(statuses.begin(), statuses.end()),
            (std::multiset<Status>{Status::ok, Status::ok, Status::too_many_requests}));
}

TEST_F(OnionRequestsTest, CountForTheOwnerOnlyWhenHeSigned) {
  TestNode& node = world.node(0);
  std::vector<Asker> asked;
  int proved = 0;
  StorageRpc limited({node.store(),
                      node.identity,
                      node.membership,
                      node.swarm(),
                      system_random(),
                      [this] { return world.now_ms; },
                      [this](std::function<void()> what) { world.at(world.now_ms, what); },
                      {},
                      [&asked](const storage::Account&, Asker asker) {
                        asked.push_back(asker);
                        return true;
                      },
                      [&proved](const storage::Account&) { ++proved; }});
  const TestAccount owner(5, 1);
  const auto retrieve = [&](const json::object& params, RpcSource source) {
    limited.call("retrieve", params, Format::json, source, [](const Answer&) {});
  };
  json::object forged = owner.retrieve(world.now_ms);
  forged["timestamp"] = world.now_ms + 1;
  retrieve(forged, RpcSource::onion);
  EXPECT_EQ(proved, 0);
  retrieve(owner.retrieve(world.now_ms), RpcSource::onion);
  EXPECT_EQ(proved, 1);
  retrieve(owner.retrieve(world.now_ms), RpcSource::client);
  EXPECT_EQ(proved, 1) << "who comes himself counts by his address";
  EXPECT_EQ(asked, (std::vector<Asker>{Asker::owner, Asker::owner}));
}

}  // namespace
}  // namespace allium::control::test
