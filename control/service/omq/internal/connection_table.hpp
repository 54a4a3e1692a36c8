// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every connection of the endpoint, and the three names by which an event finds one: its number,
// the routing id of a client, the key of a peer.
//
//   Ownership  owns the connections; those that serve a message are shared meanwhile.
//   Threads    the service thread.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "control/service/omq/internal/arrivals.hpp"
#include "control/service/omq/internal/input_tally.hpp"
#include "control/service/omq/internal/output_pool.hpp"
#include "control/service/omq/internal/zmq_monitor.hpp"
#include "control/service/omq/internal/zmq_socket.hpp"
#include "control/service/omq/omq_endpoint.hpp"

namespace allium::control {

/// A listener for IPv6 gives addresses of IPv4 in IPv6's spelling.
[[nodiscard]] boost::asio::ip::address without_mapping(const boost::asio::ip::address& address);

struct OmqLink {
  using Clock = std::chrono::steady_clock;

  OmqLink(OmqConnection number_, const X25519Key& key_, std::shared_ptr<ZmqSocket> socket_,
          std::shared_ptr<Output> output_)
      : number(number_), key(key_), socket(std::move(socket_)), output(std::move(output_)) {}

  /// Which TCP connection it has. Outgoing only.
  void note_connections();

  OmqConnection number;
  X25519Key key;                        ///< of the other end
  std::shared_ptr<ZmqSocket> socket;    ///< the listener's, or its own when outgoing
  std::unique_ptr<ZmqMonitor> monitor;  ///< outgoing only
  bool is_outgoing = false;
  bool is_closed = false;
  std::string routing_id;                   ///< client only
  int descriptor = -1;                      ///< client only
  boost::asio::ip::address address;         ///< of the other end
  boost::asio::ip::tcp::endpoint endpoint;  ///< outgoing only
  InputTally input;                         ///< outgoing only
  std::shared_ptr<Output> output;
  bool is_silent = false;           ///< outgoing: nothing has come since requests began to wait
  std::size_t served_count = 0;     ///< requests of the other end that have no answer yet
  std::size_t served_bytes = 0;     ///< of these
  std::size_t requested_count = 0;  ///< requests of ours that have no answer yet
  Clock::time_point last_used{};
};

class ConnectionTable {
 public:
  using Link = std::shared_ptr<OmqLink>;
  using MakePipe = std::function<std::shared_ptr<PipeTally>()>;
  using Closed = std::function<void(const OmqLink& link)>;

  /// A TCP connection of the listener.
  struct Incoming {
    std::shared_ptr<Output> output;
    InputTally input;
    bool is_lost = false;  ///< it has been cut, and libzmq has not said yet that it is over
  };

  /// `closed` is told of every connection that is over; from within calls of the table.
  ConnectionTable(const OmqLimits& limits, OutputPool& pool, MakePipe make_pipe, Closed closed)
      : arrivals_(limits),
        pool_(pool),
        make_pipe_(std::move(make_pipe)),
        closed_(std::move(closed)) {}

  /// A TCP connection of the listener has come. `peer`: what it is of, if it still is. Gives who is to lose its connection for it; or null.
  [[nodiscard]] std::shared_ptr<Output> descriptor_opened(
      int descriptor, const boost::asio::ip::tcp::endpoint& peer);

  /// One has gone.
  void descriptor_closed(int descriptor);

  /// One is not to be listened to any more.
  void descriptor_lost(int descriptor);

  /// All have gone.
  void descriptors_closed();

  /// Null: none is open there.
  [[nodiscard]] std::shared_ptr<Output> output(int descriptor) const;

  /// A message has been taken that came there.
  void took(const ZmqReceived& message);

  /// By descriptor.
  [[nodiscard]] std::unordered_map<int, Incoming>& incoming() noexcept { return incoming_; }

  [[nodiscard]] Arrivals& arrivals() noexcept { return arrivals_; }

  /// The TCP connection whose routing id another one has, which this message came by. Null: none.
  [[nodiscard]] std::shared_ptr<Output> overtaken_by(const ZmqReceived& message) const;

  /// The connection that a message of the listener came by. A routing id seen with another key or
  /// another TCP connection than before is a new connection, and the one before is over. Null: the
  /// TCP connection is closed, or the message does not tell it.
  [[nodiscard]] Link client(const ZmqReceived& message, const X25519Key& key,
                            const std::shared_ptr<ZmqSocket>& listener);

  [[nodiscard]] Link add_outgoing(const OmqPeer& peer, std::shared_ptr<ZmqSocket> socket,
                                  std::unique_ptr<ZmqMonitor> monitor);
  [[nodiscard]] std::vector<Link> outgoing() const;
  [[nodiscard]] Link find(OmqConnection number) const;
  [[nodiscard]] Link find_outgoing(const X25519Key& key) const;

  [[nodiscard]] std::size_t outgoing_count() const noexcept { return outgoing_.size(); }

  /// The outgoing connection without open requests that has been idle for longest. Null: none.
  [[nodiscard]] Link idlest_outgoing() const;

  /// Closes the socket of an outgoing connection; forgets a client.
  void close(OmqLink& link);
  void close_all();

  /// Those with something in their outbox.
  std::set<OmqConnection> waiting;

 private:
  [[nodiscard]] OmqConnection next_number() noexcept { return OmqConnection{++last_number_}; }

  Arrivals arrivals_;
  OutputPool& pool_;
  MakePipe make_pipe_;
  Closed closed_;
  std::uint64_t last_number_ = 0;
  std::unordered_map<int, Incoming> incoming_;  ///< every open descriptor
  std::map<OmqConnection, Link> links_;
  std::unordered_map<std::string, OmqConnection> by_routing_id_;
  std::unordered_map<int, OmqConnection> by_descriptor_;
  std::map<X25519Key, OmqConnection> outgoing_;
};

}  // namespace allium::control
