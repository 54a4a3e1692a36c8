// SPDX-License-Identifier: Apache-2.0

// Runs batches on a stack that the test owns, and looks afterwards there and in the vector registers for what must not
// be left: the scalar, the secrets as words, and the secrets as the limbs of 51 bits that the kernel works with.

#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "crypto_accel/kernels/x25519_avx512_ifma.hpp"
#include "crypto_accel/x25519_batch.hpp"
#include "tests/unit/crypto_accel/test_bytes.hpp"
#include "tests/unit/crypto_accel/watched_stack.hpp"

namespace allium::crypto_accel {
namespace {

using test::TestRandom;
using test::WatchedStack;

using Word = std::array<std::uint8_t, 8>;

struct alignas(64) Zmm {
  std::array<std::array<std::uint8_t, 64>, 32> registers;
};

struct Task {
  const X25519Kernel* kernel = nullptr;
  PrivateKey scalar;
  std::vector<PublicKey> points;
  std::vector<SharedSecret> shared;
  Zmm zmm{};
  std::array<std::uint64_t, 8> masks{};
};

// The registers as the call left them; nothing of the compiler's is between.
#define ALLIUM_STORE_ZMM(number) "vmovdqu64 %%zmm" #number ", 64*" #number "(%0)\n\t"
#define ALLIUM_STORE_MASK(number) "kmovw %%k" #number ", 8*" #number "(%1)\n\t"

void store_registers(Task& task) {
  __asm__ volatile(
      ALLIUM_STORE_ZMM(0) ALLIUM_STORE_ZMM(1) ALLIUM_STORE_ZMM(2) ALLIUM_STORE_ZMM(3)
          ALLIUM_STORE_ZMM(4) ALLIUM_STORE_ZMM(5) ALLIUM_STORE_ZMM(6) ALLIUM_STORE_ZMM(7)
              ALLIUM_STORE_ZMM(8) ALLIUM_STORE_ZMM(9) ALLIUM_STORE_ZMM(10) ALLIUM_STORE_ZMM(11)
                  ALLIUM_STORE_ZMM(12) ALLIUM_STORE_ZMM(13) ALLIUM_STORE_ZMM(14)
                      ALLIUM_STORE_ZMM(15) ALLIUM_STORE_ZMM(16) ALLIUM_STORE_ZMM(17)
                          ALLIUM_STORE_ZMM(18) ALLIUM_STORE_ZMM(19) ALLIUM_STORE_ZMM(20)
                              ALLIUM_STORE_ZMM(21) ALLIUM_STORE_ZMM(22) ALLIUM_STORE_ZMM(23)
                                  ALLIUM_STORE_ZMM(24) ALLIUM_STORE_ZMM(25) ALLIUM_STORE_ZMM(26)
                                      ALLIUM_STORE_ZMM(27) ALLIUM_STORE_ZMM(28) ALLIUM_STORE_ZMM(29)
                                          ALLIUM_STORE_ZMM(30) ALLIUM_STORE_ZMM(31)
                                              ALLIUM_STORE_MASK(0) ALLIUM_STORE_MASK(1)
                                                  ALLIUM_STORE_MASK(2) ALLIUM_STORE_MASK(3)
                                                      ALLIUM_STORE_MASK(4) ALLIUM_STORE_MASK(5)
                                                          ALLIUM_STORE_MASK(6) ALLIUM_STORE_MASK(7)
      :
      : "r"(task.zmm.registers.data()), "r"(task.masks.data())
      : "memory");
}

void run_kernel(void* argument) {
  Task& task = *static_cast<Task*>(argument);
  static_cast<void>(task.kernel->run(task.scalar, task.points, task.shared));
}

void run_without_wiping(void* argument) {
  Task& task = *static_cast<Task*>(argument);
  static_cast<void>(x25519_avx512_ifma::multiply(task.scalar.data(), task.points.front().data(),
                                                 task.shared.front().data(), task.points.size()));
}

void run_and_store_registers(void* argument) {
  Task& task = *static_cast<Task*>(argument);
  static_cast<void>(x25519_avx512_ifma::multiply(task.scalar.data(), task.points.front().data(),
                                                 task.shared.front().data(), task.points.size()));
  store_registers(task);
}

Task task_of(const X25519Kernel& kernel, std::size_t lane_count) {
  TestRandom random(41);
  Task task;
  task.kernel = &kernel;
  random.fill(task.scalar.bytes());
  task.points.resize(lane_count);
  task.shared.resize(lane_count);
  for (PublicKey& point : task.points) {
    random.fill(point);
  }
  return task;
}

Word word_of(std::uint64_t number) {
  Word word{};
  std::memcpy(word.data(), &number, word.size());
  return word;
}

/// Bits `begin` to `begin + 50` of a little-endian number.
std::uint64_t limb_at(const SharedSecret& number, std::size_t begin) {
  std::uint64_t limb = 0;
  for (std::size_t bit = begin; bit < begin + 51; ++bit) {
    const std::uint64_t byte = number[bit / 8];
    limb |= (byte >> (bit % 8) & 1U) << (bit - begin);
  }
  return limb;
}

std::vector<Word> secrets_of(const Task& task) {
  std::vector<Word> secrets;
  const auto add_words = [&secrets](const std::array<std::uint8_t, 32>& bytes) {
    for (std::size_t i = 0; i < bytes.size(); i += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data() + i, sizeof word);
      secrets.push_back(word_of(word));
    }
  };
  add_words(task.scalar.bytes());
  std::array<std::uint8_t, 32> clamped = task.scalar.bytes();
  clamped[0] &= 0xf8;
  clamped[31] = static_cast<std::uint8_t>((clamped[31] & 0x7f) | 0x40);
  add_words(clamped);
  for (const SharedSecret& shared : task.shared) {
    add_words(shared);
    for (std::size_t begin = 0; begin < 255; begin += 51) {
      secrets.push_back(word_of(limb_at(shared, begin)));
    }
  }
  return secrets;
}

std::size_t count_left(const WatchedStack& stack, const Task& task) {
  std::size_t left = 0;
  for (const Word& secret : secrets_of(task)) {
    left += stack.holds(secret) ? 1U : 0U;
  }
  return left;
}

const X25519Kernel& eight_lanes() {
  return x25519_kernels().back();
}

// What is wiped are the frames of optimised code. A build that shares no stack slots has far larger ones, and holds nobody's
// secrets.
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
constexpr bool kHasFramesOfProduction = true;
#else
constexpr bool kHasFramesOfProduction = false;
#endif

TEST(X25519Wipe, FindsLimbsWhereNobodyWipes) {
  if (!eight_lanes().supported()) {
    GTEST_SKIP() << "this machine cannot run " << eight_lanes().name;
  }
  Task task = task_of(eight_lanes(), kLanesMax);
  WatchedStack stack;
  stack.run(run_without_wiping, &task);
  EXPECT_GT(count_left(stack, task), kLanesMax * 4);  // words or limbs of each lane at least
}

TEST(X25519Wipe, LeavesNeitherScalarNorSecretsOnTheStack) {
  for (const X25519Kernel& kernel : x25519_kernels()) {
    if (!kernel.supported() || (&kernel == &eight_lanes() && !kHasFramesOfProduction)) {
      continue;
    }
    for (const std::size_t lane_count : {std::size_t{1}, std::size_t{2}, kLanesMax}) {
      Task task = task_of(kernel, lane_count);
      WatchedStack stack;
      stack.run(run_kernel, &task);
      EXPECT_EQ(count_left(stack, task), 0U) << kernel.name << ", " << lane_count << " lanes";
    }
  }
}

TEST(X25519Wipe, ClearsTheVectorAndMaskRegisters) {
  if (!eight_lanes().supported()) {
    GTEST_SKIP() << "this machine cannot run " << eight_lanes().name;
  }
  Task task = task_of(eight_lanes(), kLanesMax);
  for (auto& zmm : task.zmm.registers) {
    zmm.fill(0xa5);
  }
  task.masks.fill(0xa5);
  WatchedStack stack;
  stack.run(run_and_store_registers, &task);
  for (std::size_t i = 0; i < task.zmm.registers.size(); ++i) {
    EXPECT_EQ(task.zmm.registers[i], decltype(Zmm::registers)::value_type{}) << "zmm" << i;
  }
  for (std::size_t i = 1; i < task.masks.size(); ++i) {
    EXPECT_EQ(task.masks[i] & 0xffff, 0U) << "k" << i;
  }
}

}  // namespace
}  // namespace allium::crypto_accel
