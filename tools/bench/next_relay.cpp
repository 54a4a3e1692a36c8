// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/next_relay.hpp"

#include <optional>
#include <utility>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/kernel_registry.hpp"
#include "dataplane/onion/relay.hpp"
#include "dataplane/onion/time_index.hpp"
#include "tools/bench/pcap_file.hpp"
#include "tools/bench/set_memory.hpp"

namespace allium::bench {
namespace {

constexpr onion::HandleLimits kHandleLimits{64, 0, 0};

// Nothing goes on from here: paths end at DROP.
bool take_nothing(void*, std::uint64_t, std::uint64_t&) noexcept {
  return false;
}

std::size_t replay_lines(std::size_t packet_count) {
  return onion::ReplaySet::lines_for(packet_count / onion::kSlotSeconds + 1);
}

// RFC 1071: big-endian words, ones' complement; all ones where a checksum among them is right.
std::uint32_t word_sum(Bytes bytes, std::uint32_t sum) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += static_cast<std::uint32_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
  }
  while (sum > 0xffff) {
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

// Of an IPv4 frame that parse_frame took: both checksums are there and right. A relay does not look at UDP's.
bool has_right_checksums(Bytes frame) {
  constexpr std::size_t kAddressesOffset = 12;
  constexpr std::size_t kUdpChecksumOffset = 6;
  constexpr std::uint32_t kProtocolUdp = 17;
  const Bytes ip =
      frame.subspan(dataplane::kEthernetBytes,
                    dataplane::kHeadersBytesV4 - dataplane::kEthernetBytes - dataplane::kUdpBytes);
  const Bytes udp = frame.subspan(dataplane::kEthernetBytes + ip.size());
  const std::uint32_t pseudo =
      word_sum(ip.subspan(kAddressesOffset), kProtocolUdp + static_cast<std::uint32_t>(udp.size()));
  return word_sum(ip, 0) == 0xffff && word_sum(udp, pseudo) == 0xffff &&
         load_be(udp.data() + kUdpChecksumOffset, 2) != 0;
}

template <typename T>
T taken(Result<T> result) {
  ALLIUM_CHECK(result);  // sizes and keys are our own
  return std::move(*result);
}

}  // namespace

struct NextRelay::State {
  State(const Traffic& traffic, std::size_t packet_count)
      : identity(traffic.next_identity()),
        replay_memory(onion::ReplaySet::bytes_needed(replay_lines(packet_count))),
        handle_memory(onion::HandleTable::bytes_needed(kHandleLimits)),
        replay(
            taken(onion::ReplaySet::attach(replay_memory.bytes(), replay_lines(packet_count), 0))),
        handles(taken(onion::HandleTable::attach(handle_memory.bytes(), kHandleLimits, 1))),
        batch(crypto_accel::onion_kernels().front()),
        snapshot(taken(onion::RelaySnapshot::build(traffic.next_snapshot(), batch))),
        has_arrived(packet_count) {
    onion::RelayParts parts{};
    parts.kernels = {&crypto_accel::onion_kernels().front(),
                     &crypto_accel::x25519_kernels().front(),
                     &crypto_accel::aead_kernels().front()};
    parts.replay = &replay;
    parts.handles = &handles;
    parts.bridge = &bridge;
    parts.sequence = {nullptr, take_nothing};
    parts.salt = {nullptr, take_nothing};
    parts.random = system_random();
    parts.sink = {this, take_delivery};
    relay.emplace(parts);
    replay.raise_floor(onion::slot_of(Traffic::kNowMs) - 1);
    replay.clear_all_due();
  }

  static bool take_delivery(void* self, const onion::Delivery& delivery) noexcept {
    State& state = *static_cast<State*>(self);
    const auto index = Traffic::index_of(delivery.t, delivery.data);
    const bool is_expected =
        index && *index < state.has_arrived.size() && !state.has_arrived[*index];
    if (is_expected) {
      state.has_arrived[*index] = true;
      ++state.accepted;
    }
    return true;
  }

  dataplane::PortIdentity identity;
  SetMemory replay_memory;
  SetMemory handle_memory;
  onion::ReplaySet replay;
  onion::HandleTable handles;
  onion::Bridge bridge;
  crypto_accel::OnionBatch batch;
  std::unique_ptr<const onion::RelaySnapshot> snapshot;
  std::optional<onion::Relay> relay;
  std::vector<bool> has_arrived;
  std::size_t accepted = 0;
};

NextRelay::NextRelay(const Traffic& traffic, std::size_t packet_count)
    : state_(std::make_unique<State>(traffic, packet_count)) {}

NextRelay::~NextRelay() = default;

std::size_t NextRelay::accept(std::vector<std::vector<std::uint8_t>> frames) {
  ALLIUM_CHECK(frames.size() <= onion::kBurstMax);
  onion::Burst burst;
  for (auto& frame : frames) {
    const auto parsed = dataplane::parse_frame(frame, state_->identity);
    if (!parsed || !parsed->source.is_v4() || !has_right_checksums(frame)) {
      continue;
    }
    frame.resize(parsed->payload_offset + onion::kDatagramBytesMax);  // room that a relay may use
    const std::size_t lane = burst.count++;
    burst.data[lane] = frame.data() + parsed->payload_offset;
    burst.bytes[lane] = static_cast<std::uint16_t>(parsed->payload_bytes);
    burst.source[lane] = parsed->source;
  }
  const std::size_t before = state_->accepted;
  state_->relay->run(*state_->snapshot, burst, Traffic::kNowMs);
  return state_->accepted - before;
}

Result<std::size_t> NextRelay::count_accepted(const std::string& path) {
  auto file = PcapReader::open(path);
  if (!file) {
    return tl::unexpected(file.error());
  }
  std::size_t accepted = 0;
  std::vector<std::vector<std::uint8_t>> frames;
  for (bool is_end = false; !is_end;) {
    auto frame = file->next();
    if (!frame) {
      return tl::unexpected(frame.error());
    }
    is_end = frame->empty();
    if (!is_end) {
      frames.push_back(std::move(*frame));
    }
    if (is_end || frames.size() == onion::kBurstMax) {
      accepted += accept(std::exchange(frames, {}));
    }
  }
  return accepted;
}

}  // namespace allium::bench
