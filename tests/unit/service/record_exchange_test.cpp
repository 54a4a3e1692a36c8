// SPDX-License-Identifier: Apache-2.0
#include "control/service/record_exchange.hpp"

#include <deque>
#include <map>

#include <gtest/gtest.h>

#include "tests/unit/network/test_network.hpp"

namespace allium::control {
namespace {

using test::kNow;

/// Nodes that exchange records on a clock of the test's own; links can be cut.
class RecordWorld {
 public:
  explicit RecordWorld(std::uint8_t count) {
    NetworkDocument document = test::network_document(count);
    for (RelayEntry& relay : document.relays) {
      relay.service = ServiceEntry{0, 22021, 22020};
    }
    document_ = std::make_shared<const NetworkDocument>(document);
    for (std::uint8_t n = 1; n <= count; ++n) {
      nodes_.push_back(std::make_unique<Node>(*this, n));
    }
  }

  struct Node final : PeerTransport {
    Node(RecordWorld& to, std::uint8_t n)
        : world(to),
          number(n),
          random(n),
          membership(test::key_of(n).public_key()),
          exchange({membership, *this, random.source(), [this] { return world.now_ms; },
                    [this] { ++changes; },
                    [this](const NodeKey&, std::uint64_t their_ms, std::uint64_t sent_ms,
                           std::uint64_t heard_ms) {
                      EXPECT_LE(sent_ms, heard_ms);
                      times.push_back(their_ms);
                    }}) {}

    void request(const ServiceNode& node, std::string command, PeerParts parts,
                 std::uint64_t timeout_ms, std::function<void(Result<PeerParts>)> done) override {
      EXPECT_EQ(command, "sn.allium_records");
      ++world.requests;
      Node* const target = world.find(node.ed25519);
      if (!is_up || target == nullptr || !target->is_up) {
        world.at(timeout_ms, [done] { done(fail(Errc::timeout, "cut")); });
        return;
      }
      world.at(5, [this, target, parts, done] {
        target->exchange.answer(parts.front(), [this, done](const PeerParts& answer) {
          world.at(5, [done, answer] { done(answer); });
        });
      });
    }

    void after(std::uint64_t delay_ms, std::function<void()> then) override {
      world.at(delay_ms, std::move(then));
    }

    void start() {
      membership.update(std::make_shared<const ServiceNodes>(service_nodes_of(*world.document_)),
                        1);
      exchange.set_document(world.document_, test::signed_document(*world.document_, {900}));
      exchange.start();
    }

    void publish(std::uint64_t record_number) {
      NodeRecord record = test::node_record(number);
      record.number = record_number;
      exchange.publish(sign(record, test::key_of(number)).value());
    }

    RecordWorld& world;
    std::uint8_t number;
    test::FixedRandom random;
    Membership membership;
    RecordExchange exchange;
    bool is_up = true;
    std::size_t changes = 0;
    std::vector<std::uint64_t> times;
  };

  void at(std::uint64_t delay_ms, std::function<void()> what) {
    plans_.emplace(now_ms + delay_ms, std::move(what));
  }

  void run(std::uint64_t duration_ms) {
    const std::uint64_t end_ms = now_ms + duration_ms;
    while (!plans_.empty() && plans_.begin()->first <= end_ms) {
      const auto next = plans_.begin();
      now_ms = next->first;
      const std::function<void()> what = std::move(next->second);
      plans_.erase(next);
      what();
    }
    now_ms = end_ms;
  }

  Node* find(const NodeKey& key) {
    for (const auto& node : nodes_) {
      if (node->membership.own() == key) {
        return node.get();
      }
    }
    return nullptr;
  }

  [[nodiscard]] bool all_have(std::uint64_t number) const {
    for (const auto& node : nodes_) {
      const auto numbers = node->exchange.book().numbers();
      if (numbers.size() != nodes_.size()) {
        return false;
      }
      for (const auto& [id, known] : numbers) {
        if (known != number) {
          return false;
        }
      }
    }
    return true;
  }

  std::uint64_t now_ms = kNow * 1000;
  std::size_t requests = 0;
  std::shared_ptr<const NetworkDocument> document_;
  std::vector<std::unique_ptr<Node>> nodes_;

 private:
  std::multimap<std::uint64_t, std::function<void()>> plans_;
};

TEST(RecordExchange, TellsEverybodyAtOnce) {
  RecordWorld world(20);
  for (const auto& node : world.nodes_) {
    node->start();
    node->publish(3);
  }
  world.run(1000);
  EXPECT_TRUE(world.all_have(3));
  const std::size_t before = world.requests;
  for (const auto& node : world.nodes_) {
    node->publish(4);
  }
  world.run(1000);
  EXPECT_TRUE(world.all_have(4));
  EXPECT_LE(world.requests - before, 20U * 20U) << "each tells each other once";
}

TEST(RecordExchange, ANodeThatWasAwayCatchesUp) {
  RecordWorld world(8);
  world.nodes_[2]->is_up = false;
  for (const auto& node : world.nodes_) {
    node->start();
    node->publish(3);
  }
  world.run(10'000);
  EXPECT_FALSE(world.all_have(3));
  EXPECT_EQ(world.nodes_[0]->exchange.book().numbers().size(), 7U);
  world.nodes_[2]->is_up = true;
  world.run(RecordExchange::kCalmMs + 10'000);
  EXPECT_TRUE(world.all_have(3)) << "its own record too: asked for, since nobody was told";
}

TEST(RecordExchange, AsksSeldomWhenAllIsThere) {
  RecordWorld world(4);
  for (const auto& node : world.nodes_) {
    node->start();
    node->publish(3);
  }
  world.run(10'000);
  const std::size_t before = world.requests;
  world.run(300'000);
  EXPECT_LE(world.requests - before, 4U * (300'000 / RecordExchange::kCalmMs + 1));
  EXPECT_FALSE(world.nodes_[0]->times.empty());
}

TEST(RecordExchange, GoesOnWithWhatAnEarlierProcessKnew) {
  RecordWorld world(3);
  std::vector<SignedNodeRecord> records;
  for (std::uint8_t n = 1; n <= 3; ++n) {
    records.push_back(sign(test::node_record(n), test::key_of(n)).value());
  }
  records[1].signature[0] ^= 1;
  world.nodes_[0]->is_up = false;
  world.nodes_[0]->exchange.remember(records);
  world.nodes_[0]->start();
  EXPECT_EQ(world.nodes_[0]->exchange.book().numbers().size(), 2U)
      << "at once, and nothing that does not hold";
}

std::string told(const SignedNodeRecord& record) {
  return "d1:rll" + std::to_string(record.text.size()) + ":" + record.text +
         "64:" + std::string(record.signature.begin(), record.signature.end()) + "eee";
}

TEST(RecordExchange, RefusesForgeriesAndSaysSo) {
  RecordWorld world(2);
  world.nodes_[0]->start();
  SignedNodeRecord forged = sign(test::node_record(2), test::key_of(2)).value();
  forged.signature[1] ^= 1;
  PeerParts answer;
  world.nodes_[0]->exchange.answer(told(forged),
                                   [&](PeerParts parts) { answer = std::move(parts); });
  ASSERT_EQ(answer.size(), 1U);
  EXPECT_EQ(world.nodes_[0]->exchange.counters().refused, 1U);
  EXPECT_FALSE(world.nodes_[0]->exchange.counters().last_refusal.empty());
  EXPECT_TRUE(world.nodes_[0]->exchange.book().numbers().empty());
}

TEST(RecordExchange, CountsWhatIsOlderAndDoesNotCallItRefused) {
  RecordWorld world(2);
  world.nodes_[0]->start();
  RecordExchange& exchange = world.nodes_[0]->exchange;
  const auto tell = [&exchange](std::uint64_t number) {
    NodeRecord record = test::node_record(2);
    record.number = number;
    exchange.answer(told(sign(record, test::key_of(2)).value()), [](const PeerParts&) {});
  };
  tell(5);
  tell(5);
  EXPECT_EQ(exchange.counters().older, 0U) << "known is not older";
  tell(4);
  EXPECT_EQ(exchange.counters().taken, 1U);
  EXPECT_EQ(exchange.counters().older, 1U);
  EXPECT_EQ(exchange.counters().refused, 0U);
  EXPECT_EQ(exchange.book().find(test::key_of(2).public_key())->number, 5U);
}

TEST(RecordExchange, RefusesARecordWhoseHoursArePastAndSaysSo) {
  RecordWorld world(2);
  world.nodes_[0]->start();
  RecordExchange& exchange = world.nodes_[0]->exchange;
  NodeRecord record = test::node_record(2);
  exchange.answer(told(sign(record, test::key_of(2)).value()), [](const PeerParts&) {});
  ++record.number;
  for (OnionKey& key : record.keys) {
    key.hour -= 10;
  }
  exchange.answer(told(sign(record, test::key_of(2)).value()), [](const PeerParts&) {});
  EXPECT_EQ(exchange.counters().taken, 1U);
  EXPECT_EQ(exchange.counters().refused, 1U);
  EXPECT_NE(exchange.counters().last_refusal.find("its hours are past"), std::string::npos);
  EXPECT_EQ(*exchange.book().find(test::key_of(2).public_key()), test::node_record(2));
}

TEST(RecordExchange, DoesNotHearThousandsOfForgeriesToTheEnd) {
  RecordWorld world(2);
  world.nodes_[0]->start();
  SignedNodeRecord forged = sign(test::node_record(2), test::key_of(2)).value();
  const std::string good(forged.signature.begin(), forged.signature.end());
  std::string bad = good;
  bad[1] = static_cast<char>(bad[1] ^ 1);
  const std::string text = std::to_string(forged.text.size()) + ":" + forged.text;
  std::string question = "d1:rl";
  for (int i = 0; i < 100; ++i) {
    question += "l" + text + "64:" + bad + "e";
  }
  question += "l" + text + "64:" + good + "eee";
  world.nodes_[0]->exchange.answer(question, [](const PeerParts&) {});
  EXPECT_EQ(world.nodes_[0]->exchange.counters().refused, 16U);
  EXPECT_TRUE(world.nodes_[0]->exchange.book().numbers().empty());
}

TEST(RecordExchange, AnswersNonsenseWithAStatus) {
  RecordWorld world(2);
  const auto ask = [&](std::string_view part) {
    PeerParts answer;
    world.nodes_[0]->exchange.answer(part, [&](PeerParts parts) { answer = std::move(parts); });
    return answer.front();
  };
  EXPECT_EQ(ask("de"), "400") << "no document yet";
  world.nodes_[0]->start();
  for (const std::string_view part : {"", "le", "i5e", "d", "d1:h5:abcdee", "not bt"}) {
    EXPECT_EQ(ask(part), "400") << part;
  }
  EXPECT_EQ(ask("d1:ri5ee").front(), 'd') << "a list that is none is counted";
  EXPECT_EQ(world.nodes_[0]->exchange.counters().refused, 1U);
}

TEST(RecordExchange, MakesABundleThatAClientCanCheck) {
  RecordWorld world(4);
  EXPECT_TRUE(world.nodes_[0]->exchange.bundle_text().empty());
  for (const auto& node : world.nodes_) {
    node->start();
    node->publish(3);
  }
  world.run(1000);
  const auto bundle = parse_network_bundle(world.nodes_[3]->exchange.bundle_text());
  ASSERT_TRUE(bundle) << bundle.error().text;
  const auto view = NetworkView::verify(*bundle, test::authorities_of({900}, 1), kNow, {});
  ASSERT_TRUE(view) << view.error().text;
  EXPECT_EQ(view->relays().size(), 4U);
  EXPECT_EQ(view->refused_records(), 0U);
}

}  // namespace
}  // namespace allium::control
