// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where a devnet keeps what others need to find it: socket, network file, authority key, logs. No secrets.
//
//   Errors     Errc::refused: the folder belongs to somebody else; Errc::io.
//   Threads    reentrant.

#include <string>

#include "crypto_accel/base/result.hpp"

namespace allium::devnet {

struct RuntimeDirectory {
  std::string path;

  [[nodiscard]] std::string socket() const { return path + "/supervisor.sock"; }

  [[nodiscard]] std::string state() const { return path + "/state"; }

  [[nodiscard]] std::string lock() const { return path + "/lock"; }

  /// Says that the folder is a devnet's: nothing is removed from one without it.
  [[nodiscard]] std::string mark() const { return path + "/allium-devnet"; }

  /// For the nodes: the network document as its authority signed it.
  [[nodiscard]] std::string document() const { return path + "/document"; }

  /// For clients: the document and all records, as a node gives them.
  [[nodiscard]] std::string network() const { return path + "/network"; }

  [[nodiscard]] std::string authority() const { return path + "/authority"; }

  [[nodiscard]] std::string node_socket(const std::string& node) const {
    return path + "/" + node + ".sock";
  }

  [[nodiscard]] std::string service_socket(const std::string& node) const {
    return path + "/" + node + ".service";
  }

  [[nodiscard]] std::string node_log(const std::string& node) const {
    return path + "/" + node + ".log";
  }
};

/// ALLIUM_DEVNET_DIR, else $XDG_RUNTIME_DIR/allium-devnet, else /run/allium-devnet for root, else
/// /tmp/allium-devnet-UID. Not created.
[[nodiscard]] RuntimeDirectory runtime_directory();

/// Creates it with mode 0700, or takes it if it is the caller's own and empty, or a devnet's. Errc::refused: it is
/// something else.
[[nodiscard]] Result<void> create_runtime_directory(const RuntimeDirectory& directory);

/// Makes the caller the only one that runs a devnet there, for as long as the descriptor (or a copy that a
/// child inherits) is open. Errc::refused: somebody does already.
[[nodiscard]] Result<int> lock_runtime_directory(const RuntimeDirectory& directory);

/// Removes what a devnet that crashed has left, its nodes' data too; for the holder of the lock.
void clear_runtime_directory(const RuntimeDirectory& directory);

/// Somebody holds the lock: a devnet runs, starts or ends there.
[[nodiscard]] bool is_locked(const RuntimeDirectory& directory) noexcept;

/// Removes what a devnet makes in it, by name, and the folder itself when nothing else is in there. False: there was no such
/// folder. Errc::refused: it is no devnet's, or another user's; nothing was removed.
Result<bool> remove_runtime_directory(const RuntimeDirectory& directory);

}  // namespace allium::devnet
