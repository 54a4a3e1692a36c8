// SPDX-License-Identifier: Apache-2.0
#include "tests/kat/vector_json.hpp"

#include <arpa/inet.h>

#include <array>
#include <cmath>

namespace allium::kat {
namespace {

namespace json = boost::json;

constexpr std::size_t kShownMax = 120;

std::string shown(const json::value& value) {
  std::string text = json::serialize(value);
  if (text.size() > kShownMax) {
    text.resize(kShownMax);
    text += "...";
  }
  return text;
}

// For long hex strings: the first byte that differs.
std::string differing_text(const std::string& expected, const std::string& actual) {
  if (expected.size() != actual.size()) {
    return std::to_string(expected.size()) + " characters expected, " +
           std::to_string(actual.size()) + " found";
  }
  std::size_t at = 0;
  while (at < expected.size() && expected[at] == actual[at]) {
    ++at;
  }
  const std::size_t from = at & ~std::size_t{1};
  return "byte " + std::to_string(at / 2) + ": " + expected.substr(from, 32) + " expected, " +
         actual.substr(from, 32) + " found";
}

bool is_same_address(const std::string& left, const std::string& right) {
  try {
    return parse_endpoint(left, 0) == parse_endpoint(right, 0);
  } catch (const VectorError&) {
    return false;
  }
}

std::optional<std::string> object_difference(const json::object& expected,
                                             const json::object& actual, const std::string& where) {
  for (const auto& [name, value] : expected) {
    const json::value* other = actual.if_contains(name);
    const std::string place = where + "." + std::string(name);
    if (other == nullptr) {
      return place + ": missing";
    }
    if (name == "addr" && value.is_string() && other->is_string() &&
        is_same_address(as_text(value), as_text(*other))) {
      continue;
    }
    if (auto found = difference(value, *other, place)) {
      return found;
    }
  }
  for (const auto& [name, value] : actual) {
    if (!expected.contains(name)) {
      return where + "." + std::string(name) + ": not expected";
    }
  }
  return std::nullopt;
}

std::optional<std::string> array_difference(const json::array& expected, const json::array& actual,
                                            const std::string& where) {
  if (expected.size() != actual.size()) {
    return where + ": " + shown(expected) + " expected, " + shown(actual) + " found";
  }
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (auto found = difference(expected[i], actual[i], where + "[" + std::to_string(i) + "]")) {
      return found;
    }
  }
  return std::nullopt;
}

int nibble(char digit) {
  if (digit >= '0' && digit <= '9') {
    return digit - '0';
  }
  if (digit >= 'a' && digit <= 'f') {
    return digit - 'a' + 10;
  }
  throw VectorError("not lower-case hex");
}

}  // namespace

const json::value& field(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr) {
    throw VectorError("field \"" + std::string(name) + "\" is missing");
  }
  return *value;
}

const json::object& as_object(const json::value& value) {
  if (!value.is_object()) {
    throw VectorError("an object was expected");
  }
  return value.get_object();
}

std::string as_text(const json::value& value) {
  if (!value.is_string()) {
    throw VectorError("a string was expected");
  }
  return std::string(value.get_string());
}

std::uint64_t as_number(const json::value& value) {
  json::error_code error;
  const auto number = value.to_number<std::uint64_t>(error);
  if (error) {
    throw VectorError("a whole number was expected");
  }
  return number;
}

const json::object& object_field(const json::object& object, std::string_view name) {
  return as_object(field(object, name));
}

const json::array& array_field(const json::object& object, std::string_view name) {
  const json::value& value = field(object, name);
  if (!value.is_array()) {
    throw VectorError("field \"" + std::string(name) + "\" is not an array");
  }
  return value.get_array();
}

std::string text_field(const json::object& object, std::string_view name) {
  return as_text(field(object, name));
}

std::uint64_t number_field(const json::object& object, std::string_view name) {
  return as_number(field(object, name));
}

bool flag_field(const json::object& object, std::string_view name) {
  const json::value& value = field(object, name);
  if (!value.is_bool()) {
    throw VectorError("field \"" + std::string(name) + "\" is not true or false");
  }
  return value.get_bool();
}

std::uint64_t time_ms_field(const json::object& object, std::string_view name) {
  constexpr double kSecondsMax = 1e12;
  const json::value& value = field(object, name);
  if (!value.is_double()) {
    return as_number(value) * 1000;
  }
  const double seconds = value.get_double();
  if (!(seconds >= 0 && seconds < kSecondsMax)) {
    throw VectorError("a time is out of range");
  }
  return static_cast<std::uint64_t>(std::llround(seconds * 1000));
}

ByteString from_hex(std::string_view text) {
  if (text.size() % 2 != 0) {
    throw VectorError("hex of odd length");
  }
  ByteString bytes(text.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
  }
  return bytes;
}

std::string to_hex(Bytes bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

ByteString bytes_field(const json::object& object, std::string_view name) {
  return from_hex(text_field(object, name));
}

std::uint64_t hex_number(std::string_view text) {
  const ByteString bytes = from_hex(text);
  if (bytes.size() > 8) {
    throw VectorError("a hex number of more than 8 bytes");
  }
  return load_be(bytes.data(), bytes.size());
}

onion::Endpoint parse_endpoint(std::string_view address, std::uint64_t port) {
  const std::string text(address);
  std::array<std::uint8_t, 16> bytes{};
  if (port > UINT16_MAX) {
    throw VectorError("a port is out of range");
  }
  const auto port_number = static_cast<std::uint16_t>(port);
  if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) {
    return onion::Endpoint::from_v4(bytes.data(), port_number);
  }
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) {
    return onion::Endpoint::from_v6(bytes.data(), port_number);
  }
  throw VectorError("\"" + text + "\" is not an address");
}

std::string address_text(const onion::Endpoint& endpoint) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (endpoint.is_v4()) {
    inet_ntop(AF_INET, endpoint.v4(), text.data(), text.size());
  } else {
    inet_ntop(AF_INET6, endpoint.address.data(), text.data(), text.size());
  }
  return text.data();
}

std::optional<std::string> difference(const json::value& expected, const json::value& actual,
                                      const std::string& where) {
  if (expected.is_object() && actual.is_object()) {
    return object_difference(expected.get_object(), actual.get_object(), where);
  }
  if (expected.is_array() && actual.is_array()) {
    return array_difference(expected.get_array(), actual.get_array(), where);
  }
  if (expected == actual) {
    return std::nullopt;
  }
  if (expected.is_string() && actual.is_string() && expected.get_string().size() > kShownMax) {
    return where + ": " + differing_text(as_text(expected), as_text(actual));
  }
  return where + ": " + shown(expected) + " expected, " + shown(actual) + " found";
}

}  // namespace allium::kat
