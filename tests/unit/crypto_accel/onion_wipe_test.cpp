// SPDX-License-Identifier: Apache-2.0

// Runs a burst on a stack that the test owns, and looks afterwards there and in the vector registers for keys.

#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "crypto_accel/onion_batch.hpp"
#include "tests/oracle/onion_oracle.hpp"
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

constexpr LayerShape kShape{0, 1, 128, 1072};
constexpr std::size_t kDatagramBytes = 1232;

/// A burst of class D with everything that a hop does to it.
struct Burst {
  explicit Burst(const OnionKernel& kernel) : batch(kernel) {
    TestRandom random(53);
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      random.fill(memory[i]);
      secret[i] = random.block();
      ctx[i] = random.block();
      link_key[i] = {random.block(), random.block()};
      batch.expand_key(link_key[i][0], links[i].mac);
      batch.expand_key(link_key[i][1], links[i].veil);
      link[i] = &links[i];
      replay[i] = &links[i].mac;
      datagram[i] = memory[i].data();
      header[i] = datagram[i] + 16;
      x_r[i] = datagram[i] + 160;
      datagram_in[i] = datagram[i];
      header_in[i] = header[i];
      t[i] = datagram[i] + 144;
      x_r_in[i] = x_r[i];
    }
  }

  void work() {
    constexpr LaneMask kAll = first_lanes(kLanesMax);
    constexpr LaneMask kWave = 0xffff;
    batch.link_tag(kShape.header_bytes, kAll, link, datagram_in, tags);
    batch.link_veil(kShape.header_bytes, kAll, link, datagram);
    batch.decrypt_blocks(links[0].mac, kAll, header_in, blocks);
    batch.derive(kShape, kAll, secret);
    batch.replay_tag(kAll, replay, t, tags);
    batch.layer_left(kShape, kWave, ctx, t, x_r_in, x_l_out);
    batch.header_mac(kAll, header_in, kShape.header_bytes, blocks);
    batch.layer_both(kShape, kWave, x_r, w, ~kWave, ctx, t, x_r_in, x_l_out, blocks);
    batch.layer_right(kShape, ~kWave, x_l_out, x_r, w);
    batch.header_shift(kShape, kAll, w, header);
  }

  /// Keys of 16 bytes that only the batch and the links may hold.
  [[nodiscard]] std::vector<Block> keys() const {
    std::vector<Block> keys;
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      const oracle::LayerKeys layer =
          oracle::layer_keys(secret[i], kShape.direction, kShape.packet_class);
      keys.insert(keys.end(), {secret[i], layer.k_et, layer.k_s, layer.k_m, layer.h, layer.h_s});
      keys.insert(keys.end(), {link_key[i][0], link_key[i][1]});
      // The ends of schedules: a round key says all of a key.
      for (const AesKey* schedule : {&links[i].mac, &links[i].veil}) {
        for (std::size_t round = 1; round <= 10; ++round) {
          keys.push_back(load_block(schedule->encrypt.data() + 16 * round));
        }
      }
    }
    return keys;
  }

  OnionBatch batch;
  Lanes<std::array<std::uint8_t, kDatagramBytes>> memory{};
  Lanes<Block> secret{};
  Lanes<Block> ctx{};
  Lanes<Block> blocks{};
  Lanes<Block> x_l_out{};
  Lanes<Block> w{};
  Lanes<std::uint64_t> tags{};
  Lanes<std::array<Block, 2>> link_key{};
  Lanes<LinkKey> links{};
  Lanes<const LinkKey*> link{};
  Lanes<const AesKey*> replay{};
  Lanes<std::uint8_t*> datagram{};
  Lanes<std::uint8_t*> header{};
  Lanes<std::uint8_t*> x_r{};
  Lanes<const std::uint8_t*> datagram_in{};
  Lanes<const std::uint8_t*> header_in{};
  Lanes<const std::uint8_t*> t{};
  Lanes<const std::uint8_t*> x_r_in{};
  StoredRegisters registers{};
};

void work_and_clear(void* burst) {
  static_cast<Burst*>(burst)->work();
  static_cast<Burst*>(burst)->batch.clear_traces();
}

void work_and_store_registers(void* burst) {
  static_cast<Burst*>(burst)->work();
  store_registers(static_cast<Burst*>(burst)->registers);
}

void clear_and_store_registers(void* burst) {
  work_and_clear(burst);
  store_registers(static_cast<Burst*>(burst)->registers);
}

bool cpu_has_zmm() {
  return __builtin_cpu_supports("avx512f") != 0;
}

std::size_t count_zmm_in_use(const Burst& burst) {
  std::size_t in_use = 0;
  for (const auto& zmm : burst.registers.zmm) {
    in_use += zmm != std::decay_t<decltype(zmm)>{} ? 1U : 0U;
  }
  return in_use;
}

TEST(OnionWipe, LeavesNoKeyOnTheStack) {
  if (!kHasFramesOfProduction) {
    GTEST_SKIP() << "the frames of this build are larger than what is wiped";
  }
  for (const OnionKernel& kernel : onion_kernels()) {
    if (!kernel.supported()) {
      continue;
    }
    const auto burst = std::make_unique<Burst>(kernel);
    WatchedStack stack;
    stack.run(work_and_clear, burst.get());
    std::size_t left = 0;
    for (const Block& key : burst->keys()) {
      left += stack.holds(key) ? 1U : 0U;
    }
    EXPECT_EQ(left, 0U) << kernel.name;
  }
}

TEST(OnionWipe, ClearsTheVectorRegisters) {
  if (!cpu_has_zmm()) {
    GTEST_SKIP() << "this CPU has no such registers";
  }
  const OnionKernel& kernel = onion_kernels().back();
  if (!kernel.supported()) {
    GTEST_SKIP() << "this CPU cannot run " << kernel.name;
  }
  const auto burst = std::make_unique<Burst>(kernel);
  WatchedStack stack;
  stack.run(work_and_store_registers, burst.get());
  EXPECT_GT(count_zmm_in_use(*burst), 8U);
  stack.run(clear_and_store_registers, burst.get());
  // What wipes the stack may use a register or two after that, for zeros.
  EXPECT_EQ(count_zmm_in_use(*burst), 0U);
}

}  // namespace
}  // namespace allium::crypto_accel
