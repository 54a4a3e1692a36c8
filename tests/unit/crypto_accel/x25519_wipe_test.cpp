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
#include "tests/unit/crypto_accel/stored_registers.hpp"
#include "tests/unit/crypto_accel/test_bytes.hpp"
#include "tests/unit/crypto_accel/watched_stack.hpp"

namespace allium::crypto_accel {
namespace {

using test::kHasFramesOfProduction;
using test::store_registers;
using test::StoredRegisters;
using test::TestRandom;
using test::WatchedStack;

using Word = std::array<std::uint8_t, 8>;

struct Task {
  const X25519Kernel* kernel = nullptr;
  PrivateKey scalar;
  std::vector<PublicKey> points;
  std::vector<SharedSecret> shared;
  StoredRegisters registers{};
};

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
  store_registers(task.registers);
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
  for (auto& zmm : task.registers.zmm) {
    zmm.fill(0xa5);
  }
  task.registers.masks.fill(0xa5);
  WatchedStack stack;
  stack.run(run_and_store_registers, &task);
  for (std::size_t i = 0; i < task.registers.zmm.size(); ++i) {
    EXPECT_EQ(task.registers.zmm[i], decltype(StoredRegisters::zmm)::value_type{}) << "zmm" << i;
  }
  for (std::size_t i = 1; i < task.registers.masks.size(); ++i) {
    EXPECT_EQ(task.registers.masks[i] & 0xffff, 0U) << "k" << i;
  }
}

}  // namespace
}  // namespace allium::crypto_accel
