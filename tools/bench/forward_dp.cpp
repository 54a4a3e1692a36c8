// SPDX-License-Identifier: Apache-2.0

// allium-bench-dp: measures whole relays, their cost (forward_measurement.hpp) or, where the first word is `no-drop`, the rate that they
// keep (no_drop_measurement.hpp). The command runs it and reads its JSON; it is a program of its own because it links DPDK.

#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>

#include "crypto_accel/kernel_registry.hpp"
#include "tools/bench/forward_measurement.hpp"
#include "tools/bench/forward_options.hpp"
#include "tools/bench/no_drop_measurement.hpp"
#include "tools/bench/no_drop_options.hpp"

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

template <typename Options, typename Measured>
int run(int argc, char** argv, const Options& options, dataplane::Pages pages,
        Result<Measured> (*measure)(const Options&, const crypto_accel::KernelSet&),
        boost::json::object (*as_json)(const Measured&)) {
  const auto kernels = crypto_accel::kernels_from_environment();
  if (!kernels) {
    return complain(kernels.error());
  }
  const auto result = measure(options, *kernels);
  if (!result) {
    if (result.error().code == Errc::full && pages == dataplane::Pages::automatic) {
      start_again_without_huge_pages(argc, argv);
    }
    return complain(result.error());
  }
  std::printf("%s\n", boost::json::serialize(as_json(*result)).c_str());
  return result->is_valid() ? kExitDone : kExitNegative;
}

int complain_of_usage(const char* verb) {
  std::fprintf(stderr, "error: run it by: allium bench %s --help\n", verb);
  return kExitUsage;
}

int run(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "no-drop") {
    const auto options = parse_no_drop_options(argc - 1, argv + 1);
    return options
               ? run(argc, argv, *options, options->traffic.pages, measure_no_drop, no_drop_json)
               : complain_of_usage("no-drop");
  }
  const auto options = parse_forward_options(argc, argv);
  return options ? run(argc, argv, *options, options->pages, measure_forward, forward_json)
                 : complain_of_usage("forward");
}

}  // namespace
}  // namespace allium::bench

int main(int argc, char** argv) {
  return allium::bench::run(argc, argv);
}
