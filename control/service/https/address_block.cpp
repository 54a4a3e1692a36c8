// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/address_block.hpp"

#include <array>
#include <cstring>

namespace allium::control {

namespace ip = boost::asio::ip;

ip::address unmapped(const ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return ip::make_address_v4(ip::v4_mapped, address.to_v6());
  }
  return address;
}

AddressBlock address_block(const ip::address& address) {
  const ip::address plain = unmapped(address);
  if (plain.is_v4()) {
    return plain.to_v4().to_uint();
  }
  const ip::address_v6::bytes_type bytes = plain.to_v6().to_bytes();
  AddressBlock block = 0;
  for (std::size_t i = 0; i < sizeof(block); ++i) {
    block = block << 8 | bytes[i];
  }
  return block;
}

AddressBlockHash::AddressBlockHash(const Random& random) noexcept {
  std::array<std::uint8_t, sizeof(key_)> drawn{};
  random(drawn);
  std::memcpy(key_, drawn.data(), sizeof(key_));
}

std::size_t AddressBlockHash::operator()(AddressBlock block) const noexcept {
  // Folded 128-bit product, twice: each bit of the key reaches each bit of the answer.
  __extension__ using Wide = unsigned __int128;
  std::uint64_t mixed = block ^ key_[0];
  for (const std::uint64_t factor : {key_[1] | 1U, 0x9e3779b97f4a7c15U}) {
    const Wide product = static_cast<Wide>(mixed) * factor;
    mixed = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
  }
  return mixed;
}

}  // namespace allium::control
