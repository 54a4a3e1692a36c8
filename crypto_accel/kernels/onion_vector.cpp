// SPDX-License-Identifier: Apache-2.0

// The vector variants of the onion kernel as OnionKernel rows: what the CPU must have, the checks of sizes, and
// the calls into the files that are compiled for it.

#include "crypto_accel/kernels/onion_vector.hpp"

#include <array>
#include <cstddef>

#include <sodium.h>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/base/secret.hpp"
#include "crypto_accel/kernels/cpu_features.hpp"
#include "crypto_accel/kernels/onion_variants.hpp"

namespace allium::crypto_accel {
namespace {

constexpr std::size_t kXRBytesMin = 128;  // V
constexpr std::size_t kHeaderBytesMin = 32;
constexpr std::size_t kSpillBytes =
    4096;  // below a caller, that the frames of the vector code reach

static_assert(kVectorLanes == kLanesMax);
static_assert(offsetof(AesKey, encrypt) == 0 && offsetof(AesKey, decrypt) == kDecryptOffset &&
              offsetof(AesKey, subkey_one) == kSubkeyOffset);
static_assert(offsetof(LinkKey, mac) == 0 && offsetof(LinkKey, veil) == kVeilOffset);
static_assert(sizeof(Lanes<Block>) == kLanesMax * kBlockBytes);

void check_x_r(const LayerShape& shape) noexcept {
  ALLIUM_CHECK(is_whole_blocks(shape.x_r_bytes) && shape.x_r_bytes >= kXRBytesMin &&
               shape.x_r_bytes <= kXRBytesMax);
}

void check_header(std::size_t header_bytes) noexcept {
  ALLIUM_CHECK(is_whole_blocks(header_bytes) && header_bytes >= kHeaderBytesMin &&
               header_bytes <= kHeaderBytesMax);
}

VectorMemory* memory_of(void* state) noexcept {
  return static_cast<VectorMemory*>(state);
}

const std::uint8_t* bytes_of(const Lanes<Block>& blocks) noexcept {
  return blocks.front().data();
}

std::uint8_t* bytes_of(Lanes<Block>& blocks) noexcept {
  return blocks.front().data();
}

void* create() {
  return new VectorMemory{};
}

void destroy(void* state) noexcept {
  wipe(state, sizeof(VectorMemory));
  delete memory_of(state);
}

/// The entries of OnionKernel over one table of functions.
template <const VectorFunctions& kFunctions>
struct Entries {
  static void expand_key(void* /*state*/, const Block& key, AesKey& expanded) noexcept {
    kFunctions.expand_key(key.data(), &expanded);
  }

  static void decrypt_blocks(void* /*state*/, const AesKey& key, LaneMask lanes,
                             const Lanes<const std::uint8_t*>& source,
                             Lanes<Block>& plain) noexcept {
    kFunctions.decrypt_blocks(&key, lanes, source.data(), bytes_of(plain));
  }

  static void encrypt_blocks(void* /*state*/, const AesKey& key, LaneMask lanes,
                             const Lanes<Block>& source, Lanes<Block>& target) noexcept {
    kFunctions.encrypt_blocks(&key, lanes, bytes_of(source), bytes_of(target));
  }

  static void derive(void* state, const LayerShape& shape, LaneMask lanes,
                     const Lanes<Block>& secret) noexcept {
    check_x_r(shape);
    kFunctions.derive(memory_of(state), shape.direction, shape.packet_class, shape.x_r_bytes, lanes,
                      bytes_of(secret));
  }

  static void layer_left(void* state, const LayerShape& shape, LaneMask lanes,
                         const Lanes<Block>& ctx, const Lanes<const std::uint8_t*>& x_l,
                         const Lanes<const std::uint8_t*>& x_r, Lanes<Block>& x_l_out) noexcept {
    check_x_r(shape);
    kFunctions.layer_left(memory_of(state), shape.x_r_bytes, lanes, bytes_of(ctx), x_l.data(),
                          x_r.data(), bytes_of(x_l_out));
  }

  static void header_mac(void* state, LaneMask lanes, const Lanes<const std::uint8_t*>& message,
                         std::size_t message_bytes, Lanes<Block>& mac) noexcept {
    ALLIUM_CHECK(is_whole_blocks(message_bytes) && message_bytes > 0);
    kFunctions.header_mac(memory_of(state), lanes, message.data(), message_bytes, bytes_of(mac));
  }

  static void layer_right(void* state, const LayerShape& shape, LaneMask lanes,
                          const Lanes<Block>& x_l_out, const Lanes<std::uint8_t*>& x_r,
                          Lanes<Block>& w) noexcept {
    check_x_r(shape);
    kFunctions.layer_right(memory_of(state), shape.x_r_bytes, lanes, bytes_of(x_l_out), x_r.data(),
                           bytes_of(w));
  }

  static void layer_both(void* state, const LayerShape& shape, LaneMask right,
                         const Lanes<std::uint8_t*>& x_r, Lanes<Block>& w, LaneMask left,
                         const Lanes<Block>& ctx, const Lanes<const std::uint8_t*>& x_l,
                         const Lanes<const std::uint8_t*>& x_r_in, Lanes<Block>& x_l_out,
                         Lanes<Block>& mac) noexcept {
    check_x_r(shape);
    ALLIUM_CHECK((left & right) == 0);
    kFunctions.layer_both(memory_of(state), shape.x_r_bytes, right, x_r.data(), bytes_of(w), left,
                          bytes_of(ctx), x_l.data(), x_r_in.data(), bytes_of(x_l_out),
                          bytes_of(mac));
  }

  static void header_shift(void* state, const LayerShape& shape, LaneMask lanes,
                           const Lanes<Block>& w, const Lanes<std::uint8_t*>& ahdr) noexcept {
    check_header(shape.header_bytes);
    kFunctions.header_shift(memory_of(state), shape.direction, shape.packet_class,
                            shape.header_bytes, lanes, bytes_of(w), ahdr.data());
  }

  static void replay_tag(void* state, LaneMask lanes, const Lanes<const AesKey*>& replay_key,
                         const Lanes<const std::uint8_t*>& t, Lanes<std::uint64_t>& tag) noexcept {
    kFunctions.replay_tag(memory_of(state), lanes, replay_key.data(), t.data(), tag.data());
  }

  static void link_tag(void* state, std::size_t header_bytes, LaneMask lanes,
                       const Lanes<const LinkKey*>& key, const Lanes<const std::uint8_t*>& datagram,
                       Lanes<std::uint64_t>& tag) noexcept {
    check_header(header_bytes);
    kFunctions.link_tag(memory_of(state), header_bytes, lanes, key.data(), datagram.data(),
                        tag.data());
  }

  static void clear_traces(void* /*state*/) noexcept {
    kFunctions.clear_registers();
    sodium_stackzero(kSpillBytes);
  }

  static void link_veil(void* /*state*/, std::size_t header_bytes, LaneMask lanes,
                        const Lanes<const LinkKey*>& key,
                        const Lanes<std::uint8_t*>& datagram) noexcept {
    check_header(header_bytes);
    kFunctions.link_veil(header_bytes, lanes, key.data(), datagram.data());
  }
};

template <const VectorFunctions& kFunctions>
constexpr OnionKernel make_kernel(std::string_view name, std::string_view description,
                                  bool (*supported)() noexcept) noexcept {
  using E = Entries<kFunctions>;
  return OnionKernel{
      name,          description,       supported,         create,          destroy,
      E::expand_key, E::decrypt_blocks, E::encrypt_blocks, E::derive,       E::layer_left,
      E::header_mac, E::layer_right,    E::layer_both,     E::header_shift, E::replay_tag,
      E::link_tag,   E::clear_traces,   E::link_veil};
}

}  // namespace

std::array<OnionKernel, 3> onion_vector_kernels() noexcept {
  return {
      make_kernel<kOnionAesAvx2>("aes-avx2", "our own, one block a register: AES-NI, PCLMUL, AVX2",
                                 cpu_has_aes_avx2),
      make_kernel<kOnionVaesAvx2>(
          "vaes-avx2", "our own, two blocks a register: VAES, VPCLMUL, AVX2", cpu_has_vaes_avx2),
      make_kernel<kOnionVaesAvx512>("vaes-avx512",
                                    "our own, four blocks a register: VAES, VPCLMUL, AVX-512",
                                    cpu_has_vaes_avx512)};
}

}  // namespace allium::crypto_accel
