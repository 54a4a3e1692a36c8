// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/service/swarm_world.hpp"

#include <algorithm>

#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "control/service/encoding.hpp"
#include "control/service/omq/omq_message.hpp"

namespace allium::control::test {
namespace json = boost::json;

namespace {

constexpr std::uint64_t kLatencyMs = 1;

IdentitySecret secret_of(std::uint8_t kind, std::uint8_t number) {
  Secret<32> seed;
  seed.bytes().fill(number);
  seed.bytes()[0] = kind;
  return IdentitySecret::from_seed(seed);
}

}  // namespace

class TestNode::Transport final : public PeerTransport {
 public:
  Transport(SwarmWorld& world, TestNode& owner) : world_(world), owner_(owner) {}

  void request(const ServiceNode& node, std::string command, PeerParts parts,
               std::uint64_t timeout_ms, std::function<void(Result<PeerParts>)> done) override {
    auto is_done = std::make_shared<bool>(false);
    world_.at(world_.now_ms + timeout_ms, [is_done, done] {
      if (!std::exchange(*is_done, true)) {
        done(fail(Errc::timeout, "no answer"));
      }
    });
    std::size_t bytes = 0;
    for (const std::string& part : parts) {
      bytes += part.size();
    }
    if (bytes > kOmqMessageBytesMax) {
      world_.at(world_.now_ms + kLatencyMs, [is_done, done] {
        if (!std::exchange(*is_done, true)) {
          done(fail(Errc::out_of_range, "too much for one request"));
        }
      });
      return;
    }
    const auto answer = [this, is_done, done](PeerParts reply) {
      world_.at(world_.now_ms + kLatencyMs, [this, is_done, done, reply = std::move(reply)] {
        if (owner_.is_up && !std::exchange(*is_done, true)) {
          done(reply);
        }
      });
    };
    world_.at(world_.now_ms + kLatencyMs, [this, key = node.ed25519, command = std::move(command),
                                           parts = std::move(parts), answer, is_done, done] {
      TestNode* target = world_.find(key);
      const bool is_unknown =
          target != nullptr && !target->is_of_our_kind && command.starts_with("sn.allium_");
      if (owner_.is_up && is_unknown && target->is_up && !std::exchange(*is_done, true)) {
        done(fail(Errc::refused, "UNKNOWNCOMMAND"));
        return;
      }
      if (owner_.is_up && target != nullptr && target->is_up) {
        target->serve(x25519_of(owner_.key()).value(), command, parts, answer);
      }
    });
  }

  void after(std::uint64_t delay_ms, std::function<void()> then) override {
    world_.at(world_.now_ms + delay_ms, std::move(then));
  }

 private:
  SwarmWorld& world_;
  TestNode& owner_;
};

TestNode::TestNode(SwarmWorld& world, std::uint8_t number)
    : identity(secret_of('n', number)),
      membership(identity.public_key()),
      world_(world),
      random_(number) {
  restart();
}

TestNode::~TestNode() = default;

void TestNode::restart() {
  rpc_.reset();
  fetch_.reset();
  swarm_.reset();
  transport_ = std::make_unique<Transport>(world_, *this);
  const auto now = [this] { return world_.now_ms - clock_behind_ms; };
  const auto post = [this](std::function<void()> what) {
    world_.at(world_.now_ms, std::move(what));
  };
  swarm_ =
      std::make_unique<SwarmPeers>(SwarmSurroundings{*store_, membership, *transport_, now, post});
  fetch_ = std::make_unique<ReplicaFetch>(
      FetchSurroundings{*store_, membership, *transport_, now, post,
                        [this](std::string_view payload, std::function<void(PeerParts)> reply) {
                          swarm_->take_data(payload, std::move(reply));
                        },
                        [this](const NodeKey& key) { swarm_->given(key); },
                        [this](const std::string& text) { held = text; }},
      held);
  swarm_->on_copy([this](const storage::Account& account, storage::Stamp stored) {
    fetch_->given(account, stored);
  });
  swarm_->on_answer([this](const NodeKey& key) { fetch_->answers(key); });
  swarm_->on_kept([this](const NodeKey& key) { fetch_->owes(key); });
  rpc_ = std::make_unique<StorageRpc>(
      RpcSurroundings{*store_,
                      identity,
                      membership,
                      *swarm_,
                      random_.source(),
                      now,
                      post,
                      [this](const storage::Account&, const storage::Message& message) {
                        monitored.push_back(message.data);
                      },
                      {},
                      {}});
}

void TestNode::restart_empty() {
  rpc_.reset();
  fetch_.reset();
  swarm_.reset();
  store_ = std::make_unique<SlowQueueStore>();
  restart();
}

void TestNode::serve(const NodeKey& from, const std::string& command, const PeerParts& parts,
                     std::function<void(PeerParts)> reply) {
  served.insert(command);
  if (silent_on.contains(command)) {
    return;
  }
  if (command == "sn.allium_late") {
    reply = [this, reply = std::move(reply)](PeerParts answer) {
      world_.at(world_.now_ms + late_takes_ms,
                [reply, answer = std::move(answer)] { reply(answer); });
    };
  }
  if (command == "sn.ping") {
    reply(is_of_our_kind ? pong() : PeerParts{"pong"});
  } else if (command == "sn.storage_cc" && lie) {
    reply(*lie);
  } else if (command == "sn.storage_cc" && parts.size() == 2) {
    swarm_->take_command(*rpc_, from, parts[0], parts[1], std::move(reply));
  } else if (command == "sn.data" && parts.size() == 1) {
    swarm_->take_data(parts[0], std::move(reply));
  } else if (command == "sn.allium_fetch" && is_of_our_kind && parts.size() == 1) {
    fetch_->answer(from, parts[0], reply);
  } else if (command == "sn.allium_keep" && is_of_our_kind) {
    swarm_->keep_for_others(*rpc_, from, parts, std::move(reply));
  } else if (command == "sn.allium_late" && is_of_our_kind && parts.size() == 1) {
    swarm_->take_late(*rpc_, from, parts[0], std::move(reply));
  }
}

SwarmWorld::SwarmWorld(std::size_t node_count) {
  for (std::size_t i = 0; i < node_count; ++i) {
    add_node();
  }
  assign(std::vector<SwarmId>(node_count, 7));
}

void SwarmWorld::add_node() {
  nodes_.push_back(std::make_unique<TestNode>(*this, static_cast<std::uint8_t>(nodes_.size() + 1)));
}

void SwarmWorld::assign(const std::vector<SwarmId>& swarms, const std::set<std::size_t>& late) {
  std::vector<ServiceNode> list;
  for (std::size_t i = 0; i < swarms.size(); ++i) {
    ServiceNode node;
    node.legacy = node.ed25519 = nodes_[i]->key();
    node.x25519 = x25519_of(node.ed25519).value();
    node.ip = "10.0.0." + std::to_string(i + 1);
    node.https_port = 22021;
    node.omq_port = 22020;
    node.swarm = swarms[i];
    list.push_back(node);
  }
  network_ = std::make_shared<const ServiceNodes>(list);
  ++height_;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!late.contains(i)) {
      tell(i);
    }
  }
}

void SwarmWorld::tell(std::size_t i) {
  TestNode& node = *nodes_[i];
  const auto before = node.fetch().network();
  node.membership.update(network_, height_);
  if (before != nullptr) {
    node.swarm().membership_changed(*before, node.fetch().own_key());
  }
  node.fetch().membership_changed();
}

void SwarmWorld::start(std::size_t i) {
  TestNode& node = *nodes_[i];
  const auto before = node.fetch().network();
  node.membership.update(network_, height_);
  node.swarm().start(node.rpc());
  if (before != nullptr) {
    node.swarm().membership_changed(*before, node.fetch().own_key());
  }
  node.fetch().membership_changed();
}

TestNode* SwarmWorld::find(const NodeKey& key) {
  const auto found = std::find_if(nodes_.begin(), nodes_.end(),
                                  [&key](const auto& node) { return node->key() == key; });
  return found == nodes_.end() ? nullptr : found->get();
}

void SwarmWorld::at(std::uint64_t time_ms, std::function<void()> what) {
  due_.emplace(time_ms, std::move(what));
}

void SwarmWorld::run(std::uint64_t duration_ms) {
  const std::uint64_t end_ms = now_ms + duration_ms;
  while (!due_.empty() && due_.begin()->first <= end_ms) {
    const auto what = std::move(due_.begin()->second);
    now_ms = std::max(now_ms, due_.begin()->first);
    due_.erase(due_.begin());
    what();
  }
  now_ms = end_ms;
}

Answer SwarmWorld::call(std::size_t node, std::string_view method, const json::object& params,
                        Format format, RpcSource source) {
  Answer answer;
  int replies = 0;
  const std::uint64_t begin_ms = now_ms;
  nodes_[node]->rpc().call(method, params, format, source, [&](Answer given) {
    answer = std::move(given);
    ++replies;
  });
  for (int i = 0; i < 60'000 && replies == 0; ++i) {
    run(0);
    if (replies == 0) {
      run(1);
    }
  }
  EXPECT_EQ(replies, 1) << method;
  last_call_ms = now_ms - begin_ms;
  return answer;
}

TestAccount::TestAccount(std::uint8_t prefix, std::uint8_t number) : key_(secret_of('a', number)) {
  account_[0] = prefix;
  const std::array<std::uint8_t, 32> rest =
      prefix == 5 ? x25519_of(key_.public_key()).value() : key_.public_key();
  std::copy(rest.begin(), rest.end(), account_.begin() + 1);
}

std::string TestAccount::hex() const {
  return to_hex(account_);
}

json::object TestAccount::signed_params(std::string_view text, json::object params) const {
  params["pubkey"] = hex();
  if (account_[0] == 5) {
    params["pubkey_ed25519"] = to_hex(key_.public_key());
  }
  params["signature"] = to_base64(key_.sign(bytes_of(text)));
  return params;
}

json::object TestAccount::store(std::string_view data, std::uint64_t now_ms, int space,
                                std::uint64_t ttl_ms) const {
  json::object params = {
      {"timestamp", now_ms}, {"ttl", ttl_ms}, {"data", to_base64(bytes_of(data))}};
  if (space == 0) {
    params["pubkey"] = hex();
    return params;
  }
  params["namespace"] = space;
  return signed_params("store" + std::to_string(space) + std::to_string(now_ms), std::move(params));
}

json::object TestAccount::retrieve(std::uint64_t now_ms, int space) const {
  const std::string name = space == 0 ? "" : std::to_string(space);
  return signed_params("retrieve" + name + std::to_string(now_ms),
                       {{"namespace", space}, {"timestamp", now_ms}});
}

json::object TestAccount::remove(const std::vector<std::string>& hashes) const {
  std::string text = "delete";
  json::array list;
  for (const std::string& hash : hashes) {
    text += hash;
    list.emplace_back(hash);
  }
  return signed_params(text, {{"messages", std::move(list)}});
}

std::vector<std::string> data_in(const Answer& answer) {
  std::vector<std::string> data;
  const auto* body = answer.body.if_object();
  if (body == nullptr || !body->contains("messages")) {
    ADD_FAILURE() << json::serialize(answer.body);
    return data;
  }
  for (const json::value& message : body->at("messages").as_array()) {
    data.push_back(from_base64(message.as_object().at("data").as_string()).value_or("?"));
  }
  return data;
}

std::vector<std::string> sorted_data(SwarmWorld& world, std::size_t node,
                                     const TestAccount& account) {
  std::vector<std::string> data =
      data_in(world.call(node, "retrieve", account.retrieve(world.now_ms)));
  std::sort(data.begin(), data.end());
  return data;
}

std::int64_t stamp(std::uint64_t ms) {
  return static_cast<std::int64_t>(storage::stamp_of(ms));
}

const boost::json::object& member(const Answer& answer, const TestNode& node) {
  return answer.body.at("swarm").at(to_hex(node.key())).as_object();
}

std::vector<std::string> commands_to(const TestNode& node) {
  std::vector<std::string> commands;
  for (const char* command : {"sn.allium_late", "sn.data", "sn.storage_cc"}) {
    if (node.served.contains(command)) {
      commands.emplace_back(command);
    }
  }
  return commands;
}

}  // namespace allium::control::test
