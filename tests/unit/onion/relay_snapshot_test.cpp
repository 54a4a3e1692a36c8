// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/relay_snapshot.hpp"

#include <gtest/gtest.h>

#include "crypto_accel/kernel_registry.hpp"
#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/link_keys.hpp"

namespace allium::onion {
namespace {

Endpoint endpoint_of(std::uint32_t number) {
  std::array<std::uint8_t, 4> address{};
  store_be(address.data(), 0x0a000000 + number, 4);
  return Endpoint::from_v4(address.data(), 22100);
}

struct Fixture {
  Fixture() {
    config.own_id = 1;
    config.own_endpoint = endpoint_of(1);
  }

  void add_peer(std::uint32_t id, std::uint32_t address) {
    PeerConfig& peer = config.peers.emplace_back();
    peer.id = id;
    peer.endpoint = endpoint_of(address);
  }

  [[nodiscard]] Result<std::unique_ptr<const RelaySnapshot>> build() {
    return RelaySnapshot::build(config, batch);
  }

  [[nodiscard]] Errc refusal() {
    const auto built = build();
    EXPECT_FALSE(built);
    return built ? Errc::internal : built.error().code;
  }

  SnapshotConfig config;
  crypto_accel::OnionBatch batch{*crypto_accel::select_kernels("")->onion};
};

TEST(RelaySnapshot, FindsPeersByIdAndByAddress) {
  Fixture one;
  one.add_peer(2, 2);
  one.add_peer(3, 3);
  one.config.peers[1].links.resize(2);
  one.config.peers[1].links[0].epoch = 40;
  one.config.peers[1].links[1].epoch = 41;

  const auto built = one.build();

  ASSERT_TRUE(built);
  const RelaySnapshot& snapshot = **built;
  ASSERT_NE(snapshot.peer_by_id(3), nullptr);
  EXPECT_EQ(snapshot.peer_by_id(3), snapshot.peer_by_endpoint(endpoint_of(3)));
  EXPECT_EQ(snapshot.peer_by_id(4), nullptr);
  EXPECT_EQ(snapshot.peer_by_endpoint(endpoint_of(4)), nullptr);
  EXPECT_EQ(snapshot.peer_by_endpoint(endpoint_of(1)), nullptr);
  EXPECT_NE(snapshot.peer_by_id(3)->link(41), nullptr);
  EXPECT_EQ(snapshot.peer_by_id(3)->link(42), nullptr);
}

TEST(RelaySnapshot, TakesWhatItsLimitsAllowAndNoMore) {
  Fixture one;
  one.config.epochs.resize(kEpochsMax);
  one.config.hours.resize(kHoursMax);
  one.add_peer(2, 2);
  one.config.peers[0].links.resize(kEpochsMax);
  EXPECT_TRUE(one.build());

  one.config.peers[0].links.resize(kEpochsMax + 1);
  EXPECT_EQ(one.refusal(), Errc::full);
  one.config.peers[0].links.clear();
  one.config.epochs.resize(kEpochsMax + 1);
  EXPECT_EQ(one.refusal(), Errc::full);
  one.config.epochs.clear();
  one.config.hours.resize(kHoursMax + 1);
  EXPECT_EQ(one.refusal(), Errc::full);
}

TEST(RelaySnapshot, TakesNoMoreThanTheMostRelays) {
  Fixture one;
  for (std::uint32_t i = 0; i <= kPeersMax; ++i) {
    one.add_peer(2 + i, 2 + i);
  }

  EXPECT_EQ(one.refusal(), Errc::full);
}

TEST(RelaySnapshot, RefusesTwoRelaysOfOneIdOrAddress) {
  Fixture one;
  one.add_peer(2, 2);
  one.add_peer(2, 3);
  EXPECT_EQ(one.refusal(), Errc::malformed);

  one.config.peers[1].id = 3;
  one.config.peers[1].endpoint = endpoint_of(2);
  EXPECT_EQ(one.refusal(), Errc::malformed);

  one.config.peers[1].endpoint = one.config.own_endpoint;
  EXPECT_EQ(one.refusal(), Errc::malformed);

  one.config.peers[1].endpoint = endpoint_of(3);
  one.config.peers[1].id = one.config.own_id;
  EXPECT_EQ(one.refusal(), Errc::malformed);
}

struct End {
  explicit End(std::uint32_t id) {
    system_random()(private_key.bytes());
    end = {id, crypto_accel::x25519_public(private_key)};
  }

  crypto_accel::PrivateKey private_key;
  LinkEnd end;
};

TEST(LinkKeys, BothEndsDeriveTheSameKeysTheOtherWayRound) {
  const End left(1);
  const End right(2);

  const auto here = derive_link_secrets(left.private_key, left.end, right.end, 40);
  const auto there = derive_link_secrets(right.private_key, right.end, left.end, 40);
  const auto later = derive_link_secrets(left.private_key, left.end, right.end, 41);

  ASSERT_TRUE(here && there && later);
  EXPECT_EQ(here->out_mac.bytes(), there->in_mac.bytes());
  EXPECT_EQ(here->out_veil.bytes(), there->in_veil.bytes());
  EXPECT_EQ(here->in_mac.bytes(), there->out_mac.bytes());
  EXPECT_EQ(here->in_veil.bytes(), there->out_veil.bytes());
  EXPECT_NE(here->out_mac.bytes(), here->in_mac.bytes());
  EXPECT_NE(here->out_veil.bytes(), later->out_veil.bytes());
}

TEST(LinkKeys, APeerWithAKeyOfLowOrderHasNoLink) {
  const End own(1);

  EXPECT_FALSE(derive_link_secrets(own.private_key, own.end, LinkEnd{2, {}}, 40));
}

}  // namespace
}  // namespace allium::onion
