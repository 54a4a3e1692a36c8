// SPDX-License-Identifier: Apache-2.0

// Looks into the memory of a batch object at the moment when it is given back: none of the layer
// keys may still be there. Every object of a kernel is over-aligned, so only the aligned operators
// are replaced.

#include <cstdlib>
#include <new>
#include <string_view>

#include <gtest/gtest.h>

#include "crypto_accel/onion_batch.hpp"
#include "tests/oracle/onion_oracle.hpp"
#include "tests/unit/crypto_accel/test_bytes.hpp"

namespace {

struct Watched {
  void* memory = nullptr;
  std::size_t byte_count = 0;
  bool armed = false;
  bool seen_end = false;
  std::array<allium::Block, 5> keys{};
  std::size_t keys_left_at_end = 0;
};

Watched watched;

std::size_t count_keys_in(const void* memory, std::size_t byte_count) {
  const std::string_view bytes(static_cast<const char*>(memory), byte_count);
  std::size_t found = 0;
  for (const allium::Block& key : watched.keys) {
    const std::string_view needle(reinterpret_cast<const char*>(key.data()), key.size());
    found += bytes.find(needle) != std::string_view::npos ? 1U : 0U;
  }
  return found;
}

}  // namespace

void* operator new(std::size_t byte_count, std::align_val_t alignment) {
  const auto align = static_cast<std::size_t>(alignment);
  void* memory = std::aligned_alloc(align, (byte_count + align - 1) / align * align);
  if (memory == nullptr) {
    std::abort();
  }
  if (watched.armed && watched.memory == nullptr) {
    watched.memory = memory;
    watched.byte_count = byte_count;
  }
  return memory;
}

void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept {
  if (watched.armed && memory == watched.memory) {
    watched.keys_left_at_end = count_keys_in(memory, watched.byte_count);
    watched.seen_end = true;
  }
  std::free(memory);
}

void operator delete(void* memory, std::size_t /*byte_count*/,
                     std::align_val_t alignment) noexcept {
  operator delete(memory, alignment);
}

namespace allium::crypto_accel {
namespace {

TEST(OnionBatch, WipesTheLayerKeysAtItsEnd) {
  test::TestRandom random(3);
  const Block secret = random.block();
  const oracle::LayerKeys keys = oracle::layer_keys(secret, 0, 1);
  for (const OnionKernel& kernel : onion_kernels()) {
    if (!kernel.supported()) {
      continue;
    }
    SCOPED_TRACE(kernel.name);
    watched = Watched{};
    watched.keys = {keys.k_et, keys.k_s, keys.k_m, keys.h, keys.h_s};
    watched.armed = true;
    {
      OnionBatch batch(kernel);
      Lanes<Block> secrets{};
      secrets[31] = secret;
      batch.derive(LayerShape{0, 1, 128, 1072}, LaneMask{1} << 31, secrets);
      ASSERT_NE(watched.memory, nullptr);
      EXPECT_EQ(count_keys_in(watched.memory, watched.byte_count), 5U);
    }
    EXPECT_TRUE(watched.seen_end);
    EXPECT_EQ(watched.keys_left_at_end, 0U);
    watched.armed = false;
  }
}

}  // namespace
}  // namespace allium::crypto_accel
