// SPDX-License-Identifier: Apache-2.0
#include "relay_keys.hpp"

#include <gtest/gtest.h>
#include <sodium.h>

#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/link_keys.hpp"
#include "dataplane/onion/time_index.hpp"

namespace allium::dataplane {
namespace {

template <std::size_t N>
void make_key(std::array<std::uint8_t, N>& key, std::size_t relay, char purpose,
              std::uint64_t index) {
  std::array<std::uint8_t, 17> label{};
  store_be(label.data(), relay, 8);
  label[8] = static_cast<std::uint8_t>(purpose);
  store_be(label.data() + 9, index, 8);
  ASSERT_EQ(crypto_generichash(key.data(), key.size(), label.data(), label.size(), nullptr, 0), 0);
}

onion::HourKey hour_key(std::size_t relay, std::uint64_t hour) {
  onion::HourKey key;
  key.hour = hour;
  make_key(key.private_key.bytes(), relay, 'X', hour);
  key.public_key = crypto_accel::x25519_public(key.private_key);
  return key;
}

onion::EpochSecrets epoch_secrets(std::size_t relay, std::uint64_t epoch) {
  onion::EpochSecrets secrets;
  secrets.epoch = epoch;
  make_key(secrets.segment.bytes(), relay, 'A', epoch);
  make_key(secrets.secret.bytes(), relay, 'B', epoch);
  make_key(secrets.return_block.bytes(), relay, 'E', epoch);
  make_key(secrets.replay.bytes(), relay, 'R', epoch);
  make_key(secrets.cookie.bytes(), relay, 'C', epoch);
  return secrets;
}

onion::PeerConfig make_peer(const RelayName& own, const RelayName& other, std::uint64_t epoch) {
  onion::PeerConfig config;
  config.id = other.id();
  config.endpoint = other.endpoint;
  for (std::uint64_t near = epoch - 1; near <= epoch + 1; ++near) {
    const onion::HourKey own_key = hour_key(own.number, near / 6);
    const onion::HourKey other_key = hour_key(other.number, near / 6);
    auto secrets = onion::derive_link_secrets(own_key.private_key, {own.id(), own_key.public_key},
                                              {other.id(), other_key.public_key}, near);
    EXPECT_TRUE(secrets);
    config.links.push_back(std::move(*secrets));
  }
  return config;
}

}  // namespace

crypto_accel::PublicKey RelayName::onion_key(std::uint64_t hour) const {
  return hour_key(number, hour).public_key;
}

TestSnapshot make_snapshot(const RelayName& own, const std::vector<RelayName>& all,
                           const SnapshotWish& wish) {
  const std::uint64_t epoch = onion::epoch_of(wish.now_ms);
  const std::uint64_t hour = onion::hour_of(wish.now_ms);
  TestSnapshot snapshot;
  control_port::SnapshotBegin& begin = snapshot.begin;
  begin.serial = wish.serial;
  begin.own_id = own.id();
  begin.own_endpoint = own.endpoint;
  begin.cookie_required = wish.cookie_required;
  begin.setup_limits = {1'000'000, 1'000'000, 1'000'000, 1'000'000};
  begin.salt_alloc_first = static_cast<std::uint16_t>(16 * wish.start);
  for (const std::uint64_t near : {hour - 1, hour, hour + 1}) {
    begin.hours.push_back(hour_key(own.number, near));
  }
  for (std::uint64_t near = epoch - 1; near <= epoch + 1; ++near) {
    begin.epochs.push_back(epoch_secrets(own.number, near));
    const std::uint64_t first = wish.start << 34;
    begin.sequences.push_back({near, first, first + wish.sequence_count});
  }
  for (const RelayName& other : all) {
    if (other.number != own.number) {
      snapshot.peers.push_back(make_peer(own, other, epoch));
    }
  }
  begin.peer_count = static_cast<std::uint32_t>(snapshot.peers.size());
  return snapshot;
}

}  // namespace allium::dataplane
