// SPDX-License-Identifier: Apache-2.0
#include "control/network/network_document.hpp"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "tests/unit/network/test_network.hpp"

namespace allium::control {
namespace {

using test::FixedRandom;
using test::key_of;
using test::kNow;
using test::replaced;

Errc error_of(const Result<NetworkDocument>& result) {
  return result ? Errc{} : result.error().code;
}

NetworkDocument random_document(FixedRandom& random) {
  NetworkDocument document;
  document.serial = 1 + random.below(1'000'000);
  document.valid_from_s = random.below(1U << 31);
  document.valid_until_s = document.valid_from_s + 1 + random.below(100'000);
  const std::size_t relay_count = random.below(20);
  for (std::size_t i = 0; i < relay_count; ++i) {
    RelayEntry& entry = document.relays.emplace_back();
    random.source()(entry.identity);
    entry.name = random.below(2) == 0 ? "" : "relay-" + std::to_string(i);
    const auto port = static_cast<std::uint16_t>(1 + random.below(65535));
    const std::size_t endpoint_count = 1 + random.below(kEndpointsMax);
    for (std::size_t e = 0; e < endpoint_count; ++e) {
      std::array<std::uint8_t, 16> address{};
      random.source()(address);
      entry.endpoints.push_back(random.below(2) == 0
                                    ? onion::Endpoint::from_v4(address.data(), port)
                                    : onion::Endpoint::from_v6(address.data(), port));
    }
    if (random.below(2) == 0) {
      const auto https_port = static_cast<std::uint16_t>(1 + random.below(65534));
      const SwarmId swarm = random.below(4) == 0 ? kNoSwarm : random.below(1U << 30) << 33;
      entry.service = ServiceEntry{swarm, https_port, static_cast<std::uint16_t>(https_port + 1)};
    }
  }
  std::sort(document.relays.begin(), document.relays.end(),
            [](const auto& left, const auto& right) { return left.identity < right.identity; });
  return document;
}

TEST(NetworkDocument, IsTheSameAfterWritingAndReading) {
  FixedRandom random(1);
  for (int round = 0; round < 300; ++round) {
    const NetworkDocument document = random_document(random);

    const auto text = serialise(document);
    ASSERT_TRUE(text) << text.error().text;
    const auto read = parse_network_document(*text);

    ASSERT_TRUE(read) << read.error().text << '\n' << *text;
    EXPECT_EQ(*read, document);
    EXPECT_EQ(serialise(*read).value(), *text);
  }
}

TEST(NetworkDocument, WritesRelaysSortedWhateverTheirOrder) {
  NetworkDocument document = test::network_document(5);
  const std::string text = serialise(document).value();

  std::reverse(document.relays.begin(), document.relays.end());

  EXPECT_EQ(serialise(document).value(), text);
}

// Whatever is changed in a text, it is refused or it is the canonical text of something else.
TEST(NetworkDocument, HasOneTextOnly) {
  FixedRandom random(2);
  const std::string text = serialise(test::network_document(3)).value();
  std::size_t read_count = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string mutant = text;
    const std::size_t place = random.below(mutant.size());
    switch (random.below(4)) {
      case 0:
        mutant[place] = static_cast<char>(random.next());
        break;
      case 1:
        mutant.erase(place, 1 + random.below(4));
        break;
      case 2:
        mutant.insert(place, 1, " 0\nrf-:"[random.below(7)]);
        break;
      default:
        mutant.insert(place, mutant.substr(random.below(mutant.size()), random.below(80)));
    }
    const auto read = parse_network_document(mutant);
    if (read) {
      ++read_count;
      EXPECT_EQ(serialise(*read).value(), mutant);
    }
  }
  EXPECT_GT(read_count, 0U);  // a changed digit of a key is another document
}

TEST(NetworkDocument, RefusesSpellingsThatAreNotCanonical) {
  const std::string text = serialise(test::network_document(2)).value();
  ASSERT_TRUE(parse_network_document(text));
  const std::string name_line = text.substr(text.find("relay "));
  const std::string first_line = name_line.substr(0, name_line.find('\n') + 1);
  std::string swapped = replaced(text, first_line, "");
  swapped += first_line;

  for (const std::string& mutant :
       {replaced(text, "serial 7", "serial 07"), replaced(text, "serial 7", "serial +7"),
        replaced(text, "serial 7", "serial  7"), replaced(text, "serial 7\n", "serial 7 \n"),
        replaced(text, "serial 7\n", "serial 7\r\n"), replaced(text, "[fd00::1]", "[fd00:0::1]"),
        replaced(text, "[fd00::1]", "[FD00::1]"), replaced(text, "10.0.0.1", "[::ffff:10.0.0.1]"),
        text + "\n", text.substr(0, text.size() - 1), text + "relay", swapped, std::string()}) {
    EXPECT_EQ(error_of(parse_network_document(mutant)), Errc::malformed) << mutant;
  }
}

TEST(NetworkDocument, RefusesContentThatBreaksARule) {
  const auto refuses = [](auto&& change) {
    NetworkDocument document = test::network_document(3);
    change(document);
    const auto text = serialise(document);
    return !text && text.error().code == Errc::malformed;
  };
  const auto all_ones = [](RelayEntry& entry) {
    entry.endpoints.clear();
    for (std::uint8_t n = 1; n <= kEndpointsMax + 1; ++n) {
      entry.endpoints.push_back(test::relay_entry(n).endpoints.front());
    }
  };

  EXPECT_FALSE(refuses([](NetworkDocument&) {}));
  EXPECT_TRUE(refuses([](NetworkDocument& d) { d.serial = 0; }));
  EXPECT_TRUE(refuses([](NetworkDocument& d) { d.valid_until_s = d.valid_from_s; }));
  EXPECT_TRUE(refuses([](NetworkDocument& d) { d.relays[1].identity = d.relays[0].identity; }));
  EXPECT_TRUE(refuses([](NetworkDocument& d) { d.relays[1].name = d.relays[0].name; }));
  EXPECT_TRUE(refuses([](NetworkDocument& d) { d.relays[1].name = "N1"; }));
  EXPECT_TRUE(refuses([](NetworkDocument& d) { d.relays[1].name = "-n"; }));
  EXPECT_TRUE(refuses([](NetworkDocument& d) { d.relays[1].name = std::string(33, 'a'); }));
  EXPECT_TRUE(refuses([](NetworkDocument& d) { d.relays[1].endpoints = d.relays[0].endpoints; }));
  EXPECT_TRUE(refuses([](NetworkDocument& d) { d.relays[1].endpoints.clear(); }));
  EXPECT_TRUE(refuses([](NetworkDocument& d) { d.relays[1].endpoints[0].port = 0; }));
  EXPECT_TRUE(refuses([](NetworkDocument& d) { d.relays[1].endpoints[0].port = 1; }));
  EXPECT_TRUE(refuses([&](NetworkDocument& d) { all_ones(d.relays[1]); }));
}

TEST(NetworkDocument, SaysWhichRelaysAreServiceNodes) {
  NetworkDocument document = test::network_document(2);
  document.relays[0].service = ServiceEntry{0x7fffffffffffffff, 22021, 22020};
  document.relays[1].service = ServiceEntry{kNoSwarm, 443, 444};
  const std::string text = serialise(document).value();
  EXPECT_NE(text.find("\nservice 7fffffffffffffff 22021 22020\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\nservice - 443 444\n"), std::string::npos) << text;
  EXPECT_EQ(parse_network_document(text).value(), document);
}

TEST(NetworkDocument, RefusesServiceLinesThatAreNotOne) {
  NetworkDocument document = test::network_document(1);
  document.relays[0].service = ServiceEntry{5, 22021, 22020};
  const std::string good = serialise(document).value();
  const std::string line = "service 0000000000000005 22021 22020\n";
  for (const std::string_view bad :
       {"service 5 22021 22020\n", "service 0000000000000005 22021\n",
        "service 0000000000000005 0 22020\n", "service 0000000000000005 22021 65536\n",
        "service 0000000000000005 22020 22020\n", "service ffffffffffffffff 22021 22020\n",
        "service 000000000000000A 22021 22020\n", "service 0000000000000005 22021 22020 1\n"}) {
    EXPECT_EQ(error_of(parse_network_document(replaced(good, line, std::string(bad)))),
              Errc::malformed)
        << bad;
  }
  EXPECT_EQ(error_of(parse_network_document(replaced(good, line, line + line))), Errc::malformed);
}

TEST(NetworkDocument, RefusesTwoIdentitiesWithOneRelayId) {
  // Found by search (about 2^16 of them): two 32-byte strings whose SHA-256 begin alike.
  FixedRandom random(3);
  std::map<std::uint32_t, IdentityKey> seen;
  NetworkDocument document = test::network_document(0);
  while (document.relays.empty()) {
    IdentityKey identity{};
    random.source()(identity);
    const auto [place, is_new] = seen.emplace(relay_id(identity), identity);
    if (!is_new) {
      document.relays = {test::relay_entry(1), test::relay_entry(2)};
      document.relays[0].identity = place->second;
      document.relays[1].identity = identity;
    }
  }

  const auto text = serialise(document);

  ASSERT_FALSE(text);
  EXPECT_NE(text.error().text.find("one relay id"), std::string::npos);
}

TEST(NetworkDocument, HoldsNoMoreRelaysThanItsBound) {
  NetworkDocument document = test::network_document(0);
  FixedRandom random(4);
  for (std::size_t i = 0; i < kRelaysMax + 1; ++i) {
    RelayEntry& entry = document.relays.emplace_back();
    random.source()(entry.identity);
    const std::array<std::uint8_t, 4> address = {10, 1, static_cast<std::uint8_t>(i >> 8),
                                                 static_cast<std::uint8_t>(i)};
    entry.endpoints.push_back(onion::Endpoint::from_v4(address.data(), 22100));
  }

  EXPECT_FALSE(serialise(document));
  document.relays.pop_back();
  const auto text = serialise(document);
  ASSERT_TRUE(text) << text.error().text;
  EXPECT_TRUE(parse_network_document(*text));
  EXPECT_FALSE(parse_network_document(replaced(*text, "relays 4096", "relays 4097")));
}

TEST(NetworkDocument, IsTrustedWithEnoughSignaturesOfItsAuthorities) {
  const NetworkDocument document = test::network_document(2);
  const Authorities two_of_three = test::authorities_of({901, 902, 903}, 2);
  const auto errc = [&](const std::vector<std::uint64_t>& signers) {
    return error_of(verify(test::signed_document(document, signers), two_of_three, kNow, 0));
  };

  EXPECT_EQ(errc({901, 903}), Errc{});
  EXPECT_EQ(errc({901, 902, 903}), Errc{});
  EXPECT_EQ(errc({901, 777, 902}), Errc{});
  EXPECT_EQ(errc({}), Errc::bad_signature);
  EXPECT_EQ(errc({902}), Errc::bad_signature);
  EXPECT_EQ(errc({902, 777, 778}), Errc::bad_signature);
}

TEST(NetworkDocument, CountsAnAuthorityOnce) {
  SignedNetworkDocument document = test::signed_document(test::network_document(2), {901});
  document.signatures.push_back(document.signatures.front());
  Authorities authorities = test::authorities_of({901, 902}, 2);
  authorities.keys.push_back(authorities.keys.front());

  EXPECT_EQ(error_of(verify(document, authorities, kNow, 0)), Errc::bad_signature);
}

TEST(NetworkDocument, IsNeverTrustedWithAThresholdOfNone) {
  const SignedNetworkDocument document = test::signed_document(test::network_document(2), {777});

  EXPECT_EQ(error_of(verify(document, test::authorities_of({901}, 0), kNow, 0)),
            Errc::bad_signature);
}

TEST(NetworkDocument, IsNotTrustedAfterAnyChange) {
  const Authorities authorities = test::authorities_of({901}, 1);
  const SignedNetworkDocument good = test::signed_document(test::network_document(1), {901});
  ASSERT_TRUE(verify(good, authorities, kNow, 0));

  for (std::size_t i = 0; i < good.text.size(); ++i) {
    SignedNetworkDocument bad = good;
    bad.text[i] = static_cast<char>(bad.text[i] ^ 1);
    EXPECT_EQ(error_of(verify(bad, authorities, kNow, 0)), Errc::bad_signature) << i;
  }
}

TEST(NetworkDocument, IsRefusedOutsideItsTimeAndBehindWhatIsKnown) {
  const Authorities authorities = test::authorities_of({901}, 1);
  const SignedNetworkDocument document = test::signed_document(test::network_document(1), {901});
  const auto errc = [&](std::uint64_t now_s, std::uint64_t known_serial) {
    return error_of(verify(document, authorities, now_s, known_serial));
  };

  EXPECT_EQ(errc(kNow - 1000, 0), Errc{});
  EXPECT_EQ(errc(kNow - 1000 - kClockSkewSeconds, 0), Errc{});
  EXPECT_EQ(errc(kNow - 1001 - kClockSkewSeconds, 0), Errc::stale);
  EXPECT_EQ(errc(kNow + 999, 0), Errc{});
  EXPECT_EQ(errc(kNow + 1000, 0), Errc::stale);
  EXPECT_EQ(errc(kNow, 7), Errc{});
  EXPECT_EQ(errc(kNow, 8), Errc::stale);
}

}  // namespace
}  // namespace allium::control
