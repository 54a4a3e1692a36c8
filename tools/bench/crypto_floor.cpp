// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/crypto_floor.hpp"

#include <array>

#include <intel-ipsec-mb.h>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/onion_batch.hpp"

namespace allium::bench {
namespace {

using crypto_accel::kLanesMax;
using crypto_accel::Lanes;

struct ManagerFree {
  void operator()(IMB_MGR* manager) const noexcept { free_mb_mgr(manager); }
};

struct alignas(64) LaneKeys {
  Block hash_key{};
  Block cipher_key{};
  Block counter{};  ///< its last 4 bytes are zero: they never carry
  Block hash{};
  alignas(16) std::array<std::uint8_t, 176> schedule{};
  alignas(64) gcm_key_data tables;
};

}  // namespace

struct CryptoFloor::State {
  State() : manager(alloc_mb_mgr(0)) {
    ALLIUM_CHECK(manager != nullptr);
    init_mb_mgr_auto(manager.get(), nullptr);
    ALLIUM_CHECK(imb_get_errno(manager.get()) == 0);
  }

  std::unique_ptr<IMB_MGR, ManagerFree> manager;
  std::size_t x_r_offset = 0;
  std::size_t x_r_bytes = 0;
  Lanes<LaneKeys> keys{};
  Lanes<IMB_JOB> jobs{};
};

CryptoFloor::CryptoFloor(onion::PacketClass packet_class, const Random& random)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  const auto& info = onion::type_info(onion::data_type(packet_class, onion::Direction::forward));
  state.x_r_offset = info.x_r_offset;
  state.x_r_bytes = info.x_r_bytes;
  alignas(16) std::array<std::uint8_t, 176> unused{};
  for (std::size_t lane = 0; lane < kLanesMax; ++lane) {
    LaneKeys& keys = state.keys[lane];
    random(keys.hash_key);
    random(keys.cipher_key);
    random(MutableBytes(keys.counter).first(12));
    IMB_AES_KEYEXP_128(state.manager.get(), keys.cipher_key.data(), keys.schedule.data(),
                       unused.data());
    IMB_GHASH_PRE(state.manager.get(), keys.hash_key.data(), &keys.tables);
    IMB_JOB& job = state.jobs[lane];
    job.cipher_mode = IMB_CIPHER_CNTR;
    job.cipher_direction = IMB_DIR_ENCRYPT;
    job.hash_alg = IMB_AUTH_NULL;
    job.chain_order = IMB_ORDER_CIPHER_HASH;
    job.enc_keys = keys.schedule.data();
    job.dec_keys = keys.schedule.data();
    job.key_len_in_bytes = IMB_KEY_128_BYTES;
    job.iv = keys.counter.data();
    job.iv_len_in_bytes = kBlockBytes;
    job.msg_len_to_cipher_in_bytes = state.x_r_bytes;
  }
}

CryptoFloor::~CryptoFloor() = default;

void CryptoFloor::run(std::span<std::uint8_t* const> datagrams) noexcept {
  State& state = *state_;
  ALLIUM_CHECK(datagrams.size() <= kLanesMax);
  const auto count = static_cast<std::uint32_t>(datagrams.size());
  for (std::uint32_t lane = 0; lane < count; ++lane) {
    LaneKeys& keys = state.keys[lane];
    std::uint8_t* const x_r = datagrams[lane] + state.x_r_offset;
    keys.hash = Block{};
    IMB_GHASH(state.manager.get(), &keys.tables, x_r, state.x_r_bytes, keys.hash.data(),
              kBlockBytes);
    state.jobs[lane].src = x_r;
    state.jobs[lane].dst = x_r;
  }
  const std::uint32_t done =
      IMB_SUBMIT_CIPHER_BURST_NOCHECK(state.manager.get(), state.jobs.data(), count,
                                      IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT, IMB_KEY_128_BYTES);
  ALLIUM_CHECK(done == count);
}

const Block& CryptoFloor::hash(std::size_t lane) const noexcept {
  return state_->keys[lane].hash;
}

const Block& CryptoFloor::hash_key(std::size_t lane) const noexcept {
  return state_->keys[lane].hash_key;
}

const Block& CryptoFloor::cipher_key(std::size_t lane) const noexcept {
  return state_->keys[lane].cipher_key;
}

const Block& CryptoFloor::counter(std::size_t lane) const noexcept {
  return state_->keys[lane].counter;
}

}  // namespace allium::bench
