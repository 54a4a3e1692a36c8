// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/bare_relay.hpp"

#include <utility>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/kernel_registry.hpp"
#include "dataplane/onion/time_index.hpp"
#include "tools/bench/set_memory.hpp"
#include "tools/bench/traffic.hpp"

namespace allium::bench {
namespace {

constexpr onion::HandleLimits kHandleLimits{64, 0, 0};

// No path is opened here.
bool take_no_salt(void*, std::uint64_t, std::uint64_t&) noexcept {
  return false;
}

bool take_number(void* counter, std::uint64_t, std::uint64_t& number) noexcept {
  number = (*static_cast<std::uint64_t*>(counter))++;
  return true;
}

std::size_t replay_lines(std::size_t packet_count) {
  return onion::ReplaySet::lines_for(packet_count / onion::kSlotSeconds + 1);
}

template <typename T>
T taken(Result<T> result) {
  ALLIUM_CHECK(result);  // sizes and keys are our own
  return std::move(*result);
}

crypto_accel::KernelSet portable_kernels() {
  return {&crypto_accel::onion_kernels().front(), &crypto_accel::x25519_kernels().front(),
          &crypto_accel::aead_kernels().front()};
}

}  // namespace

struct BareRelay::State {
  State(const onion::SnapshotConfig& config, std::size_t packets_max)
      : replay_memory(onion::ReplaySet::bytes_needed(replay_lines(packets_max))),
        handle_memory(onion::HandleTable::bytes_needed(kHandleLimits)),
        replay(
            taken(onion::ReplaySet::attach(replay_memory.bytes(), replay_lines(packets_max), 0))),
        handles(taken(onion::HandleTable::attach(handle_memory.bytes(), kHandleLimits, 1))),
        batch(*portable_kernels().onion),
        snapshot(taken(onion::RelaySnapshot::build(config, batch))) {}

  SetMemory replay_memory;
  SetMemory handle_memory;
  onion::ReplaySet replay;
  onion::HandleTable handles;
  onion::Bridge bridge;
  crypto_accel::OnionBatch batch;
  std::unique_ptr<const onion::RelaySnapshot> snapshot;
  std::uint64_t sequence = 0;
  std::unique_ptr<onion::Relay> relay;
};

BareRelay::BareRelay(const onion::SnapshotConfig& snapshot, std::size_t packets_max,
                     onion::DeliverySink sink)
    : state_(std::make_unique<State>(snapshot, packets_max)) {
  onion::RelayParts parts{};
  parts.kernels = portable_kernels();
  parts.replay = &state_->replay;
  parts.handles = &state_->handles;
  parts.bridge = &state_->bridge;
  parts.sequence = {&state_->sequence, take_number};
  parts.salt = {nullptr, take_no_salt};
  parts.random = system_random();
  parts.sink = sink;
  state_->relay = std::make_unique<onion::Relay>(parts);
  state_->replay.raise_floor(onion::slot_of(Traffic::kNowMs) - 1);
  state_->replay.clear_all_due();
}

BareRelay::~BareRelay() = default;

void BareRelay::run(onion::Burst& burst) noexcept {
  state_->relay->run(*state_->snapshot, burst, Traffic::kNowMs);
}

}  // namespace allium::bench
