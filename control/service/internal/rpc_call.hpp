// SPDX-License-Identifier: Apache-2.0
#pragma once

// One request on its way through a method, and what methods have in common.

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "control/service/authentication.hpp"
#include "control/service/encoding.hpp"
#include "control/service/internal/stamp_clock.hpp"
#include "control/service/rpc_fields.hpp"
#include "control/service/storage_rpc.hpp"
#include "storage/stored_bytes.hpp"

namespace allium::control::internal {

/// Tolerances of clocks, milliseconds. What a member handed on has passed the member's own: ours may be behind or ahead of it.
inline constexpr std::uint64_t kSignatureToleranceMs = 60'000;
inline constexpr std::uint64_t kForwardedToleranceMs = 70'000;

/// What `retrieve` gives out for one request, those of a batch together: as characters of base64 and what stands around them.
inline constexpr std::size_t kRetrieveBytesMax = 7'800'000;

/// Of that, what a page of one message takes at most: each retrieve of a batch has as much for itself.
inline constexpr std::size_t kLongestPageBytes =
    storage::page_bytes(storage::kHashCharsMax, storage::kDataBytesMax);
static_assert(kSubrequestsMax * kLongestPageBytes < kRetrieveBytesMax);

struct RpcCall {
  const RpcSurroundings& around;
  StampClock& stamps;
  std::shared_ptr<const boost::json::object> params;
  Format format;
  RpcSource source;
  std::uint64_t now_ms;
  storage::Stamp asked;  ///< when the client's command reached the swarm
  std::shared_ptr<std::size_t> retrieve_bytes_left;  ///< parts of a batch share it
  Reply reply;

  [[nodiscard]] RpcFields fields() const { return {*params, format}; }

  [[nodiscard]] bool is_from_client() const noexcept {
    return source == RpcSource::client || source == RpcSource::onion;
  }

  [[nodiscard]] bool is_from_member() const noexcept {
    return source == RpcSource::peer || source == RpcSource::late_peer;
  }

  [[nodiscard]] bool is_late() const noexcept {
    return source == RpcSource::late_peer || source == RpcSource::late_stranger;
  }

  [[nodiscard]] storage::When when() const { return {now_ms, asked}; }

  /// The time that a client's word is held against: what comes late is judged as it was by the node that took it.
  [[nodiscard]] std::uint64_t asked_ms() const noexcept {
    return is_late() ? asked / storage::kStampsPerMs : now_ms;
  }

  /// Bytes as the answer's spelling has them.
  [[nodiscard]] boost::json::string bytes(Bytes raw) const;

  /// `t` and `hf`.
  void add_clock(boost::json::object& body) const;

  /// Says what is wrong with the parameters, if something is.
  [[nodiscard]] bool refused(const RpcFields& fields) const;

  /// For signatures.
  [[nodiscard]] std::uint64_t tolerance_ms() const noexcept {
    return is_from_client() ? kSignatureToleranceMs : kForwardedToleranceMs;
  }

  /// Answers 421 where the account is of another swarm, 429 where too much is asked for it.
  [[nodiscard]] bool turned_away(const Account& account, Asker asker) const;

  /// Within `tolerance_ms` of asked_ms().
  [[nodiscard]] bool is_timely(std::uint64_t timestamp_ms,
                               std::uint64_t tolerance_ms) const noexcept;

  /// Answers 401 with `text` where the signature does not hold, 500 where that cannot be told now, since the store is being opened again:
  /// a member's 401 would be the last word. A subaccount that is revoked is refused, if `heeds_revocation`, but for what a member has taken.
  [[nodiscard]] bool is_badly_signed(const Authentication& who, std::string_view message,
                                     Access wanted, std::string_view text,
                                     bool heeds_revocation = true) const;

  /// A receipt, as the answer's spelling has it.
  [[nodiscard]] boost::json::string receipt(std::string_view message) const;

  void refuse(Status status, std::string_view text) const { reply(control::refuse(status, text)); }
};

/// What is left of a request when its parameters were read: does what was asked, and replies. Called once at most.
using Run = std::function<void(const RpcCall&)>;

/// Hands over what was read.
template <typename Request, typename F>
[[nodiscard]] Run run_with(Request request, F run) {
  return [request = std::move(request), run](const RpcCall& call) mutable {
    run(call, std::move(request));
  };
}

/// A command to the messages of one namespace or of all.
struct SpacesRequest {
  Authentication who;
  Spaces spaces;
  std::uint64_t at_ms = 0;  ///< `timestamp`, `before` or `expiry`; it is signed
};

/// A `done` for the store that is called on the service thread.
template <typename T, typename F>
storage::Done<T> on_service_thread(const RpcSurroundings& around, F then) {
  return [post = around.post, then = std::move(then)](Result<T> result) {
    post([then, result = std::move(result)]() mutable { then(std::move(result)); });
  };
}

/// A command to the whole swarm: this node's result and the members', and one answer when all are there.
class SwarmRound {
 public:
  /// Sends the command on where it is a client's: who signed it, the parameters `names` (which the method has read,
  /// and so knows the types of) and `more`.
  [[nodiscard]] static std::shared_ptr<SwarmRound> start(
      const RpcCall& call, std::string_view method, std::initializer_list<std::string_view> names,
      boost::json::object more = {});

  /// Answers when own_result() or own_failure() was called, and so many others have.
  SwarmRound(const RpcCall& call, std::string_view method, std::size_t others);

  /// This node's part. `top` goes to the top level of a client's answer.
  void own_result(boost::json::object mine, boost::json::object top = {});

  /// This node could not. `top` goes to the top level of a client's answer where a member could.
  void own_failure(const Error& error, boost::json::object top = {});

  /// Looks at the answer before it goes out.
  void set_finish(std::function<void(Answer&)> finish) { finish_ = std::move(finish); }

 private:
  void own_entry(boost::json::object mine, boost::json::object top, bool is_done);
  void member_result(const MemberReply& reply);
  void one_less();

  const RpcSurroundings& around_;
  std::string method_;
  Format format_;
  bool is_from_client_;
  Reply reply_;
  std::size_t pending_;
  bool is_lost_ = false;  ///< somebody missed it, and will not get it
  boost::json::object mine_;
  boost::json::object top_;
  boost::json::object members_;
  std::function<void(Answer&)> finish_;
  std::function<void(bool is_done)> on_own_;  ///< see SwarmMembers::forward()
};

/// Of text pieces, all of them one after the other.
template <typename Range>
void append_all(std::string& text, const Range& pieces) {
  for (const auto& piece : pieces) {
    text += piece;
  }
}

[[nodiscard]] boost::json::array array_of_texts(const std::vector<std::string>& texts);

/// Answers with the hashes that a command to one namespace or to all changed, under `name` (a literal), and a receipt
/// over them.
[[nodiscard]] storage::Done<storage::HashesBySpace> answer_with_spaces(
    const RpcCall& call, std::shared_ptr<SwarmRound> round, std::string_view name, Spaces spaces,
    const Account& account, std::uint64_t signed_ms);

[[nodiscard]] boost::json::object swarm_body(const Membership& membership, SwarmId swarm);

// The methods, by file. Each reads its parameters, and gives what is to be done where `fields` has no problem with
// them; nothing was done yet.
Run store_message(const RpcCall& call, RpcFields& fields);
Run retrieve_messages(const RpcCall& call, RpcFields& fields);

Run delete_messages(const RpcCall& call, RpcFields& fields);
Run delete_all(const RpcCall& call, RpcFields& fields);
Run delete_before(const RpcCall& call, RpcFields& fields);

Run expire_messages(const RpcCall& call, RpcFields& fields);
Run expire_all(const RpcCall& call, RpcFields& fields);
Run get_expiries(const RpcCall& call, RpcFields& fields);

Run revoke_subaccount(const RpcCall& call, RpcFields& fields);
Run unrevoke_subaccount(const RpcCall& call, RpcFields& fields);
Run revoked_subaccounts(const RpcCall& call, RpcFields& fields);

Run get_swarm(const RpcCall& call, RpcFields& fields);
Run info(const RpcCall& call, RpcFields& fields);
Run oxend_request(const RpcCall& call, RpcFields& fields);
Run active_nodes(const RpcCall& call, RpcFields& fields);

Run batch(const RpcCall& call, RpcFields& fields);
Run sequence(const RpcCall& call, RpcFields& fields);
Run if_else(const RpcCall& call, RpcFields& fields);

/// Runs a method of that name; false: there is none.
[[nodiscard]] bool run_method(std::string_view name, const RpcCall& call);

/// The first half of that. Requires is_method(name).
[[nodiscard]] Run read_method(std::string_view name, const RpcCall& call, RpcFields& fields);

[[nodiscard]] bool is_composite(std::string_view name) noexcept;
[[nodiscard]] bool is_method(std::string_view name) noexcept;
[[nodiscard]] std::vector<std::string_view> method_names();

}  // namespace allium::control::internal
