// SPDX-License-Identifier: Apache-2.0

// onion_kat FILE...: runs vector files of the schema allium-onion-vectors-1 (SPEC.md section 15) against
// this implementation, on the kernels that ALLIUM_KERNEL or --kernel names.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "crypto_accel/kernel_registry.hpp"
#include "tests/kat/vector_steps.hpp"

namespace {

namespace json = boost::json;
using allium::kat::VectorError;
using allium::kat::World;

constexpr std::string_view kSchema = "allium-onion-vectors-1";
constexpr std::string_view kUsage =
    "usage: onion_kat [--kernel WISH] [--lanes N] FILE...\n"
    "  Runs onion vector files and says how many steps passed.\n"
    "  --kernel WISH  kernels, e.g. onion=ipsec-mb-sse (default: ALLIUM_KERNEL, else the best)\n"
    "  --lanes N      1 to 32: each packet goes in the last lane of a burst of N (default 1)\n";

struct Options {
  std::string kernel;
  bool has_kernel = false;
  std::size_t lane_count = 1;
  std::vector<std::string> files;
};

struct Tally {
  std::size_t passed = 0;
  std::size_t failed = 0;
};

// False on an unknown option or a missing value.
bool parse_options(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--kernel" && i + 1 < argc) {
      options.kernel = argv[++i];
      options.has_kernel = true;
    } else if (argument == "--lanes" && i + 1 < argc) {
      char* end = nullptr;
      options.lane_count = std::strtoul(argv[++i], &end, 10);
      if (*end != '\0' || options.lane_count < 1 ||
          options.lane_count > allium::crypto_accel::kLanesMax) {
        return false;
      }
    } else if (argument.starts_with("-")) {
      return false;
    } else {
      options.files.emplace_back(argument);
    }
  }
  return !options.files.empty();
}

json::value read_vectors(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw VectorError("cannot be opened");
  }
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) {
    throw VectorError("cannot be read");
  }
  json::error_code error;
  json::value vectors = json::parse(text, error);
  if (error) {
    throw VectorError("is not JSON: " + error.message());
  }
  const json::object& top = allium::kat::as_object(vectors);
  if (allium::kat::text_field(top, "schema") != kSchema) {
    throw VectorError("is not of the schema " + std::string(kSchema));
  }
  return vectors;
}

// Empty where the step passed, else what differed.
std::string try_step(World& world, const json::object& step) {
  const bool has_random = step.contains("random");
  allium::kat::Feed feed(has_random ? allium::kat::bytes_field(step, "random")
                                    : allium::kat::ByteString());
  try {
    const json::value actual = allium::kat::run_step(world, step, feed);
    if (auto found = allium::kat::difference(allium::kat::field(step, "expect"), actual)) {
      return *found;
    }
  } catch (const VectorError& error) {
    return error.what();
  }
  return feed.complaint();
}

void run_case(World& world, const std::string& path, const json::object& one, Tally& tally) {
  const std::string name = allium::kat::text_field(one, "name");
  const json::object none;
  world.reset(one.contains("state") ? allium::kat::object_field(one, "state") : none);
  std::size_t index = 0;
  for (const json::value& value : allium::kat::array_field(one, "steps")) {
    const json::object& step = allium::kat::as_object(value);
    const std::string complaint = try_step(world, step);
    if (complaint.empty()) {
      ++tally.passed;
    } else {
      ++tally.failed;
      std::printf("%s: case \"%s\" step %zu (%s): %s\n", path.c_str(), name.c_str(), index,
                  allium::kat::text_field(step, "op").c_str(), complaint.c_str());
    }
    ++index;
  }
}

void run_file(const std::string& path, const Options& options,
              const allium::crypto_accel::KernelSet& kernels, Tally& tally) {
  const json::value vectors = read_vectors(path);
  const json::object& top = vectors.get_object();
  World world(allium::kat::object_field(top, "network"), kernels, options.lane_count);
  for (const json::value& one : allium::kat::array_field(top, "cases")) {
    run_case(world, path, allium::kat::as_object(one), tally);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse_options(argc, argv, options)) {
    std::fwrite(kUsage.data(), 1, kUsage.size(), stderr);
    return EXIT_FAILURE;
  }
  const auto kernels = options.has_kernel ? allium::crypto_accel::select_kernels(options.kernel)
                                          : allium::crypto_accel::kernels_from_environment();
  if (!kernels) {
    std::fprintf(stderr, "onion_kat: %s\n", kernels.error().text.c_str());
    return EXIT_FAILURE;
  }
  Tally tally;
  bool is_readable = true;
  for (const std::string& path : options.files) {
    try {
      run_file(path, options, *kernels, tally);
    } catch (const std::exception& error) {
      std::printf("%s: %s\n", path.c_str(), error.what());
      is_readable = false;
    }
  }
  std::printf("%zu passed, %zu failed\n", tally.passed, tally.failed);
  return is_readable && tally.failed == 0 && tally.passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
