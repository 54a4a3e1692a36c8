// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a client is told of one member of the swarm. A member may say anything, and one member must not spoil the answers of the
// others: of what it says goes on what such a command is answered with (session storage RPC, 3.5 and 3.6), in its types, and
// nothing else.
//
//   Errors   a reply that is not such an answer is the entry `failed`, `bad_peer_response`.
//   Threads  reentrant.
//   Limits   kMemberEntryBytesMax an entry, kMemberReasonCharsMax a reason.

#include <cstddef>
#include <string_view>

#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include "control/service/rpc_answer.hpp"
#include "control/service/swarm_members.hpp"

namespace allium::control::internal {

/// Five members, the least of a swarm, fill an answer of OMQ. 40,000 hashes.
inline constexpr std::size_t kMemberEntryBytesMax = 2UL * 1024 * 1024;
inline constexpr std::size_t kMemberReasonCharsMax = 256;

/// Bytes as an answer has them.
[[nodiscard]] boost::json::string written(std::string_view raw, Format format);

/// The entry of the member that replied so to `method`. Its texts are ASCII; the signature is as `format` has it.
[[nodiscard]] boost::json::object member_entry(std::string_view method, const MemberReply& reply,
                                               Format format);

}  // namespace allium::control::internal
