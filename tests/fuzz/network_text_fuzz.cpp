// SPDX-License-Identifier: Apache-2.0

// Network documents, node records and bundles: what parses is canonical.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "control/network/network_view.hpp"
#include "crypto_accel/base/check.hpp"

namespace {

template <typename Parsed>
void check_canonical(const Parsed& parsed, std::string_view text) {
  if (parsed) {
    const auto again = allium::control::serialise(*parsed);
    ALLIUM_CHECK(again.has_value() && *again == text);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_canonical(allium::control::parse_network_document(text), text);
  check_canonical(allium::control::parse_node_record(text), text);
  check_canonical(allium::control::parse_network_bundle(text), text);
  return 0;
}
