// SPDX-License-Identifier: Apache-2.0
#pragma once

// bt (bencoded) values, the other spelling of Session's RPC (session storage RPC; BEP 3). They are held as JSON values whose strings
// are bytes: bt has integers, strings, lists and dicts, and nothing else.
//
//   Errors   Errc::malformed; split_bt_list() Errc::full as well.
//   Threads  reentrant.
//   Limits   kBtDepthMax, kBtElementsMax; integers of 64 bits, signed or not.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

#include "crypto_accel/base/result.hpp"

namespace allium::control {

inline constexpr std::size_t kBtDepthMax = 16;

/// A message of 10 MiB from another node has so many where its parts are small; each costs some 50 bytes while it is held.
inline constexpr std::size_t kBtElementsMax = 1'000'000;

/// The whole text is one value, of at most `elements_max` in all. Keys that are not sorted are taken; of two equal ones the last.
[[nodiscard]] Result<boost::json::value> parse_bt(std::string_view text,
                                                  std::size_t elements_max = kBtElementsMax);

/// The elements of a list as they are written, without making values of them. Whole and well-formed, but its dicts' keys may come
/// twice. Errc::full: there are more than `elements_max`; the rest is not looked at.
[[nodiscard]] Result<std::vector<std::string_view>> split_bt_list(std::string_view text,
                                                                  std::size_t elements_max);

/// Keys sorted. Booleans are 0 and 1; null members of a dict are left out, others are empty strings. A double
/// is our own mistake (ALLIUM_CHECK).
[[nodiscard]] std::string serialise_bt(const boost::json::value& value);

}  // namespace allium::control
