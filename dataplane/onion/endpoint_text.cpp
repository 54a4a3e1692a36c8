// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/endpoint_text.hpp"

#include <arpa/inet.h>

#include <charconv>

namespace allium::onion {

std::optional<std::array<std::uint8_t, 16>> parse_address(std::string_view text) {
  const std::string terminated(text);
  std::array<std::uint8_t, 16> bytes{};
  if (inet_pton(AF_INET, terminated.c_str(), bytes.data()) == 1) {
    return Endpoint::from_v4(bytes.data(), 0).address;
  }
  if (inet_pton(AF_INET6, terminated.c_str(), bytes.data()) == 1) {
    return bytes;
  }
  return std::nullopt;
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return std::nullopt;
  }
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool has_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (has_brackets) {
    host = host.substr(1, host.size() - 2);
  }
  const auto address = parse_address(host);
  Endpoint endpoint;
  const auto [rest, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
  if (!address || error != std::errc() || rest != port.data() + port.size()) {
    return std::nullopt;
  }
  endpoint.address = *address;
  const bool is_v6 = host.find(':') != std::string_view::npos;
  return is_v6 == has_brackets ? std::optional(endpoint) : std::nullopt;
}

std::string address_text(const std::array<std::uint8_t, 16>& address) {
  Endpoint endpoint;
  endpoint.address = address;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (endpoint.is_v4()) {
    inet_ntop(AF_INET, endpoint.v4(), text.data(), text.size());
  } else {
    inet_ntop(AF_INET6, address.data(), text.data(), text.size());
  }
  return text.data();
}

std::string endpoint_text(const Endpoint& endpoint) {
  const std::string host = address_text(endpoint.address);
  const std::string port = std::to_string(endpoint.port);
  return endpoint.is_v4() ? host + ":" + port : "[" + host + "]:" + port;
}

}  // namespace allium::onion
