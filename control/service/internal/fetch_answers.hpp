// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a node says to those who fetch (replica_fetch.hpp): what it has of their accounts, and what it knows to be gone.
//
//   Ownership  borrows store, membership, held points and holders.
//   Errors     a status and a text, as its caller sends them: "400", or "503" where the store cannot be read.
//   Threads    the service thread.

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "control/service/internal/fetch_format.hpp"
#include "control/service/internal/held_points.hpp"
#include "control/service/internal/queue_holders.hpp"
#include "control/service/membership.hpp"
#include "control/service/peer_transport.hpp"
#include "storage/message_store.hpp"

namespace allium::control::internal {

class FetchAnswers {
 public:
  using Reply = std::function<void(PeerParts)>;

  FetchAnswers(storage::MessageStore& store, const Membership& membership, const HeldPoints& held,
               const QueueHolders& holders, std::function<std::uint64_t()> now_ms)
      : store_(store),
        membership_(membership),
        held_(held),
        holders_(holders),
        now_ms_(std::move(now_ms)) {}

  void answer(const ServiceNode& node, const FetchRequest& asked, const Reply& reply);

  /// Messages given to others.
  [[nodiscard]] std::uint64_t served() const noexcept { return served_; }

 private:
  void probe(const storage::Scan& scan, const Reply& reply);
  void messages(const ServiceNode& node, const storage::Scan& scan, const Reply& reply);
  void revocations(const ServiceNode& node, const storage::Scan& scan, const Reply& reply);
  void old_copy(const ServiceNode& node, const FetchRequest& asked, const Reply& reply);
  [[nodiscard]] std::vector<NodeKey> lacked_from(const PointRange& points) const;
  [[nodiscard]] bool is_whole_for(const ServiceNode& asker, const storage::Scan& scan) const;

  storage::MessageStore& store_;
  const Membership& membership_;
  const HeldPoints& held_;
  const QueueHolders& holders_;
  std::function<std::uint64_t()> now_ms_;
  std::uint64_t served_ = 0;
};

}  // namespace allium::control::internal
