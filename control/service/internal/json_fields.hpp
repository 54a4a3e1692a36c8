// SPDX-License-Identifier: Apache-2.0
#pragma once

// Members of a JSON object that have the type one wants.
//
//   Errors   nullopt: not there, or of another type.
//   Threads  reentrant.

#include <cstdint>
#include <optional>
#include <string_view>

#include <boost/json/object.hpp>

namespace allium::control::internal {

/// Valid as long as the object.
[[nodiscard]] inline std::optional<std::string_view> text_in(const boost::json::object& object,
                                                             std::string_view name) noexcept {
  const boost::json::value* value = object.if_contains(name);
  const auto* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::nullopt : std::optional<std::string_view>(*text);
}

[[nodiscard]] inline std::optional<std::int64_t> number_in(const boost::json::object& object,
                                                           std::string_view name) noexcept {
  const boost::json::value* value = object.if_contains(name);
  const auto* number = value == nullptr ? nullptr : value->if_int64();
  return number == nullptr ? std::nullopt : std::optional(*number);
}

}  // namespace allium::control::internal
