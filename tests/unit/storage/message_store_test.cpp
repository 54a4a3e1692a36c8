// SPDX-License-Identifier: Apache-2.0

// What message_store.hpp says, of both stores.

#include <algorithm>
#include <functional>
#include <random>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>

#include "storage/stored_bytes.hpp"
#include "tests/unit/storage/any_store.hpp"

namespace allium::storage::testing {
namespace {

using Hashes = std::vector<Hash>;

TYPED_TEST_SUITE(AnyStore, Kinds);

TYPED_TEST(AnyStore, GivesMessagesInOrderOfInsertion) {
  for (const char* hash : {"c", "a", "b"}) {
    EXPECT_EQ(this->put(message_of(hash)), StoreEffect::inserted);
  }
  this->put(message_of("elsewhere", -3));

  EXPECT_EQ(hashes_of(this->in(), this->account_), (Hashes{"c", "a", "b"}));
  EXPECT_EQ(hashes_of(this->in(), this->account_, -3), (Hashes{"elsewhere"}));
  EXPECT_TRUE(hashes_of(this->in(), account_of(2, 7)).empty());
  EXPECT_EQ(this->in().retrieve(this->account_, 0, "", {}, kNow)->messages[1], message_of("a"));
}

TYPED_TEST(AnyStore, PagesFromTheLastHash) {
  for (const char* hash : {"a", "b", "c", "d"}) {
    this->put(message_of(hash));
  }

  const Page first = this->in().retrieve(this->account_, 0, "", {2, 0}, kNow).value();
  EXPECT_EQ(first.messages.back().hash, "b");
  EXPECT_TRUE(first.more);
  const Page second = this->in().retrieve(this->account_, 0, "b", {2, 0}, kNow).value();
  EXPECT_EQ(second.messages.front().hash, "c");
  EXPECT_FALSE(second.more);
  EXPECT_TRUE(this->in().retrieve(this->account_, 0, "d", {2, 0}, kNow)->messages.empty());
}

TYPED_TEST(AnyStore, BeginsAnewAfterAnUnknownHash) {
  this->put(message_of("a"));
  this->put(message_of("b", 5));

  EXPECT_EQ(this->in().retrieve(this->account_, 0, "gone", {}, kNow)->messages.size(), 1U);
  EXPECT_EQ(this->in().retrieve(this->account_, 0, "b", {}, kNow)->messages.size(), 1U);
  EXPECT_EQ(this->in().retrieve(this->account_, 0, Hash(500, 'x'), {}, kNow)->messages.size(), 1U);
}

TYPED_TEST(AnyStore, CountsAPageInBytesOfBase64) {
  Message message = message_of("a");
  message.data = std::string(300, 'x');
  this->put(message);
  message.hash = "b";
  this->put(message);
  const std::size_t each = 100 + 1 + 400;

  const auto count = [&](std::size_t bytes) {
    return this->in().retrieve(this->account_, 0, "", {0, bytes}, kNow)->messages.size();
  };
  EXPECT_EQ(count(2 * each), 2U);
  EXPECT_EQ(count(2 * each - 1), 1U);
  EXPECT_EQ(count(1), 1U) << "at least one";
}

TYPED_TEST(AnyStore, KeepsOneMessageAHashAndTheLaterExpiry) {
  this->put(message_of("a"));

  EXPECT_EQ(this->put(message_of("a", 0, kNow + 1)), StoreEffect::already);
  const Stored stored =
      store(this->in(), this->account_, message_of("a", 0, kNow + 2 * kHour)).value();

  EXPECT_EQ(stored.effect, StoreEffect::already);
  EXPECT_EQ(stored.expiry_ms, kNow + 2 * kHour);
  EXPECT_TRUE(stored.is_changed);
  EXPECT_FALSE(store(this->in(), this->account_, message_of("a")).value().is_changed);
  EXPECT_EQ(hashes_of(this->in(), this->account_, 0, kNow + kHour + 1), (Hashes{"a"}));
  EXPECT_EQ(this->in().status().messages, 1U);
}

TYPED_TEST(AnyStore, RefusesWhatIsLongerThanItKeeps) {
  Message message = message_of("a");
  message.data.assign(kDataBytesMax + 1, 'x');
  EXPECT_EQ(store(this->in(), this->account_, message).error().code, Errc::out_of_range);
  message.data.assign(kDataBytesMax, 'x');
  EXPECT_TRUE(store(this->in(), this->account_, message).has_value());
  EXPECT_EQ(store(this->in(), this->account_, message_of("")).error().code, Errc::out_of_range);
  EXPECT_EQ(
      store(this->in(), this->account_, message_of(Hash(kHashCharsMax + 1, 'h'))).error().code,
      Errc::out_of_range);
}

TYPED_TEST(AnyStore, KeepsTheNewestOfAPublicOutbox) {
  this->put(message_of("old", -1, kNow + kHour, 10), Origin::client, true);
  this->put(message_of("new", -1, kNow + kHour, 20), Origin::client, true);
  EXPECT_EQ(hashes_of(this->in(), this->account_, -1), (Hashes{"new"}));

  for (const Origin origin : {Origin::client, Origin::replica}) {
    EXPECT_EQ(this->put(message_of("old", -1, kNow + kHour, 10), origin, true),
              StoreEffect::outdated);
  }
  EXPECT_EQ(this->put(message_of("newer", -1, kNow + kHour, 30), Origin::replica, true),
            StoreEffect::inserted);
  EXPECT_EQ(hashes_of(this->in(), this->account_, -1), (Hashes{"newer"}));
}

TYPED_TEST(AnyStore, KeepsTheTimestampOfWhatIsStoredAgainInAnOutbox) {
  this->put(message_of("a", -1, kNow + kHour, kNow - 20), Origin::client, true);

  EXPECT_EQ(this->put(message_of("a", -1, kNow + 2 * kHour, kNow - 10), Origin::client, true),
            StoreEffect::already);
  const Message kept = this->in().retrieve(this->account_, -1, "", {}, kNow)->messages.at(0);
  EXPECT_EQ(kept, message_of("a", -1, kNow + 2 * kHour, kNow - 20));

  EXPECT_EQ(this->put(message_of("late", -1, kNow + kHour, kNow - 15), Origin::client, true),
            StoreEffect::outdated);
  EXPECT_EQ(this->put(message_of("newer", -1, kNow + kHour, kNow - 5), Origin::client, true),
            StoreEffect::inserted);
}

TYPED_TEST(AnyStore, KeepsTheSameOfAnOutboxInWhateverOrderItComes) {
  const auto stored_at = [](const char* hash, std::uint64_t before_ms) {
    return message_of(hash, -1, kNow + kHour, kNow - before_ms);
  };
  const std::vector<std::vector<Message>> cases = {
      {stored_at("a", 10), stored_at("b", 20), stored_at("c", 20), stored_at("a", 30)},
      {stored_at("a", 30), stored_at("b", 20), stored_at("a", 25), stored_at("a", 21)},
      {stored_at("b", 20), stored_at("c", 20), stored_at("a", 30), stored_at("d", 25)},
  };
  const std::vector<Hash> newest = {"a", "b", "c"};
  std::uint8_t number = 0;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    std::vector<std::size_t> order = {0, 1, 2, 3};
    do {
      for (const Origin origin : {Origin::client, Origin::replica}) {
        const Account account = account_of(++number, 3);
        for (const std::size_t next : order) {
          ASSERT_TRUE(store(this->in(), account, cases[i][next], origin, true));
        }
        EXPECT_EQ(hashes_of(this->in(), account, -1), Hashes{newest[i]}) << "case " << i;
      }
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TYPED_TEST(AnyStore, HidesAMessageAtTheMillisecondOfItsExpiry) {
  this->put(message_of("a", 0, kNow + 10));

  EXPECT_EQ(hashes_of(this->in(), this->account_, 0, kNow + 9), (Hashes{"a"}));
  EXPECT_TRUE(hashes_of(this->in(), this->account_, 0, kNow + 10).empty());
  EXPECT_TRUE(this->in().expiries(this->account_, {"a"}, kNow + 10)->empty());
  EXPECT_EQ(reclaim(this->in(), kNow + 9), 0U);
  EXPECT_EQ(reclaim(this->in(), kNow + 10), 1U);
  EXPECT_EQ(this->in().status().messages, 0U);
  EXPECT_EQ(this->in().status().bytes_used, 0U);
}

TYPED_TEST(AnyStore, RefusesAReplicaThatIsOver) {
  EXPECT_EQ(this->put(message_of("a", 0, kNow), Origin::replica), StoreEffect::expired);
  EXPECT_EQ(this->in().status().messages, 0U);
}

TYPED_TEST(AnyStore, LetsOnlyAClientBringBackWhatWasRemoved) {
  this->put(message_of("a"));
  EXPECT_EQ(remove(this->in(), this->account_, {"b", "a"}).value(), (Hashes{"a"}));
  EXPECT_EQ(remove(this->in(), this->account_, {"a"}).value(), Hashes{});

  EXPECT_EQ(this->put(message_of("a"), Origin::replica), StoreEffect::tombstoned);
  EXPECT_EQ(this->put(message_of("b"), Origin::replica), StoreEffect::tombstoned);
  EXPECT_EQ(this->put(message_of("a"), Origin::client), StoreEffect::inserted);
  EXPECT_EQ(this->put(message_of("a"), Origin::replica), StoreEffect::already);
}

TYPED_TEST(AnyStore, ForgetsOldMessagesWithoutATrace) {
  const auto put_at = [this](const char* hash, std::uint64_t now_ms) {
    return store(this->in(), this->account_, message_of(hash), Origin::client, false, now_ms)
        .value();
  };
  put_at("old", kNow - 10);
  put_at("new", kNow);
  put_at("again", kNow - 10);
  put_at("again", kNow);
  const auto forget = [this](std::vector<Hash> hashes) {
    return answer<std::size_t>([&](Done<std::size_t> done) {
             this->in().forget(this->account_, std::move(hashes), stamp_of(kNow), std::move(done));
           })
        .value();
  };
  EXPECT_EQ(forget({"old", "new", "again", "unknown", ""}), 1U);
  EXPECT_EQ(forget({"old"}), 0U);
  EXPECT_EQ(this->in().status().messages, 2U);
  EXPECT_EQ(this->put(message_of("old"), Origin::replica), StoreEffect::inserted);
}

TYPED_TEST(AnyStore, TellsAReplicaOfBeforeFromWhatWasStoredAnew) {
  const auto asked_before = [](std::uint64_t before_ms) {
    return When(kNow, stamp_of(kNow - before_ms));
  };
  const auto put = [&](std::uint64_t before_ms) {
    return store(this->in(), this->account_, message_of("a", 0, kNow + kHour, kNow - before_ms),
                 Origin::client, false, asked_before(before_ms))
        .value()
        .effect;
  };
  const auto replica = [](std::uint64_t before_ms, bool has_life) {
    Message message = message_of("a", 0, kNow + 2 * kHour, kNow - before_ms);
    if (has_life) {
      message.life = {{stamp_of(kNow - before_ms), message.expiry_ms, HistoryStep::Kind::store,
                       message.timestamp_ms}};
    }
    return message;
  };
  EXPECT_EQ(put(20), StoreEffect::inserted);
  for (const bool has_life : {true, false}) {
    EXPECT_EQ(
        this->in().try_store(this->account_, replica(30, has_life), Origin::replica, false, kNow),
        StoreEffect::already)
        << "nothing is known of what was before";
  }
  remove(this->in(), this->account_, {"a"}, asked_before(15)).value();
  EXPECT_EQ(put(10), StoreEffect::inserted);
  const Message stored = this->in().retrieve(this->account_, 0, "", {}, kNow)->messages.at(0);
  for (const bool has_life : {true, false}) {
    EXPECT_EQ(this->put(replica(20, has_life), Origin::replica), StoreEffect::renewed) << has_life;
    EXPECT_EQ(this->put(replica(10, true), Origin::replica), StoreEffect::already);
  }
  Message both = replica(20, true);
  both.life.push_back({stamp_of(kNow - 10), both.expiry_ms, HistoryStep::Kind::store, kNow - 10});
  EXPECT_EQ(this->put(both, Origin::replica), StoreEffect::renewed)
      << "of a member that did not hear of the deletion";
  both.life.push_back({stamp_of(kNow - 5), both.expiry_ms, HistoryStep::Kind::extend, 0});
  EXPECT_EQ(this->in().try_store(this->account_, both, Origin::replica, false, kNow),
            StoreEffect::already)
      << "it knows more";
  EXPECT_EQ(this->in().retrieve(this->account_, 0, "", {}, kNow)->messages.at(0).timestamp_ms,
            stored.timestamp_ms);
}

TYPED_TEST(AnyStore, KeepsOutWhatWasReplacedBeforeItWasStoredAnew) {
  const auto put = [&](const Hash& hash, std::uint64_t before_ms, std::uint64_t life_ms) {
    return store(this->in(), this->account_, message_of(hash, -1, kNow + life_ms, kNow - before_ms),
                 Origin::client, true, When(kNow, stamp_of(kNow - before_ms)))
        .value()
        .effect;
  };
  EXPECT_EQ(put("b", 20, kHour), StoreEffect::inserted);
  EXPECT_EQ(put("a", 10, kHour), StoreEffect::inserted);
  const auto kept = this->in().retrieve(this->account_, -1, "", {}, kNow)->messages;

  EXPECT_EQ(put("a", 30, 3 * kHour), StoreEffect::outdated);
  EXPECT_EQ(this->in().retrieve(this->account_, -1, "", {}, kNow)->messages, kept);
  EXPECT_EQ(put("a", 5, 2 * kHour), StoreEffect::already);
}

// Its life was made shorter, which left a trace of it.
TYPED_TEST(AnyStore, TakesWhatItForgotOrReplacedAsNewWhereItIsStoredAgain) {
  const auto shorten = [this](const Hash& hash) {
    this->change({hash}, {kNow + kHour / 2}, ExpiryChange::shorten).value();
  };
  this->put(message_of("a", 0, kNow + kHour, kNow - 20));
  shorten("a");
  answer<std::size_t>([&](Done<std::size_t> done) {
    this->in().forget(this->account_, {"a"}, stamp_of(kNow + 1), std::move(done));
  }).value();
  this->put(message_of("outbox", -1, kNow + kHour, kNow - 20), Origin::client, true);
  shorten("outbox");
  this->put(message_of("other", -1, kNow + kHour, kNow - 15), Origin::client, true);

  for (const Message& again : {message_of("a", 0, kNow + 100, kNow - 10),
                               message_of("outbox", -1, kNow + 100, kNow - 10)}) {
    EXPECT_EQ(this->put(again, Origin::client, again.space < 0), StoreEffect::inserted);
    EXPECT_EQ(this->in().retrieve(this->account_, again.space, "", {}, kNow)->messages,
              std::vector<Message>{again});
  }
}

TYPED_TEST(AnyStore, RemembersADeletionAsLongAsAStoreFromBeforeMayCome) {
  this->put(message_of("a", 0, kNow + 10));
  const When deleted(kNow, stamp_of(kNow));
  remove(this->in(), this->account_, {"a", Hash(kHashCharsMax + 1, 'x'), ""}, deleted).value();
  // A member that did not hear of it may have been asked for more of a life than was known here.
  const auto store_at = [&](std::uint64_t now_ms, Origin origin) {
    const When late(now_ms, stamp_of(kNow - 1));
    return store(this->in(), this->account_, message_of("a", 0, kNow + kLifeMsMax + 5), origin,
                 false, late)
        .value()
        .effect;
  };
  for (const std::uint64_t now_ms : {kNow + 10, kNow + kLifeMsMax - 1}) {
    reclaim(this->in(), now_ms);
    EXPECT_EQ(store_at(now_ms, Origin::client), StoreEffect::tombstoned);
    EXPECT_EQ(store_at(now_ms, Origin::replica), StoreEffect::tombstoned);
  }
}

TYPED_TEST(AnyStore, FreesTheTraceOfADeletion) {
  this->put(message_of("a", 0, kNow + 10));
  remove(this->in(), this->account_, {"a"}).value();

  reclaim(this->in(), kNow + kLifeMsMax - 1);
  EXPECT_EQ(this->in().status().bytes_used, trace_bytes(1, 0));
  reclaim(this->in(), kNow + kLifeMsMax);
  EXPECT_EQ(this->in().status().bytes_used, 0U);
}

TYPED_TEST(AnyStore, RemovesBeforeATimeAndRemembersIt) {
  this->put(message_of("a", 0, kNow + kHour, 10));
  this->put(message_of("b", 0, kNow + kHour, 11));
  this->put(message_of("c", 2, kNow + kHour, 10));

  EXPECT_EQ(this->remove_before(0, kNow - 5), (HashesBySpace{{0, {"a", "b"}}}));
  EXPECT_EQ(hashes_of(this->in(), this->account_, 2), (Hashes{"c"}));
  EXPECT_EQ(this->put(message_of("d", 0, kNow + kHour, kNow - 5), Origin::replica),
            StoreEffect::tombstoned);
  EXPECT_EQ(this->put(message_of("e", 0, kNow + kHour, kNow - 4), Origin::replica),
            StoreEffect::inserted);
  EXPECT_EQ(this->put(message_of("f", 2, kNow + kHour, kNow - 5), Origin::replica),
            StoreEffect::inserted);
  EXPECT_EQ(this->remove_before(std::nullopt, kNow - 5), (HashesBySpace{{2, {"c", "f"}}}));
  EXPECT_EQ(this->put(message_of("g", 9, kNow + kHour, kNow - 5), Origin::replica),
            StoreEffect::tombstoned);
}

TYPED_TEST(AnyStore, RemovesAllOfANamespaceOrOfTheAccount) {
  this->put(message_of("a", -4));
  this->put(message_of("b", 0, kNow + kHour, kNow + 500));
  this->put(message_of("c", 6));

  EXPECT_EQ(this->remove_all(0), (HashesBySpace{{0, {"b"}}}));
  EXPECT_EQ(this->remove_all(std::nullopt), (HashesBySpace{{-4, {"a"}}, {6, {"c"}}}));
  EXPECT_EQ(this->put(message_of("b", 0, kNow + kHour, kNow + 500), Origin::replica),
            StoreEffect::tombstoned);
  EXPECT_EQ(this->in().status().accounts, 0U);
}

TYPED_TEST(AnyStore, ForgetsAMarkOfRemovalWhenNothingSoOldCanLive) {
  this->remove_all(0);
  const std::uint64_t end_ms = kNow + kLifeMsMax;
  const auto replica = [&](std::uint64_t now_ms) {
    return this->put(message_of("a", 0, end_ms + kHour), Origin::replica, false, now_ms);
  };

  EXPECT_EQ(replica(end_ms - 1), StoreEffect::tombstoned);
  EXPECT_EQ(replica(end_ms), StoreEffect::inserted);
  reclaim(this->in(), end_ms + kHour);
  EXPECT_EQ(this->in().status().bytes_used, 0U);
}

TYPED_TEST(AnyStore, ChangesExpiriesOneForEach) {
  this->put(message_of("a"));
  this->put(message_of("b"));

  const ExpiriesChanged changed =
      this->change({"b", "none", "a"}, {kNow + 2, kNow + 3, kNow + 4}, ExpiryChange::set).value();

  EXPECT_EQ(changed.updated, (std::vector<HashExpiry>{{"a", kNow + 4}, {"b", kNow + 2}}));
  EXPECT_EQ(this->in().expiries(this->account_, {"b", "a"}, kNow).value(),
            (std::vector<HashExpiry>{{"b", kNow + 2}, {"a", kNow + 4}}));
  EXPECT_EQ(this->change({"a"}, {1, 2}, ExpiryChange::set).error().code, Errc::out_of_range);
}

TYPED_TEST(AnyStore, ShortensAndExtendsOnlyWhereAsked) {
  this->put(message_of("a", 0, kNow + 10));
  this->put(message_of("b", 0, kNow + 30));

  const auto shorter = this->change({"a", "b"}, {kNow + 20}, ExpiryChange::shorten).value();
  EXPECT_EQ(shorter.updated, (std::vector<HashExpiry>{{"b", kNow + 20}}));
  EXPECT_EQ(shorter.unchanged, (std::vector<HashExpiry>{{"a", kNow + 10}}));
  const auto longer = this->change({"a", "b"}, {kNow + 20}, ExpiryChange::extend).value();
  EXPECT_EQ(longer.updated, (std::vector<HashExpiry>{{"a", kNow + 20}}));
  EXPECT_EQ(longer.unchanged, (std::vector<HashExpiry>{{"b", kNow + 20}}));
}

TYPED_TEST(AnyStore, PassesByAnExtensionOfLessThanAHundredth) {
  this->put(message_of("a", 0, kNow + 20'000));
  this->put(message_of("b", 0, kNow + 20'001));

  const auto longer = this->change({"a", "b"}, {kNow + 20'200}, ExpiryChange::extend).value();

  EXPECT_EQ(longer.updated, (std::vector<HashExpiry>{{"a", kNow + 20'200}}));
  EXPECT_EQ(longer.unchanged, (std::vector<HashExpiry>{{"b", kNow + 20'001}}));
  const auto set = this->change({"b"}, {kNow + 20'002}, ExpiryChange::set).value();
  EXPECT_EQ(set.updated, (std::vector<HashExpiry>{{"b", kNow + 20'002}})) << "no extension";
}

TYPED_TEST(AnyStore, GivesALateReplicaTheLifeThatWasShortened) {
  this->put(message_of("here"));
  this->change({"here", "away"}, {kNow + 10}, ExpiryChange::shorten).value();

  EXPECT_EQ(this->put(message_of("here"), Origin::replica), StoreEffect::already);
  EXPECT_EQ(this->put(message_of("away"), Origin::replica), StoreEffect::inserted);

  EXPECT_EQ(this->in().expiries(this->account_, {"here", "away"}, kNow).value(),
            (std::vector<HashExpiry>{{"here", kNow + 10}, {"away", kNow + 10}}));
  EXPECT_EQ(this->put(message_of("here"), Origin::replica, false, kNow + 10), StoreEffect::expired);
  EXPECT_EQ(this->put(message_of("away"), Origin::client, false, kNow + 10), StoreEffect::inserted);
  EXPECT_EQ(this->in().expiries(this->account_, {"away"}, kNow + 10)->front().expiry_ms,
            message_of("away").expiry_ms);
}

TYPED_TEST(AnyStore, GivesALateReplicaTheLifeThatWasExtended) {
  const std::uint64_t far_ms = message_of("a").expiry_ms + kHour;
  this->change({"a", "b", "c"}, {far_ms}, ExpiryChange::extend).value();
  this->change({"b"}, {kNow + 10}, ExpiryChange::shorten).value();
  this->change({"c"}, {kNow + 20}, ExpiryChange::set).value();

  for (const char* hash : {"a", "b", "c"}) {
    this->put(message_of(hash), Origin::replica);
  }

  EXPECT_EQ(this->in().expiries(this->account_, {"a", "b", "c"}, kNow).value(),
            (std::vector<HashExpiry>{{"a", far_ms}, {"b", kNow + 10}, {"c", kNow + 20}}));
}

TYPED_TEST(AnyStore, RemembersWhatWasSaidOfAMessageThatIsOver) {
  // "b" was not shortened here, but a store from before that comes late lives no longer either.
  this->put(message_of("a", 0, kNow + 50));
  this->put(message_of("b", 0, kNow + 50));
  this->put(message_of("c", 0, kNow + 50));
  this->change({"a"}, {kNow + 10}, ExpiryChange::shorten).value();
  this->change({"b"}, {kNow + 60}, ExpiryChange::shorten).value();

  EXPECT_EQ(reclaim(this->in(), kNow + 60), 3U);
  EXPECT_EQ(this->in().status().bytes_used, 2 * trace_bytes(1, 2));
  for (const char* hash : {"a", "b"}) {
    const When late(kNow + 60, stamp_of(kNow - 1));
    EXPECT_EQ(store(this->in(), this->account_, message_of(hash), Origin::client, false, late)
                  .value()
                  .effect,
              StoreEffect::expired);
  }
  reclaim(this->in(), kNow + kLifeMsMax - 1);
  EXPECT_EQ(this->in().status().bytes_used, 2 * trace_bytes(1, 3));
  reclaim(this->in(), kNow + kLifeMsMax);
  EXPECT_EQ(this->in().status().bytes_used, 0U);
}

TYPED_TEST(AnyStore, LeavesATraceWhereAnOlderOneEndsInTheSameMoment) {
  this->put(message_of("a", 0, kNow + 50));
  this->change({"a"}, {kNow + 10}, ExpiryChange::shorten).value();
  this->change({"a"}, {kNow + 60}, ExpiryChange::set, kNow + 5).value();

  EXPECT_EQ(reclaim(this->in(), kNow + 70), 1U);
  EXPECT_EQ(this->in().status().bytes_used, trace_bytes(1, 3));
  reclaim(this->in(), kNow + 5 + kLifeMsMax);
  EXPECT_EQ(this->in().status().bytes_used, 0U);
}

TYPED_TEST(AnyStore, HidesWhatIsMadeToExpireInThePast) {
  this->put(message_of("a"));

  EXPECT_EQ(this->change({"a"}, {kNow}, ExpiryChange::set)->updated.size(), 1U);

  EXPECT_TRUE(hashes_of(this->in(), this->account_).empty());
  EXPECT_EQ(this->put(message_of("a"), Origin::replica), StoreEffect::expired);
  EXPECT_TRUE(hashes_of(this->in(), this->account_).empty());
  EXPECT_EQ(reclaim(this->in(), kNow), 1U);
  EXPECT_EQ(this->put(message_of("a"), Origin::replica), StoreEffect::expired);
  EXPECT_TRUE(hashes_of(this->in(), this->account_).empty());
}

TYPED_TEST(AnyStore, ShortensEverythingThatLivesLonger) {
  this->put(message_of("a", 0, kNow + 10));
  this->put(message_of("b", 0, kNow + 30));
  this->put(message_of("c", 4, kNow + 30));

  EXPECT_EQ(this->shorten_all(0, kNow + 20), (HashesBySpace{{0, {"b"}}}));
  EXPECT_EQ(this->shorten_all(std::nullopt, kNow + 20), (HashesBySpace{{4, {"c"}}}));
  EXPECT_EQ(reclaim(this->in(), kNow + 20), 3U);
}

TYPED_TEST(AnyStore, KeepsTheNewestFiftyRevocations) {
  EXPECT_EQ(this->revoke({token_of(200)}, kNow + 1), 1U);
  for (std::uint8_t i = 0; i < 60; ++i) {
    this->revoke({token_of(i)}, kNow);
  }

  const std::vector<Token> revoked = this->in().revoked(this->account_).value();
  ASSERT_EQ(revoked.size(), kRevokedMax);
  EXPECT_EQ(revoked[0], token_of(200));
  EXPECT_EQ(revoked[1], token_of(59));
  EXPECT_EQ(revoked[49], token_of(11));
  EXPECT_EQ(this->revoke({token_of(200)}, kNow), 0U);
  // So that an end of a revocation comes to the same before and after those by which it was pushed out.
  EXPECT_EQ(this->unrevoke({token_of(200), token_of(1)}), 2U);
  EXPECT_EQ(this->in().revoked(this->account_)->back(), token_of(10));
}

TYPED_TEST(AnyStore, TakesOfRevocationAndItsEndAtOneTimeTheEndWhateverComesLast) {
  this->revoke({token_of(1), token_of(2)}, kNow);
  EXPECT_EQ(this->unrevoke({token_of(1)}), 1U);
  EXPECT_EQ(this->revoke({token_of(1)}, kNow), 0U);
  EXPECT_EQ(this->in().revoked(this->account_).value(), std::vector<Token>{token_of(2)});
}

TYPED_TEST(AnyStore, QueuesMissedRecordsByPeer) {
  const PeerKey peer{1};
  const PeerKey other{2};
  const auto enqueue = [&](const PeerKey& to, std::vector<std::string> records) {
    return answer<std::uint64_t>([&](Done<std::uint64_t> done) {
             this->in().enqueue_missed(to, std::move(records), std::move(done));
           })
        .value();
  };
  enqueue(peer, {"one", "two"});
  enqueue(other, {"x"});
  const std::uint64_t last = enqueue(peer, {"three"});

  const auto all = this->in().missed(peer, 0, 1000).value();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[2].record, "three");
  EXPECT_EQ(all[2].number, last);
  EXPECT_LT(all[0].number, all[1].number);
  EXPECT_EQ(this->in().missed(peer, 0, 6)->size(), 2U);
  EXPECT_EQ(this->in().missed(peer, 0, 1)->size(), 1U) << "at least one";
  EXPECT_EQ(this->in().missed(peer, all[0].number, 1000)->size(), all.size() - 1);
  EXPECT_TRUE(this->in().missed(peer, all.back().number, 1000)->empty());
  EXPECT_EQ(this->in().peers_with_missed().value(), (std::vector<PeerKey>{peer, other}));

  EXPECT_EQ(answer<std::size_t>([&](Done<std::size_t> done) {
              this->in().drop_missed(peer, all[1].number, std::move(done));
            }).value(),
            2U);
  EXPECT_EQ(this->in().missed(peer, 0, 1000)->size(), 1U);
}

TYPED_TEST(AnyStore, VisitsARangeOfTheRing) {
  for (const std::uint64_t point : {std::uint64_t{5}, std::uint64_t{10}, UINT64_MAX}) {
    store(this->in(), account_of(3, point), message_of("m" + std::to_string(point % 100))).value();
  }
  store(this->in(), account_of(3, 10), message_of("over", 0, kNow)).value();
  const auto visited = [&](std::uint64_t first, std::uint64_t last) {
    std::vector<std::uint64_t> points;
    EXPECT_TRUE(this->in()
                    .for_each({first, last}, kNow,
                              [&](const Account& account, const Message& message) {
                                points.push_back(point_of(account));
                                return message.hash != "m5" || last != 11;
                              })
                    .has_value());
    return points;
  };

  EXPECT_EQ(visited(5, 10), (std::vector<std::uint64_t>{5, 10}));
  EXPECT_EQ(visited(6, UINT64_MAX), (std::vector<std::uint64_t>{10, UINT64_MAX}));
  EXPECT_EQ(visited(0, 11), (std::vector<std::uint64_t>{5})) << "until it returns false";
}

TYPED_TEST(AnyStore, GoesOnBehindAMessage) {
  const Account one = account_of(1, 5);
  const Account two = account_of(2, 5);  // at the same point
  const Account three = account_of(1, 9);
  store(this->in(), one, message_of("a")).value();
  store(this->in(), two, message_of("b", 2)).value();
  store(this->in(), two, message_of("c", -1)).value();
  store(this->in(), two, message_of("d", -1)).value();
  store(this->in(), three, message_of("b")).value();
  const auto behind = [&](const Account& account, const Hash& hash, std::uint64_t first = 0) {
    std::string hashes;
    EXPECT_TRUE(this->in().for_each({.first = first, .after = MessageId{account, hash}}, kNow,
                                    [&hashes](const Account& /*whose*/, const Message& message) {
                                      hashes += message.hash;
                                      return true;
                                    }));
    return hashes;
  };

  EXPECT_EQ(behind(one, "a"), "cdbb");
  EXPECT_EQ(behind(two, "c"), "dbb");
  EXPECT_EQ(behind(two, "b"), "b") << "the last of its account";
  EXPECT_EQ(behind(three, "b"), "");
  EXPECT_EQ(behind(two, "c", 6), "b") << "and not before the first point";
  for (const Hash& unknown : {Hash("a"), Hash(), Hash(kHashCharsMax + 1, 'x')}) {
    EXPECT_EQ(behind(two, unknown), "cdbb") << "the account from its beginning";
  }
  EXPECT_EQ(behind(account_of(9, 5), "a"), "b") << "an account that is not here";
  remove(this->in(), two, {"c"}).value();
  EXPECT_EQ(behind(two, "c"), "dbb") << "deleted meanwhile";
}

TYPED_TEST(AnyStore, RefusesMessagesAtTheSizeLimitAndStillDeletes) {
  const std::uint64_t each = message_bytes(2, 100);
  this->make(10 * each);
  const auto numbered = [](int number) {
    Message message = message_of(std::to_string(10 + number));
    message.data.assign(100, 'x');
    return message;
  };
  for (int i = 0; i < 9; ++i) {
    this->put(numbered(i));
  }
  EXPECT_FALSE(this->in().status().is_nearly_full);
  this->put(numbered(9));
  EXPECT_TRUE(this->in().status().is_nearly_full);

  for (const Origin origin : {Origin::client, Origin::replica}) {
    const auto refused = store(this->in(), this->account_, numbered(10), origin);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Errc::full);
  }
  EXPECT_EQ(this->in().status().messages, 10U);
  EXPECT_EQ(this->put(numbered(3)), StoreEffect::already);
  EXPECT_EQ(remove(this->in(), this->account_, {"10"}).value(), (Hashes{"10"}));
  std::vector<Hash> unknown;
  for (int i = 0; i < 1000; ++i) {
    unknown.push_back("unknown" + std::to_string(i));
  }
  EXPECT_TRUE(remove(this->in(), this->account_, unknown)->empty());
  this->change(unknown, {kNow + kHour}, ExpiryChange::set).value();
  EXPECT_LE(this->in().status().bytes_used, 10 * each + trace_bytes(unknown[999].size(), 0))
      << "what is here can still be deleted";
}

TYPED_TEST(AnyStore, TakesChangesFromManyThreads) {
  MessageStore& in = this->in();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&in, t, this] {
      for (int i = 0; i < 50; ++i) {
        store(in, this->account_, message_of(std::to_string(t) + "-" + std::to_string(i))).value();
        hashes_of(in, this->account_);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }

  EXPECT_EQ(hashes_of(in, this->account_).size(), 200U);
  EXPECT_EQ(in.status().messages, 200U);
}

}  // namespace
}  // namespace allium::storage::testing
