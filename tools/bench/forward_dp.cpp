// SPDX-License-Identifier: Apache-2.0

// allium-bench-dp: measures whole relays (forward_measurement.hpp). The command runs it and reads its JSON; it is a
// program of its own because it links DPDK.

#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "crypto_accel/kernel_registry.hpp"
#include "tools/bench/forward_measurement.hpp"
#include "tools/bench/forward_options.hpp"

namespace allium::bench {
namespace {

enum Exit : int {
  kExitDone = 0,
  kExitNegative = 1,
  kExitUsage = 2,
  kExitRefused = 3,
  kExitUnreachable = 4
};

int complain(const Error& error) {
  std::fprintf(stderr, "error: %s\n", error.text.c_str());
  const bool is_missing = error.code == Errc::unavailable || error.code == Errc::not_found;
  return is_missing ? kExitUnreachable : kExitRefused;
}

// As allium-dp does: pages that were free when we looked went to somebody else.
void start_again_without_huge_pages(int argc, char** argv) {
  std::vector<char*> arguments(argv, argv + argc);
  std::string no_huge = "--no-huge";
  arguments.push_back(no_huge.data());
  arguments.push_back(nullptr);
  execv("/proc/self/exe", arguments.data());
}

int run(int argc, char** argv) {
  const auto options = parse_forward_options(argc, argv);
  if (!options) {
    std::fprintf(stderr, "error: run it by: allium bench forward --help\n");
    return kExitUsage;
  }
  const auto kernels = crypto_accel::kernels_from_environment();
  if (!kernels) {
    return complain(kernels.error());
  }
  const auto result = measure_forward(*options, *kernels);
  if (!result) {
    if (result.error().code == Errc::full && options->pages == dataplane::Pages::automatic) {
      start_again_without_huge_pages(argc, argv);
    }
    return complain(result.error());
  }
  std::printf("%s\n", boost::json::serialize(forward_json(*result)).c_str());
  return result->is_valid() ? kExitDone : kExitNegative;
}

}  // namespace
}  // namespace allium::bench

int main(int argc, char** argv) {
  return allium::bench::run(argc, argv);
}
