// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/no_drop_options.hpp"

#include <getopt.h>

#include "dataplane/onion/burst.hpp"
#include "tools/bench/offered_load.hpp"
#include "tools/bench/option_words.hpp"

namespace allium::bench {
namespace {

enum Word : int {
  kClass = 1,
  kIp,
  kSessions,
  kPackets,
  kBurst,
  kReplayMpps,
  kTrialSeconds,
  kStepPercent,
  kNoHuge,
};

constexpr option kWords[] = {{"class", required_argument, nullptr, kClass},
                             {"ip", required_argument, nullptr, kIp},
                             {"sessions", required_argument, nullptr, kSessions},
                             {"packets", required_argument, nullptr, kPackets},
                             {"burst", required_argument, nullptr, kBurst},
                             {"replay-mpps", required_argument, nullptr, kReplayMpps},
                             {"trial-seconds", required_argument, nullptr, kTrialSeconds},
                             {"step-percent", required_argument, nullptr, kStepPercent},
                             {"no-huge", no_argument, nullptr, kNoHuge},
                             {nullptr, 0, nullptr, 0}};

bool take_option(int word, const char* value, NoDropOptions& options) {
  ForwardOptions& traffic = options.traffic;
  switch (word) {
    case kClass:
      return parse_choice(value, kDataClasses, traffic.packet_class);
    case kIp:
      return parse_choice(value, kFamilies, traffic.is_v6);
    case kSessions:
      return parse_number<std::size_t>(value, 1, 1'000'000, traffic.sessions);
    case kPackets:
      return parse_number(value, kOfferedPacketsMin, kLoopPacketsMax, traffic.packets);
    case kBurst:
      return parse_number<std::size_t>(value, 1, onion::kBurstMax, traffic.burst);
    case kReplayMpps:
      return parse_number(value, 0.001, kReplayMppsMax, traffic.replay_mpps);
    case kTrialSeconds:
      return parse_number(value, 0.01, 600.0, options.trial_seconds);
    case kStepPercent:
      return parse_number(value, 0.1, 50.0, options.step_percent);
    case kNoHuge:
      traffic.pages = dataplane::Pages::small;
      return true;
    default:
      return false;
  }
}

}  // namespace

std::optional<NoDropOptions> parse_no_drop_options(int argc, char** argv) {
  NoDropOptions options;
  options.traffic.backend = Backend::ring;
  optind = 1;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the only thread
  for (int word = 0; (word = getopt_long(argc, argv, "", kWords, nullptr)) != -1;) {
    if (!take_option(word, optarg, options)) {
      return std::nullopt;
    }
  }
  if (optind != argc || options.traffic.packets % options.traffic.burst != 0) {
    return std::nullopt;
  }
  return options;
}

}  // namespace allium::bench
