// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/kernels/ipsec_mb_manager.hpp"

#include <cpuid.h>

#include <cstdlib>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/base/secret.hpp"

namespace allium::crypto_accel {
namespace {

constexpr std::size_t kManagerAlignment = 64;

std::size_t manager_bytes() noexcept {
  return (imb_get_mb_mgr_size() + kManagerAlignment - 1) / kManagerAlignment * kManagerAlignment;
}

void check_done(const IMB_JOB* job) noexcept {
  ALLIUM_CHECK(job == nullptr || job->status == IMB_STATUS_COMPLETED);
}

}  // namespace

bool cpu_can_run_ipsec_mb() noexcept {
  unsigned int eax = 0;
  unsigned int ebx = 0;
  unsigned int ecx = 0;
  unsigned int edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) {
    return false;
  }
  constexpr unsigned int kNeeded = bit_AES | bit_PCLMUL | bit_SSE4_2;
  return (ecx & kNeeded) == kNeeded;
}

MbManager::MbManager(MbCode code) noexcept
    : memory_(std::aligned_alloc(kManagerAlignment, manager_bytes())), manager_(nullptr) {
  ALLIUM_CHECK(memory_ != nullptr);
  manager_ = imb_set_pointers_mb_mgr(memory_, 0, 1);
  if (code == MbCode::sse) {
    init_mb_mgr_sse(manager_);
  } else {
    init_mb_mgr_auto(manager_, nullptr);
  }
  ALLIUM_CHECK(imb_get_errno(manager_) == 0);
  ALLIUM_CHECK((manager_->features & IMB_FEATURE_SELF_TEST_PASS) != 0);
}

MbManager::~MbManager() {
  wipe(memory_, manager_bytes());
  std::free(memory_);
}

void MbManager::expand(const std::uint8_t* key, std::uint8_t* encrypt,
                       std::uint8_t* decrypt) noexcept {
  IMB_AES_KEYEXP_128(manager_, key, encrypt, decrypt);
}

void MbManager::encrypt_block(const std::uint8_t* schedule, const std::uint8_t* source,
                              const std::uint8_t* mask, std::uint8_t* target) noexcept {
  // CFB of one block is the library's only AES call without a job around it.
  IMB_AES128_CFB_ONE(manager_, target, mask, source, schedule, kBlockBytes);
}

void MbManager::cmac_subkeys(const std::uint8_t* schedule, std::uint8_t* one,
                             std::uint8_t* two) noexcept {
  // Times x in GF(2^128).
  const auto twice = [](const std::uint8_t* source, std::uint8_t* target) {
    const std::uint64_t high = load_be(source, 8);
    const std::uint64_t low = load_be(source + 8, 8);
    store_be(target, high << 1 | low >> 63, 8);
    store_be(target + 8, low << 1 ^ (0x87 & (0 - (high >> 63))), 8);
  };
  encrypt_block(schedule, kZeroBlock.data(), kZeroBlock.data(), one);
  twice(one, one);
  twice(one, two);
}

void MbManager::ecb(IMB_CIPHER_DIRECTION direction, const std::uint8_t* schedule,
                    const std::uint8_t* source, std::uint8_t* target,
                    std::size_t byte_count) noexcept {
  IMB_JOB* job = IMB_GET_NEXT_JOB(manager_);
  job->cipher_mode = IMB_CIPHER_ECB;
  job->cipher_direction = direction;
  job->hash_alg = IMB_AUTH_NULL;
  job->chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
  job->enc_keys = schedule;
  job->dec_keys = schedule;
  job->key_len_in_bytes = IMB_KEY_128_BYTES;
  job->iv = nullptr;
  job->iv_len_in_bytes = 0;
  job->src = source;
  job->dst = target;
  job->cipher_start_src_offset_in_bytes = 0;
  job->msg_len_to_cipher_in_bytes = byte_count;
  submit();
  drain();
}

void MbManager::queue_cmac(const std::uint8_t* schedule, const std::uint8_t* subkey_one,
                           const std::uint8_t* subkey_two, const std::uint8_t* message,
                           std::size_t message_bytes, std::uint8_t* tag) noexcept {
  IMB_JOB* job = IMB_GET_NEXT_JOB(manager_);
  job->cipher_mode = IMB_CIPHER_NULL;
  job->cipher_direction = IMB_DIR_ENCRYPT;
  job->hash_alg = IMB_AUTH_AES_CMAC;
  job->chain_order = IMB_ORDER_HASH_CIPHER;
  job->src = message;
  job->hash_start_src_offset_in_bytes = 0;
  job->msg_len_to_hash_in_bytes = message_bytes;
  job->u.CMAC._key_expanded = schedule;
  job->u.CMAC._skey1 = subkey_one;
  job->u.CMAC._skey2 = subkey_two;
  job->auth_tag_output = tag;
  job->auth_tag_output_len_in_bytes = kBlockBytes;
  submit();
}

void MbManager::submit() noexcept {
  // What comes back here is the oldest job that is done, not the one that went in.
  check_done(IMB_SUBMIT_JOB_NOCHECK(manager_));
}

void MbManager::drain() noexcept {
  while (const IMB_JOB* job = IMB_FLUSH_JOB(manager_)) {
    check_done(job);
  }
}

MbManager& manager_of_thread() noexcept {
  thread_local MbManager of_thread(MbCode::best);
  return of_thread;
}

}  // namespace allium::crypto_accel
