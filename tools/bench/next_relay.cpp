// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/next_relay.hpp"

#include <array>
#include <utility>

#include "tools/bench/bare_relay.hpp"

namespace allium::bench {
namespace {

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

// Of a frame that parse_frame took: all its checksums are there and right. A relay does not look at UDP's. IPv6 has none
// of its own.
bool has_right_checksums(Bytes frame, bool is_v4) {
  constexpr std::size_t kUdpChecksumOffset = 6;
  constexpr std::uint32_t kProtocolUdp = 17;
  const std::size_t addresses_offset = is_v4 ? 12 : 8;
  const std::size_t ip_bytes =
      dataplane::headers_bytes(is_v4) - dataplane::kEthernetBytes - dataplane::kUdpBytes;
  const Bytes ip = frame.subspan(dataplane::kEthernetBytes, ip_bytes);
  const Bytes udp = frame.subspan(dataplane::kEthernetBytes + ip.size());
  const std::uint32_t pseudo =
      word_sum(ip.subspan(addresses_offset), kProtocolUdp + static_cast<std::uint32_t>(udp.size()));
  return (!is_v4 || word_sum(ip, 0) == 0xffff) && word_sum(udp, pseudo) == 0xffff &&
         load_be(udp.data() + kUdpChecksumOffset, 2) != 0;
}

}  // namespace

struct NextRelay::State {
  State(const Traffic& traffic, std::size_t packet_count)
      : identity(traffic.next_identity()),
        source(traffic.identity().addresses.front()),
        relay(traffic.next_snapshot(), packet_count, {this, take_delivery}),
        has_arrived(packet_count) {}

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
  std::array<std::uint8_t, 16> source;  ///< of the relay under test
  BareRelay relay;
  std::vector<bool> has_arrived;
  std::size_t accepted = 0;
};

NextRelay::NextRelay(const Traffic& traffic, std::size_t packet_count)
    : state_(std::make_unique<State>(traffic, packet_count)) {}

NextRelay::~NextRelay() = default;

std::size_t NextRelay::accept(std::vector<std::vector<std::uint8_t>> frames) {
  const std::size_t before = state_->accepted;
  // A turn of the relay before may send more than a burst: what waited, and what came.
  for (std::size_t next = 0; next < frames.size();) {
    onion::Burst burst;
    for (; next < frames.size() && burst.count < onion::kBurstMax; ++next) {
      std::vector<std::uint8_t>& frame = frames[next];
      const auto parsed = dataplane::parse_frame(frame, state_->identity);
      if (!parsed || parsed->source.address != state_->source ||
          !has_right_checksums(frame, parsed->source.is_v4())) {
        continue;
      }
      frame.resize(parsed->payload_offset + onion::kDatagramBytesMax);  // room that a relay may use
      const std::size_t lane = burst.count++;
      burst.data[lane] = frame.data() + parsed->payload_offset;
      burst.bytes[lane] = static_cast<std::uint16_t>(parsed->payload_bytes);
      burst.source[lane] = parsed->source;
    }
    state_->relay.run(burst);
  }
  return state_->accepted - before;
}

}  // namespace allium::bench
