// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the cipher and the hash of a payload cost by themselves: ipsec-mb's AES-128-CTR in one burst and its GHASH, with
// key schedules and hash tables ready, over the bytes of X_R. No header, no tag, no key is made: no onion layer can be
// cheaper without a cheaper AES.
//
//   Ownership  owns a manager of the library and the keys, a set a lane; borrows datagrams during a call.
//   Threads    one.
//   Limits     a CPU that ipsec-mb runs on: onion_kernels() has one that is supported.

#include <cstdint>
#include <memory>
#include <span>

#include "crypto_accel/base/random.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::bench {

class CryptoFloor {
 public:
  CryptoFloor(onion::PacketClass packet_class, const Random& random);
  ~CryptoFloor();
  CryptoFloor(const CryptoFloor&) = delete;
  CryptoFloor& operator=(const CryptoFloor&) = delete;

  /// Hashes X_R of every datagram, then encrypts it in place; at most kLanesMax datagrams.
  void run(std::span<std::uint8_t* const> datagrams) noexcept;

  /// The hash that the last run made of a lane, before it was encrypted.
  [[nodiscard]] const Block& hash(std::size_t lane) const noexcept;

  /// The keys of a lane, for a test: hash key, cipher key, first counter.
  [[nodiscard]] const Block& hash_key(std::size_t lane) const noexcept;
  [[nodiscard]] const Block& cipher_key(std::size_t lane) const noexcept;
  [[nodiscard]] const Block& counter(std::size_t lane) const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allium::bench
