// SPDX-License-Identifier: Apache-2.0
#include "control/network/network_view.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/unit/network/test_network.hpp"

namespace allium::control {
namespace {

using test::FixedRandom;
using test::key_of;
using test::kNow;
using test::replaced;

const Authorities& trusted() {
  static const Authorities authorities = test::authorities_of({900}, 1);
  return authorities;
}

Result<NetworkView> view_of(const NetworkBundle& bundle, const KnownNetwork& known = {}) {
  return NetworkView::verify(bundle, trusted(), kNow, known);
}

/// A folder that goes with the test.
class NetworkFile : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(mkdtemp(folder_), nullptr); }

  void TearDown() override {
    std::remove(path().c_str());
    rmdir(folder_);
  }

  [[nodiscard]] std::string path() const { return std::string(folder_) + "/network"; }

 private:
  char folder_[32] = "/tmp/allium-network-XXXXXX";
};

TEST(NetworkBundle, IsTheSameAfterWritingAndReading) {
  for (std::uint8_t relay_count = 0; relay_count < 20; ++relay_count) {
    const std::string text = serialise(test::network_bundle(relay_count)).value();

    const auto read = parse_network_bundle(text);

    ASSERT_TRUE(read) << read.error().text;
    EXPECT_EQ(serialise(*read).value(), text);
    EXPECT_EQ(read->records.size(), relay_count);
  }
}

TEST(NetworkBundle, HasOneTextOnly) {
  FixedRandom random(5);
  const std::string text = serialise(test::network_bundle(3)).value();
  for (int round = 0; round < 20'000; ++round) {
    std::string mutant = text;
    const std::size_t place = random.below(mutant.size());
    if (random.below(2) == 0) {
      mutant.erase(place, 1 + random.below(200));
    } else {
      mutant.insert(place, mutant.substr(random.below(mutant.size()), random.below(200)));
    }
    if (const auto read = parse_network_bundle(mutant)) {
      EXPECT_EQ(serialise(*read).value(), mutant);
    }
  }
}

TEST(NetworkBundle, RefusesWhatIsOutOfOrder) {
  NetworkBundle bundle = test::network_bundle(2);
  std::swap(bundle.records[0], bundle.records[1]);
  EXPECT_FALSE(serialise(bundle));

  bundle = test::network_bundle(2);
  bundle.document = test::signed_document(test::network_document(2), {900, 901});
  std::swap(bundle.document.signatures[0], bundle.document.signatures[1]);
  EXPECT_FALSE(serialise(bundle));
}

TEST(NetworkView, ShowsEveryRelayWithItsRecord) {
  const auto view = view_of(test::network_bundle(9));

  ASSERT_TRUE(view) << view.error().text;
  EXPECT_EQ(view->serial(), 7U);
  EXPECT_EQ(view->relays().size(), 9U);
  EXPECT_EQ(view->refused_records(), 0U);
  for (std::uint8_t n = 1; n <= 9; ++n) {
    const RelayInView* const relay = view->find("n" + std::to_string(n));
    ASSERT_NE(relay, nullptr);
    EXPECT_EQ(relay->entry, test::relay_entry(n));
    EXPECT_EQ(relay->id, relay_id(key_of(n).public_key()));
    ASSERT_NE(relay->key_of(kNow / 3600), nullptr);
    EXPECT_EQ(*relay->key_of(kNow / 3600), test::node_record(n).keys[0].public_key);
    EXPECT_EQ(relay->key_of(kNow / 3600 + 9), nullptr);
    EXPECT_EQ(view->find(relay->id), relay);
  }
}

TEST(NetworkView, FindsARelayByAPrefixThatFitsItAlone) {
  const auto view = view_of(test::network_bundle(40));
  ASSERT_TRUE(view);
  std::size_t ambiguous_count = 0;
  for (const RelayInView& relay : view->relays()) {
    std::array<char, 9> id{};
    std::snprintf(id.data(), id.size(), "%08x", relay.id);
    EXPECT_EQ(view->find(std::string_view(id.data())), &relay);
    ambiguous_count += view->find(std::string_view(id.data(), 1)) == nullptr ? 1U : 0U;
  }
  EXPECT_GT(ambiguous_count, 20U);  // forty relays, sixteen digits
  EXPECT_EQ(view->find(std::string_view()), nullptr);
  EXPECT_EQ(view->find(std::string_view("n41")), nullptr);
}

TEST(NetworkView, LeavesOutARecordThatDoesNotHoldAndKeepsTheRelay) {
  NetworkBundle bundle = test::network_bundle(4);
  bundle.records[1].signature[5] ^= 1;

  const auto view = view_of(bundle);

  ASSERT_TRUE(view);
  EXPECT_EQ(view->refused_records(), 1U);
  EXPECT_EQ(view->relays().size(), 4U);
  std::size_t with_record = 0;
  for (const RelayInView& relay : view->relays()) {
    with_record += relay.record ? 1U : 0U;
  }
  EXPECT_EQ(with_record, 3U);
}

TEST(NetworkView, LeavesOutARecordOfAStranger) {
  NetworkBundle bundle = test::network_bundle(2);
  bundle.records.push_back(sign(test::node_record(77), key_of(77)).value());

  const auto view = view_of(bundle);

  ASSERT_TRUE(view);
  EXPECT_EQ(view->refused_records(), 1U);
  EXPECT_EQ(view->relays().size(), 2U);
}

TEST(NetworkView, LeavesOutARecordThatMovesItsRelay) {
  NetworkBundle bundle = test::network_bundle(1);
  NodeRecord record = test::node_record(1);
  record.endpoints = test::relay_entry(9).endpoints;
  bundle.records = {sign(record, key_of(1)).value()};

  const auto view = view_of(bundle);

  ASSERT_TRUE(view);
  EXPECT_EQ(view->refused_records(), 1U);
  EXPECT_FALSE(view->relays()[0].record);
}

TEST(NetworkView, GoesByTheRecordWithTheHigherNumber) {
  NetworkBundle bundle = test::network_bundle(1);
  NodeRecord newer = test::node_record(1);
  newer.number = 4;
  newer.keys[0].public_key[0] ^= 1;
  for (const bool newer_first : {false, true}) {
    bundle.records = {sign(test::node_record(1), key_of(1)).value(),
                      sign(newer, key_of(1)).value()};
    if (newer_first) {
      std::swap(bundle.records[0], bundle.records[1]);
    }

    const auto view = view_of(bundle);

    ASSERT_TRUE(view);
    ASSERT_TRUE(view->relays()[0].record);
    EXPECT_EQ(*view->relays()[0].record, newer);
  }
}

TEST(NetworkView, RefusesARollBackOfDocumentAndRecords) {
  const NetworkBundle bundle = test::network_bundle(2);
  const auto view = view_of(bundle);
  ASSERT_TRUE(view);
  EXPECT_TRUE(view_of(bundle, view->known()));

  KnownNetwork later = view->known();
  later.record_numbers[key_of(1).public_key()] = 4;
  const auto without_record = view_of(bundle, later);
  ASSERT_TRUE(without_record);
  EXPECT_EQ(without_record->refused_records(), 1U);
  EXPECT_FALSE(without_record->find("n1")->record);
  EXPECT_TRUE(without_record->find("n2")->record);

  later.serial = 8;
  ASSERT_FALSE(view_of(bundle, later));
  EXPECT_EQ(view_of(bundle, later).error().code, Errc::stale);
}

TEST_F(NetworkFile, IsReadAsItWasWritten) {
  const NetworkBundle bundle = test::network_bundle(3);

  ASSERT_TRUE(write_bundle_file(path(), bundle));
  ASSERT_TRUE(write_bundle_file(path(), bundle));  // replaces
  const auto view = NetworkView::load(path(), trusted(), kNow, {});

  ASSERT_TRUE(view) << view.error().text;
  EXPECT_EQ(view->relays().size(), 3U);
  EXPECT_NE(access((path() + ".new").c_str(), F_OK), 0);
}

TEST_F(NetworkFile, SaysWhatIsWrongWithIt) {
  const auto errc = [this] {
    const auto view = NetworkView::load(path(), trusted(), kNow, {});
    return view ? Errc{} : view.error().code;
  };
  EXPECT_EQ(errc(), Errc::io);

  std::ofstream(path()) << "hello\n";
  EXPECT_EQ(errc(), Errc::malformed);

  NetworkBundle bundle = test::network_bundle(1);
  bundle.document.signatures.clear();
  ASSERT_TRUE(write_bundle_file(path(), bundle));
  EXPECT_EQ(errc(), Errc::bad_signature);

  std::ofstream(path()) << std::string(kBundleBytesMax + 1, 'x');
  EXPECT_EQ(errc(), Errc::malformed);
}

TEST(IdentityKeyText, IsSixtyFourHexDigits) {
  const IdentityKey key = key_of(1).public_key();
  std::string text = identity_key_text(key);

  EXPECT_EQ(parse_identity_key(text).value(), key);
  for (char& c : text) {
    c = static_cast<char>(std::toupper(c));
  }
  EXPECT_EQ(parse_identity_key(text).value(), key);
  EXPECT_FALSE(parse_identity_key(text.substr(1)));
  EXPECT_FALSE(parse_identity_key(text + "0"));
  text[3] = 'g';
  EXPECT_FALSE(parse_identity_key(text));
}

}  // namespace
}  // namespace allium::control
