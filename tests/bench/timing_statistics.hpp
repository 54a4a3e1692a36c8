// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whether times of calls depend on what they compute: Welch's t between two classes of inputs whose calls alternate at
// random (the method of dudect, Reparaz, Balasch, Verbauwhede, 2017). |t| stays small where they do not; 4.5 is the
// customary sign of a leak, and a leak grows with the number of samples.
//
//   Units      TSC cycles.
//   Threads    one.

#include <x86intrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace allium::crypto_accel {

struct Sample {
  bool is_fixed;
  double cycles;
};

/// How long call() takes.
template <typename Call>
double cycles_of(Call call) {
  unsigned processor = 0;
  _mm_lfence();
  const std::uint64_t begin = __rdtsc();
  call();
  const std::uint64_t end = __rdtscp(&processor);
  return static_cast<double>(end - begin);
}

/// Waits so often: a leak made on purpose.
inline void pause_often(unsigned pauses) noexcept {
  for (unsigned i = 0; i < pauses; ++i) {
    __asm__ volatile("lfence" ::: "memory");
  }
}

/// Of the samples that took at most `most`.
inline double welch_t(const std::vector<Sample>& samples, double most) {
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

/// One line: |t| of the fastest 50, 75, 90, 99 and 100 % of the calls.
inline void print_t(std::string_view kernel, const char* experiment,
                    const std::vector<Sample>& samples) {
  std::vector<double> sorted;
  for (const Sample& sample : samples) {
    sorted.push_back(sample.cycles);
  }
  std::sort(sorted.begin(), sorted.end());
  std::printf("%-14s%-34s", kernel.data(), experiment);
  // Interrupts make a long tail that hides small differences, so the tail is cut at several places.
  for (const std::size_t percent : {50U, 75U, 90U, 99U, 100U}) {
    const double most = sorted[(sorted.size() - 1) * percent / 100];
    std::printf("%8.2f", std::fabs(welch_t(samples, most)));
  }
  std::printf("\n");
}

/// The number of samples a line that the command line asks for; 0 where it is none.
inline std::size_t samples_from(int argc, char** argv, long by_default) {
  const long samples = argc > 1 ? std::strtol(argv[1], nullptr, 10) : by_default;
  if (samples < 100 || samples > 100'000'000) {
    std::fprintf(stderr, "usage: %s [SAMPLES], 100 at least\n", argv[0]);
    return 0;
  }
  return static_cast<std::size_t>(samples);
}

}  // namespace allium::crypto_accel
