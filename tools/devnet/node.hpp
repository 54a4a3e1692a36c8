// SPDX-License-Identifier: Apache-2.0
#pragma once

// One node of a devnet as the supervisor sees it: its two processes, allium-dp and alliumd, and the memory that outlives them.
//
//   Ownership  owns the memory for the devnet's life, the processes for one start.
//   Errors     Errc::unavailable with the last line of a log; Errc::timeout.
//   Threads    one.

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "control/network/ed25519.hpp"
#include "crypto_accel/base/result.hpp"
#include "dataplane/onion/endpoint.hpp"
#include "tools/devnet/runtime_directory.hpp"
#include "tools/devnet/service_process.hpp"

namespace allium::devnet {

enum class NodeState : std::uint8_t { down, starting, up, killed };

[[nodiscard]] const char* node_state_name(NodeState state) noexcept;

struct NodePlan {
  std::size_t index = 0;
  int network_namespace = -1;
  std::string dataplane_program;
  std::string service_program;
  bool no_huge = false;
  std::size_t worker_count = 1;
  std::optional<std::uint64_t> seed;
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

  [[nodiscard]] const control::IdentityKey& identity() const noexcept { return identity_; }

  [[nodiscard]] std::uint32_t id() const noexcept { return control::relay_id(identity_); }

  [[nodiscard]] ServiceProcess& service() noexcept { return *service_; }

  [[nodiscard]] NodeState state() const noexcept { return state_; }

  /// Of allium-dp; -1: it does not run.
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  /// Of allium-dp.
  [[nodiscard]] unsigned starts() const noexcept { return starts_; }

  /// Unix milliseconds, of the start that is up.
  [[nodiscard]] std::uint64_t accepts_from_ms() const noexcept { return accepts_from_ms_; }

  [[nodiscard]] int network_namespace() const noexcept { return plan_.network_namespace; }

  /// Starts those of its processes that do not run.
  Result<void> spawn(std::uint64_t now_ms);

  /// True: it is up now, linked with `relays` other relays, and knows its swarm. False: not yet. Asks at most every 50 ms.
  Result<bool> look_whether_up(std::size_t relays, std::uint64_t now_ms);

  /// As alliumd gives it.
  [[nodiscard]] Result<boost::json::object> counters() const;

  /// SIGKILL to all of the node, as a loss of power would do it.
  void kill_now() noexcept;

  /// SIGTERM, then SIGKILL.
  void stop() noexcept;

  /// The process `pid()` has ended and was reaped.
  void on_exit() noexcept;

  /// The last line that allium-dp wrote.
  [[nodiscard]] std::string last_words() const;

 private:
  Node(const NodePlan& plan, const RuntimeDirectory& directory);

  [[noreturn]] void run_dataplane() const;

  NodePlan plan_;
  RuntimeDirectory directory_;
  std::string name_;
  std::vector<onion::Endpoint> endpoints_;
  control::IdentityKey identity_{};
  std::unique_ptr<ServiceProcess> service_;
  NodeState state_ = NodeState::down;
  pid_t pid_ = -1;
  unsigned starts_ = 0;
  std::uint64_t spawned_ms_ = 0;
  std::uint64_t looked_ms_ = 0;
  std::uint64_t accepts_from_ms_ = 0;
};

}  // namespace allium::devnet
