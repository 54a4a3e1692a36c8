// SPDX-License-Identifier: Apache-2.0
#pragma once

// The command line of allium-dp.
//
//   Errors     one line on standard error and an exit code.
//   Threads    the main thread, once: getopt.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/engine/eal.hpp"

namespace allium::dataplane {

inline constexpr int kExitUsage = 2;
inline constexpr int kExitFailed = 1;

struct Options {
  EalConfig eal;
  bool has_pages = false;  ///< --huge or --no-huge was given
  std::string control_path;
  std::uint16_t onion_port = 22100;
  std::size_t workers = 1;
  unsigned setup_share_percent = 25;
  std::vector<int> lcores;
  std::vector<std::array<std::uint8_t, 16>> addresses;  ///< of devices without an interface
  std::optional<MacAddress> next_hop;
};

/// An exit code where the program ends here: --help, or something wrong, which has been said.
[[nodiscard]] std::optional<int> read_options(int argc, char** argv, Options& options);

/// The value of `key` in a device string, such as "role"; empty where there is none.
[[nodiscard]] std::string argument_of(const std::string& vdev, const std::string& key);

[[nodiscard]] bool is_memif(const std::string& vdev);

/// The value of "iface=" in a device string; empty where there is none.
[[nodiscard]] std::string interface_of(const std::string& vdev);

/// Says one line on standard error. Returns `code`.
int complain(int code, const std::string& text);

}  // namespace allium::dataplane
