// SPDX-License-Identifier: Apache-2.0

// What a store holds does not depend on the order in which changes arrive (When, stamps).

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <random>
#include <set>
#include <sstream>

#include "storage/stored_bytes.hpp"
#include "tests/unit/storage/any_store.hpp"

namespace allium::storage::testing {
namespace {

TYPED_TEST_SUITE(AnyStore, Kinds);

using StoreChange = std::function<void(MessageStore&, const Account&)>;

std::set<std::string> messages_of(const MessageStore& store, const Account& account) {
  std::set<std::string> messages;
  for (const Namespace space : {Namespace(0), Namespace(-1)}) {
    const auto page = store.retrieve(account, space, "", {}, kNow).value();
    for (const Message& message : page.messages) {
      // The timestamp of what is stored again in an outbox is a limit (storage/README.md).
      const std::uint64_t age_ms = space < 0 ? 0 : kNow - message.timestamp_ms;
      messages.insert(message.hash + " lives " + std::to_string(message.expiry_ms - kNow) + " of " +
                      std::to_string(age_ms));
    }
  }
  return messages;
}

std::string visible(const MessageStore& store, const Account& account) {
  std::ostringstream text;
  for (const std::string& message : messages_of(store, account)) {
    text << message << ", ";
  }
  text << store.revoked(account)->size();
  return text.str();
}

/// What a member that has carried out the first of them gives to the others, with what it knows of it or without.
std::vector<StoreChange> replicas_of(const MessageStore& store, const Account& account,
                                     bool with_life) {
  std::vector<StoreChange> replicas;
  const std::uint64_t point = point_of(account);
  const auto visit = [&](const Account& of, const Message& message) {
    if (of == account) {
      replicas.emplace_back([replica = message, with_life](MessageStore& to, const Account& owner) {
        Message copy = replica;
        if (!with_life) {
          copy.life.clear();
        }
        const bool replaces = copy.space == -1;
        allium::storage::testing::store(to, owner, copy, Origin::replica, replaces).value();
      });
    }
    return true;
  };
  EXPECT_TRUE(store.for_each({point, point}, kNow, visit).has_value());
  return replicas;
}

/// Carries them out in several orders, for an account each, and compares what is visible then with what it is when they arrive as they
/// were asked for. With replicas of what is there in between, if asked for.
void expect_alike_in_any_order(MessageStore& store, std::uint8_t run,
                               std::vector<StoreChange> changes, bool with_replicas,
                               std::mt19937_64& random) {
  const Account in_order = account_of(run, 0);
  std::vector<StoreChange> replicas;
  for (const StoreChange& change : changes) {
    change(store, in_order);
    for (StoreChange& replica : replicas_of(store, in_order, run % 4 == 1)) {
      replicas.push_back(std::move(replica));
    }
  }
  const std::string first = visible(store, in_order);
  std::shuffle(replicas.begin(), replicas.end(), random);
  // No more than a history holds.
  replicas.resize(with_replicas ? std::min<std::size_t>(replicas.size(), 2) : 0);
  std::move(replicas.begin(), replicas.end(), std::back_inserter(changes));
  for (std::uint8_t order = 1; order < 8; ++order) {
    std::shuffle(changes.begin(), changes.end(), random);
    const Account account = account_of(run, order);
    for (const StoreChange& change : changes) {
      change(store, account);
    }
    ASSERT_EQ(visible(store, account), first) << "run " << int{run} << ", order " << int{order};
  }
}

StoreChange draw(std::mt19937_64& random, std::uint64_t asked_ms) {
  const When when(kNow, stamp_of(asked_ms));
  const std::string hash = "h" + std::to_string(random() % 2);
  // In steps that are worth an extension, and some that are over meanwhile.
  const auto drawn_expiry = [&random] {
    return random() % 4 == 0 ? kNow - 500 : kNow + kHour + random() % 10 * (kHour / 20);
  };
  const std::uint64_t stored_until_ms = drawn_expiry();
  const std::uint64_t expiry_ms = drawn_expiry();
  const Token token = token_of(static_cast<std::uint8_t>(random() % 2));
  const auto only = random() % 2 == 0 ? std::optional<Namespace>(0) : std::nullopt;
  // Clients' clocks are off.
  const std::uint64_t timestamp_ms = asked_ms + random() % 11 - 5;
  // Before all, among them, behind all.
  const std::uint64_t before_ms =
      std::array{kNow - 2'000, asked_ms + random() % 13 - 6, kNow - 900}[random() % 3];
  const auto kind = random() % 10;
  const auto change = static_cast<ExpiryChange>(random() % 3);
  return [=](MessageStore& to, const Account& account) {
    if (kind < 3) {
      store(to, account, message_of(hash, 0, stored_until_ms, timestamp_ms), Origin::client, false,
            when)
          .value();
    } else if (kind == 3) {
      answer<std::size_t>([&](Done<std::size_t> done) {
        to.revoke(account, {token}, asked_ms, when, std::move(done));
      }).value();
    } else if (kind == 4) {
      answer<std::size_t>([&](Done<std::size_t> done) {
        to.unrevoke(account, {token}, when, std::move(done));
      }).value();
    } else if (kind == 5) {
      answer<HashesBySpace>([&](Done<HashesBySpace> done) {
        to.shorten_all(account, only, expiry_ms, when, std::move(done));
      }).value();
    } else if (kind < 8) {
      answer<ExpiriesChanged>([&](Done<ExpiriesChanged> done) {
        to.change_expiry(account, {hash}, {expiry_ms}, change, when, std::move(done));
      }).value();
    } else if (kind == 8) {
      answer<HashesBySpace>([&](Done<HashesBySpace> done) {
        if (only) {
          to.remove_all(account, only, when, std::move(done));
        } else {
          to.remove_before(account, only, before_ms, when, std::move(done));
        }
      }).value();
    } else {
      remove(to, account, {hash}, when).value();
    }
  };
}

TYPED_TEST(AnyStore, HoldsWhatWasAskedForLaterInWhateverOrderItArrives) {
  std::mt19937_64 random(5);
  for (std::uint8_t run = 0; run < 250; ++run) {
    std::vector<StoreChange> changes;
    for (std::uint64_t i = 0; i < 5; ++i) {
      changes.push_back(draw(random, kNow - 1'000 + i));
    }
    expect_alike_in_any_order(this->in(), run, std::move(changes), run % 2 == 1, random);
  }
}

// The second ends its life where the first has not, and that comes late: of what was stored anew in between nothing must be lost.
TYPED_TEST(AnyStore, HoldsWhatWasStoredAnewBetweenTwoThingsThatEndItInWhateverOrderTheyArrive) {
  const auto stored = [](std::uint64_t at_ms) {
    return [=](MessageStore& to, const Account& account) {
      store(to, account, message_of("h", 0, kNow + kHour, at_ms), Origin::client, false,
            When(kNow, stamp_of(at_ms)))
          .value();
    };
  };
  const auto removed_before = [](std::uint64_t before_ms, std::uint64_t at_ms) {
    return [=](MessageStore& to, const Account& account) {
      answer<HashesBySpace>([&](Done<HashesBySpace> done) {
        to.remove_before(account, 0, before_ms, When(kNow, stamp_of(at_ms)), std::move(done));
      }).value();
    };
  };
  const When between(kNow, stamp_of(kNow - 700));
  const std::vector<StoreChange> ends = {
      removed_before(kNow - 850, kNow - 700),
      [=](MessageStore& to, const Account& account) {
        remove(to, account, {"h"}, between).value();
      },
      [=](MessageStore& to, const Account& account) {
        answer<HashesBySpace>([&](Done<HashesBySpace> done) {
          to.shorten_all(account, 0, kNow - 650, between, std::move(done));
        }).value();
      },
      [=](MessageStore& to, const Account& account) {
        answer<ExpiriesChanged>([&](Done<ExpiriesChanged> done) {
          to.change_expiry(account, {"h"}, {kNow - 650}, ExpiryChange::set, between,
                           std::move(done));
        }).value();
      }};
  std::uint8_t run = 0;
  for (const StoreChange& end : ends) {
    const std::vector<StoreChange> changes = {stored(kNow - 900), end, stored(kNow - 600),
                                              removed_before(kNow - 650, kNow - 500)};
    std::vector<std::size_t> order = {0, 1, 2, 3};
    std::uint8_t number = 0;
    ++run;
    do {
      const Account account = account_of(run, number++);
      for (const std::size_t i : order) {
        changes[i](this->in(), account);
      }
      EXPECT_EQ(messages_of(this->in(), account), (std::set<std::string>{"h lives 3600000 of 600"}))
          << int{run} << ": " << order[0] << order[1] << order[2] << order[3];
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

/// Carries them out in all orders, for an account each: always what they come to in the order in which they were asked for.
void expect_alike_in_all_orders(MessageStore& store, std::uint8_t run,
                                const std::vector<StoreChange>& changes) {
  std::vector<std::size_t> order(changes.size());
  std::iota(order.begin(), order.end(), 0);
  std::set<std::string> in_order;
  std::uint8_t number = 0;
  do {
    const Account account = account_of(run, number++);
    for (const std::size_t i : order) {
      changes[i](store, account);
    }
    const std::set<std::string> found = messages_of(store, account);
    if (number == 1) {
      in_order = found;
    }
    ASSERT_EQ(found, in_order) << int{run} << ": " << ::testing::PrintToString(order);
  } while (std::next_permutation(order.begin(), order.end()));
}

TYPED_TEST(AnyStore, ComesToTheSameInAllOrdersOfWhatIsHardToOrder) {
  const auto when = [](std::uint64_t at_ms) { return When(kNow, stamp_of(kNow - 2'000 + at_ms)); };
  const auto stored = [=](std::uint64_t at_ms, std::uint64_t lives_ms) {
    return [=](MessageStore& to, const Account& account) {
      store(to, account, message_of("h", 0, kNow + lives_ms, kNow - 2'000 + at_ms), Origin::client,
            false, when(at_ms))
          .value();
    };
  };
  const auto cleared = [=](std::uint64_t up_to_ms, std::uint64_t at_ms) {
    return [=](MessageStore& to, const Account& account) {
      answer<HashesBySpace>([&](Done<HashesBySpace> done) {
        to.remove_before(account, 0, kNow - 2'000 + up_to_ms, when(at_ms), std::move(done));
      }).value();
    };
  };
  const auto shortened = [=](std::uint64_t lives_ms, std::uint64_t at_ms) {
    return [=](MessageStore& to, const Account& account) {
      answer<HashesBySpace>([&](Done<HashesBySpace> done) {
        to.shorten_all(account, 0, kNow + lives_ms, when(at_ms), std::move(done));
      }).value();
    };
  };
  const auto changed = [=](std::uint64_t lives_ms, ExpiryChange change, std::uint64_t at_ms) {
    return [=](MessageStore& to, const Account& account) {
      answer<ExpiriesChanged>([&](Done<ExpiriesChanged> done) {
        to.change_expiry(account, {"h"}, {kNow + lives_ms}, change, when(at_ms), std::move(done));
      }).value();
    };
  };
  for (const ExpiryChange change : {ExpiryChange::set, ExpiryChange::extend}) {
    expect_alike_in_all_orders(this->in(), change == ExpiryChange::set ? 1 : 2,
                               {stored(1'000, 5 * kHour), shortened(kHour, 1'100),
                                changed(10 * kHour, change, 1'200), shortened(2 * kHour, 1'300)});
  }
  constexpr std::uint64_t kBeforeTheSecondStore = 0ULL - 800;
  expect_alike_in_all_orders(
      this->in(), 4,
      {stored(1'000, kBeforeTheSecondStore), changed(9 * kHour, ExpiryChange::extend, 1'100),
       cleared(1'050, 1'210), stored(1'300, kHour)});
  expect_alike_in_all_orders(
      this->in(), 3,
      {stored(900, 2 * kHour), cleared(1'100, 1'100), stored(1'200, 9 * kHour),
       cleared(1'150, 1'300), stored(1'400, kHour)});
}

TYPED_TEST(AnyStore, TakesWhatAMemberKnowsOfAReplica) {
  std::mt19937_64 random(7);
  for (std::uint8_t run = 0; run < 250; ++run) {
    // A member that was away since some of them, erased its copy and fetches the others' comes to what they have. Where it hears of all of them
    // later, too.
    std::vector<StoreChange> changes;
    for (std::uint64_t i = 0; i < 5; ++i) {
      changes.push_back(draw(random, kNow - 1'000 + i));
    }
    const Account there = account_of(run, 0);
    const Account back = account_of(run, 1);
    const std::size_t known = random() % (changes.size() + 1);
    for (std::size_t i = 0; i < changes.size(); ++i) {
      changes[i](this->in(), there);
      if (i < known) {
        changes[i](this->in(), back);
      }
    }
    answer<std::size_t>([&](Done<std::size_t> done) {
      this->in().forget(back, {"h0", "h1"}, UINT64_MAX, std::move(done));
    }).value();
    for (const StoreChange& replica : replicas_of(this->in(), there, true)) {
      replica(this->in(), back);
    }
    EXPECT_EQ(messages_of(this->in(), back), messages_of(this->in(), there)) << int{run};
    std::shuffle(changes.begin(), changes.end(), random);
    for (const StoreChange& change : changes) {
      change(this->in(), back);
    }
    ASSERT_EQ(visible(this->in(), back), visible(this->in(), there)) << int{run};
  }
}

/// As draw(), of one message, some of whose lives are over before the rest of what was asked for arrives, and freed.
std::function<void(MessageStore&, const Account&, std::uint64_t now_ms)> draw_late(
    std::mt19937_64& random, std::uint64_t asked_ms, bool& may_lengthen) {
  const auto drawn_expiry = [&random] {
    const std::uint64_t hours = random() % 4;
    return kNow + (hours == 0 ? 10'000 : hours * kHour);
  };
  const std::uint64_t expiry_ms = drawn_expiry();
  const auto kind = random() % 10;
  const auto change = static_cast<ExpiryChange>(random() % 3);
  may_lengthen |= kind >= 4 && kind < 7 && change != ExpiryChange::shorten;
  return [=](MessageStore& to, const Account& account, std::uint64_t now_ms) {
    const When when(now_ms, stamp_of(asked_ms));
    if (kind < 4) {
      store(to, account, message_of("h", 0, expiry_ms, asked_ms), Origin::client, false, when)
          .value();
    } else if (kind < 7) {
      answer<ExpiriesChanged>([&](Done<ExpiriesChanged> done) {
        to.change_expiry(account, {"h"}, {expiry_ms}, change, when, std::move(done));
      }).value();
    } else if (kind == 7) {
      answer<HashesBySpace>([&](Done<HashesBySpace> done) {
        to.shorten_all(account, 0, expiry_ms, when, std::move(done));
      }).value();
    } else if (kind == 8) {
      answer<HashesBySpace>([&](Done<HashesBySpace> done) {
        to.remove_all(account, 0, when, std::move(done));
      }).value();
    } else {
      remove(to, account, {"h"}, when).value();
    }
  };
}

TYPED_TEST(AnyStore, KeepsNothingLongerBecauseItArrivesLate) {
  std::mt19937_64 random(8);
  constexpr std::uint64_t kFreedAfterMs = 600'000;
  const std::uint64_t end_ms = kNow + 3 * kHour - 1;
  int count = 0;
  for (std::uint64_t run = 0; run < 250; ++run) {
    const Account in_time = account_of(static_cast<std::uint8_t>(run % 128), run);
    const Account late = account_of(static_cast<std::uint8_t>(128 + run % 128), run);
    bool may_lengthen = false;
    std::vector<std::function<void(MessageStore&, const Account&, std::uint64_t)>> changes;
    for (std::uint64_t i = 0; i < 5; ++i) {
      changes.push_back(draw_late(random, kNow - 1'000 + i, may_lengthen));
      changes.back()(this->in(), in_time, kNow);
    }
    std::shuffle(changes.begin(), changes.end(), random);
    std::vector<std::uint64_t> arrivals_ms;
    for (std::size_t i = 0; i < changes.size(); ++i) {
      arrivals_ms.push_back(kNow + random() % 5 * (kHour / 2));
    }
    std::sort(arrivals_ms.begin(), arrivals_ms.end());
    for (std::size_t i = 0; i < changes.size(); ++i) {
      reclaim(this->in(), arrivals_ms[i] - kFreedAfterMs);
      changes[i](this->in(), late, arrivals_ms[i]);
    }
    const auto expected = this->in().expiries(in_time, {"h"}, end_ms).value();
    const auto found = this->in().expiries(late, {"h"}, end_ms).value();
    // What was over and freed an extension alone cannot bring back.
    if (!found.empty() || !may_lengthen) {
      ASSERT_EQ(found, expected) << "run " << run;
    }
    count += found.empty() ? 0 : 1;
  }
  EXPECT_GT(count, 25);
}

TYPED_TEST(AnyStore, KeepsTheSameOfAPublicOutboxInWhateverOrderItArrives) {
  std::mt19937_64 random(6);
  for (std::uint8_t run = 0; run < 250; ++run) {
    std::vector<StoreChange> changes;
    bool is_any_removed = false;
    for (std::uint64_t i = 0; i < 4; ++i) {
      const When when(kNow, stamp_of(kNow - 1'000 + i));
      const std::string hash = "h" + std::to_string(random() % 3);
      // Older than what was deleted before it is a limit (storage/README.md).
      const std::uint64_t age_ms = is_any_removed ? 1'000 - i : 2'000 - random() % 4;
      const Message message = message_of(hash, -1, kNow + kHour, kNow - age_ms);
      const bool is_removal = random() % 3 == 0;
      is_any_removed |= is_removal;
      changes.push_back([=](MessageStore& to, const Account& account) {
        if (is_removal) {
          remove(to, account, {hash}, when).value();
        } else {
          store(to, account, message, Origin::client, true, when).value();
        }
      });
    }
    expect_alike_in_any_order(this->in(), run, std::move(changes), false, random);
  }
}

TYPED_TEST(AnyStore, HoldsAChangeThatAReplicaToldBefore) {
  // Somebody whose copy is short already has given it; the store and what shortened it come late, that first.
  const std::uint64_t short_ms = kNow + kHour / 2;
  const When first(kNow, stamp_of(kNow - 20));
  const When then(kNow, stamp_of(kNow - 10));
  for (const bool is_all : {false, true}) {
    const std::string hash = is_all ? "all" : "one";
    Message message = message_of(hash, 0, short_ms, kNow - 20);
    store(this->in(), this->account_, message, Origin::replica).value();
    if (is_all) {
      this->shorten_all(std::nullopt, short_ms, then);
    } else {
      this->change({hash}, {short_ms}, ExpiryChange::shorten, then).value();
    }
    message.expiry_ms = kNow + kHour;
    store(this->in(), this->account_, message, Origin::client, false, first).value();
    EXPECT_EQ(this->in().expiries(this->account_, {hash}, kNow)->at(0).expiry_ms, short_ms) << hash;
  }
}

TYPED_TEST(AnyStore, ShortensAsWellWhatWasStoredBeforeAndComesLater) {
  const auto expiry_of = [&](const Hash& hash, Namespace space, Stamp asked) {
    store(this->in(), this->account_, message_of(hash, space, kNow + kHour, kNow), Origin::client,
          false, When(kNow, asked))
        .value();
    const auto found = this->in().expiries(this->account_, {hash}, kNow).value();
    return found.empty() ? 0 : found[0].expiry_ms - kNow;
  };
  const std::uint64_t used = this->in().status().bytes_used;
  this->shorten_all(0, kNow + 5'000, When(kNow, stamp_of(kNow) + 5));
  this->shorten_all(std::nullopt, kNow + 9'000, When(kNow, stamp_of(kNow) + 9));
  EXPECT_EQ(expiry_of("before both", 0, stamp_of(kNow) + 1), 5'000U);
  EXPECT_EQ(expiry_of("between", 0, stamp_of(kNow) + 7), 9'000U);
  EXPECT_EQ(expiry_of("elsewhere", 1, stamp_of(kNow) + 1), 9'000U);
  EXPECT_EQ(expiry_of("after both", 0, stamp_of(kNow) + 10), kHour);
  reclaim(this->in(), kNow + kLifeMsMax - 1);
  EXPECT_GT(this->in().status().bytes_used, used);
  reclaim(this->in(), kNow + kLifeMsMax + 1);
  EXPECT_EQ(this->in().status().bytes_used, used);
}

TYPED_TEST(AnyStore, ForgetsThatATokenIsNotRevoked) {
  const std::uint64_t used = this->in().status().bytes_used;
  EXPECT_EQ(this->unrevoke({token_of(1)}), 0U);
  EXPECT_EQ(this->revoke({token_of(1)}, kNow, When(kNow, stamp_of(kNow - 1))), 0U);
  EXPECT_TRUE(this->in().revoked(this->account_)->empty());
  reclaim(this->in(), kNow + kLifeMsMax - 1);
  EXPECT_GT(this->in().status().bytes_used, used);
  reclaim(this->in(), kNow + kLifeMsMax + 1);
  EXPECT_EQ(this->in().status().bytes_used, used);
}

}  // namespace
}  // namespace allium::storage::testing
