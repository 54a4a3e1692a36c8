// SPDX-License-Identifier: Apache-2.0
#include "control/manage/command_line.hpp"

#include <algorithm>
#include <string_view>

namespace allium::control {
namespace {

constexpr std::size_t kOptionNameMax = 32;

/// "--name" of "--name=value", "-n" of "-nvalue"; empty where it is no name that an option could have.
std::string_view option_name(std::string_view word) {
  if (!word.starts_with("--")) {
    word = word.substr(0, 2);
  }
  word = word.substr(0, word.find('='));
  const bool is_name = word.size() <= kOptionNameMax &&
                       std::all_of(word.begin(), word.end(),
                                   [](char c) { return c == '-' || (c >= 'a' && c <= 'z'); });
  return is_name ? word : std::string_view();
}

}  // namespace

std::string unexpected_words(const std::vector<std::string>& words) {
  for (const std::string_view word : words) {
    if (word.size() < 2 || word[0] != '-' || word == "--") {
      continue;
    }
    const std::string_view name = option_name(word);
    return "there is no option " + (name.empty() ? "of such a name" : std::string(name));
  }
  return "there is an argument too many, or no such verb; it is not repeated here, since it may be "
         "a secret";
}

std::string without_value(const std::string& error) {
  return error.substr(0, error.find(" = "));
}

}  // namespace allium::control
