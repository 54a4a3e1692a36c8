// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <optional>

#include "dataplane/onion/backward_open.hpp"
#include "dataplane/onion/internal/client_layer.hpp"
#include "dataplane/onion/time_index.hpp"
#include "tests/property/properties.hpp"

namespace allium::property {
namespace {

using onion::BackwardRefusal;
using onion::PacketClass;
using onion::PacketType;
using onion::Service;

using Secrets = std::vector<const Secret<16>*>;

/// What a client makes of a datagram: nothing, or why not.
using Verdict = std::optional<BackwardRefusal>;

struct Caller {
  PacketClass packet_class{};
  std::uint64_t now_ms = 0;
};

Verdict open_rightly(const Caller& caller, const Secrets& secrets, const Buffer& datagram) {
  const auto opened = onion::open_backward(caller.packet_class, caller.now_ms, secrets, datagram);
  return opened ? Verdict{} : Verdict{opened.error()};
}

/// Undoes the layers from `hop` on under every choice of stamps; true where the zeros come out.
bool has_zeros(const Caller& caller, const Secrets& secrets, std::size_t hop, std::uint64_t stamp,
               Buffer x_l_x_r) {
  if (hop == secrets.size()) {
    return load_be(x_l_x_r.data(), 8) == 0;
  }
  const onion::internal::LayerKeys keys(secrets[hop]->bytes(), onion::Direction::backward,
                                        caller.packet_class);
  const Block x_l = load_block(x_l_x_r.data());
  const MutableBytes x_r = MutableBytes(x_l_x_r).subspan(kBlockBytes);
  static_cast<void>(onion::internal::undo_right(keys, x_l, x_r));
  const bool is_last = hop + 1 == secrets.size();
  for (const std::uint64_t near : {stamp, stamp - 1, stamp + 1}) {
    Buffer undone = x_l_x_r;
    const Block ctx = onion::layer_context(onion::Direction::backward,
                                           static_cast<std::uint8_t>(caller.packet_class), near);
    store_block(undone.data(), onion::internal::undo_left(keys, ctx, x_l, x_r));
    if (has_zeros(caller, secrets, hop + 1, near, std::move(undone))) {
      return true;
    }
    if (is_last) {
      break;
    }
  }
  return false;
}

/// A client that leaves the client tag out.
Verdict open_without_tag(const Caller& caller, const Secrets& secrets, const Buffer& datagram) {
  const onion::TypeInfo& info = info_of(datagram);
  const auto stamp = onion::slot_near(onion::slot_of(caller.now_ms), datagram[onion::kSlotOffset]);
  if (!stamp) {
    return BackwardRefusal::slot;
  }
  const Buffer layer(datagram.begin() + info.t_offset, datagram.end());
  return has_zeros(caller, secrets, 0, *stamp, layer) ? Verdict{} : Verdict{BackwardRefusal::zero};
}

/// True packets as they reach the client, and what opens them.
struct Arrivals {
  PacketClass packet_class{};
  ClientPath path;
  onion::SetupPacket setup;
  Secrets secrets;
  std::vector<Buffer> datagrams;
};

bool gather(World& world, PacketClass packet_class, const std::vector<std::size_t>& relays,
            Arrivals& arrivals) {
  arrivals.packet_class = packet_class;
  const auto travel = [&](Buffer request) {
    Journey journey = world.travel(kClient, relays.front(), std::move(request));
    if (journey.at_client) {
      arrivals.datagrams.push_back(*journey.at_client);
    }
    return journey.at_client.has_value();
  };
  if (packet_class == PacketClass::r) {
    arrivals.setup = world.setup_packet(relays, PacketType::s0, Service::echo);
    arrivals.secrets = World::secrets_of(arrivals.setup);
    const Bytes view = arrivals.setup.datagram.view();
    return travel(Buffer(view.begin(), view.end()));
  }
  arrivals.path = world.make_path(relays, Service::echo);
  arrivals.secrets = World::secrets_of(arrivals.path);
  return travel(world.echo_packet(arrivals.path, packet_class, 1)) &&
         travel(world.echo_packet(arrivals.path, packet_class, 2));
}

/// One thing that somebody near the client can do with what he has seen.
Buffer forge(World& world, const Arrivals& arrivals, const Buffer& other, std::size_t way) {
  Buffer forged = arrivals.datagrams.front();
  const onion::TypeInfo& info = info_of(forged);
  const auto replace = [&](std::size_t offset, Bytes bytes) {
    std::copy(bytes.begin(), bytes.end(), forged.begin() + static_cast<std::ptrdiff_t>(offset));
  };
  switch (way % 7) {
    case 0:  // a bit of T or X_R
      flip_bit(forged,
               info.t_offset * 8U + world.random.below((forged.size() - info.t_offset) * 8));
      break;
    case 1:  // a bit of the tag
      flip_bit(forged, onion::kLastOffset * 8 + world.random.below(onion::kLastBytes * 8));
      break;
    case 2:  // another stamp
      forged[onion::kSlotOffset] =
          static_cast<std::uint8_t>(forged[onion::kSlotOffset] + 1 + world.random.below(255));
      break;
    case 3:  // a packet made up behind the true look-up key
      replace(info.t_offset, world.random.bytes(forged.size() - info.t_offset));
      break;
    case 4:  // the same, with a made-up tag
      replace(onion::kLastOffset, world.random.bytes(onion::kLastBytes));
      replace(info.t_offset, world.random.bytes(forged.size() - info.t_offset));
      break;
    case 5:  // the payload of another packet
      replace(info.t_offset, Bytes(other).subspan(info.t_offset));
      break;
    default:  // X_R of another packet under the true T
      replace(info.x_r_offset, Bytes(other).subspan(info.x_r_offset));
      break;
  }
  return forged;
}

}  // namespace

Report spoofing_at_last_link(const WorldOptions& options, std::size_t rounds) {
  Report report;
  World world(options);
  const auto open = options.flaw == Flaw::client_tag_unchecked ? open_without_tag : open_rightly;
  const std::array<std::vector<std::size_t>, 3> routes = {
      {{kRelayUnderTest}, {kRelayUnderTest, 2}, {kRelayUnderTest, 2, 3}}};
  for (const auto& relays : routes) {
    for (const PacketClass packet_class : {PacketClass::d, PacketClass::v, PacketClass::r}) {
      Arrivals arrivals;
      Arrivals strange;
      if (!report.need(gather(world, packet_class, relays, arrivals) &&
                           gather(world, packet_class, relays, strange),
                       "answers arrive")) {
        return report;
      }
      const Caller caller{packet_class, world.now_ms};
      for (std::size_t round = 0; round < rounds; ++round) {
        // Another packet of the path where there is one, else of another path.
        const Buffer& other = round % 2 == 0 && packet_class != PacketClass::r
                                  ? arrivals.datagrams.back()
                                  : strange.datagrams.front();
        const Buffer forged = forge(world, arrivals, other, round);
        const Verdict verdict = open(caller, arrivals.secrets, forged);
        report.expect(verdict.has_value() && *verdict != BackwardRefusal::zero,
                      "the client " + std::string(verdict ? "counts" : "accepts") +
                          " what an outsider sent in way " + std::to_string(round % 7));
      }
      for (const Buffer& datagram : arrivals.datagrams) {
        report.expect(!open(caller, arrivals.secrets, datagram),
                      "the client refuses a true packet");
      }
    }
  }
  return report;
}

}  // namespace allium::property
