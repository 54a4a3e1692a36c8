// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whom we count as one peer: an IPv4 address, or an IPv6 /64, the least a customer is given. An
// IPv4 address mapped into IPv6 is that IPv4 address.
//
//   Threads  reentrant.

#include <cstddef>
#include <cstdint>

#include <boost/asio/ip/address.hpp>

#include "crypto_accel/base/random.hpp"

namespace allium::control {

/// IPv4 in the low 32 bits, else the upper half of the IPv6 address. They do not meet: the prefixes
/// 0:0:*:*::/64 are reserved (RFC 4291, 2.5.5) and never routed. The exception, ::1, is 0.0.0.0's
/// number.
using AddressBlock = std::uint64_t;

[[nodiscard]] AddressBlock address_block(const boost::asio::ip::address& address);

/// ::ffff:a.b.c.d as a.b.c.d; others as they are.
[[nodiscard]] boost::asio::ip::address unmapped(const boost::asio::ip::address& address);

/// Hash with a secret of its table's own, so that nobody can choose addresses that fall into one
/// bucket.
class AddressBlockHash {
 public:
  explicit AddressBlockHash(const Random& random) noexcept;

  std::size_t operator()(AddressBlock block) const noexcept;

 private:
  std::uint64_t key_[2] = {0, 0};
};

}  // namespace allium::control
