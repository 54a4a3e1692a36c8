// SPDX-License-Identifier: Apache-2.0
#pragma once

// monitor.messages: who is told of an account's new messages as they are stored (session storage RPC, "monitor").
//
// Push servers ask for ten thousands of accounts in one request, each with a signature, and go away with as many: both is done in
// slices, between which others have their turn.
//
//   Units      the signed timestamp is in seconds, all others in milliseconds.
//   Ownership  values; what is posted may outlive the monitor and does nothing then.
//   Threads    the service thread.
//   Limits     the constants below; a subscription lasts as long as its connection, and kSubscriptionMs at most.
//   Cost       some 100 us a request; some 500 bytes a subscription.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <boost/json/object.hpp>

#include "control/service/authentication.hpp"
#include "control/service/https/address_block.hpp"
#include "control/service/membership.hpp"
#include "control/service/namespaces.hpp"
#include "storage/message_store.hpp"

namespace allium::control {

inline constexpr std::uint64_t kSubscriptionMs = 65 * 60'000;
inline constexpr std::size_t kMonitorRequestsMax = 30'000;  ///< accounts in one message
inline constexpr std::size_t kMonitorSliceMax = 32;         ///< of them at a time
/// Of the answer to a list: beyond it, who asks at the wrong swarm is not told where to ask, so that the whole fits into a message.
inline constexpr std::size_t kMonitorSwarmsBytesMax = std::size_t{4} << 20;
inline constexpr std::size_t kMonitorQueueMax = 64;  ///< messages of more than a slice that wait
inline constexpr std::size_t kMonitorQueuePerAddressMax = 4;
inline constexpr std::size_t kSubscriptionsMax = 1'000'000;
inline constexpr std::size_t kNamespacesMax = 64;  ///< of one subscription
/// Of one IPv4 address or IPv6 /64.
inline constexpr std::size_t kSubscriptionsPerAddressMax = 250'000;

/// One connection of an endpoint; a number that the endpoint never gives again.
using ConnectionNumber = std::uint64_t;

struct Subscriber {
  ConnectionNumber connection = 0;
  AddressBlock address = 0;
};

struct MonitorSurroundings {
  const storage::MessageStore& store;
  const Membership& membership;
  /// Sends a notify.message. What does not fit is lost; a connection that is gone is told of by connection_closed().
  std::function<void(ConnectionNumber connection, std::string payload)> push;
  /// Calls it later, from the loop.
  std::function<void(std::function<void()>)> post;
  /// May this one have so many signatures verified now? Requires at most kMonitorRequestsMax.
  std::function<bool(const Subscriber&, std::size_t count)> may_ask;
};

class Monitor {
 public:
  /// Called once, at once or later; not when the connection goes before.
  using Answered = std::function<void(std::string answer)>;

  explicit Monitor(MonitorSurroundings around) : around_(std::move(around)) {}

  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  /// A bt dict, or a list of them; gives the answer in the same form. Whoever asks for an account again, with the same rights, adds to
  /// what he has: namespaces, data, and time. Who asks at the wrong swarm is told of the right one (snodes, swarm), as far as there
  /// is room.
  void subscribe(std::string request, const Subscriber& who, std::uint64_t now_ms,
                 const Answered& answered);

  /// Its subscriptions and what it asked for last are forgotten.
  void connection_closed(ConnectionNumber connection);

  /// Tells whoever wants to know, and still may.
  void on_stored(const storage::Account& account, const storage::Message& message,
                 std::uint64_t now_ms);

  /// Forgets some of what has run out. To be called every few seconds.
  void expire(std::uint64_t now_ms);

  [[nodiscard]] std::size_t subscriptions() const noexcept { return count_; }

 private:
  /// By which right: the account's own key, or a subaccount that may be revoked.
  using Right = std::optional<storage::Token>;

  struct Subscription {
    std::vector<Namespace> spaces;
    bool wants_data = false;
    std::uint64_t until_ms = 0;
  };

  using OfAccount = std::map<std::pair<ConnectionNumber, Right>, Subscription>;
  using Accounts = std::map<storage::Account, OfAccount>;

  struct Connection {
    AddressBlock address = 0;
    std::set<const Accounts::value_type*> accounts;
  };

  /// A list that is being answered.
  struct Batch {
    std::string text;
    std::vector<std::string_view> requests;  ///< within `text`
    std::size_t done = 0;
    Subscriber who;
    std::uint64_t now_ms = 0;
    std::string answer;
    Answered answered;
  };

  [[nodiscard]] std::string subscribe_dict(std::string_view request, const Subscriber& who,
                                           std::uint64_t now_ms, bool may_tell_swarm);
  boost::json::object subscribe_one(const boost::json::object& request, const Subscriber& who,
                                    std::uint64_t now_ms, bool may_tell_swarm);
  [[nodiscard]] boost::json::object wrong_swarm(const storage::Account& account,
                                                bool may_tell_swarm) const;
  [[nodiscard]] bool may_queue(const Subscriber& who) const;
  bool answer_slice(Batch& batch);
  [[nodiscard]] static bool merge(Subscription& known, const Subscription& more);
  bool keep(const storage::Account& account, const Right& right, const Subscriber& who,
            Subscription subscription);
  void work_later();
  void work();
  void forget_slice(ConnectionNumber leaving);
  /// Gives the next one of the same account, which may have none any more.
  OfAccount::iterator forget(Accounts::iterator account, OfAccount::iterator one);

  MonitorSurroundings around_;
  Accounts by_account_;
  std::unordered_map<ConnectionNumber, Connection> connections_;
  std::unordered_map<AddressBlock, std::size_t> per_address_;
  std::size_t count_ = 0;
  storage::Account expired_to_{};

  // Heap, since they are asked for their place while they change.
  std::deque<std::unique_ptr<Batch>> batches_;
  std::deque<ConnectionNumber> leaving_;
  bool is_work_posted_ = false;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control
