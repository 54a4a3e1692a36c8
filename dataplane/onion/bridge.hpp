// SPDX-License-Identifier: Apache-2.0
#pragma once

// The state of service 2, BRIDGE: two parties that meet at a relay (SPEC.md section 12.1). Legs by cookie,
// and the numbers of answers by (FS_b, class), which outlive the legs.
//
//   Units      life in seconds.
//   Threads    any; one short lock, taken by BRIDGE packets alone.
//   Timing     owners are compared in constant time.
//   Limits     kLegsMax live legs, kNumberedMax counters; beyond: `rate`, which is local policy.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/random.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::onion {

using BridgeOwner = std::array<std::uint8_t, 16>;

/// `status` of an answer to control, and what has no answer.
enum class BridgeStatus : std::uint8_t {
  done = 0,
  other_owner = 1,  ///< a live leg has another owner
  no_leg = 2,       ///< no live leg
  full,             ///< kLegsMax: the verdict is `rate`
};

struct BridgeLeg {
  BridgeOwner owner{};
  std::array<std::uint8_t, kReplyBlockBytesD> reply_block_d{};
  std::array<std::uint8_t, kReplyBlockBytesV> reply_block_v{};
  std::uint64_t until_ms = 0;  ///< live while now < until
};

class Bridge {
 public:
  static constexpr std::size_t kLegsMax = 4096;
  static constexpr std::size_t kNumberedMax = 16384;

  /// `random` keys the tables: cookies are chosen by clients.
  explicit Bridge(const Random& random = system_random());
  ~Bridge();
  Bridge(const Bridge&) = delete;
  Bridge& operator=(const Bridge&) = delete;

  /// The live leg of a cookie.
  [[nodiscard]] std::optional<BridgeLeg> find(std::uint64_t cookie,
                                              std::uint64_t now_ms) const noexcept;

  /// Registers or replaces, unless a live leg of another owner is there. One step, so that of two owners
  /// at once one wins. BridgeStatus::full where kLegsMax live legs are there already.
  [[nodiscard]] BridgeStatus add(std::uint64_t cookie, const BridgeLeg& leg,
                                 std::uint64_t now_ms) noexcept;

  /// Removes the live leg of `owner`.
  [[nodiscard]] BridgeStatus remove(std::uint64_t cookie, const BridgeOwner& owner,
                                    std::uint64_t now_ms) noexcept;

  /// The next number of answers under (segment, class): 0:1 | gen:31 | count:32. It is used up, so the
  /// caller takes it when nothing can fail any more. None where kNumberedMax counters are in use.
  [[nodiscard]] std::optional<std::uint64_t> take_number(const Block& segment,
                                                         PacketClass packet_class,
                                                         std::uint64_t now_ms) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allium::onion
