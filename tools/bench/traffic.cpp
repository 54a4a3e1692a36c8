// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/traffic.hpp"

#include <algorithm>
#include <utility>

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
constexpr std::size_t kHeaderBytesMax = 128;       // HR of class D
constexpr std::size_t kSetupPacketsMax = 262'144;  // that the previous relay has room for
constexpr onion::SetupLimits kNoLimits{1, 1, 1'000'000'000, 4'000'000'000};

// Addresses for documentation: RFC 5737, RFC 3849.
onion::Endpoint endpoint_of(std::uint8_t host, bool is_v6) {
  const std::array<std::uint8_t, 4> v4 = {192, 0, 2, host};
  const std::array<std::uint8_t, 16> v6 = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0,
                                           0,    0, 0,   0,    0, 0, 0, host};
  return is_v6 ? onion::Endpoint::from_v6(v6.data(), kPort)
               : onion::Endpoint::from_v4(v4.data(), kPort);
}

// A client of the previous relay.
onion::Endpoint client() {
  constexpr std::array<std::uint8_t, 4> kAddress = {198, 51, 100, 1};
  return onion::Endpoint::from_v4(kAddress.data(), 40000);
}

onion::PacketType type_of(onion::PacketClass packet_class) {
  return packet_class == onion::PacketClass::s0
             ? onion::PacketType::s0
             : onion::data_type(packet_class, onion::Direction::forward);
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
    node.endpoint = endpoint_of(host, config.is_v6);
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
  if (config.packet_class == onion::PacketClass::s0) {
    previous_ = std::make_unique<BareRelay>(neighbour_snapshot(kPrevious), kSetupPacketsMax,
                                            onion::DeliverySink{});
    return;
  }
  sessions_.reserve(config.session_count);
  for (std::size_t i = 0; i < config.session_count; ++i) {
    auto& hops = sessions_.emplace_back();
    hops[0] = open_session(kTested, onion::NextHop::to_relay(nodes_[kNext].id), i);
    hops[1] = open_session(kNext, onion::NextHop::to_service(onion::Service::drop), i);
  }
}

Traffic::~Traffic() = default;

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
  return onion::type_info(type_of(config_.packet_class)).total_bytes;
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
  begin.setup_limits = kNoLimits;
  return begin;
}

std::vector<onion::PeerConfig> Traffic::peers() const {
  std::vector<onion::PeerConfig> peers;
  peers.push_back(peer(kTested, kPrevious));
  peers.push_back(peer(kTested, kNext));
  return peers;
}

onion::SnapshotConfig Traffic::next_snapshot() const {
  return neighbour_snapshot(kNext);
}

onion::SnapshotConfig Traffic::neighbour_snapshot(Place own) const {
  onion::SnapshotConfig config;
  config.own_id = nodes_[own].id;
  config.own_endpoint = nodes_[own].endpoint;
  config.peers.push_back(peer(own, kTested));
  config.epochs.push_back(copy_of(nodes_[own].epoch));
  config.hours.push_back(copy_of(nodes_[own].hour));
  config.cookie_required = false;
  return config;
}

onion::Datagram Traffic::make_datagram(std::uint64_t index, const Random& random) const {
  if (previous_ != nullptr) {
    return make_setup(index, random);
  }
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

// What the client sends, through the previous relay.
onion::Datagram Traffic::make_setup(std::uint64_t index, const Random& random) const {
  std::array<onion::SetupHop, kPlaces> hops{};
  for (std::size_t place = 0; place < kPlaces; ++place) {
    hops[place].onion_key = nodes_[place].hour.public_key;
    hops[place].next = place == kNext ? onion::NextHop::to_service(onion::Service::drop)
                                      : onion::NextHop::to_relay(nodes_[place + 1].id);
  }
  std::array<std::uint8_t, onion::type_info(onion::PacketType::s0).x_r_bytes> data{};
  random(data);
  store_be(data.data(), index, kIndexBytes);
  onion::SetupRequest request;
  request.type = onion::PacketType::s0;
  request.slot = onion::slot_of(kNowMs);
  request.hour = onion::hour_of(kNowMs);
  request.hops = hops;
  request.t = onion::flow_and_seq(kFlow, index);
  request.data = data;
  auto setup = onion::build_setup(request, random);
  ALLIUM_CHECK(setup);  // three hops, and keys of our own
  onion::Burst burst;
  burst.count = 1;
  burst.data[0] = setup->datagram.bytes.data();
  burst.bytes[0] = static_cast<std::uint16_t>(setup->datagram.byte_count);
  burst.source[0] = client();
  previous_->run(burst);
  ALLIUM_CHECK(burst.verdict[0] == onion::Verdict::forward);
  return setup->datagram;
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

Result<void> Traffic::write_frames(std::span<const FrameFile> files, std::size_t packet_count,
                                   const Random& random) const {
  std::vector<PcapWriter> writers;
  for (const FrameFile& file : files) {
    auto writer = PcapWriter::create(file.path);
    if (!writer) {
      return tl::unexpected(writer.error());
    }
    writers.push_back(std::move(*writer));
  }
  const dataplane::FrameAddresses addresses{nodes_[kPrevious].mac, nodes_[kTested].mac,
                                            nodes_[kPrevious].endpoint, nodes_[kTested].endpoint};
  std::vector<std::uint8_t> frame(headers_bytes() + datagram_bytes());
  std::uint8_t* const payload = frame.data() + headers_bytes();
  for (std::size_t i = 0; i < packet_count; ++i) {
    const onion::Datagram datagram = make_datagram(i, random);
    for (std::size_t file = 0; file < files.size(); ++file) {
      std::copy(datagram.view().begin(), datagram.view().end(), payload);
      if (has_bad_tag(i, files[file].bad_tag_percent)) {
        std::transform(payload + onion::kTagOffset, payload + onion::kTagOffset + onion::kTagBytes,
                       payload + onion::kTagOffset,
                       [](std::uint8_t byte) { return static_cast<std::uint8_t>(~byte); });
      }
      dataplane::write_headers(addresses, payload, datagram.byte_count);
      if (auto added = writers[file].add(frame); !added) {
        return added;
      }
    }
  }
  for (PcapWriter& writer : writers) {
    if (auto finished = writer.finish(); !finished) {
      return finished;
    }
  }
  return {};
}

}  // namespace allium::bench
