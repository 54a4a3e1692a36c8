// SPDX-License-Identifier: Apache-2.0
#pragma once

// allium.toml: what alliumd is told at start. Every key has a type and bounds; a key that nobody knows is an error.
//
//   Units      sizes in bytes, in the file with KiB, MiB, GiB or TiB.
//   Ownership  values. No secret is in it: secrets are files that it names.
//   Errors     Errc::malformed, Errc::not_found, Errc::refused (no regular file), Errc::io; the text is "file:line: reason".
//   Threads    reentrant.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "control/network/network_document.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

/// Of the configuration's schema; other numbers are refused.
inline constexpr int kConfigurationSchema = 1;

enum class LogFormat : std::uint8_t { key_value, json };
enum class LogLevel : std::uint8_t { debug, info, warn, error };

struct RateSettings {
  std::uint32_t burst = 600;
  std::uint32_t per_second = 300;
};

/// Where keys are in the file that name other files; 1 where they are not said.
struct KeyLines {
  std::uint32_t identity = 1;
  std::uint32_t passphrase = 1;
  std::uint32_t data = 1;
  std::uint32_t document = 1;
  std::uint32_t control_socket = 1;
};

struct Configuration {
  std::string identity_file = "/var/lib/allium/identity";
  std::string passphrase_file;  ///< empty: the identity is not sealed
  std::string data_directory = "/var/lib/allium";

  std::string network_file;  ///< the network bundle, a path or a URL; watched
  Authorities authorities;

  std::vector<boost::asio::ip::tcp::endpoint> https_listen;
  std::vector<boost::asio::ip::tcp::endpoint> omq_listen;

  std::string dataplane_socket;  ///< of allium-dp's control port; empty: this node has no dataplane
  std::uint64_t packets_per_second = 1'000'000;  ///< which the dataplane's replay set is sized for
  std::uint32_t ipv6_clients_max = 65'536;       ///< at a time
  std::uint32_t ipv6_clients_per_host = 64;      ///< of one /64
  std::uint32_t ipv6_clients_per_site = 256;     ///< of one /48

  std::uint64_t store_bytes_max = std::uint64_t{10} << 30;
  RateSettings per_address;
  RateSettings per_account;
  bool may_exit_to_private = false;

  std::string control_socket = "/run/allium/alliumd";
  LogLevel log_level = LogLevel::info;
  LogFormat log_format = LogFormat::key_value;

  KeyLines lines;
};

[[nodiscard]] Result<Configuration> load_configuration(const std::string& path);

/// `name` stands for the file in errors. Looks at no other file; see control/configuration_files.hpp.
[[nodiscard]] Result<Configuration> parse_configuration(std::string_view text,
                                                        const std::string& name);

}  // namespace allium::control
