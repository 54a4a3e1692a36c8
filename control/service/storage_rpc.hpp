// SPDX-License-Identifier: Apache-2.0
#pragma once

// The storage RPC of a service node, as Session's clients speak it: every method and every rule, behind whatever
// endpoint a request came in by.
//
//   Units      times are Unix milliseconds.
//   Ownership  borrows everything in RpcSurroundings; outlives no reply that is still due.
//   Errors     every request ends in one reply with one status; the texts are the ones that clients read.
//   Threads    the service thread. The store calls back on its own; `post` brings that here.
//   Limits     kSubrequestsMax in a batch; the store's; what an endpoint lets through.

#include <array>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "control/network/ed25519.hpp"
#include "control/service/internal/stamp_clock.hpp"
#include "control/service/membership.hpp"
#include "control/service/rpc_answer.hpp"
#include "control/service/swarm_members.hpp"
#include "crypto_accel/base/random.hpp"
#include "storage/message_store.hpp"

namespace allium::control {

inline constexpr std::size_t kSubrequestsMax = 20;
/// What this node says it is compatible with.
inline constexpr std::array<int, 3> kStorageVersion = {2, 8, 0};
inline constexpr std::array<int, 2> kHardfork = {19, 4};

/// Who hands in a request.
enum class RpcSource : std::uint8_t {
  client,     ///< it goes on to the other members of the swarm
  onion,      ///< a client too, of whom nothing is known but the account
  peer,       ///< a member hands on what a client just asked of it
  late_peer,  ///< a member hands on what this node missed: it is judged by when it was asked for
  stranger,  ///< as a member, but it is none of this swarm, as far as is known: it is not believed what it says without a client's signature
  late_stranger,
};

/// Who asks for an account. Anybody can ask in anybody's name: what he cannot prove must not use up what the owner may.
enum class Asker : std::uint8_t {
  anybody,  ///< no signature is asked for, or there is none: this request counts now
  owner,    ///< so he says: it counts when his signature has held
};

struct RpcSurroundings {
  storage::MessageStore& store;
  const IdentitySecret& identity;  ///< signs receipts
  const Membership& membership;
  SwarmMembers& swarm;
  Random random;
  std::function<std::uint64_t()> now_ms;
  std::function<void(std::function<void()>)> post;  ///< to the service thread; any thread
  /// Told of every message of a client that is new here; may be empty.
  std::function<void(const storage::Account&, const storage::Message&)> on_stored;
  /// Asked before each request for an account that comes by onion; false: 429. May be empty.
  std::function<bool(const storage::Account&, Asker)> may_go_on;
  /// Told when the signature of such a request held. May be empty.
  std::function<void(const storage::Account&)> on_proved;
  /// Told how many bytes of messages such a request was given. May be empty.
  std::function<void(const storage::Account&, Asker, std::size_t)> on_given = {};
};

class StorageRpc {
 public:
  explicit StorageRpc(RpcSurroundings surroundings);

  StorageRpc(const StorageRpc&) = delete;
  StorageRpc& operator=(const StorageRpc&) = delete;

  /// {"method": ..., "params": {...}}, as HTTPS and onion requests have it.
  void call_json(std::string_view text, RpcSource source, Reply reply);

  /// Parameters alone, JSON or, where they begin with 'd', bt, as OMQ has it. Tells `reply` in which the answer is to
  /// be written.
  void call_params(std::string_view method, std::string_view params, RpcSource source,
                   std::function<void(Answer, Format)> reply);

  void call(std::string_view method, boost::json::object params, Format format, RpcSource source,
            Reply reply);

  /// Names of all methods.
  [[nodiscard]] static std::vector<std::string_view> methods();

 private:
  RpcSurroundings around_;
  internal::StampClock stamps_;
};

}  // namespace allium::control
