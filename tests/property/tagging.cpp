// SPDX-License-Identifier: Apache-2.0

#include <bit>

#include "dataplane/onion/backward_open.hpp"
#include "dataplane/onion/time_index.hpp"
#include "tests/property/properties.hpp"

namespace allium::property {
namespace {

using onion::PacketClass;
using onion::PacketType;
using onion::Service;

constexpr std::size_t kSetupEnd = onion::kLinkHeaderBytes + onion::kSetupHeaderBytes;

bool is_setup(PacketType type) {
  return type == PacketType::s0 || type == PacketType::s1;
}

PacketClass class_of(PacketType type) {
  return onion::type_info(type).packet_class;
}

Buffer forward_packet(World& world, PacketType type, const std::vector<std::size_t>& relays) {
  if (is_setup(type)) {
    const onion::SetupPacket setup = world.setup_packet(relays, type, Service::drop);
    const Bytes view = setup.datagram.view();
    return {view.begin(), view.end()};
  }
  return world.data_packet(world.make_path(relays, Service::drop), class_of(type), 1,
                           world.random.bytes(100));
}

std::string at_bit(const char* what, std::size_t bit) {
  return std::string(what) + " at bit " + std::to_string(bit % 8) + " of byte " +
         std::to_string(bit / 8);
}

/// RSTACK and REC of S are under nobody's MAC until the client looks at what comes back.
bool is_open_to_change(const onion::TypeInfo& info, PacketType type, std::size_t byte) {
  return is_setup(type) && byte >= kSetupEnd && byte < info.t_offset;
}

/// Key id, number and tag of a link are the peer's own, as he likes.
bool is_of_the_link(std::size_t byte) {
  return byte < onion::kLinkHeaderBytes && byte != 0 && byte != onion::kSlotOffset;
}

/// Relays do not read bytes 1 and 3 of clients, nor last12 of data packets, nor a cookie that they do not ask for.
bool is_ignored_at_entry(std::size_t byte) {
  return byte == 1 || (byte >= 3 && byte < onion::kLinkHeaderBytes);
}

/// A wrong relay takes a changed packet; the next change is tried as if it had not.
void forget_if_accepted(WorldRelay& relay, const Outcome& outcome) {
  if (outcome.accepted()) {
    relay.forget();
  }
}

double part_changed(Bytes left, Bytes right) {
  std::size_t changed = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    changed += static_cast<std::size_t>(std::popcount(static_cast<unsigned>(left[i] ^ right[i])));
  }
  return static_cast<double>(changed) / (8.0 * static_cast<double>(left.size()));
}

/// A backward packet caught between the terminal and the relay under test, and what opens it.
struct CaughtAnswer {
  Buffer datagram;  ///< as on the wire
  ClientPath path;
  onion::SetupPacket setup;
  std::vector<const Secret<16>*> secrets;
};

bool catch_answer(World& world, PacketType type, CaughtAnswer& caught) {
  const std::vector<std::size_t> relays = {0, kRelayUnderTest, 2};
  Buffer request;
  if (type == PacketType::r) {
    caught.setup = world.setup_packet(relays, PacketType::s0, Service::echo);
    const Bytes view = caught.setup.datagram.view();
    request.assign(view.begin(), view.end());
    caught.secrets = World::secrets_of(caught.setup);
  } else {
    caught.path = world.make_path(relays, Service::echo);
    request = world.echo_packet(caught.path, class_of(type), 5);
    caught.secrets = World::secrets_of(caught.path);
  }
  const Journey journey = world.travel(kClient, 0, request);
  const Step* answer = journey.at(kRelayUnderTest, 1);
  if (answer == nullptr || !journey.at_client) {
    return false;
  }
  caught.datagram = answer->in;
  return true;
}

}  // namespace

Report forward_flips(const WorldOptions& options, PacketType type, Attacker attacker,
                     std::size_t stride) {
  Report report;
  World world(options);
  const Outcome sent = world.relay(0).run(
      0, world.client, forward_packet(world, type, {0, kRelayUnderTest, 2}), world.now_ms);
  if (!report.need(sent.accepted(), "the entry takes the packet")) {
    return report;
  }
  WorldRelay& relay = world.relay(kRelayUnderTest);
  const onion::Endpoint source = world.relay(0).endpoint();
  const onion::TypeInfo& info = onion::type_info(type);
  for (std::size_t bit = 0; bit < sent.datagram.size() * 8; bit += stride) {
    const std::size_t byte = bit / 8;
    if (attacker == Attacker::peer &&
        (is_open_to_change(info, type, byte) || is_of_the_link(byte))) {
      continue;
    }
    Buffer changed = sent.datagram;
    if (attacker == Attacker::peer) {
      world.lift(0, kRelayUnderTest, changed);
      flip_bit(changed, bit);
      world.seal(0, kRelayUnderTest, changed);
    } else {
      flip_bit(changed, bit);
    }
    const Outcome outcome = relay.run(0, source, changed, world.now_ms);
    report.expect(!outcome.accepted() && outcome.outgoing == onion::Outgoing::none,
                  at_bit("accepted with a change", bit));
    forget_if_accepted(relay, outcome);
  }
  const Journey rest = world.travel(0, kRelayUnderTest, sent.datagram);
  report.need(rest.steps.size() >= 2 && rest.steps[1].out.verdict == onion::Verdict::deliver,
              "the packet itself goes on afterwards");
  return report;
}

Report forward_flips_at_entry(const WorldOptions& options, PacketType type, std::size_t stride) {
  Report report;
  World world(options);
  WorldRelay& relay = world.relay(kRelayUnderTest);
  const Buffer packet = forward_packet(world, type, {kRelayUnderTest, 2});
  const onion::TypeInfo& info = onion::type_info(type);
  for (std::size_t bit = 0; bit < packet.size() * 8; bit += stride) {
    if (is_open_to_change(info, type, bit / 8) || is_ignored_at_entry(bit / 8)) {
      continue;
    }
    Buffer changed = packet;
    flip_bit(changed, bit);
    const Outcome outcome = relay.run(0, world.client, changed, world.now_ms);
    report.expect(!outcome.accepted(), at_bit("accepted with a change", bit));
    forget_if_accepted(relay, outcome);
  }
  report.need(relay.run(0, world.client, packet, world.now_ms).accepted(),
              "the packet itself goes on afterwards");
  return report;
}

Report backward_flips(const WorldOptions& options, PacketType type, std::size_t stride) {
  Report report;
  World world(options);
  CaughtAnswer caught;
  if (!report.need(catch_answer(world, type, caught), "the answer comes back")) {
    return report;
  }
  const onion::TypeInfo& info = onion::type_info(type);
  WorldRelay& relay = world.relay(kRelayUnderTest);
  const onion::Endpoint source = world.relay(2).endpoint();
  const auto send = [&](Buffer packet) {
    // Each change is tried in a future of its own, or the second would be a replay of the first.
    relay.forget();
    world.seal(2, kRelayUnderTest, packet);
    return relay.run(0, source, packet, world.now_ms);
  };
  Buffer clear = caught.datagram;
  world.lift(2, kRelayUnderTest, clear);
  const Outcome untouched = send(clear);
  if (!report.need(untouched.accepted(), "the relay takes the answer")) {
    return report;
  }
  const auto layer = [&](const Outcome& out) { return Bytes(out.datagram).subspan(info.t_offset); };
  double sum = 0;
  std::uint64_t count = 0;
  for (std::size_t bit = onion::kLinkHeaderBytes * 8; bit < clear.size() * 8; bit += stride) {
    Buffer changed = clear;
    flip_bit(changed, bit);
    const Outcome outcome = send(changed);
    if (bit / 8 < info.t_offset) {
      // The filler of R is nobody's, and is replaced.
      if (class_of(type) != PacketClass::r) {
        report.expect(!outcome.accepted(), at_bit("header accepted with a change", bit));
      }
      continue;
    }
    if (!report.need(outcome.accepted(), at_bit("the changed packet goes on", bit))) {
      return report;
    }
    const double part = part_changed(layer(untouched), layer(outcome));
    const double part_right = part_changed(layer(untouched).subspan(onion::kTBytes),
                                           layer(outcome).subspan(onion::kTBytes));
    sum += part;
    ++count;
    report.expect(part > 0.35 && part < 0.65 && part_right > 0.35 && part_right < 0.65,
                  at_bit("the change stays small", bit));
    // Undoing 3^2 choices of stamps costs more than all the rest: one in four.
    if (count % 4 != 0) {
      continue;
    }
    world.relay(0).forget();
    const Journey rest = world.carry_on(kRelayUnderTest, outcome);
    if (!report.need(rest.at_client.has_value(), "the changed packet reaches the client")) {
      return report;
    }
    const auto opened =
        onion::open_backward(class_of(type), world.now_ms, caught.secrets, *rest.at_client);
    report.expect(!opened && opened.error() == onion::BackwardRefusal::zero,
                  at_bit("the client takes a change", bit));
  }
  report.mean = sum / static_cast<double>(count);
  return report;
}

}  // namespace allium::property
