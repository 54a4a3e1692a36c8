// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reading vector files: fields of JSON objects, hex, addresses, and what differs between two values.
//
//   Errors     VectorError, thrown: the file is not of the schema. Caught once a file, in main.
//   Threads    reentrant.

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>

#include "crypto_accel/base/bytes.hpp"
#include "dataplane/onion/endpoint.hpp"

namespace allium::kat {

struct VectorError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

using ByteString = std::vector<std::uint8_t>;

const boost::json::value& field(const boost::json::object& object, std::string_view name);
const boost::json::object& object_field(const boost::json::object& object, std::string_view name);
const boost::json::array& array_field(const boost::json::object& object, std::string_view name);
std::string text_field(const boost::json::object& object, std::string_view name);
std::uint64_t number_field(const boost::json::object& object, std::string_view name);
bool flag_field(const boost::json::object& object, std::string_view name);

const boost::json::object& as_object(const boost::json::value& value);
std::string as_text(const boost::json::value& value);
std::uint64_t as_number(const boost::json::value& value);

/// Unix milliseconds of a field in seconds, whole or with a fraction.
std::uint64_t time_ms_field(const boost::json::object& object, std::string_view name);

ByteString from_hex(std::string_view text);
std::string to_hex(Bytes bytes);

/// A hex field. With N: of exactly N bytes.
ByteString bytes_field(const boost::json::object& object, std::string_view name);

template <std::size_t N>
std::array<std::uint8_t, N> to_array(Bytes bytes, std::string_view name) {
  if (bytes.size() != N) {
    throw VectorError(std::string(name) + " has not " + std::to_string(N) + " bytes");
  }
  std::array<std::uint8_t, N> result{};
  std::copy(bytes.begin(), bytes.end(), result.begin());
  return result;
}

template <std::size_t N>
std::array<std::uint8_t, N> array_of(const boost::json::object& object, std::string_view name) {
  return to_array<N>(bytes_field(object, name), name);
}

/// The integer of a hex string of at most 8 bytes.
std::uint64_t hex_number(std::string_view text);

onion::Endpoint parse_endpoint(std::string_view address, std::uint64_t port);
std::string address_text(const onion::Endpoint& endpoint);

/// Where and how two values differ, in one line; nullopt where they are equal. Addresses are equal where
/// they mean the same, however spelled.
std::optional<std::string> difference(const boost::json::value& expected,
                                      const boost::json::value& actual,
                                      const std::string& where = "");

}  // namespace allium::kat
