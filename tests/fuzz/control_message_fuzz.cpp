// SPDX-License-Identifier: Apache-2.0

// Control messages: what decodes, encodes to the same bytes again.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "crypto_accel/base/check.hpp"
#include "dataplane/control_port/messages.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto message = allium::control_port::decode({data, size});
  if (message) {
    const auto again = allium::control_port::encode(*message);
    ALLIUM_CHECK(std::equal(again.begin(), again.end(), data, data + size));
  }
  return 0;
}
