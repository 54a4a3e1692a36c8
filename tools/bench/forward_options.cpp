// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/forward_options.hpp"

#include <getopt.h>

#include <algorithm>
#include <numeric>
#include <string_view>

#include "dataplane/engine/engine.hpp"
#include "dataplane/onion/burst.hpp"
#include "tools/bench/option_words.hpp"

namespace allium::bench {
namespace {

enum Word : int {
  kClass = 1,
  kIp,
  kSessions,
  kPackets,
  kRepeats,
  kPasses,
  kBurst,
  kBadTags,
  kBackend,
  kWorkers,
  kReplayMpps,
  kStages,
  kSameReplayKey,
  kNoHuge,
  kCompareKernels,
  kCompareBurst,
  kCompareBadTags,
  kCompareWorkers,
};

constexpr option kWords[] = {{"class", required_argument, nullptr, kClass},
                             {"ip", required_argument, nullptr, kIp},
                             {"sessions", required_argument, nullptr, kSessions},
                             {"packets", required_argument, nullptr, kPackets},
                             {"repeats", required_argument, nullptr, kRepeats},
                             {"passes", required_argument, nullptr, kPasses},
                             {"burst", required_argument, nullptr, kBurst},
                             {"bad-tags", required_argument, nullptr, kBadTags},
                             {"backend", required_argument, nullptr, kBackend},
                             {"workers", required_argument, nullptr, kWorkers},
                             {"replay-mpps", required_argument, nullptr, kReplayMpps},
                             {"stages", no_argument, nullptr, kStages},
                             {"same-replay-key", no_argument, nullptr, kSameReplayKey},
                             {"no-huge", no_argument, nullptr, kNoHuge},
                             {"compare-kernels", required_argument, nullptr, kCompareKernels},
                             {"compare-burst", required_argument, nullptr, kCompareBurst},
                             {"compare-bad-tags", required_argument, nullptr, kCompareBadTags},
                             {"compare-workers", required_argument, nullptr, kCompareWorkers},
                             {nullptr, 0, nullptr, 0}};

bool parse_size(const char* text, std::size_t low, std::size_t high, std::size_t& target) {
  return parse_number(text, low, high, target);
}

bool parse_size(const char* text, std::size_t low, std::size_t high,
                std::vector<std::size_t>& target) {
  return parse_size(text, low, high, target.emplace_back());
}

constexpr Choice<onion::PacketClass> kClasses[] = {
    {"d", onion::PacketClass::d}, {"v", onion::PacketClass::v}, {"s", onion::PacketClass::s0}};
constexpr Choice<Backend> kBackends[] = {{"pcap", Backend::pcap}, {"ring", Backend::ring}};

bool take_option(int word, const char* value, ForwardOptions& options) {
  switch (word) {
    case kClass:
      return parse_choice(value, kClasses, options.packet_class);
    case kIp:
      return parse_choice(value, kFamilies, options.is_v6);
    case kSessions:
      return parse_size(value, 1, 1'000'000, options.sessions);
    case kPackets:
      return parse_size(value, 1, kLoopPacketsMax, options.packets);
    case kRepeats:
      return parse_size(value, 1, 1000, options.repeats);
    case kPasses:
      return parse_size(value, 1, 1000, options.passes);
    case kBurst:
      return parse_size(value, 1, onion::kBurstMax, options.burst);
    case kBadTags:
      return parse_size(value, 0, 100, options.bad_tags);
    case kBackend:
      return parse_choice(value, kBackends, options.backend);
    case kWorkers:
      return parse_size(value, 1, dataplane::kWorkersMax, options.workers);
    case kReplayMpps:
      return parse_number(value, 0.001, kReplayMppsMax, options.replay_mpps);
    case kStages:
      options.stages = true;
      return true;
    case kSameReplayKey:
      options.same_replay_key = true;
      return true;
    case kNoHuge:
      options.pages = dataplane::Pages::small;
      return true;
    case kCompareKernels:
      options.compare_kernels.emplace_back(value);
      return true;
    case kCompareBurst:
      return parse_size(value, 1, onion::kBurstMax, options.compare_bursts);
    case kCompareBadTags:
      return parse_size(value, 0, 100, options.compare_bad_tags);
    case kCompareWorkers:
      return parse_size(value, 1, dataplane::kWorkersMax, options.compare_workers);
    default:
      return false;
  }
}

std::size_t workers_max(const ForwardOptions& options) {
  std::size_t most = options.workers;
  for (const std::size_t workers : options.compare_workers) {
    most = std::max(most, workers);
  }
  return most;
}

bool go_together(const ForwardOptions& options) {
  const std::size_t step = packet_step(options);
  return step <= kLoopPacketsMax && options.packets % step == 0 &&
         (options.backend == Backend::ring || workers_max(options) == 1) &&
         (!options.stages || options.workers == 1);
}

}  // namespace

std::optional<ForwardOptions> parse_forward_options(int argc, char** argv) {
  ForwardOptions options;
  optind = 1;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the only thread
  for (int word = 0; (word = getopt_long(argc, argv, "", kWords, nullptr)) != -1;) {
    if (!take_option(word, optarg, options)) {
      return std::nullopt;
    }
  }
  if (optind != argc || !go_together(options)) {
    return std::nullopt;
  }
  return options;
}

std::vector<std::size_t> bad_tag_inputs(const ForwardOptions& options) {
  std::vector<std::size_t> inputs = {options.bad_tags};
  for (const std::size_t percent : options.compare_bad_tags) {
    if (std::find(inputs.begin(), inputs.end(), percent) == inputs.end()) {
      inputs.push_back(percent);
    }
  }
  return inputs;
}

std::size_t packet_step(const ForwardOptions& options) {
  std::size_t step = options.burst * options.workers;
  for (const std::size_t burst : options.compare_bursts) {
    step = std::lcm(step, burst * options.workers);
  }
  for (const std::size_t workers : options.compare_workers) {
    step = std::lcm(step, options.burst * workers);
  }
  return step;
}

std::size_t loop_packets(const ForwardOptions& options, std::size_t datagram_bytes,
                         std::size_t memory_bytes) {
  if (options.packets != 0) {
    return options.packets;
  }
  std::size_t packets = options.packet_class == onion::PacketClass::s0
                            ? kSetupLoopPackets
                            : std::min(kLoopBytes / datagram_bytes, kLoopPacketsMax);
  if (memory_bytes != 0) {
    const std::size_t packet_bytes = kPacketBufferBytes * bad_tag_inputs(options).size();
    packets = std::min(packets, memory_bytes / 2 / packet_bytes);
  }
  const std::size_t step = packet_step(options);
  return std::max<std::size_t>(packets / step, 1) * step;
}

}  // namespace allium::bench
