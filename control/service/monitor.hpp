// SPDX-License-Identifier: Apache-2.0
#pragma once

// monitor.messages: who is told of an account's new messages as they are stored (session storage RPC, "monitor").
//
//   Units      the signed timestamp is in seconds, all others in milliseconds.
//   Ownership  values.
//   Threads    the service thread.
//   Limits     kMonitorRequestsMax accounts a request, kSubscriptionsMax in all, kSubscriptionsPerConnectionMax of one
//              connection; each lasts kSubscriptionMs and is then forgotten.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "control/service/membership.hpp"
#include "control/service/namespaces.hpp"
#include "storage/message_store.hpp"

namespace allium::control {

inline constexpr std::uint64_t kSubscriptionMs = 65 * 60'000;
inline constexpr std::size_t kMonitorRequestsMax = 1000;
inline constexpr std::size_t kSubscriptionsMax = 200'000;
inline constexpr std::size_t kSubscriptionsPerConnectionMax = 10'000;

/// One connection of an endpoint; a number that the endpoint never gives again.
using ConnectionNumber = std::uint64_t;

class Monitor {
 public:
  /// Sends a notify.message; false: the connection has gone.
  using Push = std::function<bool(ConnectionNumber connection, std::string payload)>;

  Monitor(const storage::MessageStore& store, const Membership& membership, Push push)
      : store_(store), membership_(membership), push_(std::move(push)) {}

  /// A bt dict, or a list of them; gives the answer in the same form.
  [[nodiscard]] std::string subscribe(std::string_view request, ConnectionNumber connection,
                                      std::uint64_t now_ms);

  /// Tells whoever wants to know.
  void on_stored(const storage::Account& account, const storage::Message& message,
                 std::uint64_t now_ms);

  /// Forgets what has run out. Once a minute is enough.
  void expire(std::uint64_t now_ms);

  [[nodiscard]] std::size_t subscriptions() const noexcept { return count_; }

 private:
  struct Subscription {
    std::vector<Namespace> spaces;
    bool wants_data = false;
    std::uint64_t until_ms = 0;
  };

  using ByConnection = std::map<ConnectionNumber, Subscription>;

  boost::json::object subscribe_one(const boost::json::object& request, ConnectionNumber connection,
                                    std::uint64_t now_ms);
  bool keep(const storage::Account& account, ConnectionNumber connection,
            Subscription subscription);
  void drop_connection(ConnectionNumber connection);

  const storage::MessageStore& store_;
  const Membership& membership_;
  Push push_;
  std::map<storage::Account, ByConnection> by_account_;
  std::map<ConnectionNumber, std::size_t> per_connection_;
  std::size_t count_ = 0;
};

}  // namespace allium::control
