// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/traffic.hpp"

#include <algorithm>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/link_keys.hpp"
#include "dataplane/onion/time_index.hpp"
#include "tools/bench/pcap_file.hpp"

namespace allium::bench {
namespace {

using crypto_accel::aes_encrypt;
using crypto_accel::cmac;
using crypto_accel::ctr_xor;

constexpr std::uint16_t kPort = 22100;
constexpr std::uint64_t kFlow = 1;
constexpr std::size_t kIndexBytes = 8;
constexpr std::size_t kHeaderBytesMax = 128;  // HR of class D

onion::Endpoint endpoint_of(std::uint8_t host) {
  const std::array<std::uint8_t, 4> address = {192, 0, 2, host};
  return onion::Endpoint::from_v4(address.data(), kPort);
}

onion::HourKey copy_of(const onion::HourKey& source) {
  onion::HourKey copy;
  copy.hour = source.hour;
  copy.private_key.copy_from(source.private_key);
  copy.public_key = source.public_key;
  return copy;
}

onion::EpochSecrets copy_of(const onion::EpochSecrets& source) {
  onion::EpochSecrets copy;
  copy.epoch = source.epoch;
  copy.segment.copy_from(source.segment);
  copy.secret.copy_from(source.secret);
  copy.return_block.copy_from(source.return_block);
  copy.replay.copy_from(source.replay);
  copy.cookie.copy_from(source.cookie);
  return copy;
}

}  // namespace

Traffic::Traffic(const TrafficConfig& config, const Random& random) : config_(config) {
  ALLIUM_CHECK(config.session_count > 0);
  for (std::size_t i = 0; i < kPlaces; ++i) {
    const auto host = static_cast<std::uint8_t>(i + 1);
    Node& node = nodes_[i];
    node.id = 0x01010101U * host;
    node.endpoint = endpoint_of(host);
    node.mac = {2, 0, 0, 0, 0, host};
    node.epoch.epoch = onion::epoch_of(kNowMs);
    for (Secret<16>* key : {&node.epoch.segment, &node.epoch.secret, &node.epoch.return_block,
                            &node.epoch.replay, &node.epoch.cookie}) {
      random(key->bytes());
    }
    node.hour.hour = onion::hour_of(kNowMs);
    random(node.hour.private_key.bytes());
    node.hour.public_key = crypto_accel::x25519_public(node.hour.private_key);
  }
  link_in_ = link(kPrevious, kTested);
  sessions_.reserve(config.session_count);
  for (std::size_t i = 0; i < config.session_count; ++i) {
    auto& hops = sessions_.emplace_back();
    hops[0] = open_session(kTested, onion::NextHop::to_relay(nodes_[kNext].id), i);
    hops[1] = open_session(kNext, onion::NextHop::to_service(onion::Service::drop), i);
  }
}

onion::LinkSecrets Traffic::link(Place own, Place peer) const {
  auto secrets = onion::derive_link_secrets(
      nodes_[own].hour.private_key, {nodes_[own].id, nodes_[own].hour.public_key},
      {nodes_[peer].id, nodes_[peer].hour.public_key}, nodes_[own].epoch.epoch);
  ALLIUM_CHECK(secrets);  // keys of our own are never of low order
  return std::move(*secrets);
}

onion::PeerConfig Traffic::peer(Place own, Place peer) const {
  onion::PeerConfig config;
  config.id = nodes_[peer].id;
  config.endpoint = nodes_[peer].endpoint;
  config.links.push_back(link(own, peer));
  return config;
}

// FS = AES_A(type | exp:16 | next:48 | salt:56), s = AES_B(01 | salt:56 | exp:16 | 0^6)
onion::HopSession Traffic::open_session(Place place, const onion::NextHop& next,
                                        std::uint64_t salt) const {
  const onion::EpochSecrets& keys = nodes_[place].epoch;
  const std::uint64_t expiry = onion::expiry_of_epoch(keys.epoch);
  Block segment{};
  segment[0] = static_cast<std::uint8_t>(next.type);
  store_be(segment.data() + 1, expiry, 2);
  std::copy(next.next.begin(), next.next.end(), segment.data() + 3);
  store_be(segment.data() + 9, salt, 7);
  Block secret{};
  secret[0] = 1;
  store_be(secret.data() + 1, salt, 7);
  store_be(secret.data() + 8, expiry, 2);
  onion::HopSession session;
  session.segment_forward = aes_encrypt(keys.segment.bytes(), segment);
  session.secret.bytes() = aes_encrypt(keys.secret.bytes(), secret);
  return session;
}

std::size_t Traffic::datagram_bytes() const noexcept {
  return onion::type_info(onion::data_type(config_.packet_class, onion::Direction::forward))
      .total_bytes;
}

dataplane::PortIdentity Traffic::identity() const {
  return {nodes_[kTested].mac, {nodes_[kTested].endpoint.address}, kPort};
}

dataplane::PortIdentity Traffic::next_identity() const {
  return {nodes_[kNext].mac, {nodes_[kNext].endpoint.address}, kPort};
}

control_port::SnapshotBegin Traffic::snapshot(std::uint64_t serial, const Random& random) const {
  const Node& node = nodes_[kTested];
  control_port::SnapshotBegin begin;
  begin.serial = serial;
  begin.own_id = node.id;
  begin.own_endpoint = node.endpoint;
  begin.peer_count = 2;
  begin.sequences.push_back({node.epoch.epoch, 0, onion::kSeqMax + 1});
  begin.hours.push_back(copy_of(node.hour));
  begin.epochs.push_back(copy_of(node.epoch));
  random(begin.epochs.back().replay.bytes());
  return begin;
}

std::vector<onion::PeerConfig> Traffic::peers() const {
  std::vector<onion::PeerConfig> peers;
  peers.push_back(peer(kTested, kPrevious));
  peers.push_back(peer(kTested, kNext));
  return peers;
}

onion::SnapshotConfig Traffic::next_snapshot() const {
  onion::SnapshotConfig config;
  config.own_id = nodes_[kNext].id;
  config.own_endpoint = nodes_[kNext].endpoint;
  config.peers.push_back(peer(kNext, kTested));
  config.epochs.push_back(copy_of(nodes_[kNext].epoch));
  config.hours.push_back(copy_of(nodes_[kNext].hour));
  return config;
}

onion::Datagram Traffic::make_datagram(std::uint64_t index, const Random& random) const {
  const auto& hops = sessions_[index % sessions_.size()];
  const auto type = onion::data_type(config_.packet_class, onion::Direction::forward);
  std::array<std::uint8_t, onion::kDatagramBytesMax> memory{};
  const MutableBytes data = MutableBytes(memory).first(onion::type_info(type).x_r_bytes);
  random(data);
  store_be(data.data(), index, kIndexBytes);
  auto datagram = onion::build_data(config_.packet_class, onion::slot_of(kNowMs), hops,
                                    onion::flow_and_seq(kFlow, index), data, random);
  ALLIUM_CHECK(datagram);  // two hops and whole data fit in both classes
  put_link(index, *datagram);
  return *datagram;
}

// SPEC.md section 4: the veil first, then the tag over what is sent.
void Traffic::put_link(std::uint64_t seq, onion::Datagram& datagram) const {
  std::uint8_t* bytes = datagram.bytes.data();
  const auto type = onion::data_type(config_.packet_class, onion::Direction::forward);
  const std::size_t header_bytes = onion::type_info(type).header_bytes;
  bytes[onion::kKeyIdOffset] = static_cast<std::uint8_t>(link_in_.epoch);
  store_be(bytes + onion::kSeqOffset, seq, onion::kSeqBytes);
  Block first{};
  std::copy_n(bytes, onion::kTagOffset, first.data());
  const MutableBytes header(bytes + onion::kLinkHeaderBytes, header_bytes);
  ctr_xor(link_in_.out_veil.bytes(), first, header);
  std::array<std::uint8_t, kBlockBytes + kHeaderBytesMax + onion::kTBytes> tagged{};
  const std::size_t tagged_bytes = kBlockBytes + header_bytes + onion::kTBytes;
  store_block(tagged.data(), first);
  std::copy_n(header.data(), header_bytes + onion::kTBytes, tagged.data() + kBlockBytes);
  const Block tag = cmac(link_in_.out_mac.bytes(), Bytes(tagged).first(tagged_bytes));
  std::copy_n(tag.data(), onion::kTagBytes, bytes + onion::kTagOffset);
}

Result<std::uint64_t> Traffic::index_of(const std::uint8_t* t, const std::uint8_t* data) {
  const std::uint64_t index = load_be(data, kIndexBytes);
  if (load_block(t) != onion::flow_and_seq(kFlow, index)) {
    return fail(Errc::malformed, "T and the data of a packet do not name the same packet");
  }
  return index;
}

Result<void> Traffic::write_frames(const std::string& path, std::size_t packet_count,
                                   const Random& random) const {
  auto file = PcapWriter::create(path);
  if (!file) {
    return tl::unexpected(file.error());
  }
  const dataplane::FrameAddresses addresses{nodes_[kPrevious].mac, nodes_[kTested].mac,
                                            nodes_[kPrevious].endpoint, nodes_[kTested].endpoint};
  std::vector<std::uint8_t> frame(dataplane::kHeadersBytesV4 + datagram_bytes());
  std::uint8_t* const payload = frame.data() + dataplane::kHeadersBytesV4;
  for (std::size_t i = 0; i < packet_count; ++i) {
    const onion::Datagram datagram = make_datagram(i, random);
    std::copy(datagram.view().begin(), datagram.view().end(), payload);
    dataplane::write_headers(addresses, payload, datagram.byte_count);
    if (auto added = file->add(frame); !added) {
      return added;
    }
  }
  return file->finish();
}

}  // namespace allium::bench
