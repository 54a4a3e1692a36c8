// SPDX-License-Identifier: Apache-2.0
#pragma once

// How many requests each peer may make: one token bucket an address block (session storage RPC,
// "Transports"). A bucket is one point in time, the one at which it is full again.
//
//   Units      rates are tokens a second; one request is one token, unless the caller says otherwise.
//   Threads    the service thread.
//   Limits     `addresses_max` blocks. When the table is full, the block whose last token was taken
//              longest ago gives its place if its bucket is full again, for then nothing is lost.
//              If it is not, the new block takes from one bucket that all such newcomers share. So
//              a flood of addresses frees nobody from his own limit, is limited itself, and is
//              forgotten after capacity / refill seconds.
//   Cost       O(1) a request; about 100 bytes a block.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>

#include "control/service/https/address_block.hpp"

namespace allium::control {

class TokenBuckets {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  struct Settings {
    std::uint32_t capacity = 600;           ///< at least 1
    std::uint32_t refill_per_second = 300;  ///< at least 1
    std::size_t addresses_max = 10'000;     ///< at least 1
  };

  TokenBuckets(const Settings& settings, const Random& random);

  /// Takes tokens of the address's block. False: there are not enough, and nothing changed. `now` never
  /// goes back. Requires 1 <= tokens <= capacity.
  [[nodiscard]] bool take(const boost::asio::ip::address& address, TimePoint now,
                          std::uint32_t tokens = 1);

  /// The same for whatever else a caller counts as one peer, by a number of its own.
  [[nodiscard]] bool take_block(AddressBlock block, TimePoint now, std::uint32_t tokens = 1);

  /// Takes more for what has turned out to cost more, into debt if need be: there are no tokens until that is paid.
  void charge(const boost::asio::ip::address& address, TimePoint now, std::uint32_t tokens);
  void charge_block(AddressBlock block, TimePoint now, std::uint32_t tokens);

  /// Whether take_block() would take one.
  [[nodiscard]] bool has_token(AddressBlock block, TimePoint now) const;

  /// Blocks in the table.
  [[nodiscard]] std::size_t size() const noexcept { return places_.size(); }

 private:
  struct Bucket {
    AddressBlock block;
    TimePoint full_at;
  };

  [[nodiscard]] bool take_from(TimePoint& full_at, TimePoint now,
                               std::uint32_t tokens) const noexcept;
  [[nodiscard]] bool make_room(TimePoint now);

  Settings settings_;
  std::chrono::nanoseconds token_time_;
  std::list<Bucket> buckets_;  ///< by the last token taken, oldest first
  std::unordered_map<AddressBlock, std::list<Bucket>::iterator, AddressBlockHash> places_;
  TimePoint shared_full_at_{};  ///< of the newcomers' bucket
};

}  // namespace allium::control
