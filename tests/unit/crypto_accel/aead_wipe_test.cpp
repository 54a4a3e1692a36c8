// SPDX-License-Identifier: Apache-2.0

// Runs batches on a stack that the test owns, and looks afterwards for what must not be left there: keys, and what the
// kernels derive from them.

#include <array>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "crypto_accel/aead_batch.hpp"
#include "tests/unit/crypto_accel/test_bytes.hpp"
#include "tests/unit/crypto_accel/watched_stack.hpp"

namespace allium::crypto_accel {
namespace {

using test::ByteVector;
using test::TestRandom;
using test::WatchedStack;

struct Opening {
  const AeadKernel* kernel;
  std::vector<AeadJob> jobs;
};

void open_all(void* opening) {
  auto& task = *static_cast<Opening*>(opening);
  aead_open(*task.kernel, task.jobs);
}

void leave_a_key(void* key) {
  std::array<std::uint8_t, 16> copy{};
  std::memcpy(copy.data(), key, copy.size());
  asm volatile("" : : "r"(copy.data()) : "memory");  // the compiler may not leave it out
}

/// AES of the zero block: the key of GHASH.
ByteVector hash_key(const ByteVector& key) {
  ByteVector block(16);
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  int count = 0;
  EVP_EncryptInit_ex(context, EVP_aes_256_ecb(), nullptr, key.data(), nullptr);
  EVP_EncryptUpdate(context, block.data(), &count, ByteVector(16).data(), 16);
  EVP_CIPHER_CTX_free(context);
  return block;
}

TEST(AeadWipe, FindsAKeyThatIsLeft) {
  ByteVector key = TestRandom(31).bytes(16);
  WatchedStack stack;
  stack.run(leave_a_key, key.data());
  EXPECT_TRUE(stack.holds(key));
}

TEST(AeadWipe, LeavesNoKeysOnTheStack) {
  for (const AeadKernel& kernel : aead_kernels()) {
    if (!kernel.supported()) {
      continue;
    }
    SCOPED_TRACE(kernel.name);
    TestRandom random(32);
    const ByteVector key = random.bytes(kAeadKeyBytes);
    const ByteVector nonce = random.bytes(24);
    const ByteVector garbage = random.bytes(3000 + kAeadTagBytes);
    ByteVector subkey(32);
    crypto_core_hchacha20(subkey.data(), nonce.data(), key.data(), nullptr);
    Opening opening{&kernel, {}};
    std::array<ByteVector, 10> targets;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      targets[i].resize(i < 6 ? 200 : 3000, 0xa5);
      opening.jobs.push_back({i % 2 == 0 ? AeadKind::aes256_gcm : AeadKind::xchacha20_poly1305,
                              key.data(), nonce.data(),
                              Bytes(garbage).first(targets[i].size() + kAeadTagBytes), targets[i],
                              true});
    }

    WatchedStack stack;
    stack.run(open_all, &opening);

    for (const AeadJob& job : opening.jobs) {
      EXPECT_FALSE(job.is_good);
    }
    for (const ByteVector& secret : {key, subkey}) {
      const char* name = secret == key ? "the key" : "the sub-key of XChaCha20";
      EXPECT_FALSE(stack.holds(Bytes(secret).first(16))) << name;
      EXPECT_FALSE(stack.holds(Bytes(secret).last(16))) << name;
    }
    EXPECT_FALSE(stack.holds(hash_key(key)));
  }
}

}  // namespace
}  // namespace allium::crypto_accel
