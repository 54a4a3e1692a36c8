// SPDX-License-Identifier: Apache-2.0

#include <algorithm>

#include "dataplane/onion/backward_open.hpp"
#include "dataplane/onion/path_record.hpp"
#include "tests/property/byte_windows.hpp"
#include "tests/property/properties.hpp"

namespace allium::property {
namespace {

using onion::PacketType;
using onion::Service;

constexpr std::size_t kMarkPieceBytes = 8;
constexpr std::size_t kStackOffset = onion::kLinkHeaderBytes + onion::kSetupHeaderBytes;
constexpr std::size_t kRecordOffset = kStackOffset + onion::kReturnStackBytes;

/// What a peer writes over `count` bytes at `offset`, and what of it comes through the relay.
std::size_t marks_that_pass(World& world, std::size_t from, const Step& step, std::size_t offset,
                            std::size_t count, Outcome& outcome) {
  Buffer packet = step.in;
  world.lift(from, kRelayUnderTest, packet);
  const Buffer mark = world.random.bytes(count);
  std::copy(mark.begin(), mark.end(), packet.begin() + static_cast<std::ptrdiff_t>(offset));
  world.seal(from, kRelayUnderTest, packet);
  world.relay(kRelayUnderTest).forget();
  outcome = world.relay(kRelayUnderTest).run(0, world.relay(from).endpoint(), packet, world.now_ms);
  Buffer clear = outcome.datagram;
  if (outcome.target.to_relay) {
    world.lift(kRelayUnderTest, world.index_of(outcome.target.endpoint), clear);
  }
  return shared_pieces<kMarkPieceBytes>(mark, clear);
}

}  // namespace

Report marks_in_setup(const WorldOptions& options, std::size_t rounds) {
  Report report;
  World world(options);
  for (std::size_t round = 0; round < rounds; ++round) {
    const PacketType type = round % 2 == 0 ? PacketType::s0 : PacketType::s1;
    const onion::SetupPacket setup =
        world.setup_packet({0, kRelayUnderTest, 2}, type, Service::echo);
    const Bytes view = setup.datagram.view();
    const Journey honest = world.travel(kClient, 0, Buffer(view.begin(), view.end()));
    const Step* step = honest.at(kRelayUnderTest);
    if (!report.need(step != nullptr && honest.at_client.has_value(), "the setup works")) {
      return report;
    }
    Outcome outcome;
    const std::size_t in_stack =
        marks_that_pass(world, 0, *step, kStackOffset, onion::kReturnStackBytes, outcome);
    if (!report.need(outcome.accepted(), "a marked stack goes on")) {
      return report;
    }
    report.expect(in_stack == 0, "a mark in RSTACK passes");
    if (type == PacketType::s0) {
      continue;
    }
    const std::size_t in_record =
        marks_that_pass(world, 0, *step, kRecordOffset, onion::kRecordBytes, outcome);
    report.expect(in_record == 0, "a mark in REC passes");
    world.relay(0).forget();
    world.relay(2).forget();
    const Journey rest = world.carry_on(kRelayUnderTest, outcome);
    if (!report.need(rest.at_client.has_value(), "the answer to a marked record arrives")) {
      return report;
    }
    const auto answer = onion::open_backward(onion::PacketClass::r, world.now_ms,
                                             World::secrets_of(setup), *rest.at_client);
    if (!report.need(answer.has_value(), "the answer to a marked record opens")) {
      return report;
    }
    onion::Record record{};
    std::copy_n(answer->data.begin(), record.size(), record.begin());
    report.expect(!onion::open_record(setup.hops(), setup.record, record),
                  "the client takes a path whose record was marked");
  }
  return report;
}

Report marks_in_return(const WorldOptions& options, std::size_t rounds) {
  Report report;
  World world(options);
  for (std::size_t round = 0; round < rounds; ++round) {
    // The relay under test is the entry, or has one relay before it: d = 0 and d = 1.
    const std::size_t depth = round % 2;
    const std::vector<std::size_t> relays = depth == 0
                                                ? std::vector<std::size_t>{kRelayUnderTest, 2}
                                                : std::vector<std::size_t>{0, kRelayUnderTest, 2};
    const onion::SetupPacket setup = world.setup_packet(relays, PacketType::s0, Service::echo);
    const Bytes view = setup.datagram.view();
    const Journey honest = world.travel(kClient, relays.front(), Buffer(view.begin(), view.end()));
    const Step* step = honest.at(kRelayUnderTest, 1);
    if (!report.need(step != nullptr && honest.at_client.has_value(), "the answer comes back")) {
      return report;
    }
    const std::size_t live = onion::kReturnBlockBytes * (depth + 1);
    Outcome outcome;
    const std::size_t passed = marks_that_pass(world, 2, *step, onion::kLinkHeaderBytes + live,
                                               onion::kReturnStackBytes - live, outcome);
    if (!report.need(outcome.accepted(), "a marked answer goes on")) {
      return report;
    }
    report.expect(passed == 0, "a mark in the filler of R passes");
  }
  return report;
}

}  // namespace allium::property
