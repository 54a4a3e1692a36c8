// SPDX-License-Identifier: Apache-2.0
#pragma once

// A client of relays: opens paths, sends data packets, opens what comes back.

#include <optional>
#include <vector>

#include "client_net.hpp"
#include "dataplane/onion/backward_open.hpp"
#include "dataplane/onion/path_builder.hpp"

namespace allium::dataplane {

struct ClientPath {
  onion::PathSession session;
  std::vector<std::size_t> relays;  ///< by index, entry first
};

class TestClient {
 public:
  explicit TestClient(ClientNet& net) : net_(net) {}

  [[nodiscard]] onion::SetupPacket setup(onion::PacketType type,
                                         const std::vector<std::size_t>& relays,
                                         onion::Service service, Bytes data,
                                         std::uint8_t delay_10ms = 0);

  /// Sends an S packet, meets the challenge of a first time, and answers the R that comes back.
  std::optional<onion::BackwardPacket> exchange(onion::SetupPacket& packet, std::size_t entry);

  std::optional<ClientPath> open_path(const std::vector<std::size_t>& relays,
                                      onion::Service service);

  [[nodiscard]] onion::Datagram data(onion::PacketClass packet_class, const ClientPath& path,
                                     std::uint64_t seq, Bytes data);

  [[nodiscard]] onion::ReplyBlock reply_block(onion::PacketClass packet_class,
                                              const ClientPath& path);

  /// A packet that ECHO sends back whole: its reply block, then `text`.
  [[nodiscard]] onion::Datagram echo(onion::PacketClass packet_class, const ClientPath& path,
                                     std::uint64_t seq, Bytes text);

  std::optional<onion::BackwardPacket> open(onion::PacketClass packet_class, const ClientPath& path,
                                            const Arrived& arrived);

  std::optional<onion::BackwardPacket> open_return(const onion::SetupPacket& packet,
                                                   const Arrived& arrived);

 private:
  ClientNet& net_;
  onion::Cookie cookie_{};
};

}  // namespace allium::dataplane
