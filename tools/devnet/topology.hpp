// SPDX-License-Identifier: Apache-2.0
#pragma once

// The network of a devnet: a namespace with a bridge, and one namespace a node, joined by veth pairs.
//
//        client            bridge br0 10.88.0.1/16, fd88::1/64
//                         /     |      \ .
//                      v1      v2  ...  vN        (this process's namespace)
//                       |       |        |
//                     eth0    eth0     eth0       (a namespace each: 10.88.1.n, fd88::1:n)
//
//   Ownership  the namespaces live as long as the descriptors here; with them go all interfaces.
//   Errors     Errc::unavailable: the machine does not allow it; the text says what to do.
//   Threads    one, single-threaded process: namespaces change with setns.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "crypto_accel/base/result.hpp"
#include "dataplane/onion/endpoint.hpp"

namespace allium::devnet {

inline constexpr std::size_t kNodesMax = 64;
inline constexpr std::uint16_t kOnionPort = 22100;

/// Leaves the caller's network for a new one of its own: as root directly, otherwise in a new user namespace.
Result<void> leave_host_network();

class Topology {
 public:
  static Result<Topology> create(std::size_t node_count);
  ~Topology();
  Topology(Topology&& other) noexcept = default;
  Topology& operator=(Topology&&) = delete;

  [[nodiscard]] std::size_t node_count() const noexcept { return nodes_.size(); }

  /// Of node `index` (0 based): a descriptor of its network namespace.
  [[nodiscard]] int namespace_of(std::size_t index) const noexcept { return nodes_[index]; }

 private:
  Topology() = default;

  std::vector<int> nodes_;
};

/// n1, n2, ...
[[nodiscard]] std::string node_name(std::size_t index);

/// IPv4 first: that is the address that relays use among each other.
[[nodiscard]] std::vector<onion::Endpoint> node_endpoints(std::size_t index);

}  // namespace allium::devnet
