// SPDX-License-Identifier: Apache-2.0
#include "control/network/record_book.hpp"

#include <gtest/gtest.h>

#include "tests/unit/network/test_network.hpp"

namespace allium::control {
namespace {

using test::key_of;
using test::kNow;

SignedNodeRecord signed_record(std::uint8_t n, std::uint64_t number = 3) {
  NodeRecord record = test::node_record(n);
  record.number = number;
  return sign(record, key_of(n)).value();
}

RecordBook book_of(std::uint8_t relay_count) {
  RecordBook book;
  book.set_document(std::make_shared<const NetworkDocument>(test::network_document(relay_count)));
  return book;
}

TEST(RecordBook, TakesWhatIsNewerAndNothingElse) {
  RecordBook book = book_of(3);
  EXPECT_EQ(book.take(signed_record(1), kNow).value(), RecordNews::newer);
  EXPECT_EQ(book.take(signed_record(1), kNow).value(), RecordNews::known) << "the same again";
  EXPECT_EQ(book.take(signed_record(1, 2), kNow).value(), RecordNews::older) << "rolled back";
  EXPECT_EQ(book.find(key_of(1).public_key())->number, 3U);
  EXPECT_EQ(book.take(signed_record(1, 4), kNow).value(), RecordNews::newer);
  EXPECT_EQ(book.find(key_of(1).public_key())->number, 4U);
  EXPECT_EQ(book.find(key_of(2).public_key()), nullptr);
}

TEST(RecordBook, RefusesWhatDoesNotHold) {
  RecordBook book = book_of(3);
  const auto code = [&](const SignedNodeRecord& record, std::uint64_t now_s = kNow) {
    const Result<RecordNews> taken = book.take(record, now_s);
    return taken ? Errc{} : taken.error().code;
  };
  SignedNodeRecord forged = signed_record(1);
  forged.signature[5] ^= 1;
  EXPECT_EQ(code(forged), Errc::bad_signature);
  EXPECT_EQ(code(signed_record(9)), Errc::not_found) << "not in the document";
  EXPECT_EQ(code({"allium-node 1\n", {}}), Errc::malformed);
  EXPECT_EQ(code(signed_record(1), kNow + 1'000'000), Errc::stale);
  NodeRecord moved = test::node_record(1);
  moved.endpoints = test::node_record(2).endpoints;
  EXPECT_EQ(code(sign(moved, key_of(1)).value()), Errc::refused);
  EXPECT_TRUE(book.numbers().empty());
}

TEST(RecordBook, KeepsAGoodRecordWhereANewerOneHasOnlyKeysOfThePast) {
  RecordBook book = book_of(2);
  ASSERT_TRUE(book.take(signed_record(1), kNow));
  NodeRecord past = test::node_record(1);
  past.number = 4;
  for (OnionKey& key : past.keys) {
    key.hour -= past.keys.size();
  }
  const Result<RecordNews> taken = book.take(sign(past, key_of(1)).value(), kNow);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Errc::stale);
  EXPECT_NE(taken.error().text.find("hours are past"), std::string::npos) << taken.error().text;
  EXPECT_EQ(*book.find(key_of(1).public_key()), test::node_record(1));
}

TEST(RecordBook, NamesANodeThatContradictsItself) {
  RecordBook book = book_of(2);
  ASSERT_TRUE(book.take(signed_record(1), kNow));
  NodeRecord other = test::node_record(1);
  other.keys.front().public_key[0] ^= 1;
  const Result<RecordNews> taken = book.take(sign(other, key_of(1)).value(), kNow);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Errc::refused);
  EXPECT_NE(taken.error().text.find("two records with one number"), std::string::npos);
  EXPECT_EQ(*book.find(key_of(1).public_key()), test::node_record(1)) << "the first one counts";
}

TEST(RecordBook, GivesWhatAnotherLacks) {
  RecordBook book = book_of(4);
  for (std::uint8_t n = 1; n <= 3; ++n) {
    ASSERT_TRUE(book.take(signed_record(n, 10), kNow));
  }
  EXPECT_EQ(book.newer_than({}, 1 << 20).size(), 3U);
  RecordBook::Numbers theirs = book.numbers();
  EXPECT_TRUE(book.newer_than(theirs, 1 << 20).empty());
  theirs[relay_id(key_of(2).public_key())] = 9;
  const auto newer = book.newer_than(theirs, 1 << 20);
  ASSERT_EQ(newer.size(), 1U);
  EXPECT_EQ(newer.front().text, signed_record(2, 10).text);
  const std::size_t one = signed_record(1, 10).text.size();
  EXPECT_EQ(book.newer_than({}, 2 * one + 8).size(), 2U) << "as many as there is room for";
}

TEST(RecordBook, CountsWhatIsMissing) {
  RecordBook book = book_of(3);
  const std::uint64_t hour = test::node_record(1).keys.front().hour;
  EXPECT_EQ(book.missing(hour), 3U);
  ASSERT_TRUE(book.take(signed_record(1), kNow));
  EXPECT_EQ(book.missing(hour), 2U);
  EXPECT_EQ(book.missing(hour + 100), 3U);
}

TEST(RecordBook, ForgetsRelaysThatTheDocumentHasNoLonger) {
  RecordBook book = book_of(3);
  for (std::uint8_t n = 1; n <= 3; ++n) {
    ASSERT_TRUE(book.take(signed_record(n), kNow));
  }
  book.set_document(std::make_shared<const NetworkDocument>(test::network_document(2)));
  EXPECT_EQ(book.numbers().size(), 2U);
  NetworkDocument moved = test::network_document(2);
  moved.relays[0].endpoints = test::relay_entry(7).endpoints;
  const IdentityKey identity = moved.relays[0].identity;
  book.set_document(std::make_shared<const NetworkDocument>(moved));
  EXPECT_EQ(book.find(identity), nullptr);
  EXPECT_EQ(book.numbers().size(), 1U);
}

TEST(RecordBook, ListsAllInTheOrderOfABundle) {
  RecordBook book = book_of(5);
  for (std::uint8_t n = 5; n >= 1; --n) {
    ASSERT_TRUE(book.take(signed_record(n), kNow));
  }
  NetworkBundle bundle;
  bundle.document = test::signed_document(test::network_document(5), {900});
  bundle.records = book.all();
  const auto text = serialise(bundle);
  ASSERT_TRUE(text) << text.error().text;
  EXPECT_TRUE(parse_network_bundle(*text));
}

}  // namespace
}  // namespace allium::control
