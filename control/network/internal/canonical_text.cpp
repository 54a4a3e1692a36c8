// SPDX-License-Identifier: Apache-2.0
#include "control/network/internal/canonical_text.hpp"

#include <charconv>

#include "control/network/network_document.hpp"
#include "dataplane/onion/endpoint_text.hpp"

namespace allium::control::internal {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

bool begins_with_field(std::string_view line, std::string_view keyword) noexcept {
  return line.starts_with(keyword) &&
         (line.size() == keyword.size() || line[keyword.size()] == ' ');
}

std::string_view first_line(std::string_view text) noexcept {
  return text.substr(0, text.find('\n'));
}

}  // namespace

std::string hex_text(Bytes bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    text.push_back(kHexDigits[byte >> 4]);
    text.push_back(kHexDigits[byte & 15]);
  }
  return text;
}

bool parse_hex(std::string_view hex, MutableBytes target) noexcept {
  if (hex.size() != 2 * target.size()) {
    return false;
  }
  for (std::size_t i = 0; i < target.size(); ++i) {
    const std::size_t high = kHexDigits.find(hex[2 * i]);
    const std::size_t low = kHexDigits.find(hex[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) {
      return false;
    }
    target[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

void TextReader::refuse(std::string_view why) {
  if (why_.empty()) {
    why_ = "the " + std::string(what_) + " is malformed at line " + std::to_string(line_number_) +
           ": " + std::string(why);
  }
}

bool TextReader::next_is(std::string_view keyword) const noexcept {
  return begins_with_field(first_line(rest_), keyword);
}

void TextReader::line(std::string_view keyword) {
  ++line_number_;
  const std::size_t end = rest_.find('\n');
  if (!good() || end == std::string_view::npos || end > kLineCharsMax ||
      !begins_with_field(rest_.substr(0, end), keyword)) {
    refuse("expected '" + std::string(keyword) + "'");
    line_ = {};
    return;
  }
  line_ = rest_.substr(0, end).substr(keyword.size());
  rest_.remove_prefix(end + 1);
}

std::string_view TextReader::word() {
  if (line_.empty() || line_.front() != ' ') {
    refuse("a field is missing");
    return {};
  }
  line_.remove_prefix(1);
  const std::string_view field = line_.substr(0, line_.find(' '));
  line_.remove_prefix(field.size());
  return field;
}

std::uint64_t TextReader::number() {
  const std::string_view field = word();
  std::uint64_t value = 0;
  const auto [rest, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error != std::errc() || rest != field.data() + field.size()) {
    refuse("expected a number");
    return 0;
  }
  return value;
}

std::size_t TextReader::count(std::size_t count_max) {
  const std::uint64_t value = number();
  if (value > count_max) {
    refuse("more than " + std::to_string(count_max));
    return 0;
  }
  return static_cast<std::size_t>(value);
}

void TextReader::hex(MutableBytes target) {
  if (!parse_hex(word(), target)) {
    refuse("expected " + std::to_string(2 * target.size()) + " lower-case hex digits");
  }
}

onion::Endpoint TextReader::endpoint() {
  const auto parsed = onion::parse_endpoint(word());
  if (!parsed) {
    refuse("expected an address and a port");
    return {};
  }
  return *parsed;
}

void TextReader::end_line() {
  if (!line_.empty()) {
    refuse("more fields than expected");
  }
}

std::string_view TextReader::text_before(std::string_view keyword) {
  std::string_view scanned = rest_;
  std::size_t length = 0;
  while (!scanned.empty() && !begins_with_field(first_line(scanned), keyword)) {
    const std::size_t end = scanned.find('\n');
    if (end == std::string_view::npos) {
      break;
    }
    ++line_number_;
    length += end + 1;
    scanned.remove_prefix(end + 1);
  }
  const std::string_view text = rest_.substr(0, length);
  rest_.remove_prefix(length);
  return text;
}

Result<void> TextReader::finish() {
  if (good() && !rest_.empty()) {
    refuse("text after the end");
  }
  if (!good()) {
    return fail(Errc::malformed, why_);
  }
  return {};
}

tl::unexpected<Error> not_canonical(std::string_view what) {
  return fail(Errc::malformed, "the " + std::string(what) +
                                   " is not written canonically: get it from its source again");
}

std::string_view endpoint_fault(std::span<const onion::Endpoint> endpoints) noexcept {
  if (endpoints.empty() || endpoints.size() > kEndpointsMax) {
    return "a relay has 1 to 4 endpoints";
  }
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    if (endpoints[i].port == 0 || endpoints[i].port != endpoints[0].port) {
      return "the endpoints of a relay have one port, not 0";
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (endpoints[i].address == endpoints[j].address) {
        return "a relay names an address twice";
      }
    }
  }
  return {};
}

Bytes bytes_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace allium::control::internal
