// SPDX-License-Identifier: Apache-2.0
#pragma once

// A service node with its endpoints: HTTPS and OMQ in front of the storage RPC, onion requests and the swarm.
//
//   HTTPS --+--> rate limit --> StorageRpc --> MessageStore (its own thread; answers come back by post)
//   OMQ ----+                      |  SwarmRound
//           +--> OnionRequests     +--> SwarmPeers --> OMQ to the other members
//                      |
//                      +--> StorageRpc, OMQ to the next node, HTTP to a server outside
//   packets --> FastLane --> StorageRpc            RecordExchange <--> OMQ to other nodes
//
//   Ownership  owns all of it but the io_context, the store and the identity, which outlive it.
//   Errors     open(): Errc::io where an address cannot be bound, Errc::unavailable without a kernel.
//   Threads    the service thread: the one that runs the io_context.
//   Limits     those of the endpoints; NodeServiceOptions.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "control/network/ed25519.hpp"
#include "control/network/file_registry.hpp"
#include "control/service/fast_lane.hpp"
#include "control/service/https/https_server.hpp"
#include "control/service/https/token_buckets.hpp"
#include "control/service/omq/omq_endpoint.hpp"
#include "control/service/onion_requests.hpp"
#include "control/service/record_exchange.hpp"
#include "control/service/replica_fetch.hpp"
#include "control/service/swarm_peers.hpp"
#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "storage/message_store.hpp"

namespace allium::control {

struct NodeServiceOptions {
  std::vector<boost::asio::ip::tcp::endpoint> https;
  std::vector<boost::asio::ip::tcp::endpoint> omq;
  CertificatePair certificate;
  TokenBuckets::Settings per_address;  ///< for what comes by HTTPS and OMQ
  TokenBuckets::Settings per_account;  ///< for what comes by onion
  bool may_exit_to_private = false;
  /// How an answer goes back to a client that asked by packet; empty: there is no dataplane.
  FastLane::Send send_return;
  /// A record of a relay is new. May be empty.
  std::function<void()> on_records;
  /// Another node said the time: RecordExchange's on_time. May be empty.
  std::function<void(const NodeKey&, std::uint64_t, std::uint64_t, std::uint64_t)> on_time;

  /// Which network the store is whole for: what on_held was told last, and whom to tell next (replica_fetch.hpp).
  std::string held;
  std::function<void(const std::string&)> on_held;
};

struct NodeServiceStatus {
  bool is_ready = false;
  SwarmId swarm = kNoSwarm;
  std::size_t members = 0;         ///< of the swarm, with this node
  std::size_t members_dead = 0;    ///< as this node sees it
  std::size_t members_behind = 0;  ///< that answer, and that this node has something for still
  std::uint64_t rpc_requests = 0;
  std::uint64_t rate_limited = 0;
  std::size_t subscriptions = 0;
  storage::StoreStatus store;
  OnionCounters onion;
  SwarmCounters swarm_counters;
  FetchCounters fetch;
  ServerCounters https;
  OmqCounters omq;
  FastLaneCounters fast_lane;
  ExchangeCounters records;
};

class NodeService {
 public:
  [[nodiscard]] static Result<std::unique_ptr<NodeService>> open(boost::asio::io_context& io,
                                                                 storage::MessageStore& store,
                                                                 const IdentitySecret& identity,
                                                                 NodeServiceOptions options,
                                                                 const Random& random);
  ~NodeService();
  NodeService(const NodeService&) = delete;
  NodeService& operator=(const NodeService&) = delete;

  /// NodeServiceOptions::held was of this store and whole; before the first update_network().
  [[nodiscard]] bool knows_last_network() const noexcept;

  /// A newer list of nodes.
  void update_network(const RegistryState& network);

  /// Records that an earlier process knew; before the first update_network().
  void remember_records(std::vector<SignedNodeRecord> records);

  /// This node's own record, for all others.
  void publish_record(const SignedNodeRecord& own);

  /// The records that it has of all relays.
  [[nodiscard]] const RecordBook& records() const noexcept;

  /// Document and records, as a client needs them; empty: there is no document yet.
  [[nodiscard]] const std::string& network_bundle();

  /// What the dataplane got for the storage service.
  void deliver(const std::vector<control_port::DeliveryRecord>& records);

  /// The storage RPC, for endpoints that are not in here.
  [[nodiscard]] StorageRpc& rpc() noexcept;

  /// As bound, in the order of the options.
  [[nodiscard]] const std::vector<boost::asio::ip::tcp::endpoint>& https_endpoints() const noexcept;
  [[nodiscard]] const std::vector<boost::asio::ip::tcp::endpoint>& omq_endpoints() const noexcept;

  [[nodiscard]] NodeServiceStatus status() const;

 private:
  struct State;

  explicit NodeService(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace allium::control
