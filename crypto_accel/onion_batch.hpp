// SPDX-License-Identifier: Apache-2.0
#pragma once

// The symmetric work of one onion layer over a receive burst (SPEC.md sections 4 to 9): lane i is
// packet i. One object a thread; the instruction set behind it is chosen once, at its creation.
//
//   Units      sizes are bytes; a batch is a mask of lanes, bit i is lane i.
//   Ownership  the caller owns every buffer. The object owns the layer keys that `derive` makes, one
//              set a lane; they live until the next `derive` of that lane and are wiped at the end.
//   Errors     a batch never fails. Lanes outside the mask are neither read nor written.
//   Threads    one thread an object, never two.
//   Timing     constant in keys and data; it varies with the mask and the sizes alone.
//   Order      derive, then layer_left, then layer_right and the rest, for the same lanes.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "crypto_accel/base/bytes.hpp"

namespace allium::crypto_accel {

/// The most lanes a batch may have. Equal to onion::kBurstMax, which asserts it.
inline constexpr std::size_t kLanesMax = 32;

using LaneMask = std::uint32_t;
static_assert(kLanesMax <= 8 * sizeof(LaneMask));

/// The mask of lanes 0 .. lane_count - 1.
constexpr LaneMask first_lanes(std::size_t lane_count) noexcept {
  return lane_count >= kLanesMax ? ~LaneMask{0} : (LaneMask{1} << lane_count) - 1;
}

template <typename T>
using Lanes = std::array<T, kLanesMax>;

/// An AES-128 key with its schedules, for keys that live longer than a packet. The layout belongs to
/// the kernel that expanded it; a key expanded by one kernel is never used with another.
struct alignas(64) AesKey {
  std::array<std::uint8_t, 176> encrypt;
  std::array<std::uint8_t, 176> decrypt;
  std::array<std::uint8_t, 16> subkey_one;  ///< CMAC (RFC 4493) K1; whole-block messages need no K2
};

/// One direction of a link between two relays (SPEC.md section 4).
struct LinkKey {
  AesKey mac;
  AesKey veil;
};

/// What the layer functions need to know of a packet's kind; the same for all lanes of a call.
struct LayerShape {
  std::uint8_t direction;      ///< 0 forward, 1 backward
  std::uint8_t packet_class;   ///< `class` of ctx: 1 D, 2 V, 3 S0, 4 S1, 5 R
  std::uint16_t header_bytes;  ///< HR: 128 D, 96 V, 400 S0, 656 S1, 144 R
  std::uint16_t x_r_bytes;     ///< X_R: whole blocks, at most 1072
};

struct OnionKernel;

class OnionBatch {
 public:
  /// Requires kernel.supported().
  explicit OnionBatch(const OnionKernel& kernel);
  ~OnionBatch();
  OnionBatch(const OnionBatch&) = delete;
  OnionBatch& operator=(const OnionBatch&) = delete;

  /// Schedules of one AES-128 key, and its CMAC subkey.
  void expand_key(const Block& key, AesKey& expanded) noexcept;

  /// plain[i] = AES⁻¹_key(source[i]): opening of forwarding segments under one node key (section 6).
  void decrypt_blocks(const AesKey& key, LaneMask lanes, const Lanes<const std::uint8_t*>& source,
                      Lanes<Block>& plain) noexcept;

  /// target[i] = AES_key(source[i]): session secrets (section 5) under one node key.
  void encrypt_blocks(const AesKey& key, LaneMask lanes, const Lanes<Block>& source,
                      Lanes<Block>& target) noexcept;

  /// K_et, K_s, K_m, H and H_s of every lane from its secret (section 5), kept in the object.
  void derive(const LayerShape& shape, LaneMask lanes, const Lanes<Block>& secret) noexcept;

  /// M and V of the layer, and X_L' (section 7). x_l and x_r are read, not changed.
  void layer_left(const LayerShape& shape, LaneMask lanes, const Lanes<Block>& ctx,
                  const Lanes<const std::uint8_t*>& x_l, const Lanes<const std::uint8_t*>& x_r,
                  Lanes<Block>& x_l_out) noexcept;

  /// mac[i] = CBCMAC_{K_m of lane i}(message[i]), `message_bytes` whole blocks for all lanes: header
  /// MACs and client tags (section 8), γ of S (section 10).
  void header_mac(LaneMask lanes, const Lanes<const std::uint8_t*>& message,
                  std::size_t message_bytes, Lanes<Block>& mac) noexcept;

  /// W from X_L', then X_R' in place (section 7). Requires the X_L' of the same lanes' layer_left.
  void layer_right(const LayerShape& shape, LaneMask lanes, const Lanes<Block>& x_l_out,
                   const Lanes<std::uint8_t*>& x_r, Lanes<Block>& w) noexcept;

  /// layer_right of the lanes `right` and layer_left of the lanes `left`, of which none may be in both: the hash
  /// of one packet runs beside the cipher of another. x_l_out is read in `right` and written in `left`. mac[i] in `left`
  /// is the CBC-MAC under K_m of what stands before X_L', and becomes the MAC with it (section 8, forward).
  void layer_both(const LayerShape& shape, LaneMask right, const Lanes<std::uint8_t*>& x_r,
                  Lanes<Block>& w, LaneMask left, const Lanes<Block>& ctx,
                  const Lanes<const std::uint8_t*>& x_l, const Lanes<const std::uint8_t*>& x_r_in,
                  Lanes<Block>& x_l_out, Lanes<Block>& mac) noexcept;

  /// AHDR' = (β ‖ 0^32) ⊕ Z in place: the header of `shape.header_bytes` at ahdr[i] moves up by 32
  /// bytes (section 8). Forward Z comes from W, backward from K_s alone.
  void header_shift(const LayerShape& shape, LaneMask lanes, const Lanes<Block>& w,
                    const Lanes<std::uint8_t*>& ahdr) noexcept;

  /// tag[i] = first 8 bytes of AES_{replay_key[i]}(T ⊕ H_s of lane i), big-endian (section 9, step 9).
  void replay_tag(LaneMask lanes, const Lanes<const AesKey*>& replay_key,
                  const Lanes<const std::uint8_t*>& t, Lanes<std::uint64_t>& tag) noexcept;

  /// tag[i] = first 8 bytes of CMAC_{K_mac}(LL[0..8) ‖ 0^8 ‖ HR ‖ T), big-endian, over the datagram as
  /// it is: HR must be veiled already (section 4). `header_bytes` is |HR|. Does not write.
  void link_tag(std::size_t header_bytes, LaneMask lanes, const Lanes<const LinkKey*>& key,
                const Lanes<const std::uint8_t*>& datagram, Lanes<std::uint64_t>& tag) noexcept;

  /// Clears the vector registers, and the stack below the caller, of what the calls before may have left of keys there.
  /// Once a burst, by whoever works on one.
  void clear_traces() noexcept;

  /// HR ⊕= CTR_{K_veil}(LL[0..8) ‖ 0^8, |HR|) in place: puts the veil on or takes it off (section 4).
  void link_veil(std::size_t header_bytes, LaneMask lanes, const Lanes<const LinkKey*>& key,
                 const Lanes<std::uint8_t*>& datagram) noexcept;

 private:
  void* state_;
  const OnionKernel* kernel_;
};

/// One variant of the functions above. `name` is what ALLIUM_KERNEL=onion=NAME accepts. Every entry
/// takes the state that `create` made, and is otherwise as documented at OnionBatch.
struct OnionKernel {
  std::string_view name;
  std::string_view description;
  bool (*supported)() noexcept;  ///< this CPU and this OS can run it
  void* (*create)();
  void (*destroy)(void* state) noexcept;
  void (*expand_key)(void*, const Block&, AesKey&) noexcept;
  void (*decrypt_blocks)(void*, const AesKey&, LaneMask, const Lanes<const std::uint8_t*>&,
                         Lanes<Block>&) noexcept;
  void (*encrypt_blocks)(void*, const AesKey&, LaneMask, const Lanes<Block>&,
                         Lanes<Block>&) noexcept;
  void (*derive)(void*, const LayerShape&, LaneMask, const Lanes<Block>&) noexcept;
  void (*layer_left)(void*, const LayerShape&, LaneMask, const Lanes<Block>&,
                     const Lanes<const std::uint8_t*>&, const Lanes<const std::uint8_t*>&,
                     Lanes<Block>&) noexcept;
  void (*header_mac)(void*, LaneMask, const Lanes<const std::uint8_t*>&, std::size_t,
                     Lanes<Block>&) noexcept;
  void (*layer_right)(void*, const LayerShape&, LaneMask, const Lanes<Block>&,
                      const Lanes<std::uint8_t*>&, Lanes<Block>&) noexcept;
  void (*layer_both)(void*, const LayerShape&, LaneMask, const Lanes<std::uint8_t*>&, Lanes<Block>&,
                     LaneMask, const Lanes<Block>&, const Lanes<const std::uint8_t*>&,
                     const Lanes<const std::uint8_t*>&, Lanes<Block>&, Lanes<Block>&) noexcept;
  void (*header_shift)(void*, const LayerShape&, LaneMask, const Lanes<Block>&,
                       const Lanes<std::uint8_t*>&) noexcept;
  void (*replay_tag)(void*, LaneMask, const Lanes<const AesKey*>&,
                     const Lanes<const std::uint8_t*>&, Lanes<std::uint64_t>&) noexcept;
  void (*link_tag)(void*, std::size_t, LaneMask, const Lanes<const LinkKey*>&,
                   const Lanes<const std::uint8_t*>&, Lanes<std::uint64_t>&) noexcept;
  void (*clear_traces)(void*) noexcept;
  void (*link_veil)(void*, std::size_t, LaneMask, const Lanes<const LinkKey*>&,
                    const Lanes<std::uint8_t*>&) noexcept;
};

/// Every variant built in, the portable one first. Tests compare each supported one with an oracle.
[[nodiscard]] std::span<const OnionKernel> onion_kernels() noexcept;

}  // namespace allium::crypto_accel
