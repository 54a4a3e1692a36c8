// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a devnet tells of its network: the document, which its authority signs for the nodes, and the file for clients, which is
// what a node gives them.
//
//   Ownership  owns the authority's key, which is in no file.
//   Errors     of files and of nodes that do not answer. Where nobody waits for an answer they go to standard error, or are tried
//              again the next time.
//   Threads    one.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "control/network/ed25519.hpp"
#include "crypto_accel/base/result.hpp"
#include "tools/devnet/internal/node_set.hpp"
#include "tools/devnet/node.hpp"
#include "tools/devnet/runtime_directory.hpp"

namespace allium::devnet {

class NetworkPublisher {
 public:
  /// The same authority for the same seed; `started_ms` is when documents are valid from.
  NetworkPublisher(RuntimeDirectory directory, std::optional<std::uint64_t> seed,
                   std::uint64_t started_ms);

  [[nodiscard]] control::IdentityKey authority() const { return authority_.public_key(); }

  /// Writes a new document, with all nodes in it.
  [[nodiscard]] Result<void> publish(const NodeSet& nodes);

  /// Publishes again long before the document ends: a devnet may run for weeks.
  void renew(const NodeSet& nodes);

  /// Every ten seconds, writes the file for clients from what one of the nodes that are up says, each in its turn.
  void refresh_client_file(const NodeSet& nodes);

  /// Now, from this node.
  Result<void> write_client_file(Node& node);

 private:
  RuntimeDirectory directory_;
  control::IdentitySecret authority_;
  std::uint64_t started_ms_;
  std::uint64_t serial_ = 0;
  std::uint64_t published_ms_ = 0;
  std::uint64_t refreshed_ms_ = 0;
  std::size_t refresh_from_ = 0;
  std::string client_text_;  ///< what is in the file
};

}  // namespace allium::devnet
