// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the vector variants of the onion kernel share: the memory of a batch, and the table of functions that
// a file compiled for one instruction set gives to the files that every CPU runs.
//
// This header is included by code that only some CPUs run. It has no function bodies, and includes nothing
// that has: the linker may keep one copy of an inline function for all, and take the wide one.
//
//   Units      sizes are bytes, lanes a bit mask; lane i of an array of blocks is at 16 * i.
//   Ownership  as at OnionBatch; VectorMemory belongs to one batch.
//   Errors     none; sizes were checked by the caller (onion_vector.cpp).
//   Timing     constant in keys and data.

#include <cstddef>
#include <cstdint>

namespace allium::crypto_accel {

struct AesKey;
struct LinkKey;

inline constexpr std::size_t kVectorLanes = 32;
inline constexpr std::size_t kScheduleBytes = 176;  ///< of AES-128: 11 round keys
inline constexpr std::size_t kHashPowers = 8;       ///< blocks kept of a lane's powers of H

/// Places inside AesKey and LinkKey, asserted where their definitions are seen.
inline constexpr std::size_t kDecryptOffset = 176;
inline constexpr std::size_t kSubkeyOffset = 352;
inline constexpr std::size_t kVeilOffset = 384;

/// All that is secret or made from secrets in a batch. A schedule is laid out for a group of as many lanes
/// as a register has blocks: round r of all lanes of the group, then round r + 1.
struct alignas(64) VectorMemory {
  std::uint8_t tweak[kVectorLanes * 16];               ///< K_et
  std::uint8_t hash_stream[kVectorLanes * 16];         ///< H_s
  std::uint8_t stream[kVectorLanes * kScheduleBytes];  ///< schedules of K_s
  std::uint8_t mac[kVectorLanes * kScheduleBytes];     ///< schedules of K_m
  std::uint8_t
      link[kVectorLanes * kScheduleBytes];  ///< schedules of link or replay keys, during a call
  std::uint8_t powers[kVectorLanes * kHashPowers * 16];
  std::uint8_t hash[kVectorLanes * 16];      ///< H
  std::uint8_t hash_sum[kVectorLanes * 16];  ///< M, bytes reversed
};

/// One instruction set's functions; what they do is said at OnionBatch. Arrays of pointers are read in the
/// lanes of the mask alone, arrays of blocks written there alone.
struct VectorFunctions {
  void (*expand_key)(const std::uint8_t* key, AesKey* expanded);
  void (*decrypt_blocks)(const AesKey* key, std::uint32_t lanes, const std::uint8_t* const* source,
                         std::uint8_t* plain);
  void (*encrypt_blocks)(const AesKey* key, std::uint32_t lanes, const std::uint8_t* source,
                         std::uint8_t* target);
  void (*derive)(VectorMemory* memory, std::uint8_t direction, std::uint8_t packet_class,
                 std::size_t x_r_bytes, std::uint32_t lanes, const std::uint8_t* secret);
  void (*layer_left)(VectorMemory* memory, std::size_t x_r_bytes, std::uint32_t lanes,
                     const std::uint8_t* ctx, const std::uint8_t* const* x_l,
                     const std::uint8_t* const* x_r, std::uint8_t* x_l_out);
  void (*header_mac)(VectorMemory* memory, std::uint32_t lanes, const std::uint8_t* const* message,
                     std::size_t message_bytes, std::uint8_t* mac);
  void (*layer_right)(VectorMemory* memory, std::size_t x_r_bytes, std::uint32_t lanes,
                      const std::uint8_t* x_l_out, std::uint8_t* const* x_r, std::uint8_t* w);
  void (*layer_both)(VectorMemory* memory, std::size_t x_r_bytes, std::uint32_t right,
                     std::uint8_t* const* x_r, std::uint8_t* w, std::uint32_t left,
                     const std::uint8_t* ctx, const std::uint8_t* const* x_l,
                     const std::uint8_t* const* x_r_in, std::uint8_t* x_l_out, std::uint8_t* mac);
  void (*header_shift)(VectorMemory* memory, std::uint8_t direction, std::uint8_t packet_class,
                       std::size_t header_bytes, std::uint32_t lanes, const std::uint8_t* w,
                       std::uint8_t* const* ahdr);
  void (*replay_tag)(VectorMemory* memory, std::uint32_t lanes, const AesKey* const* replay_key,
                     const std::uint8_t* const* t, std::uint64_t* tag);
  void (*link_tag)(VectorMemory* memory, std::size_t header_bytes, std::uint32_t lanes,
                   const LinkKey* const* key, const std::uint8_t* const* datagram,
                   std::uint64_t* tag);
  void (*clear_registers)();
  void (*link_veil)(std::size_t header_bytes, std::uint32_t lanes, const LinkKey* const* key,
                    std::uint8_t* const* datagram);
};

extern const VectorFunctions kOnionAesAvx2;     ///< AES-NI, PCLMULQDQ, AVX2
extern const VectorFunctions kOnionVaesAvx2;    ///< the same and VAES, VPCLMULQDQ
extern const VectorFunctions kOnionVaesAvx512;  ///< the same and AVX-512 F, BW, DQ, VL

}  // namespace allium::crypto_accel
