// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a parser of a program's arguments makes of these words.
//
//   Threads    one: getopt's.

#include <string>
#include <vector>

namespace allium::bench::test {

template <typename Options>
Options parsed_words(Options (*parse)(int argc, char** argv), std::vector<std::string> words) {
  words.insert(words.begin(), "program");
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  const auto count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  return parse(count, arguments.data());
}

}  // namespace allium::bench::test
