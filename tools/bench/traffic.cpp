// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/traffic.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/time_index.hpp"

namespace allium::bench {
namespace {

using crypto_accel::aes_encrypt;
using crypto_accel::cbcmac;
using crypto_accel::cmac;
using crypto_accel::ctr_xor;
using crypto_accel::ghash;

constexpr std::uint32_t kPreviousId = 0x01010101;
constexpr std::uint32_t kOwnId = 0x02020202;
constexpr std::uint32_t kNextId = 0x03030303;
constexpr std::uint16_t kPort = 22100;
constexpr dataplane::MacAddress kOwnMac = {2, 0, 0, 0, 0, 2};
constexpr dataplane::MacAddress kPreviousMac = {2, 0, 0, 0, 0, 1};

onion::Endpoint endpoint_of(std::uint8_t host) {
  const std::array<std::uint8_t, 4> address = {192, 0, 2, host};
  return onion::Endpoint::from_v4(address.data(), kPort);
}

void draw_link(onion::LinkSecrets& link, const Random& random) {
  link.epoch = onion::epoch_of(Traffic::kNowMs);
  for (Secret<16>* key : {&link.in_mac, &link.in_veil, &link.out_mac, &link.out_veil}) {
    random(key->bytes());
  }
}

onion::PeerConfig peer(std::uint32_t id, std::uint8_t host, const onion::LinkSecrets& link) {
  onion::PeerConfig config;
  config.id = id;
  config.endpoint = endpoint_of(host);
  onion::LinkSecrets& copy = config.links.emplace_back();
  copy.epoch = link.epoch;
  copy.in_mac.copy_from(link.in_mac);
  copy.in_veil.copy_from(link.in_veil);
  copy.out_mac.copy_from(link.out_mac);
  copy.out_veil.copy_from(link.out_veil);
  return config;
}

Block layer_key(const Block& secret, std::uint8_t j, onion::PacketClass packet_class) {
  Block label{};
  label[0] = j;
  label[2] = static_cast<std::uint8_t>(packet_class);
  return aes_encrypt(secret, label);
}

struct FileClose {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

void put_le(std::vector<std::uint8_t>& target, std::uint64_t value, std::size_t byte_count) {
  for (std::size_t i = 0; i < byte_count; ++i) {
    target.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
}

}  // namespace

Traffic::Traffic(const TrafficConfig& config, const Random& random) : config_(config) {
  epoch_.epoch = onion::epoch_of(kNowMs);
  for (Secret<16>* key :
       {&epoch_.segment, &epoch_.secret, &epoch_.return_block, &epoch_.replay, &epoch_.cookie}) {
    random(key->bytes());
  }
  draw_link(link_in_, random);
  draw_link(link_out_, random);
  const std::uint64_t expiry = onion::expiry_of_epoch(epoch_.epoch);
  for (std::size_t i = 0; i < config.session_count; ++i) {
    // FS = AES_A(type | exp:16 | next:48 | salt:56), s = AES_B(01 | salt:56 | exp:16 | 0^6)
    Block segment{};
    segment[0] = static_cast<std::uint8_t>(onion::NextType::relay);
    store_be(segment.data() + 1, expiry, 2);
    store_be(segment.data() + 3, kNextId, 4);
    store_be(segment.data() + 9, i + 1, 7);
    Block secret{};
    secret[0] = 1;
    store_be(secret.data() + 1, i + 1, 7);
    store_be(secret.data() + 8, expiry, 2);
    sessions_.push_back(
        {aes_encrypt(epoch_.segment.bytes(), segment), aes_encrypt(epoch_.secret.bytes(), secret)});
  }
}

std::size_t Traffic::datagram_bytes() const noexcept {
  return onion::type_info(onion::data_type(config_.packet_class, onion::Direction::forward))
      .total_bytes;
}

dataplane::PortIdentity Traffic::identity() const {
  return {kOwnMac, {endpoint_of(2).address}, kPort};
}

control_port::SnapshotBegin Traffic::snapshot(std::uint64_t serial, const Random& random) const {
  control_port::SnapshotBegin begin;
  begin.serial = serial;
  begin.own_id = kOwnId;
  begin.own_endpoint = endpoint_of(2);
  begin.peer_count = 2;
  begin.sequences.push_back({epoch_.epoch, 0, onion::kSeqMax + 1});
  onion::EpochSecrets& copy = begin.epochs.emplace_back();
  copy.epoch = epoch_.epoch;
  copy.segment.copy_from(epoch_.segment);
  copy.secret.copy_from(epoch_.secret);
  copy.return_block.copy_from(epoch_.return_block);
  copy.cookie.copy_from(epoch_.cookie);
  random(copy.replay.bytes());
  return begin;
}

std::vector<onion::PeerConfig> Traffic::peers() const {
  std::vector<onion::PeerConfig> peers;
  peers.push_back(peer(kPreviousId, 1, link_in_));
  peers.push_back(peer(kNextId, 3, link_out_));
  return peers;
}

void Traffic::make_datagram(const Session& session, std::uint64_t seq, const Random& random,
                            std::uint8_t* target) const {
  const onion::PacketClass packet_class = config_.packet_class;
  const onion::PacketType type = onion::data_type(packet_class, onion::Direction::forward);
  const onion::TypeInfo& info = onion::type_info(type);
  random({target, info.total_bytes});
  std::uint8_t* header = target + onion::kLinkHeaderBytes;
  std::uint8_t* t = target + info.t_offset;
  const Bytes x_r(target + info.x_r_offset, info.x_r_bytes);
  store_block(header, session.segment);
  const Block ctx = onion::layer_context(
      onion::Direction::forward, static_cast<std::uint8_t>(packet_class), onion::slot_of(kNowMs));
  const Block m = ghash(layer_key(session.secret, 4, packet_class), ctx, x_r);
  const Block x_l_out =
      aes_encrypt(layer_key(session.secret, 1, packet_class), load_block(t) ^ m) ^ m;
  std::array<std::uint8_t, 16 + 128> message{};  // ctx | FS | beta | X_L'
  std::uint8_t* end = std::copy(ctx.begin(), ctx.end(), message.data());
  end = std::copy_n(header, 16, end);
  end = std::copy_n(header + 32, info.header_bytes - 32U, end);
  end = std::copy(x_l_out.begin(), x_l_out.end(), end);
  const auto message_bytes = static_cast<std::size_t>(end - message.data());
  store_block(header + 16, cbcmac(layer_key(session.secret, 3, packet_class),
                                  Bytes(message).first(message_bytes)));
  // The link: veil first, then the tag over what is sent.
  target[0] = static_cast<std::uint8_t>(onion::kVersion << 4 | static_cast<unsigned>(type));
  target[onion::kKeyIdOffset] = static_cast<std::uint8_t>(epoch_.epoch);
  target[onion::kSlotOffset] = static_cast<std::uint8_t>(onion::slot_of(kNowMs));
  store_be(target + onion::kSeqOffset, seq, onion::kSeqBytes);
  Block iv{};
  std::copy_n(target, 8, iv.data());
  ctr_xor(link_in_.in_veil.bytes(), iv, {header, info.header_bytes});
  std::array<std::uint8_t, 16 + 128 + 16> tagged{};
  std::copy_n(target, 8, tagged.data());
  std::copy_n(header, info.header_bytes + onion::kTBytes, tagged.data() + 16);
  const Block tag =
      cmac(link_in_.in_mac.bytes(), Bytes(tagged).first(16U + info.header_bytes + onion::kTBytes));
  std::copy_n(tag.data(), onion::kTagBytes, target + onion::kTagOffset);
}

Result<void> Traffic::write_pcap(const std::string& path, const Random& random) const {
  const std::unique_ptr<std::FILE, FileClose> file(std::fopen(path.c_str(), "wb"));
  const auto failed = [&] { return fail(Errc::io, path + ": " + std::strerror(errno)); };
  if (!file) {
    return failed();
  }
  std::vector<std::uint8_t> record;
  put_le(record, 0xa1b2c3d4, 4);
  put_le(record, 2, 2);
  put_le(record, 4, 2);
  put_le(record, 0, 8);
  put_le(record, 65535, 4);
  put_le(record, 1, 4);  // Ethernet
  if (std::fwrite(record.data(), 1, record.size(), file.get()) != record.size()) {
    return failed();
  }
  dataplane::FrameAddresses addresses{kPreviousMac, kOwnMac, endpoint_of(1), endpoint_of(2)};
  const std::size_t frame_bytes = dataplane::kHeadersBytesV4 + datagram_bytes();
  std::vector<std::uint8_t> frame(frame_bytes);
  for (std::size_t i = 0; i < config_.packet_count; ++i) {
    std::uint8_t* datagram = frame.data() + dataplane::kHeadersBytesV4;
    make_datagram(sessions_[i % sessions_.size()], i, random, datagram);
    dataplane::write_headers(addresses, datagram, datagram_bytes());
    record.clear();
    put_le(record, i / 1'000'000, 4);
    put_le(record, i % 1'000'000, 4);
    put_le(record, frame_bytes, 4);
    put_le(record, frame_bytes, 4);
    record.insert(record.end(), frame.begin(), frame.end());
    if (std::fwrite(record.data(), 1, record.size(), file.get()) != record.size()) {
      return failed();
    }
  }
  return std::fflush(file.get()) == 0 ? Result<void>() : failed();
}

}  // namespace allium::bench
