// SPDX-License-Identifier: Apache-2.0
#include "tools/client/verb.hpp"

#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "tools/client/network_files.hpp"

namespace allium::client {

Talk talk_to_stderr(bool traced) {
  return Talk([](const std::string& line) { fmt::print(stderr, "{}\n", line); }, traced);
}

int report(const Error& error) {
  fmt::print(stderr, "error: {}\n", error.text);
  switch (error.code) {
    case Errc::malformed:
    case Errc::out_of_range:
    case Errc::bad_signature:
      return kExitUsage;
    case Errc::not_found:
    case Errc::unavailable:
    case Errc::timeout:
    case Errc::stale:
    case Errc::io:
    case Errc::unauthorised:
      return kExitUnreachable;
    case Errc::refused:
    case Errc::full:
      return kExitNegative;
    case Errc::internal:
      break;
  }
  return kExitInternal;
}

Result<Run> start_run(const std::string& network_file, const std::string& authority) {
  Result<std::unique_ptr<NetworkSource>> network = open_network(network_file, authority);
  if (!network) {
    return tl::unexpected(network.error());
  }
  Result<std::unique_ptr<UdpWire>> wire = UdpWire::open();
  if (!wire) {
    return tl::unexpected(wire.error());
  }
  (*wire)->catch_interrupts();
  return Run{std::move(*network), std::move(*wire)};
}

Result<void> check_path(const PathChoice& choice, onion::PacketClass packet_class) {
  const std::size_t hop_count = choice.names.empty() ? choice.hop_count : choice.names.size();
  const std::size_t hops_max = onion::header_blocks(packet_class);
  if (hop_count < 1 || hop_count > hops_max) {
    return fail(
        Errc::out_of_range,
        fmt::format("a path of {} hops does not fit packets of class {}: use 1 to {}", hop_count,
                    packet_class == onion::PacketClass::v ? "v" : "d", hops_max));
  }
  return {};
}

std::string in_megabytes(std::uint64_t bytes) {
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

}  // namespace allium::client
