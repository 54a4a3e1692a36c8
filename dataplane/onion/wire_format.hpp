// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every number of the onion packet's wire format (SPEC.md sections 4, 8, 10, 12): the only place in
// the program that defines bytes on the wire.
//
//   Units      sizes and offsets are bytes of UDP payload.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "crypto_accel/onion_batch.hpp"

namespace allium::onion {

inline constexpr std::uint8_t kVersion = 1;

enum class PacketType : std::uint8_t {
  df = 1,  ///< data forward, 1232 bytes
  db = 2,  ///< data backward
  vf = 3,  ///< voice forward, 256 bytes
  vb = 4,  ///< voice backward
  s0 = 5,  ///< one-shot
  s1 = 6,  ///< path open
  r = 7,   ///< return
  c = 8,   ///< cookie challenge, relay to client only
};

enum class Direction : std::uint8_t { forward = 0, backward = 1 };

/// `class` of ctx (section 4). D and V are the classes that a client chooses.
enum class PacketClass : std::uint8_t { d = 1, v = 2, s0 = 3, s1 = 4, r = 5 };

inline constexpr std::size_t kLinkHeaderBytes = 16;  ///< LL
inline constexpr std::size_t kTBytes = 16;           ///< T
inline constexpr std::size_t kLargeBytes = 1232;     ///< D, S, R
inline constexpr std::size_t kSmallBytes = 256;      ///< V
inline constexpr std::size_t kChallengeBytes = 32;   ///< C
inline constexpr std::size_t kDatagramBytesMax = kLargeBytes;

// LL: ver:4 type:4 | keyid:8 | slot:8 | seq:40 | tag:64, or to and from clients last12 at 4.
inline constexpr std::size_t kKeyIdOffset = 1;
inline constexpr std::size_t kSlotOffset = 2;
inline constexpr std::size_t kSeqOffset = 3;
inline constexpr std::size_t kSeqBytes = 5;
inline constexpr std::size_t kTagOffset = 8;
inline constexpr std::size_t kTagBytes = 8;
inline constexpr std::size_t kLastOffset = 4;
inline constexpr std::size_t kLastBytes = 12;
inline constexpr std::uint64_t kSeqMax = (std::uint64_t{1} << 40) - 1;

// AHDR = FS 16 | gamma 16 | beta 32(r-1)
inline constexpr std::size_t kSegmentBytes = 16;
inline constexpr std::size_t kHeaderBlockBytes = 32;
inline constexpr std::size_t kBlocksD = 4;  ///< r in class D
inline constexpr std::size_t kBlocksV = 3;  ///< r in class V
inline constexpr std::size_t kHopsMax = 4;

// SHDR = 4 blocks of 64: eph 32 | gamma 16 | rt_enc 16 | rest 192
inline constexpr std::size_t kSetupHeaderBytes = 256;
inline constexpr std::size_t kSetupBlockBytes = 64;
inline constexpr std::size_t kEphBytes = 32;
inline constexpr std::size_t kSetupRestBytes = kSetupHeaderBytes - kSetupBlockBytes;
inline constexpr std::size_t kSetupStreamBytes = 272;
inline constexpr std::size_t kReturnStackBytes = 144;  ///< RSTACK, three blocks of 48
inline constexpr std::size_t kReturnBlockBytes = 48;
inline constexpr std::size_t kRecordBytes = 256;  ///< REC

inline constexpr std::size_t kReplyBlockBytesD = 32 + 32 * kBlocksD;  ///< RB of class D
inline constexpr std::size_t kReplyBlockBytesV = 32 + 32 * kBlocksV;

// Times, section 3.
inline constexpr std::uint64_t kSlotSeconds = 8;
inline constexpr std::uint64_t kEpochSeconds = 600;
inline constexpr std::uint64_t kHourSeconds = 3600;
inline constexpr std::uint64_t kOverlapSeconds = 600;
inline constexpr std::uint64_t kSkewSeconds = 16;
inline constexpr unsigned kReturnLife10s = 12;
inline constexpr std::size_t kReturnAnswersMax = 64;

/// Type byte of FS, without bit 7 of the backward direction; also `prev type` (section 6).
enum class NextType : std::uint8_t { relay = 1, v4 = 2, handle = 3, service = 4 };

inline constexpr std::uint8_t kBackwardBit = 0x80;

enum class Service : std::uint16_t { storage = 1, bridge = 2, echo = 3, drop = 4 };

/// What a type fixes (the table of section 4).
struct TypeInfo {
  Direction direction;
  PacketClass packet_class;
  std::uint16_t total_bytes;
  std::uint16_t header_bytes;  ///< HR
  std::uint16_t t_offset;
  std::uint16_t x_r_offset;
  std::uint16_t x_r_bytes;
  bool from_client;  ///< what an unknown source may send
  std::string_view name;
};

namespace internal {

constexpr TypeInfo make_type(Direction direction, PacketClass packet_class, std::size_t total,
                             std::size_t header, bool from_client, std::string_view name) {
  const std::size_t t_offset = kLinkHeaderBytes + header;
  return {direction,
          packet_class,
          static_cast<std::uint16_t>(total),
          static_cast<std::uint16_t>(header),
          static_cast<std::uint16_t>(t_offset),
          static_cast<std::uint16_t>(t_offset + kTBytes),
          static_cast<std::uint16_t>(total - t_offset - kTBytes),
          from_client,
          name};
}

inline constexpr std::array<TypeInfo, 8> kTypes = {{
    {},
    make_type(Direction::forward, PacketClass::d, 1232, 128, true, "DF"),
    make_type(Direction::backward, PacketClass::d, 1232, 128, false, "DB"),
    make_type(Direction::forward, PacketClass::v, 256, 96, true, "VF"),
    make_type(Direction::backward, PacketClass::v, 256, 96, false, "VB"),
    make_type(Direction::forward, PacketClass::s0, 1232, 400, true, "S0"),
    make_type(Direction::forward, PacketClass::s1, 1232, 656, true, "S1"),
    make_type(Direction::backward, PacketClass::r, 1232, 144, false, "R"),
}};

}  // namespace internal

/// Requires df <= type <= r.
constexpr const TypeInfo& type_info(PacketType type) noexcept {
  return internal::kTypes[static_cast<std::size_t>(type)];
}

constexpr bool is_packet_type(unsigned nibble) noexcept {
  return nibble >= 1 && nibble <= 7;
}

static_assert(type_info(PacketType::df).x_r_bytes == 1072);
static_assert(type_info(PacketType::vf).x_r_bytes == 128);
static_assert(type_info(PacketType::s0).x_r_bytes == 800);
static_assert(type_info(PacketType::s1).x_r_bytes == 544);
static_assert(type_info(PacketType::r).x_r_bytes == 1056);

/// r: AHDR blocks of classes D and V.
constexpr std::size_t header_blocks(PacketClass packet_class) noexcept {
  return packet_class == PacketClass::v ? kBlocksV : kBlocksD;
}

constexpr std::size_t reply_block_bytes(PacketClass packet_class) noexcept {
  return 32 + kHeaderBlockBytes * header_blocks(packet_class);
}

/// The data packet of a class in a direction. Requires class d or v.
constexpr PacketType data_type(PacketClass packet_class, Direction direction) noexcept {
  const unsigned base = packet_class == PacketClass::v ? 3 : 1;
  return static_cast<PacketType>(base + static_cast<unsigned>(direction));
}

constexpr crypto_accel::LayerShape layer_shape(const TypeInfo& info) noexcept {
  return {static_cast<std::uint8_t>(info.direction), static_cast<std::uint8_t>(info.packet_class),
          info.header_bytes, info.x_r_bytes};
}

/// ctx(dir, class, slot), section 5.
constexpr Block layer_context(Direction direction, std::uint8_t class_byte,
                              std::uint64_t slot) noexcept {
  // As a word, little-endian: once or twice a packet.
  const std::uint64_t word = std::uint64_t{static_cast<std::uint8_t>(direction)} |
                             std::uint64_t{class_byte} << 8 | (slot >> 8 & 0xff) << 16 |
                             (slot & 0xff) << 24;
  return std::bit_cast<Block>(std::array<std::uint64_t, 2>{word, 0});
}

}  // namespace allium::onion
