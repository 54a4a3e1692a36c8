// SPDX-License-Identifier: Apache-2.0
#pragma once

// allium-dp processes in network namespaces, over af_packet on veth:
//
//   test's own namespace                     one namespace a relay
//   client socket -- bridge br0 --+-- veth1 -- eth0 : allium-dp
//                   .100          +-- veth2 -- eth0 : allium-dp   ...
//
//   Ownership  kills its processes at the end; the namespaces go with the test's own.
//   Threads    one.

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "client_net.hpp"
#include "dataplane/control_port/controller.hpp"

namespace allium::dataplane {

struct NamespaceOptions {
  std::size_t relay_count = 4;
  bool is_ipv6 = false;
  std::vector<std::string> more_arguments;  ///< of allium-dp
};

/// Puts the calling process into a network namespace of its own; `unprivileged`: as an ordinary user, in a user
/// namespace. False: this machine does not allow it. The process must have one thread.
[[nodiscard]] bool enter_namespaces(bool unprivileged);

class NamespaceWorld final : public ClientNet {
 public:
  /// Requires enter_namespaces().
  explicit NamespaceWorld(const NamespaceOptions& options);
  ~NamespaceWorld() override;

  [[nodiscard]] std::uint64_t now_ms() const override;
  [[nodiscard]] RelayName relay_name(std::size_t index) const override;
  bool send(std::size_t relay_index, Bytes datagram) override;
  [[nodiscard]] std::vector<Arrived> collect(std::size_t count) override;
  [[nodiscard]] control_port::Counters counters(std::size_t relay_index) override;
  void crash(std::size_t relay_index) override;

  /// SIGTERM; the exit status of the process.
  [[nodiscard]] int stop(std::size_t relay_index);

  /// What the relay's process has said so far.
  [[nodiscard]] std::string talk(std::size_t relay_index) const;

  [[nodiscard]] pid_t process(std::size_t relay_index) const;

 private:
  struct Relay;

  void lay_out(std::size_t relay_count);
  void add_namespace(Relay& relay);
  void start(Relay& relay);
  void connect(Relay& relay);
  void publish(Relay& relay);

  NamespaceOptions options_;
  std::string directory_;
  int client_ = -1;
  std::vector<std::unique_ptr<Relay>> relays_;
};

}  // namespace allium::dataplane
