// SPDX-License-Identifier: Apache-2.0

// Whether the time of an X25519 batch depends on what it computes (timing_statistics.hpp). The last line is a variant made
// leaky on purpose, which the method has to find. Says what it measured and judges nothing: machines differ.
//
// usage: x25519_timing [SAMPLES]

#include <array>
#include <cstdio>
#include <vector>

#include "crypto_accel/x25519_batch.hpp"
#include "tests/bench/timing_statistics.hpp"
#include "tests/unit/crypto_accel/test_bytes.hpp"

namespace allium::crypto_accel {
namespace {

using test::TestRandom;

constexpr std::size_t kLanes = 8;
constexpr long kDefaultSamples = 20000;

struct Input {
  PrivateKey scalar;
  std::array<PublicKey, kLanes> points;
};

/// Makes the input of one call, of the fixed or of the random class.
using MakeInput = void (*)(TestRandom& random, bool is_fixed, Input& input);

void fill_points(TestRandom& random, Input& input) {
  for (PublicKey& point : input.points) {
    random.fill(point);
  }
}

// Both classes draw the same random bytes, so that only what is computed differs.
void fixed_scalar(TestRandom& random, bool is_fixed, Input& input) {
  random.fill(input.scalar.bytes());
  fill_points(random, input);
  if (is_fixed) {
    input.scalar.bytes().fill(0);
  }
}

void fixed_points(TestRandom& random, bool is_fixed, Input& input) {
  random.fill(input.scalar.bytes());
  fill_points(random, input);
  if (is_fixed) {
    input.points.fill(PublicKey{9});
  }
}

void low_order_points(TestRandom& random, bool is_fixed, Input& input) {
  random.fill(input.scalar.bytes());
  fill_points(random, input);
  if (is_fixed) {
    input.points[0] = input.points[5] = PublicKey{};
  }
}

struct Experiment {
  const char* name;
  MakeInput make;
};

constexpr Experiment kExperiments[] = {
    {"scalar zero / random", fixed_scalar},
    {"points fixed / random", fixed_points},
    {"two points of low order / random", low_order_points},
};

const X25519Kernel& best_kernel() {
  const X25519Kernel& last = x25519_kernels().back();
  return last.supported() ? last : x25519_kernels().front();
}

// Waits a little, a percent or two, where the scalar has a certain bit.
LaneMask leaky_run(const PrivateKey& scalar, std::span<const PublicKey> points,
                   std::span<SharedSecret> shared) noexcept {
  const LaneMask good = best_kernel().run(scalar, points, shared);
  pause_often((scalar.bytes()[7] & 1U) * 300U);
  return good;
}

double cycles_of_run(const X25519Kernel& kernel, const Input& input) {
  std::array<SharedSecret, kLanes> shared{};
  return cycles_of([&] {
    const LaneMask good = kernel.run(input.scalar, input.points, shared);
    __asm__ volatile("" : : "r"(good) : "memory");
  });
}

std::vector<Sample> measure(const X25519Kernel& kernel, const Experiment& experiment,
                            std::size_t sample_count) {
  TestRandom random(51);
  Input input;
  std::vector<Sample> samples;
  samples.reserve(sample_count);
  while (samples.size() < sample_count) {
    const bool is_fixed = (random.word() & 1) != 0;
    experiment.make(random, is_fixed, input);
    samples.push_back({is_fixed, cycles_of_run(kernel, input)});
  }
  return samples;
}

int run(std::size_t sample_count) {
  std::printf("|t| of %zu calls of %zu points each; columns: fastest 50, 75, 90, 99, 100 %%\n",
              sample_count, kLanes);
  for (const X25519Kernel& kernel : x25519_kernels()) {
    if (!kernel.supported()) {
      std::printf("%-14snot on this CPU\n", kernel.name.data());
      continue;
    }
    for (const Experiment& experiment : kExperiments) {
      print_t(kernel.name, experiment.name, measure(kernel, experiment, sample_count));
    }
  }
  const X25519Kernel leaky{"leaky", "wrong on purpose", best_kernel().supported, leaky_run};
  print_t(leaky.name, kExperiments[0].name, measure(leaky, kExperiments[0], sample_count));
  return 0;
}

}  // namespace
}  // namespace allium::crypto_accel

int main(int argc, char** argv) {
  namespace crypto = allium::crypto_accel;
  const std::size_t samples = crypto::samples_from(argc, argv, crypto::kDefaultSamples);
  return samples == 0 ? 2 : crypto::run(samples);
}
