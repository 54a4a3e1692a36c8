// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/base/random.hpp"

#include <algorithm>
#include <cstring>

#include <sodium.h>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/base/secret.hpp"

namespace allium {
namespace {

void require_sodium() noexcept {
  static const bool ready = sodium_init() >= 0;
  ALLIUM_CHECK(ready);
}

void fill_from_system(void* /*state*/, std::uint8_t* target, std::size_t byte_count) noexcept {
  randombytes_buf(target, byte_count);
}

}  // namespace

Random system_random() noexcept {
  require_sodium();
  return Random{nullptr, fill_from_system};
}

WorkerRandom::WorkerRandom() noexcept {
  system_random()(key_);
}

WorkerRandom::~WorkerRandom() {
  wipe(key_.data(), key_.size());
  wipe(pool_.data(), pool_.size());
}

Random WorkerRandom::source() noexcept {
  return Random{this, fill};
}

void WorkerRandom::fill(void* self, std::uint8_t* target, std::size_t byte_count) noexcept {
  auto& worker = *static_cast<WorkerRandom*>(self);
  while (byte_count > 0) {
    if (worker.used_ == kPoolBytes) {
      worker.refill();
    }
    const std::size_t taken = std::min(byte_count, kPoolBytes - worker.used_);
    std::memcpy(target, worker.pool_.data() + worker.used_, taken);
    // What was handed out is forgotten here, so that memory read later does not tell it.
    wipe(worker.pool_.data() + worker.used_, taken);
    worker.used_ += taken;
    target += taken;
    byte_count -= taken;
  }
}

void WorkerRandom::refill() noexcept {
  // Every key is used for one stream only, so a constant nonce is right.
  static constexpr std::array<std::uint8_t, crypto_stream_chacha20_NONCEBYTES> kNonce{};
  static_assert(crypto_stream_chacha20_KEYBYTES == kKeyBytes);
  const int failed = crypto_stream_chacha20(pool_.data(), pool_.size(), kNonce.data(), key_.data());
  ALLIUM_CHECK(failed == 0);
  std::memcpy(key_.data(), pool_.data(), kKeyBytes);
  wipe(pool_.data(), kKeyBytes);
  used_ = kKeyBytes;
}

}  // namespace allium
