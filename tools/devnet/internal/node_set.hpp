// SPDX-License-Identifier: Apache-2.0
#pragma once

// The nodes of a devnet and the lives of their processes: they start, come up, are started again where they crash, and end.
//
//   Ownership  owns the nodes.
//   Errors     while `up` waits they are told to it; later they go to standard error.
//   Threads    one.
//   Limits     after kCrashRestartsMax crashes in all, a process that crashes stays down.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crypto_accel/base/result.hpp"
#include "tools/devnet/internal/start_report.hpp"
#include "tools/devnet/node.hpp"

namespace allium::devnet {

class NodeSet {
 public:
  static constexpr unsigned kCrashRestartsMax = 20;

  using Nodes = std::vector<std::unique_ptr<Node>>;

  void add(std::unique_ptr<Node> node) { nodes_.push_back(std::move(node)); }

  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }

  [[nodiscard]] Node& at(std::size_t index) const { return *nodes_.at(index); }

  [[nodiscard]] Nodes::const_iterator begin() const noexcept { return nodes_.begin(); }

  [[nodiscard]] Nodes::const_iterator end() const noexcept { return nodes_.end(); }

  /// By its name, or by the beginning of its id in hex. Null: none has it, or more than one.
  [[nodiscard]] Node* find(std::string_view name_or_id) const;

  [[nodiscard]] std::size_t count_up() const { return count(NodeState::up); }

  [[nodiscard]] bool is_any_starting() const { return count(NodeState::starting) > 0; }

  [[nodiscard]] Result<void> spawn_all() const;

  /// Asks those that are starting. True: some are up now that were not. One that does not come up is stopped.
  [[nodiscard]] bool look_which_are_up(const StartReport& report) const;

  /// Starts one that is down and returns when it is up. Errc::refused: it runs. Otherwise as Node says.
  [[nodiscard]] Result<void> start(Node& node) const;

  /// After a SIGCHLD: processes that have ended by themselves are started again, but not while `up` waits for them.
  void reap(const StartReport& report);

  /// Ends all processes and forgets the nodes.
  void end_all();

 private:
  [[nodiscard]] std::size_t count(NodeState state) const;
  [[nodiscard]] std::size_t others_running() const;
  void dataplane_ended(Node& node, const StartReport& report);
  void service_ended(Node& node, const StartReport& report);
  [[nodiscard]] bool may_restart();

  Nodes nodes_;
  unsigned crash_restarts_ = 0;
};

/// As people are shown it, and as find() takes it.
[[nodiscard]] std::string hex_id(const Node& node);

}  // namespace allium::devnet
