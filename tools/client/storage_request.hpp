// SPDX-License-Identifier: Apache-2.0
#pragma once

// A storage RPC to the last relay of a path, by one-shot packet: no path is opened, one packet goes, one to 64 come back
// (SPEC.md sections 10 to 12.1).
//
//   Units      round_trip_us from the packet that was answered to the last piece of its answer.
//   Ownership  borrows wire and cookies.
//   Errors     Errc::out_of_range: the request is longer than kRequestBytesMax; Errc::timeout: no whole answer; Errc::malformed: an
//              answer that is none; Errc::stale as SetupExchange.
//   Threads    one.
//   Repetition every attempt is a new packet with the same request: a store that comes twice is one message.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include "tools/client/network_view.hpp"
#include "tools/client/setup_exchange.hpp"
#include "tools/client/storage_answer.hpp"
#include "tools/client/wire.hpp"

namespace allium::client {

/// Of bt {method, params}.
inline constexpr std::size_t kRequestBytesMax = 792;

struct StorageReply {
  StorageAnswer::Content content;
  std::size_t packets = 0;
  std::uint64_t round_trip_us = 0;
};

/// `params` as bt has them: signatures, data and keys are raw bytes.
[[nodiscard]] Result<StorageReply> request_storage(Wire& wire, const PathPlan& plan,
                                                   std::string_view method,
                                                   const boost::json::object& params,
                                                   CookieJar& cookies, const Random& random);

}  // namespace allium::client
