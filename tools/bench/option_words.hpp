// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the words of allium-bench-dp's options stand for.
//
//   Errors     false: the text is no such number or word; the target may have changed.
//   Threads    reentrant.

#include <charconv>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <system_error>

#include "dataplane/onion/wire_format.hpp"

namespace allium::bench {

template <typename Number>
bool parse_number(const char* text, Number low, Number high, Number& target) {
  const char* end = text + std::strlen(text);
  const auto [rest, error] = std::from_chars(text, end, target);
  return error == std::errc() && rest == end && target >= low && target <= high;
}

/// A word and what it stands for.
template <typename Value>
struct Choice {
  std::string_view word;
  Value value;
};

template <typename Value, std::size_t kCount>
bool parse_choice(std::string_view text, const Choice<Value> (&choices)[kCount], Value& target) {
  for (const Choice<Value>& choice : choices) {
    if (choice.word == text) {
      target = choice.value;
      return true;
    }
  }
  return false;
}

inline constexpr Choice<onion::PacketClass> kDataClasses[] = {{"d", onion::PacketClass::d},
                                                              {"v", onion::PacketClass::v}};
inline constexpr Choice<bool> kFamilies[] = {{"4", false}, {"6", true}};

}  // namespace allium::bench
