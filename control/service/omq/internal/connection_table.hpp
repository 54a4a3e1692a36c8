// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every connection of the endpoint, and the three names by which an event finds one: its number,
// the TCP descriptor of one that came in, the key of a peer.
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
#include "control/service/omq/internal/incoming.hpp"
#include "control/service/omq/internal/input_tally.hpp"
#include "control/service/omq/internal/output_pool.hpp"
#include "control/service/omq/internal/zmq_monitor.hpp"
#include "control/service/omq/internal/zmq_socket.hpp"
#include "control/service/omq/omq_endpoint.hpp"

namespace allium::control {

struct OmqLink {
  using Clock = std::chrono::steady_clock;

  OmqLink(OmqConnection number_, const X25519Key& key_, std::shared_ptr<Output> output_)
      : number(number_), key(key_), output(std::move(output_)) {}

  /// Which TCP connection it has. Outgoing only.
  void note_connections();

  OmqConnection number;
  X25519Key key;                        ///< of the other end
  std::shared_ptr<Incoming> incoming;   ///< one that came in only
  std::shared_ptr<ZmqSocket> socket;    ///< outgoing only
  std::unique_ptr<ZmqMonitor> monitor;  ///< outgoing only
  bool is_outgoing = false;
  bool is_closed = false;
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

  /// One that came in, and what of it was counted.
  struct Accepted {
    std::shared_ptr<Incoming> connection;
    std::size_t held = 0;
  };

  /// `closed` is told of every connection that is over; from within calls of the table.
  ConnectionTable(const OmqLimits& limits, OutputPool& pool, MakePipe make_pipe, Closed closed)
      : arrivals_(limits),
        pool_(pool),
        make_pipe_(std::move(make_pipe)),
        closed_(std::move(closed)) {}

  /// A TCP connection has come in. Gives who is to lose its own for it; or null.
  [[nodiscard]] std::shared_ptr<Incoming> came(std::shared_ptr<Incoming> connection);

  /// Ends one that came in, and what stands on it.
  void end(int descriptor);

  /// Null: none is open there.
  [[nodiscard]] std::shared_ptr<Incoming> incoming(int descriptor) const;

  /// By descriptor.
  [[nodiscard]] const std::unordered_map<int, Accepted>& incoming() const noexcept {
    return incoming_;
  }

  /// After Incoming::held() has changed.
  void recount(const Incoming& connection);

  /// By all that came in, as it was counted last.
  [[nodiscard]] std::size_t incoming_held() const noexcept { return incoming_held_; }

  [[nodiscard]] Arrivals& arrivals() noexcept { return arrivals_; }

  /// The connection that a message came by. Null: it is closed.
  [[nodiscard]] Link client(const Incoming& connection);

  [[nodiscard]] Link add_outgoing(const OmqPeer& peer, std::shared_ptr<ZmqSocket> socket,
                                  std::unique_ptr<ZmqMonitor> monitor);
  [[nodiscard]] std::vector<Link> outgoing() const;
  [[nodiscard]] Link find(OmqConnection number) const;
  [[nodiscard]] Link find_outgoing(const X25519Key& key) const;

  [[nodiscard]] std::size_t outgoing_count() const noexcept { return outgoing_.size(); }

  /// The outgoing connection without open requests that has been idle for longest. Null: none.
  [[nodiscard]] Link idlest_outgoing() const;

  /// Closes the socket of an outgoing connection; of one that came in, end() does it.
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
  std::unordered_map<int, Accepted> incoming_;
  std::size_t incoming_held_ = 0;
  std::map<OmqConnection, Link> links_;
  std::unordered_map<int, OmqConnection> by_descriptor_;
  std::map<X25519Key, OmqConnection> outgoing_;
};

}  // namespace allium::control
