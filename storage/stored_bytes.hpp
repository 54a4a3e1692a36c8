// SPDX-License-Identifier: Apache-2.0
#pragma once

// What things count against the size limit of a store, and a message against the size of a page. Both stores count
// alike, so that they say Errc::full at the same message.
//
//   Units      bytes: the keys and values of FORMAT.md, rounded up. RocksDB's own files add some and, until it compacts,
//              keep what was removed.

#include <cstdint>

#include "storage/message_store.hpp"

namespace allium::storage {

inline constexpr std::uint64_t kMessageBytes = 500;  ///< and twice its hash, and its data
inline constexpr std::uint64_t kTraceBytes = 150;    ///< and twice its hash, and its steps
inline constexpr std::uint64_t kStepBytes = 25;
inline constexpr std::uint64_t kMarksBytes = 300;
inline constexpr std::uint64_t kOutboxMarkBytes = 300;
inline constexpr std::uint64_t kRevocationBytes = 200;
inline constexpr std::uint64_t kMissedBytes = 60;  ///< and the record

/// Deletions, changes of expiries, revocations and missed records may go beyond the size limit by this part of it: a store that is full
/// of messages can still be cleared.
[[nodiscard]] constexpr std::uint64_t reserve_of(std::uint64_t bytes_limit) noexcept {
  return bytes_limit / 16;
}

[[nodiscard]] constexpr std::uint64_t message_bytes(std::size_t hash_chars,
                                                    std::size_t data_bytes) noexcept {
  return kMessageBytes + 2 * hash_chars + data_bytes;
}

[[nodiscard]] constexpr std::uint64_t trace_bytes(std::size_t hash_chars,
                                                  std::size_t steps) noexcept {
  return kTraceBytes + 2 * hash_chars + kStepBytes * steps;
}

/// In a page: kMessageOverheadBytes, the hash, and the data in base64.
[[nodiscard]] constexpr std::size_t page_bytes(std::size_t hash_chars,
                                               std::size_t data_bytes) noexcept {
  return kMessageOverheadBytes + hash_chars + data_bytes * 4 / 3;
}

/// When nothing comes any more that was asked for before.
[[nodiscard]] constexpr std::uint64_t end_of_lateness(Stamp asked) noexcept {
  const std::uint64_t asked_ms = asked / kStampsPerMs;
  return asked_ms > UINT64_MAX - kLifeMsMax ? UINT64_MAX : asked_ms + kLifeMsMax;
}

/// Clients extend what they keep again and again, by seconds of a life of weeks: an extension by less than a hundredth of what
/// is left of it is not worth a write. Of what is left, not of the whole life: that grows with every extension, and its
/// hundredth at last beyond kLifeMsMax, so that an old message could not be kept.
[[nodiscard]] constexpr std::uint64_t least_extension_ms(std::uint64_t left_ms) noexcept {
  return left_ms / 100 + (left_ms % 100 == 0 ? 0 : 1);
}

[[nodiscard]] constexpr bool is_worth_extending(std::uint64_t held_ms, std::uint64_t expiry_ms,
                                                std::uint64_t now_ms) noexcept {
  const std::uint64_t left_ms = held_ms > now_ms ? held_ms - now_ms : 0;
  return expiry_ms > held_ms && expiry_ms - held_ms >= least_extension_ms(left_ms);
}

[[nodiscard]] constexpr bool is_nearly_full(std::uint64_t used, std::uint64_t limit) noexcept {
  return used > limit / 10 * 9;
}

}  // namespace allium::storage
