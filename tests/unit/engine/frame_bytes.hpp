// SPDX-License-Identifier: Apache-2.0
#pragma once

// Frames as a test writes and judges them: by offsets from the RFCs, with checksums summed word by word,
// independent of dataplane/engine/frame.cpp.

#include <cstdint>
#include <optional>
#include <vector>

#include "dataplane/engine/frame.hpp"

namespace allium::dataplane {

using FrameBytes = std::vector<std::uint8_t>;

/// The ones' complement sum over big-endian words (RFC 1071), not complemented.
inline std::uint16_t plain_sum(Bytes bytes, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? std::uint32_t{bytes[i]} << 8 : std::uint32_t{bytes[i]};
    sum = (sum & 0xffffU) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(sum);
}

/// A frame from `source` to `target`, the UDP checksum left 0 as veth pairs do.
inline FrameBytes make_frame(const FrameAddresses& addresses, Bytes payload) {
  const bool is_v4 = addresses.target.is_v4();
  const std::size_t ip_bytes = is_v4 ? 20 : 40;
  FrameBytes frame(14 + ip_bytes + 8);
  std::copy(addresses.target_mac.begin(), addresses.target_mac.end(), frame.begin());
  std::copy(addresses.source_mac.begin(), addresses.source_mac.end(), frame.begin() + 6);
  store_be(frame.data() + 12, is_v4 ? 0x0800 : 0x86dd, 2);
  std::uint8_t* ip = frame.data() + 14;
  if (is_v4) {
    ip[0] = 0x45;
    store_be(ip + 2, 28 + payload.size(), 2);
    ip[8] = 63;
    ip[9] = 17;
    std::copy_n(addresses.source.v4(), 4, ip + 12);
    std::copy_n(addresses.target.v4(), 4, ip + 16);
    store_be(ip + 10, static_cast<std::uint16_t>(~plain_sum(Bytes(ip, 20))), 2);
  } else {
    ip[0] = 0x60;
    store_be(ip + 4, 8 + payload.size(), 2);
    ip[6] = 17;
    ip[7] = 63;
    std::copy_n(addresses.source.address.data(), 16, ip + 8);
    std::copy_n(addresses.target.address.data(), 16, ip + 24);
  }
  std::uint8_t* udp = ip + ip_bytes;
  store_be(udp, addresses.source.port, 2);
  store_be(udp + 2, addresses.target.port, 2);
  store_be(udp + 4, 8 + payload.size(), 2);
  frame.insert(frame.end(), payload.begin(), payload.end());
  return frame;
}

/// Both checksums hold and all lengths agree with the frame's own.
inline bool is_sound(Bytes frame) {
  if (frame.size() < 42) {
    return false;
  }
  const std::uint64_t ether_type = load_be(frame.data() + 12, 2);
  const bool is_v4 = ether_type == 0x0800;
  const std::size_t ip_bytes = is_v4 ? 20 : 40;
  const Bytes ip = frame.subspan(14);
  if ((!is_v4 && ether_type != 0x86dd) || ip.size() < ip_bytes + 8) {
    return false;
  }
  const Bytes udp = ip.subspan(ip_bytes);
  const std::size_t stated_bytes =
      is_v4 ? load_be(ip.data() + 2, 2) : load_be(ip.data() + 4, 2) + 40;
  const bool has_ip_sum = !is_v4 || plain_sum(ip.first(20)) == 0xffff;
  const Bytes addresses = is_v4 ? ip.subspan(12, 8) : ip.subspan(8, 32);
  const auto pseudo = static_cast<std::uint32_t>(17 + udp.size());
  const std::uint16_t sum =
      plain_sum(udp, std::uint32_t{plain_sum(addresses)} + (pseudo & 0xffffU) + (pseudo >> 16));
  return has_ip_sum && stated_bytes == ip.size() && load_be(udp.data() + 4, 2) == udp.size() &&
         load_be(udp.data() + 6, 2) != 0 && sum == 0xffff;
}

}  // namespace allium::dataplane
