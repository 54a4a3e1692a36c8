// SPDX-License-Identifier: Apache-2.0
#pragma once

// The other members of this node's swarm, as the storage RPC needs them: a command goes to all of them.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "control/network/service_nodes.hpp"

namespace allium::control {

/// How long a member's answer is waited for. Then the command is in his queue, and what he does with it later is late.
inline constexpr std::uint64_t kSwarmTimeoutMs = 5'000;

/// A client's command as members hand it to each other.
struct SwarmCommand {
  std::string method;
  std::string params;  ///< bt, with the client's signature
};

struct MemberReply {
  enum class Kind : std::uint8_t { answered, timeout, refused, malformed };

  NodeKey member{};
  Kind kind = Kind::timeout;
  boost::json::object body;  ///< answered: as it came, bytes raw
  std::string code;          ///< refused: the status
  std::string reason;        ///< refused: the text
};

class SwarmMembers {
 public:
  SwarmMembers() = default;
  SwarmMembers(const SwarmMembers&) = delete;
  SwarmMembers& operator=(const SwarmMembers&) = delete;
  virtual ~SwarmMembers() = default;

  /// The other members, whether they answer or not.
  [[nodiscard]] virtual std::vector<NodeKey> others() const = 0;

  /// Sends the command to each of others(), and calls `each` once for each of them, perhaps before it returns. A member
  /// known not to answer is a timeout at once; whoever missed the command gets it later. So does this node: what is given back is
  /// called once when this node has done its part, or (false) could not now, for want of room perhaps. Then, and when each has been
  /// called, `over` is, once: with whether somebody has missed it for whom nobody could keep it.
  virtual std::function<void(bool is_done)> forward(SwarmCommand command,
                                                    std::function<void(MemberReply)> each,
                                                    std::function<void(bool is_lost)> over) = 0;

  /// A command that this node carries out as the only member: for those of whom it hears later.
  virtual void took_alone(const SwarmCommand& command) = 0;
};

}  // namespace allium::control
