// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a relay does to one packet, written from the text of SPEC.md with one-message primitives and no
// regard for speed: the other side for tests of what clients build. It knows a hop's secret directly, so
// it needs no segments, links or replay set.

#include <array>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/path_builder.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::onion::slow {

using Buffer = std::vector<std::uint8_t>;

inline Block derive(const Block& key, std::uint8_t index, std::uint8_t direction,
                    std::uint8_t class_byte) {
  Block label{};
  label[0] = index;
  label[1] = direction;
  label[2] = class_byte;
  return crypto_accel::aes_encrypt(key, label);
}

struct Keys {
  Keys(const Block& secret, std::uint8_t direction, PacketClass packet_class) {
    const auto class_byte = static_cast<std::uint8_t>(packet_class);
    for (std::uint8_t index = 1; index <= 5; ++index) {
      key[index - 1U] = derive(secret, index, direction, class_byte);
    }
  }

  std::array<Block, 5> key{};

  [[nodiscard]] const Block& et() const { return key[0]; }

  [[nodiscard]] const Block& s() const { return key[1]; }

  [[nodiscard]] const Block& m() const { return key[2]; }

  [[nodiscard]] const Block& h() const { return key[3]; }

  [[nodiscard]] const Block& hs() const { return key[4]; }
};

inline Block mac(const Block& key, const std::vector<Bytes>& parts) {
  Buffer message;
  for (const Bytes part : parts) {
    message.insert(message.end(), part.begin(), part.end());
  }
  return crypto_accel::cbcmac(key, message);
}

/// Puts one layer on, in place (section 7). Returns W.
inline Block encrypt_layer(const Keys& keys, const Block& ctx, MutableBytes t, MutableBytes x_r) {
  const Block m = crypto_accel::ghash(keys.h(), ctx, x_r);
  const Block left = crypto_accel::aes_encrypt(keys.et(), load_block(t.data()) ^ m) ^ m;
  const Block w = crypto_accel::field_product(left, keys.hs());
  Block seed = w;
  seed[15] = 0;
  crypto_accel::ctr_xor(keys.s(), seed, x_r);
  store_block(t.data(), left);
  return w;
}

/// AHDR' = (beta | 0^32) xor Z.
inline void shift_header(MutableBytes header, const Block& stream_key, Block seed) {
  std::memmove(header.data(), header.data() + 32, header.size() - 32);
  std::memset(header.data() + header.size() - 32, 0, 32);
  seed[15] = 0x80;
  crypto_accel::ctr_xor(stream_key, seed, header);
}

/// One DF or VF packet through one hop. False where the header MAC does not hold.
inline bool relay_data(MutableBytes datagram, PacketClass packet_class, std::uint64_t slot,
                       const HopSession& hop) {
  const TypeInfo& info = type_info(data_type(packet_class, Direction::forward));
  const Keys keys(hop.secret.bytes(), 0, packet_class);
  const Block ctx =
      layer_context(Direction::forward, static_cast<std::uint8_t>(packet_class), slot);
  const MutableBytes header = datagram.subspan(kLinkHeaderBytes, info.header_bytes);
  const MutableBytes t = datagram.subspan(info.t_offset, kTBytes);
  if (load_block(header.data()) != hop.segment_forward) {
    return false;
  }
  const Block w = encrypt_layer(keys, ctx, t, datagram.subspan(info.x_r_offset));
  const Block expected = mac(keys.m(), {ctx, header.first(16), header.subspan(32), t});
  if (expected != load_block(header.data() + 16)) {
    return false;
  }
  shift_header(header, keys.s(), w);
  return true;
}

/// Over what the layer hides: T before encryption.
inline Block client_tag(const Keys& keys, PacketClass packet_class, std::uint64_t slot, Bytes t) {
  const Block ctx =
      layer_context(Direction::backward, static_cast<std::uint8_t>(packet_class) | 0x40, slot);
  return mac(keys.m(), {ctx, t});
}

/// A terminal's answer over a reply block: a datagram on its way to hop n-1, or for n = 1 to the client.
/// No bytes where the block's MAC does not hold.
inline Datagram answer(PacketClass packet_class, Bytes reply_block, const HopSession& terminal,
                       std::uint64_t slot, std::uint64_t seq, Bytes data) {
  const PacketType type = data_type(packet_class, Direction::backward);
  const TypeInfo& info = type_info(type);
  const auto class_byte = static_cast<std::uint8_t>(packet_class);
  const Keys keys(terminal.secret.bytes(), 1, packet_class);
  const Block expected = mac(keys.m(), {layer_context(Direction::backward, class_byte | 0x80, 0),
                                        reply_block.first(16), reply_block.subspan(32)});
  if (load_block(reply_block.data()) != terminal.segment_backward ||
      load_block(reply_block.data() + 16) != expected) {
    return {};
  }
  Datagram datagram;
  datagram.byte_count = info.total_bytes;
  const MutableBytes bytes = MutableBytes(datagram.bytes).first(datagram.byte_count);
  bytes[0] = static_cast<std::uint8_t>(0x10 | static_cast<unsigned>(type));
  bytes[kSlotOffset] = static_cast<std::uint8_t>(slot);
  std::memcpy(&bytes[kLinkHeaderBytes], reply_block.data() + 32, info.header_bytes);
  store_be(&bytes[info.t_offset + 8U], seq, 8);
  std::copy(data.begin(), data.end(), bytes.begin() + info.x_r_offset);
  const MutableBytes t = bytes.subspan(info.t_offset, kTBytes);
  const Block tag = client_tag(keys, packet_class, slot, t);
  encrypt_layer(keys, layer_context(Direction::backward, class_byte, slot), t,
                bytes.subspan(info.x_r_offset));
  std::memcpy(&bytes[kLastOffset], tag.data(), kLastBytes);
  return datagram;
}

/// One DB or VB packet through one relay that stamps `own_slot`; `arrived_slot` is the stamp it came with.
inline bool relay_back(MutableBytes datagram, PacketClass packet_class, std::uint64_t arrived_slot,
                       std::uint64_t own_slot, const HopSession& hop) {
  const TypeInfo& info = type_info(data_type(packet_class, Direction::backward));
  const auto class_byte = static_cast<std::uint8_t>(packet_class);
  const Keys keys(hop.secret.bytes(), 1, packet_class);
  const MutableBytes header = datagram.subspan(kLinkHeaderBytes, info.header_bytes);
  const MutableBytes t = datagram.subspan(info.t_offset, kTBytes);
  const Block expected = mac(keys.m(), {layer_context(Direction::backward, class_byte, 0),
                                        header.first(16), header.subspan(32), Block{}});
  if (load_block(header.data()) != hop.segment_backward ||
      load_block(header.data() + 16) != expected) {
    return false;
  }
  const Block tag = client_tag(keys, packet_class, own_slot, t);
  encrypt_layer(keys, layer_context(Direction::backward, class_byte, arrived_slot), t,
                datagram.subspan(info.x_r_offset));
  Block seed{};
  seed[0] = 0x5A;
  seed[1] = class_byte;
  shift_header(header, keys.s(), seed);
  datagram[kSlotOffset] = static_cast<std::uint8_t>(own_slot);
  std::memcpy(datagram.data() + kLastOffset, tag.data(), kLastBytes);
  return true;
}

/// Everything a relay reads out of a setup packet, and what it makes of it.
struct SetupStep {
  bool good = false;
  Block rt{};
  Block k_ret{};
  Block k_rec{};
};

/// One S packet through one hop with private onion key `onion_key`; the stack is left alone. REC (S1) gets
/// `issued` as this hop's part.
inline SetupStep relay_setup(MutableBytes datagram, std::uint64_t slot,
                             const crypto_accel::PrivateKey& onion_key, const HopSession& issued) {
  const auto type = static_cast<PacketType>(datagram[0] & 15);
  const TypeInfo& info = type_info(type);
  const auto class_byte = static_cast<std::uint8_t>(info.packet_class);
  const MutableBytes header = datagram.subspan(kLinkHeaderBytes, kSetupHeaderBytes);
  const MutableBytes t = datagram.subspan(info.t_offset, kTBytes);
  crypto_accel::PublicKey eph;
  std::memcpy(eph.data(), header.data(), eph.size());
  crypto_accel::SharedSecret shared;
  SetupStep step;
  if (!crypto_accel::x25519(onion_key, eph, shared)) {
    return step;
  }
  const crypto_accel::PublicKey own = crypto_accel::x25519_public(onion_key);
  Buffer info_bytes = {'k', 'e', 'y', 's'};
  info_bytes.insert(info_bytes.end(), eph.begin(), eph.end());
  info_bytes.insert(info_bytes.end(), own.begin(), own.end());
  const Buffer salt = {'a', 'l', 'l', 'i', 'u', 'm', '1', ' ', 's', 'e', 't', 'u', 'p'};
  std::array<std::uint8_t, 64> okm;
  crypto_accel::hkdf_sha256(salt, shared, info_bytes, okm);
  step.k_ret = load_block(okm.data() + 32);
  step.k_rec = load_block(okm.data() + 48);

  std::array<std::uint8_t, kSetupStreamBytes> stream{};
  crypto_accel::ctr_xor(load_block(okm.data() + 16), Block{}, stream);
  const Keys keys(load_block(okm.data()), 0, info.packet_class);
  const Block ctx = layer_context(Direction::forward, class_byte, slot);
  encrypt_layer(keys, ctx, t, datagram.subspan(info.x_r_offset));
  const Block expected = mac(keys.m(), {ctx, header.first(32), header.subspan(48), t});
  step.good = expected == load_block(header.data() + 32);
  step.rt = load_block(header.data() + 48) ^ load_block(stream.data());
  std::memmove(header.data(), header.data() + 64, 192);
  std::memset(header.data() + 192, 0, 64);
  xor_into(header.data(), stream.data() + 16, kSetupHeaderBytes);

  if (type == PacketType::s1) {
    const MutableBytes record =
        datagram.subspan(kLinkHeaderBytes + kSetupHeaderBytes + kReturnStackBytes, kRecordBytes);
    const Block record_mac =
        mac(derive(step.k_rec, 3, 0, 0), {issued.segment_forward, issued.segment_backward,
                                          issued.secret.bytes(), record.first(192)});
    std::memmove(record.data() + 64, record.data(), 192);
    store_block(record.data(), issued.segment_forward);
    store_block(record.data() + 16, issued.segment_backward);
    store_block(record.data() + 32, issued.secret.bytes());
    store_block(record.data() + 48, record_mac);
    crypto_accel::ctr_xor(derive(step.k_rec, 2, 0, 0), Block{}, record);
  }
  return step;
}

/// Random session secrets for a path.
inline PathSession random_session(std::size_t hop_count, const Random& random) {
  PathSession session;
  session.hop_count = hop_count;
  for (std::size_t i = 0; i < hop_count; ++i) {
    random(session.hop[i].segment_forward);
    random(session.hop[i].segment_backward);
    random(session.hop[i].secret.bytes());
  }
  return session;
}

/// The secrets of a path as open_backward takes them.
inline std::vector<const Secret<16>*> secrets_of(const PathSession& session) {
  std::vector<const Secret<16>*> secrets;
  for (const HopSession& hop : session.hops()) {
    secrets.push_back(&hop.secret);
  }
  return secrets;
}

}  // namespace allium::onion::slow
