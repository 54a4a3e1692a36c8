// SPDX-License-Identifier: Apache-2.0
#pragma once

// alliumd from start to end: identity, store, registry, service node, the local socket, systemd.
//
//   Ownership  owns everything; the configuration is a copy.
//   Errors     start(): whatever keeps the node from serving, in one line.
//   Threads    run() is the service thread; the store and libzmq have threads of their own.

#include <memory>

#include "control/manage/configuration.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

class Daemon {
 public:
  explicit Daemon(Configuration configuration);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  [[nodiscard]] Result<void> start();

  /// Until SIGTERM or SIGINT. Everything that was acknowledged is on disk when it returns.
  void run();

 private:
  struct State;

  std::unique_ptr<State> state_;
};

}  // namespace allium::control
