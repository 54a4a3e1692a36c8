// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/forward_options.hpp"

#include <getopt.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

#include "dataplane/onion/burst.hpp"

namespace allium::bench {
namespace {

bool parse_size(const char* text, std::size_t low, std::size_t high, std::size_t& target) {
  const char* end = text + std::strlen(text);
  const auto [rest, error] = std::from_chars(text, end, target);
  return error == std::errc() && rest == end && target >= low && target <= high;
}

bool parse_class(std::string_view text, onion::PacketClass& target) {
  target = text == "v" ? onion::PacketClass::v : onion::PacketClass::d;
  return text == "d" || text == "v";
}

bool take_option(int flag, const char* value, ForwardOptions& options) {
  switch (flag) {
    case 'c':
      return parse_class(value, options.packet_class);
    case 's':
      return parse_size(value, 1, 1'000'000, options.sessions);
    case 'p':
      return parse_size(value, 1, kLoopPacketsMax, options.packets);
    case 'r':
      return parse_size(value, 1, 1000, options.repeats);
    case 'n':
      return parse_size(value, 1, 1000, options.passes);
    case 'b':
      return parse_size(value, 1, onion::kBurstMax, options.burst);
    case 'k':
      options.same_replay_key = true;
      return true;
    case 'h':
      options.pages = dataplane::Pages::small;
      return true;
    default:
      return false;
  }
}

}  // namespace

std::optional<ForwardOptions> parse_forward_options(int argc, char** argv) {
  const option known[] = {{"class", required_argument, nullptr, 'c'},
                          {"sessions", required_argument, nullptr, 's'},
                          {"packets", required_argument, nullptr, 'p'},
                          {"repeats", required_argument, nullptr, 'r'},
                          {"passes", required_argument, nullptr, 'n'},
                          {"burst", required_argument, nullptr, 'b'},
                          {"same-replay-key", no_argument, nullptr, 'k'},
                          {"no-huge", no_argument, nullptr, 'h'},
                          {nullptr, 0, nullptr, 0}};
  ForwardOptions options;
  optind = 1;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the only thread
  for (int flag = 0; (flag = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
    if (!take_option(flag, optarg, options)) {
      return std::nullopt;
    }
  }
  if (optind != argc || options.packets % options.burst != 0) {
    return std::nullopt;
  }
  return options;
}

std::size_t loop_packets(const ForwardOptions& options, std::size_t datagram_bytes,
                         std::size_t memory_bytes) {
  if (options.packets != 0) {
    return options.packets;
  }
  std::size_t packets = std::min(kLoopBytes / datagram_bytes, kLoopPacketsMax);
  if (memory_bytes != 0) {
    packets = std::min(packets, memory_bytes / 2 / kPacketBufferBytes);
  }
  return std::max<std::size_t>(packets / options.burst, 1) * options.burst;
}

}  // namespace allium::bench
