// SPDX-License-Identifier: Apache-2.0

// Each kind by what was fastest (README.md, "Cost"). GCM goes by the library's direct calls: it has no lanes over
// several GCM texts, so that a job only adds its own cost. Short XChaCha20-Poly1305 texts go as bursts of jobs, long
// ones to OpenSSL, whose bytes are cheaper and whose set-up is dearer.

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include <sodium.h>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/base/secret.hpp"
#include "crypto_accel/kernels/aead_variants.hpp"
#include "crypto_accel/kernels/ipsec_mb_manager.hpp"
#include "crypto_accel/kernels/openssl_aead.hpp"

namespace allium::crypto_accel::aead_ipsec_mb {
namespace {

// Where the two met on an AVX2 machine (Zen 3).
constexpr std::size_t kLongTextBytes = 2048;
constexpr std::size_t kBurstJobs = 32;
// HChaCha20 of libsodium and OpenSSL's vector code leave on the stack what they spilled: sub-keys were found there.
constexpr std::size_t kSpillBytes = 4096;
constexpr std::size_t kHchachaInputBytes = crypto_core_hchacha20_INPUTBYTES;

struct GcmState {
  gcm_key_data key;
  gcm_context_data context;
  Block tag;
};

/// XChaCha20 is ChaCha20 under a key that HChaCha20 makes of key and first 16 bytes of the nonce, with the last 8
/// bytes behind four zeros as its nonce.
struct ChachaKey {
  std::array<std::uint8_t, 32> key;
  std::array<std::uint8_t, 12> nonce;
};

struct ShortTexts {
  std::array<ChachaKey, kBurstJobs> derived;
  std::array<Block, kBurstJobs> tags;
};

void derive(const AeadJob& job, ChachaKey& derived) noexcept {
  crypto_core_hchacha20(derived.key.data(), job.nonce, job.key, nullptr);
  derived.nonce.fill(0);
  std::memcpy(derived.nonce.data() + 4, job.nonce + kHchachaInputBytes, 8);
}

std::size_t text_bytes_of(const AeadJob& job) noexcept {
  return std::min(job.source.size(), job.target.size());
}

/// The tag of an opened text against that of the source.
void judge(AeadJob& job, const Block& tag) noexcept {
  const std::size_t text_bytes = job.target.size();
  job.is_good = equal(tag.data(), job.source.data() + text_bytes, kAeadTagBytes);
  if (!job.is_good) {
    wipe(job.target.data(), text_bytes);
  }
}

void keep(AeadJob& job, const Block& tag) noexcept {
  store_block(job.target.data() + job.source.size(), tag);
  job.is_good = true;
}

class Batch {
 public:
  explicit Batch(IMB_CIPHER_DIRECTION direction) noexcept
      : direction_(direction), manager_(manager_of_thread().get()) {}

  void run(std::span<AeadJob> jobs) noexcept {
    for (AeadJob& job : jobs) {
      if (job.kind == AeadKind::aes256_gcm) {
        run_gcm(job);
      } else if (text_bytes_of(job) >= kLongTextBytes) {
        run_long(job);
      } else {
        queue(job);
      }
    }
    run_queued();
    if (derived_any_) {
      // Here, not where this object lives: as the last call of that function it would begin above this frame.
      sodium_stackzero(kSpillBytes);
    }
  }

 private:
  void finish(AeadJob& job, const Block& tag) const noexcept {
    if (direction_ == IMB_DIR_DECRYPT) {
      judge(job, tag);
    } else {
      keep(job, tag);
    }
  }

  void run_gcm(AeadJob& job) noexcept {
    GcmState& state = (gcm_ ? *gcm_ : gcm_.emplace()).value;
    const auto run = direction_ == IMB_DIR_DECRYPT ? manager_->gcm256_dec : manager_->gcm256_enc;
    IMB_AES256_GCM_PRE(manager_, job.key, &state.key);
    run(&state.key, &state.context, job.target.data(), job.source.data(), text_bytes_of(job),
        job.nonce, nullptr, 0, state.tag.data(), kAeadTagBytes);
    finish(job, state.tag);
  }

  void run_long(AeadJob& job) noexcept {
    if (!openssl_) {
      openssl_.emplace(OpensslCipher::chacha20_poly1305);
    }
    derived_any_ = true;
    Wiped<ChachaKey> derived;
    derive(job, derived.value);
    const std::uint8_t* key = derived.value.key.data();
    const std::uint8_t* nonce = derived.value.nonce.data();
    if (direction_ == IMB_DIR_DECRYPT) {
      openssl_->open(key, nonce, job);
    } else {
      openssl_->seal(key, nonce, job);
    }
  }

  void queue(AeadJob& job) noexcept {
    derived_any_ = true;
    if (!short_) {
      short_.emplace();
    }
    derive(job, short_->value.derived[queued_]);
    jobs_[queued_] = &job;
    if (++queued_ == kBurstJobs) {
      run_queued();
    }
  }

  void fill(IMB_JOB& job, std::size_t index) noexcept {
    job.cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    job.hash_alg = IMB_AUTH_CHACHA20_POLY1305;
    job.cipher_direction = direction_;
    job.chain_order = direction_ == IMB_DIR_DECRYPT ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
    job.enc_keys = job.dec_keys = short_->value.derived[index].key.data();
    job.key_len_in_bytes = kAeadKeyBytes;
    job.iv = short_->value.derived[index].nonce.data();
    job.iv_len_in_bytes = short_->value.derived[index].nonce.size();
    job.src = jobs_[index]->source.data();
    job.dst = jobs_[index]->target.data();
    job.cipher_start_src_offset_in_bytes = job.hash_start_src_offset_in_bytes = 0;
    job.msg_len_to_cipher_in_bytes = job.msg_len_to_hash_in_bytes = text_bytes_of(*jobs_[index]);
    job.u.CHACHA20_POLY1305.aad = nullptr;
    job.u.CHACHA20_POLY1305.aad_len_in_bytes = 0;
    job.auth_tag_output = short_->value.tags[index].data();
    job.auth_tag_output_len_in_bytes = kAeadTagBytes;
  }

  void run_queued() noexcept {
    if (queued_ == 0) {
      return;
    }
    std::array<IMB_JOB*, kBurstJobs> burst{};
    const auto count = static_cast<std::uint32_t>(queued_);
    ALLIUM_CHECK(IMB_GET_NEXT_BURST(manager_, count, burst.data()) == count);
    for (std::size_t i = 0; i < queued_; ++i) {
      fill(*burst[i], i);
    }
    std::uint32_t done = IMB_SUBMIT_BURST_NOCHECK(manager_, count, burst.data());
    check_done(std::span(burst).first(done));
    while (done < count) {
      const std::uint32_t flushed = IMB_FLUSH_BURST(manager_, count - done, burst.data());
      ALLIUM_CHECK(flushed > 0);
      check_done(std::span(burst).first(flushed));
      done += flushed;
    }
    for (std::size_t i = 0; i < queued_; ++i) {
      finish(*jobs_[i], short_->value.tags[i]);
    }
    queued_ = 0;
  }

  static void check_done(std::span<IMB_JOB* const> jobs) noexcept {
    for (const IMB_JOB* job : jobs) {
      ALLIUM_CHECK(job->status == IMB_STATUS_COMPLETED);
    }
  }

  IMB_CIPHER_DIRECTION direction_;
  IMB_MGR* manager_;
  std::optional<Wiped<GcmState>>
      gcm_;  // made where they are needed: clearing and wiping costs a short text 10 %
  std::optional<Wiped<ShortTexts>> short_;
  bool derived_any_ = false;
  std::array<AeadJob*, kBurstJobs> jobs_{};
  std::size_t queued_ = 0;
  std::optional<OpensslAead> openssl_;
};

}  // namespace

bool supported() noexcept {
  static const bool ready = sodium_init() >= 0;
  return ready && cpu_can_run_ipsec_mb();
}

void open(std::span<AeadJob> jobs) noexcept {
  Batch(IMB_DIR_DECRYPT).run(jobs);
}

void seal(std::span<AeadJob> jobs) noexcept {
  Batch(IMB_DIR_ENCRYPT).run(jobs);
}

}  // namespace allium::crypto_accel::aead_ipsec_mb
