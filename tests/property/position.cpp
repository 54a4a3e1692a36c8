// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <bit>
#include <cmath>

#include "tests/property/properties.hpp"

namespace allium::property {
namespace {

using onion::PacketClass;
using onion::PacketType;
using onion::Service;

/// Six standard deviations: once in 5e8 bits by chance.
constexpr double kDeviationMax = 6;
constexpr std::size_t kPlacesMax = 4;

/// How often each bit of a header was one.
class BitCounts {
 public:
  void add(Bytes header) {
    ones_.resize(header.size() * 8);
    for (std::size_t bit = 0; bit < ones_.size(); ++bit) {
      ones_[bit] += static_cast<unsigned>(header[bit / 8]) >> (bit % 8) & 1U;
    }
    ++headers_;
  }

  [[nodiscard]] std::uint64_t headers() const { return headers_; }

  /// Standard deviations from a fair coin.
  [[nodiscard]] double deviation(std::size_t bit) const {
    const double expected = static_cast<double>(headers_) / 2;
    const double sigma = std::sqrt(static_cast<double>(headers_)) / 2;
    return std::abs(static_cast<double>(ones_[bit]) - expected) / sigma;
  }

  [[nodiscard]] std::size_t bits() const { return ones_.size(); }

 private:
  std::vector<std::uint64_t> ones_;
  std::uint64_t headers_ = 0;
};

std::vector<std::size_t> first_relays(std::size_t count) {
  std::vector<std::size_t> relays;
  for (std::size_t i = 0; i < count; ++i) {
    relays.push_back(i);
  }
  return relays;
}

Bytes header_of(const Buffer& datagram, std::size_t byte_count) {
  return Bytes(datagram).subspan(onion::kLinkHeaderBytes, byte_count);
}

void judge(Report& report, const BitCounts& counts, const std::string& where,
           std::size_t known_bit) {
  for (std::size_t bit = 0; bit < counts.bits(); ++bit) {
    if (bit == known_bit) {
      continue;
    }
    const double deviation = counts.deviation(bit);
    report.mean = std::max(report.mean, deviation);
    report.expect(deviation < kDeviationMax, where + ", bit " + std::to_string(bit % 8) +
                                                 " of byte " + std::to_string(bit / 8) + " is " +
                                                 std::to_string(deviation) + " sigma off");
  }
}

constexpr std::size_t kNoBit = ~std::size_t{0};

struct Seen {
  std::array<BitCounts, kPlacesMax> forward;
  std::array<BitCounts, kPlacesMax> backward;
};

void count_headers(World& world, const Journey& journey, Seen& seen) {
  for (const Step& step : journey.steps) {
    Buffer datagram = step.in;
    world.lift(step.from, step.relay, datagram);
    const onion::TypeInfo& info = info_of(datagram);
    auto& counts = info.direction == onion::Direction::forward ? seen.forward : seen.backward;
    counts[step.relay].add(header_of(datagram, info.header_bytes));
  }
}

}  // namespace

Report position_data(const WorldOptions& options, std::size_t sessions) {
  Report report;
  World world(options);
  for (const PacketClass packet_class : {PacketClass::d, PacketClass::v}) {
    for (std::size_t length = 1; length <= onion::header_blocks(packet_class); ++length) {
      Seen seen;
      for (std::size_t session = 0; session < sessions; ++session) {
        const ClientPath path = world.make_path(first_relays(length), Service::echo);
        count_headers(
            world, world.travel(kClient, 0, world.echo_packet(path, packet_class, session)), seen);
      }
      for (std::size_t hop = 0; hop < length; ++hop) {
        const std::string where = "hop " + std::to_string(hop + 1) + " of " +
                                  std::to_string(length) +
                                  (packet_class == PacketClass::d ? " in D" : " in V");
        if (!report.need(seen.forward[hop].headers() == sessions, where + " is reached")) {
          return report;
        }
        judge(report, seen.forward[hop], where + " forward", kNoBit);
        if (hop + 1 == length) {
          continue;
        }
        if (!report.need(seen.backward[hop].headers() == sessions, where + " is reached again")) {
          return report;
        }
        judge(report, seen.backward[hop], where + " backward", kNoBit);
      }
    }
  }
  return report;
}

Report position_setup(const WorldOptions& options, std::size_t sessions) {
  Report report;
  World world(options);
  for (std::size_t length = 1; length <= kPlacesMax; ++length) {
    std::array<BitCounts, kPlacesMax> seen;
    for (std::size_t session = 0; session < sessions; ++session) {
      const onion::SetupPacket setup =
          world.setup_packet(first_relays(length), PacketType::s0, Service::drop);
      const Bytes view = setup.datagram.view();
      const Journey journey = world.travel(kClient, 0, Buffer(view.begin(), view.end()));
      for (const Step& step : journey.steps) {
        Buffer datagram = step.in;
        world.lift(step.from, step.relay, datagram);
        seen[step.relay].add(header_of(datagram, onion::kSetupHeaderBytes));
      }
    }
    for (std::size_t hop = 0; hop < length; ++hop) {
      const std::string where =
          "setup, hop " + std::to_string(hop + 1) + " of " + std::to_string(length);
      if (!report.need(seen[hop].headers() == sessions, where + " is reached")) {
        return report;
      }
      // Bit 255 of eph says the parity of the hour.
      judge(report, seen[hop], where, 255);
    }
  }
  return report;
}

}  // namespace allium::property
