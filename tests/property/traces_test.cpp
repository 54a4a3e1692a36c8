// SPDX-License-Identifier: Apache-2.0

// A relay has its kernel clear what is left of keys at the end of every burst, whatever becomes of the packets.

#include <optional>

#include <gtest/gtest.h>

#include "crypto_accel/kernel_registry.hpp"
#include "dataplane/onion/time_index.hpp"
#include "onion_world.hpp"
#include "tests/unit/onion/aligned_memory.hpp"

namespace allium::property {
namespace {

constexpr std::size_t kReplayLines = 512;
constexpr std::size_t kBefore = 0;
constexpr std::size_t kTested = 1;
constexpr std::size_t kBehind = 2;

std::size_t cleared = 0;
void (*clear_traces)(void*) noexcept = nullptr;

void count_clearing(void* state) noexcept {
  ++cleared;
  clear_traces(state);
}

bool take_number(void* state, std::uint64_t, std::uint64_t& number) noexcept {
  number = ++*static_cast<std::uint64_t*>(state);
  return true;
}

class Traces : public testing::Test {
 protected:
  Traces() {
    cleared = 0;
    onion::RelayParts parts;
    parts.kernels = crypto_accel::kernels_from_environment().value();
    clear_traces = parts.kernels.onion->clear_traces;
    counted_ = *parts.kernels.onion;
    counted_.clear_traces = count_clearing;
    parts.kernels.onion = &counted_;
    replay_.emplace(onion::ReplaySet::attach(replay_memory_.span(), kReplayLines,
                                             onion::slot_of(world_.now_ms) - 1)
                        .value());
    replay_->clear_all_due();
    handles_.emplace(
        onion::HandleTable::attach(handle_memory_.span(), onion::HandleLimits{}, 1).value());
    parts.replay = &*replay_;
    parts.handles = &*handles_;
    parts.bridge = &bridge_;
    parts.sequence = {&sequence_, take_number};
    parts.salt = {&salt_, take_number};
    parts.random = system_random();
    relay_.emplace(parts);
  }

  Buffer packet() {
    const ClientPath path = world_.make_path({kBefore, kTested, kBehind}, onion::Service::drop);
    const Outcome sent = world_.relay(kBefore).run(
        0, world_.client, world_.data_packet(path, onion::PacketClass::d, 1), world_.now_ms);
    EXPECT_TRUE(sent.accepted());
    return sent.datagram;
  }

  onion::Verdict run(Buffer& datagram) {
    onion::Burst burst;
    burst.count = 1;
    burst.data[0] = datagram.data();
    burst.bytes[0] = static_cast<std::uint16_t>(datagram.size());
    burst.source[0] = world_.relay(kBefore).endpoint();
    relay_->run(world_.relay(kTested).snapshot(), burst, world_.now_ms);
    return burst.verdict[0];
  }

  static WorldOptions options() {
    WorldOptions options;
    options.relay_count = 3;
    return options;
  }

  World world_{options()};
  crypto_accel::OnionKernel counted_{};
  onion::AlignedMemory replay_memory_{onion::ReplaySet::bytes_needed(kReplayLines)};
  onion::AlignedMemory handle_memory_{onion::HandleTable::bytes_needed(onion::HandleLimits{})};
  std::optional<onion::ReplaySet> replay_;
  std::optional<onion::HandleTable> handles_;
  onion::Bridge bridge_;
  std::uint64_t sequence_ = 0;
  std::uint64_t salt_ = 0;
  std::optional<onion::Relay> relay_;
};

TEST_F(Traces, AreClearedWhereAPacketGoesOn) {
  Buffer datagram = packet();
  EXPECT_EQ(run(datagram), onion::Verdict::forward);
  EXPECT_EQ(cleared, 1U);
}

TEST_F(Traces, AreClearedWhereNothingIsSent) {
  Buffer datagram = packet();
  Buffer again = datagram;
  Buffer garbage = datagram;
  garbage[onion::kTagOffset] ^= 1;
  EXPECT_EQ(run(garbage), onion::Verdict::ll_tag);
  EXPECT_EQ(cleared, 1U);
  EXPECT_EQ(run(datagram), onion::Verdict::forward);
  EXPECT_EQ(run(again), onion::Verdict::replay);
  EXPECT_EQ(cleared, 3U);
}

}  // namespace
}  // namespace allium::property
