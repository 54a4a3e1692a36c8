// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the supervisor answers to the verbs of the command: status, counters, down, kill, start, namespace.
//
//   Ownership  keeps references to what it is made with.
//   Errors     an answer {"error": text, "code": Errc}, which ask_supervisor() makes an error again.
//   Threads    one. `start` answers when the node is up, which may take half a minute.

#include <cstdint>
#include <string>

#include <boost/json/object.hpp>

#include "tools/devnet/internal/network_publisher.hpp"
#include "tools/devnet/internal/node_set.hpp"
#include "tools/devnet/runtime_directory.hpp"

namespace allium::devnet {

class Verbs {
 public:
  Verbs(NodeSet& nodes, NetworkPublisher& network, RuntimeDirectory directory,
        std::uint64_t started_ms);

  [[nodiscard]] boost::json::object answer(const boost::json::object& request);

  /// `down` was among them.
  [[nodiscard]] bool is_down_asked() const noexcept { return is_down_asked_; }

 private:
  [[nodiscard]] boost::json::object status() const;
  [[nodiscard]] boost::json::object counters(const boost::json::object& request) const;
  [[nodiscard]] boost::json::object answer_about(Node& node, const std::string& verb);
  [[nodiscard]] boost::json::object start(Node& node);

  NodeSet& nodes_;
  NetworkPublisher& network_;
  RuntimeDirectory directory_;
  std::uint64_t started_ms_;
  bool is_down_asked_ = false;
};

}  // namespace allium::devnet
