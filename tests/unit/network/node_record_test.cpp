// SPDX-License-Identifier: Apache-2.0
#include "control/network/node_record.hpp"

#include <gtest/gtest.h>

#include "tests/unit/network/test_network.hpp"

namespace allium::control {
namespace {

using test::FixedRandom;
using test::key_of;
using test::kNow;
using test::replaced;

Errc error_of(const Result<NodeRecord>& result) {
  return result ? Errc{} : result.error().code;
}

TEST(NodeRecord, IsTheSameAfterWritingAndReading) {
  FixedRandom random(1);
  for (int round = 0; round < 300; ++round) {
    NodeRecord record = test::node_record(static_cast<std::uint8_t>(1 + random.below(200)));
    record.number = 1 + random.next() / 2;
    record.keys.clear();
    const std::uint64_t hour = random.below(1'000'000);
    const std::size_t key_count = 1 + random.below(kRecordHoursMax);
    for (std::size_t i = 0; i < key_count; ++i) {
      OnionKey& key = record.keys.emplace_back();
      key.hour = hour + i;
      random.source()(key.public_key);
    }

    const auto text = serialise(record);
    ASSERT_TRUE(text) << text.error().text;
    const auto read = parse_node_record(*text);

    ASSERT_TRUE(read) << read.error().text;
    EXPECT_EQ(*read, record);
  }
}

TEST(NodeRecord, HasOneTextOnly) {
  FixedRandom random(2);
  const std::string text = serialise(test::node_record(1)).value();
  for (int round = 0; round < 20'000; ++round) {
    std::string mutant = text;
    const std::size_t place = random.below(mutant.size());
    switch (random.below(3)) {
      case 0:
        mutant[place] = static_cast<char>(random.next());
        break;
      case 1:
        mutant.erase(place, 1 + random.below(100));
        break;
      default:
        mutant.insert(place, mutant.substr(random.below(mutant.size()), random.below(80)));
    }
    if (const auto read = parse_node_record(mutant)) {
      EXPECT_EQ(serialise(*read).value(), mutant);
    }
  }
}

TEST(NodeRecord, RefusesContentThatBreaksARule) {
  const auto refuses = [](auto&& change) {
    NodeRecord record = test::node_record(1);
    change(record);
    const auto text = serialise(record);
    return !text && text.error().code == Errc::malformed;
  };

  EXPECT_FALSE(refuses([](NodeRecord&) {}));
  EXPECT_TRUE(refuses([](NodeRecord& r) { r.number = 0; }));
  EXPECT_TRUE(refuses([](NodeRecord& r) { r.keys.clear(); }));
  EXPECT_TRUE(refuses([](NodeRecord& r) { r.keys[1].hour += 1; }));
  EXPECT_TRUE(refuses([](NodeRecord& r) { r.keys[1].hour = r.keys[0].hour; }));
  EXPECT_TRUE(refuses([](NodeRecord& r) { r.endpoints.clear(); }));
  EXPECT_TRUE(refuses([](NodeRecord& r) { r.valid_until_s = r.valid_from_s; }));
  EXPECT_TRUE(refuses([](NodeRecord& r) {
    while (r.keys.size() <= kRecordHoursMax) {
      r.keys.push_back({r.keys.back().hour + 1, {}});
    }
  }));
}

TEST(NodeRecord, IsSignedByItsOwnIdentityOnly) {
  EXPECT_TRUE(sign(test::node_record(1), key_of(1)));
  const auto other = sign(test::node_record(1), key_of(2));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::refused);
}

TEST(NodeRecord, IsTrustedOnlyFromTheIdentityThatIsMeant) {
  const SignedNodeRecord record = sign(test::node_record(1), key_of(1)).value();
  // Relay 2 signs a record that says it is relay 1's.
  SignedNodeRecord stolen = record;
  stolen.signature = key_of(2).sign(
      {reinterpret_cast<const std::uint8_t*>(stolen.text.data()), stolen.text.size()});

  EXPECT_EQ(error_of(verify(record, key_of(1).public_key(), kNow, 0)), Errc{});
  EXPECT_EQ(error_of(verify(record, key_of(2).public_key(), kNow, 0)), Errc::bad_signature);
  EXPECT_EQ(error_of(verify(stolen, key_of(1).public_key(), kNow, 0)), Errc::bad_signature);
  EXPECT_EQ(error_of(verify(stolen, key_of(2).public_key(), kNow, 0)), Errc::bad_signature);
}

TEST(NodeRecord, IsRefusedOutsideItsTimeAndBehindWhatIsKnown) {
  const SignedNodeRecord record = sign(test::node_record(1), key_of(1)).value();
  const auto errc = [&](std::uint64_t now_s, std::uint64_t known_number) {
    return error_of(verify(record, key_of(1).public_key(), now_s, known_number));
  };

  EXPECT_EQ(errc(kNow, 3), Errc{});
  EXPECT_EQ(errc(kNow, 4), Errc::stale);
  EXPECT_EQ(errc(kNow - 10 - kClockSkewSeconds, 0), Errc{});
  EXPECT_EQ(errc(kNow - 11 - kClockSkewSeconds, 0), Errc::stale);
  EXPECT_EQ(errc(kNow + 7199, 0), Errc{});
  EXPECT_EQ(errc(kNow + 7200, 0), Errc::stale);
}

TEST(NodeRecord, IsRefusedWhenTheHoursOfAllItsKeysArePast) {
  NodeRecord record = test::node_record(1);
  record.valid_until_s = kNow + 86'400;
  const SignedNodeRecord text = sign(record, key_of(1)).value();
  const auto errc = [&](std::uint64_t now_s) {
    return error_of(verify(text, key_of(1).public_key(), now_s, 0));
  };
  const std::uint64_t end_s = 3600 * (record.keys.back().hour + 1);
  EXPECT_EQ(errc(end_s - 1), Errc{});
  EXPECT_EQ(errc(end_s), Errc::stale);
}

TEST(NodeRecord, CannotBeADocumentNorADocumentARecord) {
  EXPECT_FALSE(parse_network_document(serialise(test::node_record(1)).value()));
  EXPECT_FALSE(parse_node_record(serialise(test::network_document(1)).value()));
}

}  // namespace
}  // namespace allium::control
