// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/network/test_network.hpp"

#include <algorithm>
#include <array>

namespace allium::control::test {

std::uint64_t FixedRandom::next() noexcept {
  state_ += 0x9e3779b97f4a7c15;
  std::uint64_t mixed = state_;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
  return mixed ^ mixed >> 31;
}

void FixedRandom::fill(void* self, std::uint8_t* target, std::size_t byte_count) noexcept {
  for (std::size_t i = 0; i < byte_count; ++i) {
    target[i] = static_cast<std::uint8_t>(static_cast<FixedRandom*>(self)->next());
  }
}

IdentitySecret key_of(std::uint64_t seed) {
  FixedRandom random(seed);
  return IdentitySecret::generate(random.source());
}

RelayEntry relay_entry(std::uint8_t n) {
  RelayEntry entry;
  entry.identity = key_of(n).public_key();
  entry.name = "n" + std::to_string(n);
  const std::array<std::uint8_t, 4> v4 = {10, 0, 0, n};
  std::array<std::uint8_t, 16> v6 = {0xfd};
  v6[15] = n;
  entry.endpoints = {onion::Endpoint::from_v4(v4.data(), 22100),
                     onion::Endpoint::from_v6(v6.data(), 22100)};
  return entry;
}

NetworkDocument network_document(std::uint8_t relay_count) {
  NetworkDocument document;
  document.serial = 7;
  document.valid_from_s = kNow - 1000;
  document.valid_until_s = kNow + 1000;
  for (std::uint8_t n = 1; n <= relay_count; ++n) {
    document.relays.push_back(relay_entry(n));
  }
  std::sort(document.relays.begin(), document.relays.end(),
            [](const RelayEntry& left, const RelayEntry& right) {
              return left.identity < right.identity;
            });
  return document;
}

NodeRecord node_record(std::uint8_t n) {
  NodeRecord record;
  record.identity = key_of(n).public_key();
  record.number = 3;
  record.valid_from_s = kNow - 10;
  record.valid_until_s = kNow + 7200;
  record.endpoints = relay_entry(n).endpoints;
  FixedRandom random(std::uint64_t{1000} + n);
  for (std::uint64_t hour = kNow / 3600; hour < kNow / 3600 + 2; ++hour) {
    OnionKey& key = record.keys.emplace_back();
    key.hour = hour;
    random.source()(key.public_key);
  }
  return record;
}

SignedNetworkDocument signed_document(const NetworkDocument& document,
                                      const std::vector<std::uint64_t>& authorities) {
  SignedNetworkDocument signed_one;
  signed_one.text = serialise(document).value();
  for (const std::uint64_t seed : authorities) {
    sign(signed_one, key_of(seed));
  }
  return signed_one;
}

NetworkBundle network_bundle(std::uint8_t relay_count) {
  NetworkBundle bundle;
  bundle.document = signed_document(network_document(relay_count), {900});
  for (std::uint8_t n = 1; n <= relay_count; ++n) {
    bundle.records.push_back(sign(node_record(n), key_of(n)).value());
  }
  std::sort(bundle.records.begin(), bundle.records.end(),
            [](const SignedNodeRecord& left, const SignedNodeRecord& right) {
              return left.text < right.text;
            });
  return bundle;
}

Authorities authorities_of(const std::vector<std::uint64_t>& seeds, std::size_t threshold) {
  Authorities authorities;
  for (const std::uint64_t seed : seeds) {
    authorities.keys.push_back(key_of(seed).public_key());
  }
  authorities.threshold = threshold;
  return authorities;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t place = text.find(from);
  return place == std::string::npos ? text : text.replace(place, from.size(), to);
}

}  // namespace allium::control::test
