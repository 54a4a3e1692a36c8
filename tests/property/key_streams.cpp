// SPDX-License-Identifier: Apache-2.0

#include "dataplane/onion/internal/client_layer.hpp"
#include "tests/property/byte_windows.hpp"
#include "tests/property/properties.hpp"

namespace allium::property {
namespace {

using onion::PacketClass;
using onion::Service;

/// X_R as the relay before the terminal sees it, of a packet without data: the key stream of the terminal's layer.
Buffer stream_at_last_hop(World& world, const ClientPath& path, PacketClass packet_class,
                          std::uint64_t seq) {
  const Journey journey =
      world.travel(kClient, path.relays.front(), world.data_packet(path, packet_class, seq));
  if (journey.last() != onion::Verdict::deliver) {
    return {};
  }
  const Buffer& datagram = journey.steps.back().in;
  return {datagram.begin() + info_of(datagram).x_r_offset, datagram.end()};
}

/// The same of a client that takes one key for both classes.
Buffer stream_of_shared_keys(const ClientPath& path, PacketClass packet_class, std::uint64_t seq) {
  Buffer stream(
      onion::type_info(onion::data_type(packet_class, onion::Direction::forward)).x_r_bytes);
  const onion::internal::LayerKeys keys(path.session.hops().back().secret.bytes(),
                                        onion::Direction::forward, PacketClass::d);
  static_cast<void>(
      onion::internal::undo_right(keys, onion::flow_and_seq(1, seq), MutableBytes(stream)));
  return stream;
}

}  // namespace

Report key_streams(const WorldOptions& options, std::size_t rounds) {
  Report report;
  World world(options);
  for (std::size_t round = 0; round < rounds; ++round) {
    const std::vector<std::size_t> relays = round % 2 == 0
                                                ? std::vector<std::size_t>{kRelayUnderTest}
                                                : std::vector<std::size_t>{0, kRelayUnderTest};
    const ClientPath path = world.make_path(relays, Service::drop);
    const auto stream = [&](PacketClass packet_class) {
      return options.flaw == Flaw::shared_class_keys
                 ? stream_of_shared_keys(path, packet_class, round)
                 : stream_at_last_hop(world, path, packet_class, round);
    };
    const Buffer of_d = stream(PacketClass::d);
    const Buffer of_v = stream(PacketClass::v);
    if (!report.need(!of_d.empty() && !of_v.empty(), "both packets are delivered")) {
      return report;
    }
    report.expect(shared_pieces<16>(of_v, of_d) == 0, "D and V share a key stream");
  }
  return report;
}

}  // namespace allium::property
