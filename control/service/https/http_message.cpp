// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/http_message.hpp"

#include <algorithm>

namespace allium::control {
namespace {

char lower(char character) noexcept {
  return character >= 'A' && character <= 'Z' ? static_cast<char>(character + ('a' - 'A'))
                                              : character;
}

bool equal_in_any_case(std::string_view left, std::string_view right) noexcept {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

}  // namespace

std::string_view header_of(const HttpHeaders& headers, std::string_view name) noexcept {
  for (const auto& [header_name, value] : headers) {
    if (equal_in_any_case(header_name, name)) {
      return value;
    }
  }
  return {};
}

}  // namespace allium::control
