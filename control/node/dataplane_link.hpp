// SPDX-License-Identifier: Apache-2.0
#pragma once

// The node's hold on its dataplane: keeps the short-lived keys, connects to allium-dp and again when it has gone, hands it
// memory, keys and relays, and carries what its storage service gets and answers. A thread of its own, since a dataplane that
// hangs must not hang the service.
//
//          service thread                             this thread
//   set_network, set_serving, reply ---- mailbox ---> NodeKeys, Controller ---- control port ---> allium-dp
//   on_state, on_record, on_deliveries <--- post ----      |
//                                                     NodeMemory (outlives the process)
//
//   Ownership  owns the keys, the memory and the connection. The callbacks and `post` outlive it.
//   Errors     none is the end of it: they are in DataplaneState, and it tries again.
//   Threads    the calls are for the service thread; the callbacks come through `post`.
//   Limits     kRepliesMax replies that wait, later ones are lost and counted.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/node/node_keys.hpp"
#include "crypto_accel/base/result.hpp"
#include "dataplane/control_port/messages.hpp"

namespace allium::control {

struct DataplaneOptions {
  std::string socket;                        ///< of allium-dp's control port
  std::uint64_t packets_per_second = 20000;  ///< which the replay set is sized for
  std::uint32_t handles_max = 1024;          ///< IPv6 clients at a time
  std::uint32_t handles_per_host = 64;
  std::uint32_t handles_per_site = 256;
};

struct DataplaneState {
  bool is_connected = false;
  bool is_serving = false;  ///< it has keys and relays, and takes packets from accepts_from_ms on
  std::uint32_t pid = 0;
  std::uint32_t workers = 0;
  std::string device;
  std::string kernels;
  std::uint64_t accepts_from_ms = 0;
  std::size_t relays = 0;         ///< others that it shares link keys with
  std::uint64_t connections = 0;  ///< since start
  std::uint64_t replies_lost = 0;
  std::string problem;  ///< why it is not serving; empty where it is
};

class DataplaneLink {
 public:
  static constexpr std::size_t kRepliesMax = 4096;

  struct Events {
    std::function<void(std::function<void()>)> post;  ///< to the service thread; any thread
    std::function<void(const DataplaneState&)> on_state;
    /// This node's record, with every change of its keys or endpoints.
    std::function<void(SignedNodeRecord)> on_record;
    std::function<void(std::vector<control_port::DeliveryRecord>)> on_deliveries;
  };

  using OnCounters = std::function<void(Result<control_port::Counters>)>;

  /// Keys and memory that the service manager has kept are gone on with.
  [[nodiscard]] static Result<std::unique_ptr<DataplaneLink>> open(DataplaneOptions options,
                                                                   IdentitySecret identity,
                                                                   const Random& random,
                                                                   Events events);
  ~DataplaneLink();
  DataplaneLink(const DataplaneLink&) = delete;
  DataplaneLink& operator=(const DataplaneLink&) = delete;

  /// Where this node is, and the other relays. No endpoints: the document does not have this node.
  void set_network(std::vector<onion::Endpoint> own, std::vector<PeerKeys> peers);

  /// False: the dataplane gets no keys, so that no packet passes.
  void set_serving(bool is_serving);

  void reply(control_port::ReturnReply reply);

  /// Asks the dataplane; Errc::unavailable where there is none.
  void ask_counters(OnCounters done);

 private:
  struct State;

  explicit DataplaneLink(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace allium::control
