// SPDX-License-Identifier: Apache-2.0
#pragma once

// One relay of a devnet as the supervisor sees it: its keys, its memory, its process, its control connection.
//
//   Ownership  owns keys and memfds for the devnet's life, process and connection for one start.
//   Errors     Errc::unavailable with the last line of the relay's log.
//   Threads    one.

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/node/node_keys.hpp"
#include "crypto_accel/base/result.hpp"
#include "dataplane/control_port/controller.hpp"
#include "tools/devnet/runtime_directory.hpp"
#include "tools/devnet/seeded_random.hpp"
#include "tools/devnet/service_process.hpp"

namespace allium::devnet {

enum class NodeState : std::uint8_t { down, starting, up, killed };

[[nodiscard]] const char* node_state_name(NodeState state) noexcept;

struct NodePlan {
  std::size_t index = 0;
  int network_namespace = -1;
  std::string dataplane_program;
  bool no_huge = false;
  std::size_t worker_count = 1;
  std::optional<std::uint64_t> seed;
  std::uint64_t started_ms = 0;  ///< of the devnet: keeps short-lived keys of equal seeds apart
  std::string service_program;   ///< alliumd; empty: the node only forwards packets
  control::IdentityKey authority{};
};

class Node {
 public:
  static Result<std::unique_ptr<Node>> create(const NodePlan& plan,
                                              const RuntimeDirectory& directory);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  [[nodiscard]] const std::vector<onion::Endpoint>& endpoints() const noexcept {
    return endpoints_;
  }

  [[nodiscard]] control::NodeKeys& keys() noexcept { return *keys_; }

  /// Null: the node only forwards packets.
  [[nodiscard]] ServiceProcess* service() noexcept { return service_.get(); }

  [[nodiscard]] NodeState state() const noexcept { return state_; }

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  [[nodiscard]] unsigned starts() const noexcept { return starts_; }

  [[nodiscard]] std::uint64_t accepts_from_ms() const noexcept { return accepts_from_ms_; }

  [[nodiscard]] int network_namespace() const noexcept { return plan_.network_namespace; }

  [[nodiscard]] int control_descriptor() const noexcept;

  /// Starts the process; the control connection comes with connect_if_ready().
  Result<void> spawn(std::uint64_t now_ms);

  /// Connects, configures and publishes as soon as the process listens. True: it is up now. False: not yet.
  Result<bool> connect_if_ready(std::span<const control::PeerKeys> peers, std::uint64_t now_ms);

  /// New keys for the running dataplane.
  Result<void> publish(std::span<const control::PeerKeys> peers, std::uint64_t now_ms);

  Result<control_port::Counters> counters();

  /// Takes deliveries to services of this node and forgets them: a devnet has no storage yet.
  Result<void> drain();

  /// SIGKILL to all of the node, as a loss of power would do it.
  void kill_now() noexcept;

  /// SIGTERM, then SIGKILL after a second.
  void stop() noexcept;

  /// The process `pid()` has ended and was reaped.
  void on_exit() noexcept;

  /// The last line that the process wrote.
  [[nodiscard]] std::string last_words() const;

 private:
  Node(const NodePlan& plan, const RuntimeDirectory& directory);

  Result<void> create_service(const control::Seed& seed);
  static Random random_for(void* self, const char* purpose, std::uint64_t index);
  [[noreturn]] void run_dataplane() const;

  NodePlan plan_;
  RuntimeDirectory directory_;
  std::string name_;
  std::vector<onion::Endpoint> endpoints_;
  std::unique_ptr<SeededRandom> seeded_;
  std::unique_ptr<control::NodeKeys> keys_;
  std::unique_ptr<ServiceProcess> service_;
  int replay_memory_ = -1;
  int handle_memory_ = -1;
  NodeState state_ = NodeState::down;
  pid_t pid_ = -1;
  unsigned starts_ = 0;
  std::uint64_t spawned_ms_ = 0;
  std::uint64_t accepts_from_ms_ = 0;
  std::optional<control_port::Controller> controller_;
};

}  // namespace allium::devnet
