// SPDX-License-Identifier: Apache-2.0
#pragma once

// The alliumd of one node of a devnet: its configuration, its identity in memory, its process. Does for it what systemd's
// file descriptor store does on a box.
//
//   Ownership  owns the process for one start, and for the devnet's life the memory with the identity and the node's
//              short-lived keys, replay set and handle table: no secret of a node is written to a disk.
//   Errors     Errc::unavailable, Errc::io.
//   Threads    one.

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "control/network/network_document.hpp"
#include "control/node/identity_file.hpp"
#include "crypto_accel/base/result.hpp"
#include "dataplane/onion/endpoint.hpp"
#include "tools/devnet/runtime_directory.hpp"

namespace allium::devnet {

inline constexpr std::uint16_t kHttpsPort = 22021;
inline constexpr std::uint16_t kOmqPort = 22020;

struct ServicePlan {
  std::string program;  ///< alliumd
  std::string node;
  int network_namespace = -1;
  std::vector<onion::Endpoint> endpoints;
  control::IdentityKey authority{};
  std::string document;  ///< where it gets the network document: a path or a URL
};

/// Of so many nodes each, in their order: swarms of about five, with the ids that oxend's chain would give them one after the other.
[[nodiscard]] std::vector<control::ServiceEntry> service_entries(std::size_t node_count);

class ServiceProcess {
 public:
  static Result<std::unique_ptr<ServiceProcess>> create(ServicePlan plan,
                                                        const RuntimeDirectory& directory,
                                                        const control::Seed& seed);
  ~ServiceProcess();
  ServiceProcess(const ServiceProcess&) = delete;
  ServiceProcess& operator=(const ServiceProcess&) = delete;

  /// -1 where it does not run.
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  Result<void> spawn();

  /// Asks on its status socket; waits half a second.
  [[nodiscard]] Result<boost::json::object> ask(const char* question) const;

  void kill_now() noexcept;

  /// SIGTERM, then SIGKILL after five seconds: it writes what it has.
  void stop() noexcept;

  /// The process `pid()` has ended and was reaped.
  void on_exit() noexcept { pid_ = -1; }

  /// The last line that the process wrote.
  [[nodiscard]] std::string last_words() const;

 private:
  ServiceProcess(ServicePlan plan, const RuntimeDirectory& directory)
      : plan_(std::move(plan)), directory_(directory) {}

  Result<void> write_configuration() const;
  [[noreturn]] void run() const;
  void hand_over_memory() const;

  [[nodiscard]] std::string path(const char* what) const {
    return directory_.path + "/" + plan_.node + "." + what;
  }

  ServicePlan plan_;
  RuntimeDirectory directory_;
  int identity_ = -1;
  std::array<int, 3> memory_{-1, -1, -1};  ///< by control::NodeMemory::kNames
  pid_t pid_ = -1;
};

}  // namespace allium::devnet
