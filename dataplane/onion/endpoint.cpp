// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/endpoint.hpp"

#include <bit>

namespace allium::onion {
namespace {

// SipHash-2-4 (Aumasson, Bernstein 2012) over whole 64-bit words.
class SipHash {
 public:
  explicit SipHash(const std::array<std::uint64_t, 2>& key) noexcept
      : v0_(key[0] ^ 0x736f6d6570736575),
        v1_(key[1] ^ 0x646f72616e646f6d),
        v2_(key[0] ^ 0x6c7967656e657261),
        v3_(key[1] ^ 0x7465646279746573) {}

  void add(std::uint64_t word) noexcept {
    v3_ ^= word;
    round();
    round();
    v0_ ^= word;
  }

  [[nodiscard]] std::uint64_t finish() noexcept {
    v2_ ^= 0xff;
    for (int i = 0; i < 4; ++i) {
      round();
    }
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  void round() noexcept {
    v0_ += v1_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v3_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ += v3_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ += v1_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v2_ = std::rotl(v2_, 32);
  }

  std::uint64_t v0_;
  std::uint64_t v1_;
  std::uint64_t v2_;
  std::uint64_t v3_;
};

}  // namespace

std::uint64_t endpoint_hash(const Endpoint& endpoint,
                            const std::array<std::uint64_t, 2>& key) noexcept {
  SipHash hash(key);
  hash.add(load_be(endpoint.address.data(), 8));
  hash.add(load_be(endpoint.address.data() + 8, 8));
  hash.add(endpoint.port);
  return hash.finish();
}

}  // namespace allium::onion
