// SPDX-License-Identifier: Apache-2.0

// A fixed set of packets through one relay, for counting instructions: portable_path.py runs it under callgrind, which
// counts inside measured_relay alone. Everything is fixed by a seed: keys, packets, time.
//
// usage: portable_path d|v      prints what its count depends on, as JSON

#include <array>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include <boost/json.hpp>
#include <intel-ipsec-mb.h>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/kernel_registry.hpp"
#include "dataplane/onion/time_index.hpp"
#include "tests/property/onion_world.hpp"
#include "tools/bench/set_memory.hpp"

namespace allium::property {
namespace {

constexpr std::size_t kBursts = 8;
constexpr std::size_t kReplayLines = 512;
constexpr std::size_t kBefore = 0;
constexpr std::size_t kTested = 1;
constexpr std::size_t kBehind = 2;
constexpr std::uint64_t kSeed = 20'260'101;

bool take_number(void* state, std::uint64_t, std::uint64_t& number) noexcept {
  number = ++*static_cast<std::uint64_t*>(state);
  return true;
}

/// Datagrams as they come over the link to the relay under test.
std::vector<Buffer> packets_for(World& world, onion::PacketClass packet_class) {
  std::vector<Buffer> packets;
  for (std::size_t i = 0; i < kBursts * onion::kBurstMax; ++i) {
    const ClientPath path = world.make_path({kBefore, kTested, kBehind}, onion::Service::drop);
    const Buffer packet = world.data_packet(path, packet_class, 1 + i);
    const Outcome sent = world.relay(kBefore).run(0, world.client, packet, world.now_ms);
    ALLIUM_CHECK(sent.accepted());
    packets.push_back(sent.datagram);
  }
  return packets;
}

/// The relay under test over a snapshot of the world's, with sets of its own.
class TestedRelay {
 public:
  explicit TestedRelay(std::uint64_t now_ms)
      : replay_memory_(onion::ReplaySet::bytes_needed(kReplayLines)),
        handle_memory_(onion::HandleTable::bytes_needed(onion::HandleLimits{})),
        replay_(onion::ReplaySet::attach(replay_memory_.bytes(), kReplayLines, 0).value()),
        handles_(
            onion::HandleTable::attach(handle_memory_.bytes(), onion::HandleLimits{}, 1).value()),
        random_(kSeed) {
    onion::RelayParts parts;
    parts.kernels = crypto_accel::kernels_from_environment().value();
    parts.replay = &replay_;
    parts.handles = &handles_;
    parts.bridge = &bridge_;
    parts.sequence = {&sequence_, take_number};
    parts.salt = {&salt_, take_number};
    parts.random = random_.source();
    parts.sink = {nullptr, [](void*, const onion::Delivery&) noexcept { return true; }};
    relay_.emplace(parts);
    replay_.raise_floor(onion::slot_of(now_ms) - 1);
    replay_.clear_all_due();
  }

  onion::Relay& relay() { return *relay_; }

 private:
  bench::SetMemory replay_memory_;
  bench::SetMemory handle_memory_;
  onion::ReplaySet replay_;
  onion::HandleTable handles_;
  onion::Bridge bridge_;
  SeededRandom random_;
  std::uint64_t sequence_ = 0;
  std::uint64_t salt_ = 0;
  std::optional<onion::Relay> relay_;
};

}  // namespace

// callgrind knows it by this name.
extern "C" __attribute__((noinline)) void measured_relay(onion::Relay& relay,
                                                         const onion::RelaySnapshot& snapshot,
                                                         onion::Burst& burst,
                                                         std::uint64_t now_ms) noexcept {
  relay.run(snapshot, burst, now_ms);
}

namespace {

std::size_t run_all(World& world, std::vector<Buffer>& packets) {
  TestedRelay tested(world.now_ms);
  std::size_t forwarded = 0;
  for (std::size_t first = 0; first < packets.size(); first += onion::kBurstMax) {
    onion::Burst burst;
    burst.count = onion::kBurstMax;
    for (std::size_t lane = 0; lane < onion::kBurstMax; ++lane) {
      burst.data[lane] = packets[first + lane].data();
      burst.bytes[lane] = static_cast<std::uint16_t>(packets[first + lane].size());
      burst.source[lane] = world.relay(kBefore).endpoint();
    }
    measured_relay(tested.relay(), world.relay(kTested).snapshot(), burst, world.now_ms);
    for (std::size_t lane = 0; lane < onion::kBurstMax; ++lane) {
      forwarded += burst.verdict[lane] == onion::Verdict::forward ? 1U : 0U;
    }
  }
  return forwarded;
}

int run(const std::string& letter) {
  const auto kernels = crypto_accel::kernels_from_environment();
  if (!kernels || (letter != "d" && letter != "v")) {
    std::fprintf(stderr, "error: %s\n",
                 kernels ? "usage: portable_path d|v" : kernels.error().text.c_str());
    return 2;
  }
  WorldOptions options;
  options.seed = kSeed;
  options.relay_count = 3;
  World world(options);
  std::vector<Buffer> packets =
      packets_for(world, letter == "v" ? onion::PacketClass::v : onion::PacketClass::d);
  const std::size_t packet_count = packets.size();
  const std::size_t forwarded = run_all(world, packets);
  const boost::json::object result = {{"packets", packet_count},
                                      {"forwarded", forwarded},
                                      {"kernel", std::string(kernels->onion->name)},
                                      {"compiler", __VERSION__},
                                      {"build", ALLIUM_BUILD},
                                      {"ipsec_mb", imb_get_version_str()}};
  std::printf("%s\n", boost::json::serialize(result).c_str());
  return forwarded == packet_count ? 0 : 1;
}

}  // namespace
}  // namespace allium::property

int main(int argc, char** argv) {
  return allium::property::run(argc == 2 ? argv[1] : "");
}
