// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/onion_batch.hpp"

#include <array>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/kernels/onion_variants.hpp"

namespace allium::crypto_accel {

// In the order of what they need.
std::span<const OnionKernel> onion_kernels() noexcept {
  static const std::array<OnionKernel, 5> kernels = [] {
    const std::array<OnionKernel, 2> library = onion_ipsec_mb_kernels();
    const std::array<OnionKernel, 3> own = onion_vector_kernels();
    return std::array<OnionKernel, 5>{library[0], library[1], own[0], own[1], own[2]};
  }();
  return kernels;
}

OnionBatch::OnionBatch(const OnionKernel& kernel) : state_(nullptr), kernel_(&kernel) {
  ALLIUM_CHECK(kernel.supported());
  state_ = kernel.create();
}

OnionBatch::~OnionBatch() {
  kernel_->destroy(state_);
}

void OnionBatch::expand_key(const Block& key, AesKey& expanded) noexcept {
  kernel_->expand_key(state_, key, expanded);
}

void OnionBatch::decrypt_blocks(const AesKey& key, LaneMask lanes,
                                const Lanes<const std::uint8_t*>& source,
                                Lanes<Block>& plain) noexcept {
  kernel_->decrypt_blocks(state_, key, lanes, source, plain);
}

void OnionBatch::encrypt_blocks(const AesKey& key, LaneMask lanes, const Lanes<Block>& source,
                                Lanes<Block>& target) noexcept {
  kernel_->encrypt_blocks(state_, key, lanes, source, target);
}

void OnionBatch::derive(const LayerShape& shape, LaneMask lanes,
                        const Lanes<Block>& secret) noexcept {
  kernel_->derive(state_, shape, lanes, secret);
}

void OnionBatch::layer_left(const LayerShape& shape, LaneMask lanes, const Lanes<Block>& ctx,
                            const Lanes<const std::uint8_t*>& x_l,
                            const Lanes<const std::uint8_t*>& x_r, Lanes<Block>& x_l_out) noexcept {
  kernel_->layer_left(state_, shape, lanes, ctx, x_l, x_r, x_l_out);
}

void OnionBatch::header_mac(LaneMask lanes, const Lanes<const std::uint8_t*>& message,
                            std::size_t message_bytes, Lanes<Block>& mac) noexcept {
  kernel_->header_mac(state_, lanes, message, message_bytes, mac);
}

void OnionBatch::layer_right(const LayerShape& shape, LaneMask lanes, const Lanes<Block>& x_l_out,
                             const Lanes<std::uint8_t*>& x_r, Lanes<Block>& w) noexcept {
  kernel_->layer_right(state_, shape, lanes, x_l_out, x_r, w);
}

void OnionBatch::layer_both(const LayerShape& shape, LaneMask right,
                            const Lanes<std::uint8_t*>& x_r, Lanes<Block>& w, LaneMask left,
                            const Lanes<Block>& ctx, const Lanes<const std::uint8_t*>& x_l,
                            const Lanes<const std::uint8_t*>& x_r_in, Lanes<Block>& x_l_out,
                            Lanes<Block>& mac) noexcept {
  kernel_->layer_both(state_, shape, right, x_r, w, left, ctx, x_l, x_r_in, x_l_out, mac);
}

void OnionBatch::header_shift(const LayerShape& shape, LaneMask lanes, const Lanes<Block>& w,
                              const Lanes<std::uint8_t*>& ahdr) noexcept {
  kernel_->header_shift(state_, shape, lanes, w, ahdr);
}

void OnionBatch::replay_tag(LaneMask lanes, const Lanes<const AesKey*>& replay_key,
                            const Lanes<const std::uint8_t*>& t,
                            Lanes<std::uint64_t>& tag) noexcept {
  kernel_->replay_tag(state_, lanes, replay_key, t, tag);
}

void OnionBatch::link_tag(std::size_t header_bytes, LaneMask lanes,
                          const Lanes<const LinkKey*>& key,
                          const Lanes<const std::uint8_t*>& datagram,
                          Lanes<std::uint64_t>& tag) noexcept {
  kernel_->link_tag(state_, header_bytes, lanes, key, datagram, tag);
}

void OnionBatch::clear_traces() noexcept {
  kernel_->clear_traces(state_);
}

void OnionBatch::link_veil(std::size_t header_bytes, LaneMask lanes,
                           const Lanes<const LinkKey*>& key,
                           const Lanes<std::uint8_t*>& datagram) noexcept {
  kernel_->link_veil(state_, header_bytes, lanes, key, datagram);
}

}  // namespace allium::crypto_accel
