// SPDX-License-Identifier: Apache-2.0
#pragma once

// This node's place in Session's OMQ network (session protocol 5.1): it answers commands of clients
// and of service nodes, and asks other nodes. ZeroMQ with CURVE; README.md draws the sockets and
// tells the traps.
//
//   Units      bytes; std::chrono.
//   Ownership  owns its ZeroMQ context, sockets and a copy of the secret key, which it wipes
//              (libzmq keeps copies of its own that nobody can wipe). Borrows the io_context, which
//              outlives it.
//   Errors     Result; a request's callback gets Errc::timeout, Errc::refused, Errc::unavailable,
//              Errc::full.
//   Threads    the service thread alone. libzmq's one I/O thread ends in the destructor. Handlers
//              and callbacks run on the service thread, never inside request() or send(); they must
//              not throw and must not destroy the endpoint.
//   Limits     OmqLimits; every queue has a bound and drops what does not fit. Nothing is logged.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "crypto_accel/base/result.hpp"
#include "crypto_accel/base/secret.hpp"

namespace allium::control {

using X25519Key = std::array<std::uint8_t, 32>;
using OmqParts = std::vector<std::string>;

/// One connection for as long as it lasts. Numbers are never used twice, routing ids are.
enum class OmqConnection : std::uint64_t {};

enum class OmqAccess : std::uint8_t {
  open,
  service_node,  ///< the list is asked on every command, so that its changes act at once
};

enum class OmqForm : std::uint8_t {
  request,  ///< has a tag and gets an answer
  push,     ///< has no tag; a reply to it does nothing
};

/// Which of the messages that wait for a connection goes first.
enum class OmqPriority : std::uint8_t {
  normal,
  low,  ///< after the others, and with half of what a service node may have waiting
};

struct OmqCommand {
  std::string name;
  OmqParts parts;    ///< at most kOmqPartsMax, of kOmqMessageBytesMax together
  X25519Key peer{};  ///< proved by CURVE; any client may have made its key a second ago
  bool is_service_node = false;
  OmqConnection connection{};
  boost::asio::ip::address address;  ///< for limits by address; not for logs
};

/// Answers one request. May be kept, copied and called later, also after the peer or the endpoint
/// has gone; only the first call counts. When the last copy goes uncalled, the peer gets no answer.
class OmqReply {
 public:
  struct Target;

  explicit OmqReply(std::shared_ptr<Target> target) : target_(std::move(target)) {}

  /// Requires at most kOmqPartsMax parts. What is over kOmqMessageBytesMax in all would not arrive: the peer gets "413" instead.
  void operator()(OmqParts parts) const;

 private:
  std::shared_ptr<Target> target_;
};

using OmqHandler = std::function<void(OmqCommand command, OmqReply reply)>;
using OmqAnswered = std::function<void(Result<OmqParts> parts)>;

struct OmqPeer {
  X25519Key x25519{};
  boost::asio::ip::tcp::endpoint endpoint;
};

struct OmqLimits {
  std::size_t clients =
      4096;  ///< connections that have said anything; more are refused, but for service nodes
  std::size_t clients_per_address = 1024;  ///< the same of one address block
  /// Connections that have said nothing yet. Of more, the one that came first loses its place, if it has had this time to say something,
  /// else the one that came last.
  std::size_t silent = 2048;
  std::size_t silent_per_address = 256;  ///< the same of one address block
  std::chrono::milliseconds silent_time{5'000};
  std::size_t connections_per_node = 16;  ///< of one service node; of more, its first one is cut
  std::size_t peers = 512;                ///< outgoing connections
  std::size_t requests = 8192;            ///< of ours without an answer
  std::size_t served = 256;  ///< requests of a client without an answer; more are answered 503
  std::size_t node_served = 8192;                       ///< the same of a service node
  std::size_t node_served_bytes = 128UL * 1024 * 1024;  ///< of these requests together
  std::size_t client_bytes = 64UL * 1024;  ///< waiting for one client, whatever others do
  /// What clients may have waiting beyond that, together. When it is used up, the one that has taken nothing for longest is cut off.
  std::size_t pool_bytes = 128UL * 1024 * 1024;
  std::size_t client_bytes_max = 64UL * 1024 * 1024;  ///< waiting for one client at most
  std::size_t peer_bytes = 64UL * 1024 * 1024;        ///< waiting for one service node
  std::size_t peers_bytes = 256UL * 1024 * 1024;      ///< waiting for service nodes together
  /// Of one connection to another node inside libzmq, of a message that is not complete. One that has more is cut.
  std::size_t input_bytes = 96UL * 1024 * 1024;
  /// Of all connections together. Of the address that has most, service nodes last, the one that has not ended a message for longest is cut.
  std::size_t inputs_bytes = 128UL * 1024 * 1024;
};

struct OmqOptions {
  std::vector<boost::asio::ip::tcp::endpoint> listen;  ///< port 0: any; none: outgoing only
  OmqLimits limits;
  std::chrono::milliseconds peer_idle{
      30'000};  ///< an outgoing connection without traffic is closed
  std::chrono::milliseconds input_interval{250};  ///< between two looks at what is inside libzmq
};

struct OmqCounters {
  std::uint64_t received = 0;  ///< commands
  std::uint64_t answered = 0;
  std::uint64_t answers_oversized = 0;  ///< of `answered`: 413 instead of more than a message holds
  std::uint64_t refused_unknown = 0;
  std::uint64_t refused_forbidden = 0;
  std::uint64_t refused_no_tag = 0;
  std::uint64_t refused_busy = 0;          ///< over OmqLimits::served and the like; answered 503
  std::uint64_t refused_clients = 0;       ///< connections over OmqLimits::clients
  std::uint64_t refused_address_full = 0;  ///< connections over OmqLimits::clients_per_address
  std::uint64_t cut_idle = 0;    ///< clients of the address that has most, for one of another
  std::uint64_t cut_silent = 0;  ///< connections over OmqLimits::silent or silent_per_address
  std::uint64_t malformed = 0;
  std::uint64_t oversized = 0;    ///< messages over kOmqMessageBytesMax in all
  std::uint64_t unsent_gone = 0;  ///< requests whose peer left before the answer
  std::uint64_t unsent_full = 0;  ///< messages dropped, since the peer does not read
  std::uint64_t cut_slow =
      0;  ///< connections of clients that do not read while others need the memory
  std::uint64_t cut_unfinished = 0;  ///< connections over OmqLimits::input_bytes or inputs_bytes
  std::uint64_t cut_broken = 0;  ///< connections that broke the protocol, or proved no key in time
  std::uint64_t cut_node = 0;    ///< connections over OmqLimits::connections_per_node
  std::uint64_t requested = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t unknown_tags = 0;  ///< replies nobody waits for (any more)
};

class OmqEndpoint {
 public:
  /// Asked for each command: is this key an active service node's?
  using IsServiceNode = std::function<bool(const X25519Key& key)>;

  /// Listens at once. Errc::io: an address cannot be bound, or libzmq lacks something.
  [[nodiscard]] static Result<std::unique_ptr<OmqEndpoint>> open(boost::asio::io_context& io,
                                                                 const Secret<32>& x25519_secret,
                                                                 OmqOptions options,
                                                                 IsServiceNode is_service_node);

  /// Closes every connection at once. What is unsent is lost; callbacks outstanding are dropped
  /// uncalled.
  ~OmqEndpoint();
  OmqEndpoint(const OmqEndpoint&) = delete;
  OmqEndpoint& operator=(const OmqEndpoint&) = delete;

  [[nodiscard]] const X25519Key& own_key() const noexcept;

  /// As bound, with the ports the system chose; in the order of OmqOptions::listen.
  [[nodiscard]] const std::vector<boost::asio::ip::tcp::endpoint>& listening() const noexcept;

  /// Requires a name "category.command" of at most kOmqNameBytesMax that is not there yet.
  /// `priority`: of its answers.
  void add_command(std::string name, OmqAccess access, OmqForm form, OmqHandler handler,
                   OmqPriority priority = OmqPriority::normal);

  /// Asks a node over this node's own connection to it, which is opened if there is none.
  /// `answered` is called once: with the parts of the reply, or Errc::timeout (no reply in time,
  /// wherever it got lost), Errc::refused (the peer refuses the command), Errc::unavailable (the
  /// connection was closed meanwhile), Errc::full (a limit of ours), Errc::out_of_range (too many
  /// parts or bytes, a name that is too long).
  void request(const OmqPeer& peer, std::string command, OmqParts parts,
               std::chrono::milliseconds timeout, OmqAnswered answered,
               OmqPriority priority = OmqPriority::normal);

  /// A command without tag to whoever is at the other end; requires parts within the bounds of a
  /// request. False: it has gone, or does not read.
  bool send(OmqConnection connection, std::string command, OmqParts parts);

  /// Called, soon after, with every connection that is over, whoever ended it. Before the first command.
  void set_on_closed(std::function<void(OmqConnection)> on_closed);

  [[nodiscard]] const OmqCounters& counters() const noexcept;

 private:
  struct State;

  explicit OmqEndpoint(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;
};

}  // namespace allium::control
