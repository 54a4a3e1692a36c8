// SPDX-License-Identifier: Apache-2.0

// Whether the time of a burst through the onion kernels depends on its keys and bytes (timing_statistics.hpp): a whole
// hop, link tag in to link tag out, 32 packets of class V. The last line is a variant made leaky on purpose, which the
// method has to find. Says what it measured and judges nothing: machines differ.
//
// usage: onion_timing [SAMPLES]

#include <array>
#include <cstdio>
#include <vector>

#include "crypto_accel/onion_batch.hpp"
#include "tests/bench/timing_statistics.hpp"
#include "tests/unit/crypto_accel/test_bytes.hpp"

namespace allium::crypto_accel {
namespace {

using test::TestRandom;

constexpr LayerShape kShape{0, 2, 96, 128};
constexpr std::size_t kHeaderOffset = 16;
constexpr std::size_t kTOffset = kHeaderOffset + 96;
constexpr std::size_t kXROffset = kTOffset + kBlockBytes;
constexpr std::size_t kDatagramBytes = kXROffset + 128;
constexpr long kDefaultSamples = 20000;
constexpr LaneMask kAll = ~LaneMask{0};

/// What a burst works on: the packets, the sessions' secrets, the links' keys.
struct Input {
  Lanes<std::array<std::uint8_t, kDatagramBytes>> packets;
  Lanes<Block> secret;
  Lanes<LinkKey> links;
};

template <typename Byte>
Lanes<Byte*> places(Input& input, std::size_t offset) {
  Lanes<Byte*> at;
  for (std::size_t lane = 0; lane < kLanesMax; ++lane) {
    at[lane] = input.packets[lane].data() + offset;
  }
  return at;
}

struct Hop {
  explicit Hop(const OnionKernel& kernel) : batch(kernel) {}

  void run(Input& input) noexcept {
    Lanes<const LinkKey*> link;
    for (std::size_t lane = 0; lane < kLanesMax; ++lane) {
      link[lane] = &input.links[lane];
    }
    batch.link_tag(kShape.header_bytes, kAll, link, places<const std::uint8_t>(input, 0), tag);
    batch.link_veil(kShape.header_bytes, kAll, link, places<std::uint8_t>(input, 0));
    batch.derive(kShape, kAll, input.secret);
    batch.layer_left(kShape, kAll, ctx, places<const std::uint8_t>(input, kTOffset),
                     places<const std::uint8_t>(input, kXROffset), x_l_out);
    batch.header_mac(kAll, places<const std::uint8_t>(input, kHeaderOffset), kShape.header_bytes,
                     mac);
    batch.layer_right(kShape, kAll, x_l_out, places<std::uint8_t>(input, kXROffset), w);
    batch.header_shift(kShape, kAll, w, places<std::uint8_t>(input, kHeaderOffset));
    batch.link_veil(kShape.header_bytes, kAll, link, places<std::uint8_t>(input, 0));
    batch.link_tag(kShape.header_bytes, kAll, link, places<const std::uint8_t>(input, 0), tag);
  }

  OnionBatch batch;
  Lanes<std::uint64_t> tag{};
  Lanes<Block> ctx{};
  Lanes<Block> x_l_out{};
  Lanes<Block> w{};
  Lanes<Block> mac{};
};

struct Experiment {
  const char* name;
  bool fixes_keys;
  bool fixes_packets;
};

constexpr Experiment kExperiments[] = {
    {"keys zero / random", true, false},
    {"packets zero / random", false, true},
    {"both", true, true},
};

// Both classes draw the same random bytes, so that only what is computed differs.
void make_input(OnionBatch& batch, TestRandom& random, const Experiment& experiment, bool is_fixed,
                Input& input) {
  for (std::size_t lane = 0; lane < kLanesMax; ++lane) {
    std::array<Block, 3> keys;
    for (Block& key : keys) {
      random.fill(key);
      if (is_fixed && experiment.fixes_keys) {
        key.fill(0);
      }
    }
    random.fill(input.packets[lane]);
    if (is_fixed && experiment.fixes_packets) {
      input.packets[lane].fill(0);
    }
    input.secret[lane] = keys[0];
    batch.expand_key(keys[1], input.links[lane].mac);
    batch.expand_key(keys[2], input.links[lane].veil);
  }
}

// Leaky: waits a little, a percent or two, where a secret has a certain bit.
std::vector<Sample> measure(const OnionKernel& kernel, const Experiment& experiment,
                            std::size_t sample_count, bool is_leaky) {
  Hop hop(kernel);
  TestRandom random(52);
  std::vector<Input> input(1);
  std::vector<Sample> samples;
  samples.reserve(sample_count);
  while (samples.size() < sample_count) {
    const bool is_fixed = (random.word() & 1) != 0;
    make_input(hop.batch, random, experiment, is_fixed, input[0]);
    samples.push_back({is_fixed, cycles_of([&] {
                         hop.run(input[0]);
                         pause_often(is_leaky ? (input[0].secret[0][7] & 1U) * 40U : 0);
                       })});
  }
  return samples;
}

int run(std::size_t sample_count) {
  std::printf("|t| of %zu hops of %zu packets each; columns: fastest 50, 75, 90, 99, 100 %%\n",
              sample_count, kLanesMax);
  const OnionKernel* best = nullptr;
  for (const OnionKernel& kernel : onion_kernels()) {
    if (!kernel.supported()) {
      std::printf("%-14snot on this CPU\n", kernel.name.data());
      continue;
    }
    best = &kernel;
    for (const Experiment& experiment : kExperiments) {
      print_t(kernel.name, experiment.name, measure(kernel, experiment, sample_count, false));
    }
  }
  if (best != nullptr) {
    print_t("leaky", kExperiments[0].name, measure(*best, kExperiments[0], sample_count, true));
  }
  return 0;
}

}  // namespace
}  // namespace allium::crypto_accel

int main(int argc, char** argv) {
  namespace crypto = allium::crypto_accel;
  const std::size_t samples = crypto::samples_from(argc, argv, crypto::kDefaultSamples);
  return samples == 0 ? 2 : crypto::run(samples);
}
