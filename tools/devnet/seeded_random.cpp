// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/seeded_random.hpp"

#include <sodium.h>

#include "crypto_accel/base/bytes.hpp"

namespace allium::devnet {

SeededRandom::SeededRandom(std::uint64_t seed, const std::string& purpose) {
  const std::string text = "allium devnet seed " + std::to_string(seed) + " " + purpose;
  crypto_hash_sha256(key_.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size());
}

// Every draw has a nonce of its own, so that draws of any length follow each other.
void SeededRandom::fill(void* self, std::uint8_t* target, std::size_t byte_count) noexcept {
  SeededRandom& random = *static_cast<SeededRandom*>(self);
  std::array<std::uint8_t, crypto_stream_chacha20_NONCEBYTES> nonce{};
  store_be(nonce.data(), random.nonce_++, 8);
  crypto_stream_chacha20(target, byte_count, nonce.data(), random.key_.data());
}

}  // namespace allium::devnet
