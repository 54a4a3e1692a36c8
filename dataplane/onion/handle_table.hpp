// SPDX-License-Identifier: Apache-2.0
#pragma once

// The bounded table of IPv6 clients: 48-bit handles for (address, port) pairs (SPEC.md section 6). In
// memory that the controlling process owns, as the replay set.
//
//   Ownership  borrows the memory; it must outlive the object.
//   Threads    find: any number. use: serialised by a lock of this process that setup packets from
//              IPv6 clients alone take; a reader never waits. A process that dies inside `use` leaves at
//              most one entry unfinished, and that one dead.
//   Limits     `live_max` live entries; at most `per_host` of one /64 and `per_site` of one /48 (0 = no
//              bound, for the vectors).
//   Cost       find: one or two entries. use: reads the whole table, which is little beside the X25519
//              of the packet that asks for it.

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>

#include "crypto_accel/base/result.hpp"
#include "dataplane/onion/endpoint.hpp"

namespace allium::onion {

struct HandleLimits {
  std::size_t live_max = 1024;
  std::size_t per_host = 16;  ///< of one /64; 0 = unbounded
  std::size_t per_site = 64;  ///< of one /48; 0 = unbounded
};

class HandleTable {
 public:
  static std::size_t bytes_needed(const HandleLimits& limits) noexcept;

  /// All-zero memory becomes an empty table that starts at `first_handle`; other memory goes on as it
  /// was. Requires 64-byte alignment. Errc::malformed where size or layout differ.
  static Result<HandleTable> attach(std::span<std::byte> memory, const HandleLimits& limits,
                                    std::uint64_t first_handle);

  HandleTable(HandleTable&& other) noexcept;
  HandleTable& operator=(HandleTable&&) = delete;

  /// The live handle of `client`, refreshed to `epoch`, or a new one. None where the table or a
  /// prefix is full: verdict `handle`.
  [[nodiscard]] std::optional<std::uint64_t> use(const Endpoint& client,
                                                 std::uint64_t epoch) noexcept;

  /// The client of a handle that is live in `epoch` (until the end of the epoch after its last use).
  [[nodiscard]] std::optional<Endpoint> find(std::uint64_t handle,
                                             std::uint64_t epoch) const noexcept;

 private:
  struct Header;
  struct Entry;
  struct Census;

  HandleTable() noexcept = default;

  [[nodiscard]] Census count(const Endpoint& client, std::uint64_t epoch) const noexcept;
  [[nodiscard]] bool has_room(const Census& census) const noexcept;
  [[nodiscard]] std::optional<std::uint64_t> add(const Endpoint& client,
                                                 std::uint64_t epoch) noexcept;

  Header* header_ = nullptr;
  Entry* entries_ = nullptr;
  std::size_t entry_count_ = 0;
  HandleLimits limits_;
  alignas(64) mutable std::mutex
      lock_;  // a line of its own: find() reads the ones above for every packet
};

}  // namespace allium::onion
