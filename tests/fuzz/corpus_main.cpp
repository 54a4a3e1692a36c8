// SPDX-License-Identifier: Apache-2.0

// Runs a fuzzer's target over its corpus without a fuzzing engine: every file, and a fixed number of
// mutations of the files, the same each time.
//
// usage: <unit>_corpus DIRECTORY [MUTATIONS]

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

std::vector<Input> read_corpus(const char* directory) {
  std::set<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    paths.insert(entry.path());
  }
  std::vector<Input> corpus;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return corpus;
}

void mutate(Input& input, std::mt19937_64& random) {
  const auto below = [&](std::size_t bound) -> std::size_t { return random() % bound; };
  for (std::size_t changes = 1 + below(4); changes > 0; --changes) {
    switch (input.empty() ? 3 : below(5)) {
      case 0:
        input[below(input.size())] ^= static_cast<std::uint8_t>(1U << below(8));
        break;
      case 1:
        input[below(input.size())] = static_cast<std::uint8_t>(random());
        break;
      case 2:
        input.resize(below(input.size() + 1));
        break;
      case 3:
        input.push_back(static_cast<std::uint8_t>(random()));
        break;
      default:
        input.insert(input.end(), input.begin(),
                     input.begin() + static_cast<std::ptrdiff_t>(below(input.size()) / 2));
        break;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY [MUTATIONS]\n", argv[0]);
    return 2;
  }
  const std::vector<Input> corpus = read_corpus(argv[1]);
  if (corpus.empty()) {
    std::fprintf(stderr, "%s: no corpus there\n", argv[1]);
    return 1;
  }
  const long mutations = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 20000;
  for (const Input& input : corpus) {
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::mt19937_64 random(1);
  for (long i = 0; i < mutations; ++i) {
    Input input = corpus[static_cast<std::size_t>(i) % corpus.size()];
    mutate(input, random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%zu inputs, %ld mutations\n", corpus.size(), mutations);
  return 0;
}
