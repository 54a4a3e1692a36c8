// SPDX-License-Identifier: Apache-2.0
#pragma once

// The state of service 2, BRIDGE: two parties that meet at a relay (SPEC.md section 12.1). Legs by cookie,
// and the numbers of answers by (FS_b, class), which outlive the legs.
//
//   Units      life in seconds.
//   Threads    any; one short lock, taken by BRIDGE packets alone.
//   Limits     kLegsMax live legs, kNumberedMax counters; beyond: `svc_malformed` for a registration is
//              wrong, so it is `rate` (local policy).

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "crypto_accel/base/bytes.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::onion {

struct BridgeLeg {
  std::array<std::uint8_t, 16> owner{};
  std::array<std::uint8_t, kReplyBlockBytesD> reply_block_d{};
  std::array<std::uint8_t, kReplyBlockBytesV> reply_block_v{};
  std::uint64_t until_ms = 0;  ///< live while now < until
};

class Bridge {
 public:
  static constexpr std::size_t kLegsMax = 4096;
  static constexpr std::size_t kNumberedMax = 16384;

  Bridge();
  ~Bridge();
  Bridge(const Bridge&) = delete;
  Bridge& operator=(const Bridge&) = delete;

  /// The live leg of a cookie.
  [[nodiscard]] std::optional<BridgeLeg> find(std::uint64_t cookie,
                                              std::uint64_t now_ms) const noexcept;

  /// Registers or replaces; false where kLegsMax live legs are there already.
  bool set(std::uint64_t cookie, const BridgeLeg& leg, std::uint64_t now_ms) noexcept;
  void erase(std::uint64_t cookie) noexcept;

  /// The next number of answers under (segment, class): 0:1 | gen:31 | count:32. It is used up by
  /// `commit_number` alone, after the packet could be made. None: kNumberedMax.
  [[nodiscard]] std::optional<std::uint64_t> next_number(const Block& segment,
                                                         PacketClass packet_class,
                                                         std::uint64_t now_ms) noexcept;
  void commit_number(const Block& segment, PacketClass packet_class) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allium::onion
