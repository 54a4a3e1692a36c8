// SPDX-License-Identifier: Apache-2.0

// Whether the time of an X25519 batch depends on what it computes: Welch's t between two classes of inputs whose calls
// alternate at random (the method of dudect, Reparaz, Balasch, Verbauwhede, 2017). |t| stays small where it does not;
// 4.5 is the customary sign of a leak, and a leak grows with the number of samples. The last line is a variant made
// leaky on purpose, which the method has to find. Says what it measured and judges nothing: machines differ.
//
// usage: x25519_timing [SAMPLES]

#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "crypto_accel/x25519_batch.hpp"
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

struct Sample {
  bool is_fixed;
  double cycles;
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
  const unsigned pauses = (scalar.bytes()[7] & 1U) * 300U;
  for (unsigned i = 0; i < pauses; ++i) {
    __asm__ volatile("lfence" ::: "memory");
  }
  return good;
}

double cycles_of(const X25519Kernel& kernel, const Input& input) {
  std::array<SharedSecret, kLanes> shared{};
  unsigned processor = 0;
  _mm_lfence();
  const std::uint64_t begin = __rdtsc();
  const LaneMask good = kernel.run(input.scalar, input.points, shared);
  const std::uint64_t end = __rdtscp(&processor);
  __asm__ volatile("" : : "r"(good) : "memory");
  return static_cast<double>(end - begin);
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
    samples.push_back({is_fixed, cycles_of(kernel, input)});
  }
  return samples;
}

/// Of the samples that took at most `most`.
double welch_t(const std::vector<Sample>& samples, double most) {
  double count[2] = {};
  double sum[2] = {};
  double square[2] = {};
  for (const Sample& sample : samples) {
    if (sample.cycles <= most) {
      count[sample.is_fixed ? 1 : 0] += 1;
      sum[sample.is_fixed ? 1 : 0] += sample.cycles;
    }
  }
  const double mean[2] = {sum[0] / count[0], sum[1] / count[1]};
  for (const Sample& sample : samples) {
    if (sample.cycles <= most) {
      const double distance = sample.cycles - mean[sample.is_fixed ? 1 : 0];
      square[sample.is_fixed ? 1 : 0] += distance * distance;
    }
  }
  const double error =
      square[0] / (count[0] - 1) / count[0] + square[1] / (count[1] - 1) / count[1];
  return (mean[0] - mean[1]) / std::sqrt(error);
}

void report(const X25519Kernel& kernel, const Experiment& experiment, std::size_t sample_count) {
  const std::vector<Sample> samples = measure(kernel, experiment, sample_count);
  std::vector<double> sorted;
  for (const Sample& sample : samples) {
    sorted.push_back(sample.cycles);
  }
  std::sort(sorted.begin(), sorted.end());
  std::printf("%-14s%-34s", kernel.name.data(), experiment.name);
  // Interrupts make a long tail that hides small differences, so the tail is cut at several places.
  for (const std::size_t percent : {50U, 75U, 90U, 99U, 100U}) {
    const double most = sorted[(sorted.size() - 1) * percent / 100];
    std::printf("%8.2f", std::fabs(welch_t(samples, most)));
  }
  std::printf("\n");
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
      report(kernel, experiment, sample_count);
    }
  }
  const X25519Kernel leaky{"leaky", "wrong on purpose", best_kernel().supported, leaky_run};
  report(leaky, kExperiments[0], sample_count);
  return 0;
}

}  // namespace
}  // namespace allium::crypto_accel

int main(int argc, char** argv) {
  const long samples =
      argc > 1 ? std::strtol(argv[1], nullptr, 10) : allium::crypto_accel::kDefaultSamples;
  if (samples < 100 || samples > 100'000'000) {
    std::fprintf(stderr, "usage: %s [SAMPLES], 100 at least\n", argv[0]);
    return 2;
  }
  return allium::crypto_accel::run(static_cast<std::size_t>(samples));
}
