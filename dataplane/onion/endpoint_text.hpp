// SPDX-License-Identifier: Apache-2.0
#pragma once

// Addresses and endpoints as people write them: 192.0.2.1, 2001:db8::1, 192.0.2.1:22100,
// [2001:db8::1]:22100.
//
//   Errors     nothing where the text is not one.
//   Threads    reentrant.

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/onion/endpoint.hpp"

namespace allium::onion {

[[nodiscard]] std::optional<std::array<std::uint8_t, 16>> parse_address(std::string_view text);
[[nodiscard]] std::optional<Endpoint> parse_endpoint(std::string_view text);
[[nodiscard]] std::string address_text(const std::array<std::uint8_t, 16>& address);
[[nodiscard]] std::string endpoint_text(const Endpoint& endpoint);

}  // namespace allium::onion
