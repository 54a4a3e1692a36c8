// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/offered_load.hpp"

#include <algorithm>

#include "dataplane/engine/device_io.hpp"

namespace allium::bench {
namespace {

constexpr std::size_t kOfferedAtOnce = 32;
constexpr std::uint64_t kOwedMax = (kRingFrames + 1) / 4;
constexpr double kInterruptionSeconds = 200e-6;  // a turn takes a tenth of it
constexpr double kPatienceSeconds = 5;

std::uint64_t cycles_of(double seconds) {
  return static_cast<std::uint64_t>(seconds * static_cast<double>(dataplane::tsc_hz()));
}

/// When packets are due.
class Pace {
 public:
  explicit Pace(double pps)
      : packets_per_cycle_(pps / static_cast<double>(dataplane::tsc_hz())),
        begin_(dataplane::tsc_now()) {}

  /// How many packets are due now, at most kOfferedAtOnce. A generator that was held up does not send all that it owes: no network
  /// would.
  std::uint64_t due(std::uint64_t offered) {
    const double passed = static_cast<double>(dataplane::tsc_now() - begin_) * packets_per_cycle_;
    const double owed = passed - skipped_ - static_cast<double>(offered);
    if (owed > static_cast<double>(kOwedMax)) {
      skipped_ += owed - static_cast<double>(kOwedMax);
    }
    return static_cast<std::uint64_t>(std::clamp(owed, 0.0, static_cast<double>(kOfferedAtOnce)));
  }

 private:
  double packets_per_cycle_;
  double skipped_ = 0;
  std::uint64_t begin_;
};

}  // namespace

OfferedLoad::OfferedLoad(BenchDevices& devices, Contender& relay, std::size_t packet_count, int cpu)
    : devices_(devices),
      relay_(relay),
      packet_count_(packet_count),
      received_before_(relay.counters().received),
      thread_([this, cpu] { run_relay(cpu); }) {}

OfferedLoad::~OfferedLoad() {
  is_ending_ = true;
  thread_.join();
}

void OfferedLoad::run_relay(int cpu) {
  const dataplane::PacketThread registered(cpu);
  const std::uint64_t longest = cycles_of(kInterruptionSeconds);
  std::uint64_t before = dataplane::tsc_now();
  while (!is_ending_.load(std::memory_order_relaxed)) {
    relay_.poll(0);
    const std::uint64_t now = dataplane::tsc_now();
    if (now - before > longest) {
      interruptions_.fetch_add(1, std::memory_order_relaxed);
    }
    before = now;
  }
}

Result<void> OfferedLoad::wait_until_received(std::uint64_t count) const {
  const std::uint64_t begin = dataplane::tsc_now();
  while (relay_.counters().received - received_before_ < count) {
    if (dataplane::tsc_now() - begin > cycles_of(kPatienceSeconds)) {
      return fail(Errc::unavailable, "the relay takes no more packets");
    }
  }
  return {};
}

// A packet comes again a whole loop later. With a new key for each half, and none before the relay has what was offered in the half
// before the last, it never meets a key under which it came before, however long it waited in the ring.
Result<void> OfferedLoad::begin_half(const Random& random) {
  if (auto received = wait_until_received(accepted_before_); !received) {
    return received;
  }
  accepted_before_ = accepted_;
  return relay_.new_replay_key(random);
}

Result<OfferedPackets> OfferedLoad::offer(double pps, std::uint64_t cycles, const Random& random) {
  const std::size_t half = packet_count_ / 2;
  const std::uint64_t accepted_first = accepted_;
  const std::uint64_t interruptions_first = interruptions_.load(std::memory_order_relaxed);
  OfferedPackets done;
  // A trial may have ended anywhere in the loop.
  position_ = position_ < half ? half : 0;
  const std::uint64_t begin = dataplane::tsc_now();
  Pace pace(pps);
  while ((done.cycles = dataplane::tsc_now() - begin) < cycles) {
    std::size_t count = pace.due(done.offered);
    const std::size_t end = position_ < half ? half : packet_count_;
    count = std::min(count, end - position_);
    if (count == 0) {
      continue;
    }
    if (position_ == 0 || position_ == half) {
      if (auto begun = begin_half(random); !begun) {
        return tl::unexpected(begun.error());
      }
    }
    accepted_ += devices_.offer(0, 0, position_, count);
    done.offered += count;
    position_ = position_ + count == packet_count_ ? 0 : position_ + count;
  }
  if (auto received = wait_until_received(accepted_); !received) {
    return tl::unexpected(received.error());
  }
  done.relay_cycles = dataplane::tsc_now() - begin;
  done.accepted = accepted_ - accepted_first;
  done.interruptions = interruptions_.load(std::memory_order_relaxed) - interruptions_first;
  return done;
}

}  // namespace allium::bench
