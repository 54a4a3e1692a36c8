// SPDX-License-Identifier: Apache-2.0

// A network's life by chance, on a clock of its own: documents that move swarms and reach machines late or not at all, processes that end and
// start again, links that are cut, while clients store and delete. In the end everybody hears of everything, and every account's swarm has what
// was acknowledged, and nothing that was deleted.
//
// The same seed is the same life. ALLIUM_LIVES=N: N lives more, from seed 1000 on (run-tests --long: 300).

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "control/service/encoding.hpp"
#include "tests/unit/service/swarm_world.hpp"

namespace allium::control::test {
namespace {

constexpr std::size_t kNodes = 6;
constexpr std::uint8_t kAccounts = 4;
constexpr std::uint64_t kHealingMs = 400'000;
const std::string kToken(36, 't');

class Life {
 public:
  explicit Life(unsigned seed) : random_(seed) {
    for (std::uint8_t i = 1; i <= kAccounts; ++i) {
      accounts_.emplace_back(5, static_cast<std::uint8_t>(i + 10));
    }
    for (std::size_t i = 0; i < kNodes; ++i) {
      world.start(i);
    }
    document();
    world.run(120'000);
  }

  void live() {
    const std::uint64_t pace_ms = std::vector<std::uint64_t>{300, 3'000, 15'000}[below(3)];
    away_max_ = 1 + static_cast<std::ptrdiff_t>(below(3));
    for (std::uint64_t i = 40 + below(100); i > 0; --i) {
      event();
      world.run(1 + below(below(4) == 0 ? 10 * pace_ms : pace_ms));
    }
  }

  void heal() {
    for (std::size_t i = 0; i < kNodes; ++i) {
      come_back(i);
      world.tell(i);
    }
    world.run(kHealingMs);
  }

  void check() {
    for (std::size_t k = 0; k < kAccounts; ++k) {
      for (std::size_t i = 0; i < kNodes; ++i) {
        if (world.node(i).membership.is_ours(accounts_[k].account())) {
          check(i, accounts_[k]);
          check_revocation(i, k);
        }
      }
    }
    for (std::size_t i = 0; i < kNodes; ++i) {
      EXPECT_EQ(world.node(i).fetch().counters().parts_open, 0U) << "node " << i;
    }
  }

  SwarmWorld world{kNodes};

 private:
  enum class State : std::uint8_t { up, cut_off, ended };
  enum class Fate : std::uint8_t { there, gone, unknown };

  struct Stored {
    std::size_t account;
    std::string data;
    std::string hash;
    Fate fate;
  };

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

  void note(const std::string& what) {
    log_ += std::to_string(world.now_ms - kStartMs) + " " + what + "\n";
  }

  void event() {
    switch (below(14)) {
      case 0:
      case 1:
        return document();
      case 2:
        return leave(below(kNodes), State::cut_off);
      case 3:
        return leave(below(kNodes), State::ended);
      case 4:
      case 5:
        return come_back(below(kNodes));
      case 6:
        return tell(below(kNodes));
      case 7:
      case 8:
        return remove();
      case 9:
        return change_revocation();
      case 10:
        return store_again();
      default:
        return store();
    }
  }

  void document() {
    const std::vector<SwarmId> ids = {7, std::uint64_t{1} << 62, std::uint64_t{1} << 63, kNoSwarm};
    std::vector<SwarmId> swarms(kNodes);
    if (swarms_.empty() || below(3) == 0) {
      for (SwarmId& swarm : swarms) {
        swarm = ids[below(ids.size())];
      }
    } else {
      swarms = swarms_;
      swarms[below(kNodes)] = ids[below(ids.size())];
    }
    swarms[below(kNodes)] = ids[0];  // somebody has them
    swarms_ = swarms;
    std::set<std::size_t> late;
    std::string text = "document";
    for (std::size_t i = 0; i < kNodes; ++i) {
      if (states_[i] != State::up || below(4) == 0) {
        late.insert(i);
      }
      text += " " + std::to_string(std::find(ids.begin(), ids.end(), swarms[i]) - ids.begin()) +
              (late.contains(i) ? "late" : "");
    }
    note(text);
    world.assign(swarms, late);
  }

  void tell(std::size_t node) {
    if (states_[node] == State::up) {
      note("node " + std::to_string(node) + " hears");
      world.tell(node);
    }
  }

  void leave(std::size_t node, State how) {
    const auto away = std::count_if(states_.begin(), states_.end(),
                                    [](State state) { return state != State::up; });
    if (states_[node] == State::up && away < away_max_) {
      note("node " + std::to_string(node) + (how == State::ended ? " ends" : " is cut off"));
      states_[node] = how;
      world.node(node).is_up = false;
    }
  }

  void come_back(std::size_t node) {
    if (states_[node] == State::up) {
      return;
    }
    note("node " + std::to_string(node) + " comes back");
    world.node(node).is_up = true;
    if (states_[node] == State::ended) {
      world.node(node).restart();
      world.start(node);
    }
    states_[node] = State::up;
  }

  /// One that is there and takes its account's commands; kNodes: none.
  std::size_t member_for(const TestAccount& account) {
    std::vector<std::size_t> members;
    for (std::size_t i = 0; i < kNodes; ++i) {
      if (states_[i] == State::up && world.node(i).membership.is_ours(account.account())) {
        members.push_back(i);
      }
    }
    return members.empty() ? kNodes : members[below(members.size())];
  }

  /// Null: none.
  Stored* one_that_is(Fate fate) {
    std::vector<Stored*> found;
    for (Stored& one : stored_) {
      if (one.fate == fate) {
        found.push_back(&one);
      }
    }
    return found.empty() ? nullptr : found[below(found.size())];
  }

  /// What was deleted.
  void store_again() {
    Stored* const found = one_that_is(Fate::gone);
    const std::size_t node = found == nullptr ? kNodes : member_for(accounts_[found->account]);
    if (node == kNodes) {
      return;
    }
    Stored& one = *found;
    const Answer answer = world.call(
        node, "store", accounts_[one.account].store(one.data, world.now_ms, 0, 30'000'000));
    one.fate = answer.status == Status::ok ? Fate::there : Fate::unknown;
    note("store " + one.data + " again at " + std::to_string(node) +
         (one.fate == Fate::there ? "" : " fails"));
  }

  void store() {
    const std::size_t account = below(kAccounts);
    const std::size_t node = member_for(accounts_[account]);
    if (node == kNodes) {
      return;
    }
    const std::string data = "m" + std::to_string(stored_.size());
    const Answer answer =
        world.call(node, "store", accounts_[account].store(data, world.now_ms, 0, 30'000'000));
    const bool is_kept = answer.status == Status::ok;
    note("store " + data + " of " + std::to_string(account) + " at " + std::to_string(node) +
         (is_kept ? "" : " fails"));
    std::string hash;
    if (is_kept) {
      hash = answer.body.at("hash").as_string();
    }
    stored_.push_back({account, data, hash, is_kept ? Fate::there : Fate::unknown});
  }

  void remove() {
    Stored* const found = one_that_is(Fate::there);
    const std::size_t node = found == nullptr ? kNodes : member_for(accounts_[found->account]);
    if (node == kNodes) {
      return;
    }
    Stored& one = *found;
    const Answer answer = world.call(node, "delete", accounts_[one.account].remove({one.hash}));
    one.fate = answer.status == Status::ok ? Fate::gone : Fate::unknown;
    note("delete " + one.data + " of " + std::to_string(one.account) + " at " +
         std::to_string(node) + (one.fate == Fate::gone ? "" : " fails"));
  }

  /// Of the one subaccount that each account has.
  void change_revocation() {
    const std::size_t account = below(kAccounts);
    const std::size_t node = member_for(accounts_[account]);
    if (node == kNodes) {
      return;
    }
    Fate& fate = revocations_[account];
    const bool is_to_be = fate != Fate::there;
    const std::string method = is_to_be ? "revoke_subaccount" : "unrevoke_subaccount";
    const Answer answer =
        world.call(node, method,
                   accounts_[account].signed_params(
                       method + std::to_string(world.now_ms) + kToken,
                       {{is_to_be ? "revoke" : "unrevoke", to_hex(bytes_of(kToken))},
                        {"timestamp", world.now_ms}}));
    fate = answer.status != Status::ok ? Fate::unknown : is_to_be ? Fate::there : Fate::gone;
    note(method + " of " + std::to_string(account) + " at " + std::to_string(node) +
         (fate == Fate::unknown ? " fails" : ""));
  }

  void check_revocation(std::size_t node, std::size_t account) {
    const Fate fate = revocations_[account];
    if (fate != Fate::unknown) {
      EXPECT_EQ(world.node(node).store().revoked(accounts_[account].account())->empty(),
                fate == Fate::gone)
          << "revocation of account " << account << " at node " << node << "\n"
          << std::exchange(log_, "");
    }
  }

  void check(std::size_t node, const TestAccount& account) {
    const std::vector<std::string> data = sorted_data(world, node, account);
    for (const Stored& one : stored_) {
      if (accounts_[one.account].account() != account.account() || one.fate == Fate::unknown) {
        continue;
      }
      const bool is_there = std::find(data.begin(), data.end(), one.data) != data.end();
      EXPECT_EQ(is_there, one.fate == Fate::there)
          << one.data << " of account " << one.account << " at node " << node << "\n"
          << std::exchange(log_, "");
    }
  }

  std::mt19937 random_;
  std::ptrdiff_t away_max_ = 0;
  std::vector<TestAccount> accounts_;
  std::vector<State> states_ = std::vector<State>(kNodes, State::up);
  std::vector<SwarmId> swarms_;
  std::vector<Stored> stored_;
  std::vector<Fate> revocations_ = std::vector<Fate>(kAccounts, Fate::gone);
  std::string log_;
};

void live(unsigned seed) {
  Life life(seed);
  life.live();
  life.heal();
  life.check();
}

class SwarmLife : public testing::TestWithParam<unsigned> {};

TEST_P(SwarmLife, EndsWithWhatWasAcknowledged) {
  live(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Seeds, SwarmLife, testing::Range(1U, 21U));
INSTANTIATE_TEST_SUITE_P(FoundSomething, SwarmLife, testing::Values(1019U));

TEST(SwarmLives, EndAllAlike) {
  const char* text = std::getenv("ALLIUM_LIVES");
  const unsigned long count = text != nullptr              ? std::strtoul(text, nullptr, 10)
                              : std::getenv("ALLIUM_LONG") ? 300
                                                           : 0;
  if (count == 0) {
    GTEST_SKIP() << "ALLIUM_LIVES says how many";
  }
  for (unsigned seed = 1000; seed < 1000 + count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    live(seed);
  }
}

}  // namespace
}  // namespace allium::control::test
