// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/token_buckets.hpp"

#include <algorithm>

#include "crypto_accel/base/check.hpp"

namespace allium::control {

TokenBuckets::TokenBuckets(const Settings& settings, const Random& random)
    : settings_(settings), places_(0, AddressBlockHash(random)) {
  ALLIUM_CHECK(settings.capacity > 0 && settings.refill_per_second > 0 &&
               settings.addresses_max > 0);
  token_time_ = std::chrono::nanoseconds(std::chrono::seconds(1)) / settings.refill_per_second;
}

bool TokenBuckets::take(const boost::asio::ip::address& address, TimePoint now,
                        std::uint32_t tokens) {
  return take_block(address_block(address), now, tokens);
}

bool TokenBuckets::take_block(AddressBlock block, TimePoint now, std::uint32_t tokens) {
  ALLIUM_CHECK(tokens > 0 && tokens <= settings_.capacity);
  if (const auto known = places_.find(block); known != places_.end()) {
    const auto bucket = known->second;
    if (!take_from(bucket->full_at, now, tokens)) {
      return false;
    }
    buckets_.splice(buckets_.end(), buckets_, bucket);
    return true;
  }
  if (!make_room(now)) {
    return take_from(shared_full_at_, now, tokens);
  }
  // A new bucket is full.
  places_.emplace(block,
                  buckets_.insert(buckets_.end(), Bucket{block, now + token_time_ * tokens}));
  return true;
}

void TokenBuckets::charge(const boost::asio::ip::address& address, TimePoint now,
                          std::uint32_t tokens) {
  charge_block(address_block(address), now, tokens);
}

void TokenBuckets::charge_block(AddressBlock block, TimePoint now, std::uint32_t tokens) {
  const auto known = places_.find(block);
  TimePoint& full_at = known == places_.end() ? shared_full_at_ : known->second->full_at;
  full_at = std::max(full_at, now) + token_time_ * tokens;
}

bool TokenBuckets::has_token(AddressBlock block, TimePoint now) const {
  const auto known = places_.find(block);
  // Who is not in the table has a full bucket, or shares one; that is seen when he takes from it.
  return known == places_.end() || std::max(known->second->full_at, now) + token_time_ - now <=
                                       token_time_ * settings_.capacity;
}

bool TokenBuckets::take_from(TimePoint& full_at, TimePoint now,
                             std::uint32_t tokens) const noexcept {
  const TimePoint after = std::max(full_at, now) + token_time_ * tokens;
  if (after - now > token_time_ * settings_.capacity) {
    return false;
  }
  full_at = after;
  return true;
}

bool TokenBuckets::make_room(TimePoint now) {
  if (places_.size() < settings_.addresses_max) {
    return true;
  }
  if (buckets_.front().full_at > now) {
    return false;
  }
  places_.erase(buckets_.front().block);
  buckets_.pop_front();
  return true;
}

}  // namespace allium::control
