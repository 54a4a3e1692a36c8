// SPDX-License-Identifier: Apache-2.0

// Every X25519 variant against libsodium: any scalar, any points, in any lanes.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <vector>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/x25519_batch.hpp"

namespace {

namespace crypto = allium::crypto_accel;

constexpr std::size_t kBytes = 32;
constexpr std::uint8_t kUntouched = 0xa5;

// The variants that this machine runs besides the first; says once which it does not.
std::vector<const crypto::X25519Kernel*> tested_kernels() {
  std::vector<const crypto::X25519Kernel*> kernels;
  for (const crypto::X25519Kernel& kernel : crypto::x25519_kernels().subspan(1)) {
    if (kernel.supported()) {
      kernels.push_back(&kernel);
    } else {
      std::printf("skipped: this machine cannot run x25519=%s\n", kernel.name.data());
    }
  }
  return kernels;
}

// The next 32 bytes, with zeros where there are no more.
std::array<std::uint8_t, kBytes> take(std::span<const std::uint8_t>& data) {
  std::array<std::uint8_t, kBytes> taken{};
  const std::size_t count = std::min(kBytes, data.size());
  std::copy_n(data.begin(), count, taken.begin());
  data = data.subspan(count);
  return taken;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto kernels = tested_kernels();
  if (kernels.empty()) {
    return 0;
  }
  std::span<const std::uint8_t> rest(data, size);
  const auto scalar_bytes = take(rest);
  const crypto::PrivateKey scalar{std::span<const std::uint8_t, kBytes>(scalar_bytes)};
  std::vector<crypto::PublicKey> points{crypto::PublicKey{9}};  // one point alone is libsodium's
  while (!rest.empty() && points.size() < crypto::kLanesMax) {
    points.push_back(take(rest));
  }
  std::vector<crypto::SharedSecret> expected(points.size());
  const crypto::LaneMask good = crypto::x25519_kernels().front().run(scalar, points, expected);
  for (const crypto::X25519Kernel* kernel : kernels) {
    std::vector<crypto::SharedSecret> shared(points.size());
    for (crypto::SharedSecret& secret : shared) {
      secret.fill(kUntouched);
    }
    ALLIUM_CHECK(kernel->run(scalar, points, shared) == good);
    ALLIUM_CHECK(shared == expected);
  }
  return 0;
}
