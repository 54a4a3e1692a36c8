// SPDX-License-Identifier: Apache-2.0

#include <algorithm>

#include "dataplane/onion/backward_open.hpp"
#include "dataplane/onion/path_record.hpp"
#include "dataplane/onion/time_index.hpp"
#include "tests/property/properties.hpp"

namespace allium::property {
namespace {

using onion::PacketClass;
using onion::PacketType;
using onion::Service;
using onion::Verdict;

Buffer bytes_of(const onion::SetupPacket& setup) {
  const Bytes view = setup.datagram.view();
  return {view.begin(), view.end()};
}

std::string said(const char* what, Verdict verdict) {
  return std::string(what) + ": " + std::string(onion::verdict_name(verdict));
}

/// The path of one client, opened by S1; none where it does not open.
bool open_path(World& world, const std::vector<std::size_t>& relays, ClientPath& path) {
  const onion::SetupPacket setup = world.setup_packet(relays, PacketType::s1, Service::echo);
  const Journey journey = world.travel(kClient, relays.front(), bytes_of(setup));
  if (!journey.at_client) {
    return false;
  }
  const auto answer = onion::open_backward(PacketClass::r, world.now_ms, World::secrets_of(setup),
                                           *journey.at_client);
  if (!answer) {
    return false;
  }
  onion::Record record{};
  std::copy_n(answer->data.begin(), record.size(), record.begin());
  auto session = onion::open_record(setup.hops(), setup.record, record);
  if (!session) {
    return false;
  }
  path.relays = relays;
  path.client = world.client;
  path.session = std::move(*session);
  for (const PacketClass packet_class : {PacketClass::d, PacketClass::v}) {
    path.reply[packet_class == PacketClass::v ? 1 : 0] =
        *onion::build_reply_block(packet_class, path.session.hops(), world.random.source());
  }
  return true;
}

}  // namespace

Report forward_addresses(const WorldOptions& options) {
  Report report;
  World world(options);
  const std::uint64_t epoch = onion::epoch_of(world.now_ms);
  WorldRelay& relay = world.relay(kRelayUnderTest);
  // A handle that is alive, so that nothing but the type can refuse it.
  world.client = client_v6(1, 1, 1);
  ClientPath alive;
  report.need(open_path(world, {kRelayUnderTest, 2}, alive), "a path over IPv6 opens");
  world.client = client_v4(9);
  for (unsigned type = 0; type < 256; ++type) {
    for (const PacketClass packet_class : {PacketClass::d, PacketClass::v}) {
      ClientPath path = world.make_path({kRelayUnderTest, 2}, Service::drop);
      std::array<std::uint8_t, 6> next{};
      const bool is_relay = type == 1;
      if (is_relay) {
        store_be(next.data(), world.relay(2).id(), 4);
      } else if (type == 4) {
        store_be(next.data(), static_cast<std::uint64_t>(Service::drop), 2);
      } else if ((type & 0x7f) == 3) {
        next[5] = 1;  // the first handle of the table
      } else {
        std::copy_n(world.client.v4(), 4, next.begin());
        store_be(next.data() + 4, world.client.port, 2);
      }
      const Block plain = world.plain_segment(static_cast<std::uint8_t>(type), epoch, next);
      onion::HopSession& hop = path.session.hop[0];
      hop.segment_forward = world.seal_segment(kRelayUnderTest, epoch, plain);
      hop.secret.bytes() = world.segment_secret(kRelayUnderTest, epoch, plain);
      const Outcome outcome =
          relay.run(0, world.client, world.data_packet(path, packet_class, type), world.now_ms);
      if (type == 1 || type == 4) {
        report.need(outcome.accepted(), said("a forward type is refused", outcome.verdict));
      } else {
        // Under the key of the epoch before, one in a hundred reads as a segment of long ago.
        report.expect(
            (outcome.verdict == Verdict::fs_type || outcome.verdict == Verdict::fs_expired) &&
                outcome.outgoing == onion::Outgoing::none,
            said("a forward segment of another type", outcome.verdict));
      }
    }
  }
  return report;
}

namespace {

/// Echo over both classes comes back to the client that sent it and to nobody else.
void expect_echo(Report& report, World& world, const ClientPath& path, std::uint64_t seq) {
  world.client = path.client;
  for (const PacketClass packet_class : {PacketClass::d, PacketClass::v}) {
    const Journey journey =
        world.travel(kClient, path.relays.front(), world.echo_packet(path, packet_class, seq));
    report.expect(
        journey.at_client.has_value() && journey.steps.back().out.target.endpoint == path.client,
        "an answer does not arrive at its client");
    if (journey.at_client) {
      report.expect(onion::open_backward(packet_class, world.now_ms, World::secrets_of(path),
                                         *journey.at_client)
                        .has_value(),
                    "an answer by handle does not open");
    }
  }
}

}  // namespace

Report handles(const WorldOptions& options) {
  Report report;
  const onion::HandleLimits limits;
  World world(options);
  const std::vector<std::size_t> relays = {kRelayUnderTest, 2};
  std::vector<ClientPath> paths(8);
  for (std::size_t i = 0; i < paths.size(); ++i) {
    // Half of them share a /64.
    world.client = client_v6(1, static_cast<std::uint16_t>(i % 2 == 0 ? 0 : i),
                             static_cast<std::uint8_t>(i + 1));
    if (!report.need(open_path(world, relays, paths[i]), "a path over IPv6 opens")) {
      return report;
    }
  }
  for (std::size_t i = 0; i < paths.size(); ++i) {
    expect_echo(report, world, paths[i], i);
  }
  // A table that forgets its workers but not its clients.
  world.relay(kRelayUnderTest).crash();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    expect_echo(report, world, paths[i], 100 + i);
  }
  // One /64 and one /48 fill up; their neighbours do not notice.
  std::size_t of_host = 0;
  for (std::size_t i = 0; i < 2 * limits.per_host; ++i) {
    world.client = client_v6(2, 1, static_cast<std::uint8_t>(i + 1));
    ClientPath path;
    of_host += open_path(world, relays, path) ? 1U : 0U;
  }
  report.expect(of_host == limits.per_host, "a /64 has " + std::to_string(of_host) + " handles");
  std::size_t of_site = 0;
  for (std::size_t i = 0; i < 2 * limits.per_site; ++i) {
    world.client = client_v6(3, static_cast<std::uint16_t>(i), 1);
    ClientPath path;
    of_site += open_path(world, relays, path) ? 1U : 0U;
  }
  report.expect(of_site == limits.per_site, "a /48 has " + std::to_string(of_site) + " handles");
  world.client = client_v6(4, 1, 1);
  ClientPath neighbour;
  report.expect(open_path(world, relays, neighbour), "a full site shuts others out");
  // A path that ends takes its handle with it.
  world.now_ms += 2 * onion::kEpochSeconds * 1000;
  world.client = paths[0].client;
  const Journey late =
      world.travel(kClient, kRelayUnderTest, world.echo_packet(paths[0], PacketClass::d, 999));
  report.expect(!late.at_client, "a path outlives its epochs");
  world.client = client_v6(2, 1, 200);
  report.expect(open_path(world, relays, neighbour), "dead handles still count");
  return report;
}

namespace {

/// The cookie that a relay offers for an S; none where it offers none.
std::optional<onion::Cookie> offered(const Outcome& outcome) {
  if (outcome.verdict != Verdict::cookie || outcome.outgoing != onion::Outgoing::challenge ||
      outcome.datagram.size() != onion::kChallengeBytes) {
    return std::nullopt;
  }
  return onion::challenge_cookie(outcome.datagram);
}

}  // namespace

Report cookies(const WorldOptions& options, std::size_t clients) {
  Report report;
  World world(options);
  WorldRelay& relay = world.relay(kRelayUnderTest);
  const auto setup_with = [&](const onion::Cookie& cookie) {
    Buffer datagram =
        bytes_of(world.setup_packet({kRelayUnderTest, 2}, PacketType::s0, Service::drop));
    onion::put_cookie(datagram, cookie);
    return datagram;
  };
  for (std::size_t i = 0; i < clients; ++i) {
    const auto n = static_cast<std::uint8_t>(i + 1);
    const onion::Endpoint own = i % 2 == 0 ? client_v4(n) : client_v6(1, n, n);
    world.now_ms = kStartMs;
    const Buffer first = setup_with({});
    const Outcome challenge = relay.run(0, own, first, world.now_ms);
    const auto cookie = offered(challenge);
    report.expect(cookie.has_value(), said("S without a cookie", challenge.verdict));
    if (!cookie) {
      continue;
    }
    report.expect(challenge.target.endpoint == own, "a challenge goes to another address");
    // No X25519 for the uninvited: a point of low order would say s_dh.
    Buffer low_order = setup_with({});
    std::fill_n(low_order.begin() + onion::kLinkHeaderBytes, onion::kEphBytes - 1, std::uint8_t{0});
    report.expect(relay.run(0, own, low_order, world.now_ms).verdict == Verdict::cookie,
                  "public-key work before the cookie");

    onion::Endpoint other_port = own;
    ++other_port.port;
    onion::Endpoint other_address = own;
    other_address.address[15] ^= 0x80;
    for (const onion::Endpoint& stranger : {other_port, other_address}) {
      const Outcome outcome = relay.run(0, stranger, setup_with(*cookie), world.now_ms);
      report.expect(outcome.verdict == Verdict::cookie,
                    said("a cookie of another", outcome.verdict));
    }
    for (std::size_t bit = i; bit < cookie->size() * 8; bit += 12) {
      onion::Cookie changed = *cookie;
      changed[bit / 8] = static_cast<std::uint8_t>(changed[bit / 8] ^ 1U << (bit % 8));
      report.expect(relay.run(0, own, setup_with(changed), world.now_ms).verdict == Verdict::cookie,
                    "a changed cookie opens the door");
    }
    report.need(relay.run(0, own, setup_with(*cookie), world.now_ms).accepted(),
                "the true cookie opens the door");
    world.now_ms += onion::kEpochSeconds * 1000;
    report.need(relay.run(0, own, setup_with(*cookie), world.now_ms).accepted(),
                "the cookie of the last epoch opens the door");
    world.now_ms += onion::kEpochSeconds * 1000;
    report.expect(relay.run(0, own, setup_with(*cookie), world.now_ms).verdict == Verdict::cookie,
                  "a cookie outlives two epochs");
    relay.forget();
  }
  return report;
}

Report link_forgeries(const WorldOptions& options, std::size_t rounds) {
  Report report;
  World world(options);
  WorldRelay& relay = world.relay(kRelayUnderTest);
  const auto refuse = [&](const onion::Endpoint& source, const Buffer& datagram, Verdict verdict,
                          const char* what) {
    const Outcome outcome = relay.run(0, source, datagram, world.now_ms);
    report.expect(outcome.verdict == verdict && outcome.outgoing == onion::Outgoing::none,
                  said(what, outcome.verdict));
  };
  for (std::size_t round = 0; round < rounds; ++round) {
    const ClientPath path = world.make_path({0, kRelayUnderTest, 2}, Service::echo);
    const PacketClass packet_class = round % 2 == 0 ? PacketClass::d : PacketClass::v;
    Buffer forward;
    Buffer backward;
    const Watch watch = [&](std::size_t from, std::size_t to, Buffer& datagram) {
      if (to == kRelayUnderTest) {
        (from == 0 ? forward : backward) = datagram;
      }
    };
    const Journey journey =
        world.travel(kClient, 0, world.echo_packet(path, packet_class, round), watch);
    if (!report.need(journey.at_client.has_value(), "the path works")) {
      return report;
    }
    relay.forget();
    const onion::Endpoint before = world.relay(0).endpoint();
    const onion::Endpoint behind = world.relay(2).endpoint();
    for (Buffer* datagram : {&forward, &backward}) {
      const onion::Endpoint& own = datagram == &forward ? before : behind;
      Buffer changed = *datagram;
      flip_bit(changed, onion::kTagOffset * 8 + world.random.below(onion::kTagBytes * 8));
      refuse(own, changed, Verdict::ll_tag, "a wrong link tag");
      changed = *datagram;
      changed[onion::kKeyIdOffset] =
          static_cast<std::uint8_t>(changed[onion::kKeyIdOffset] + 2 + world.random.below(253));
      refuse(own, changed, Verdict::ll_key, "the key of no near epoch");
      refuse(datagram == &forward ? behind : before, *datagram, Verdict::ll_tag,
             "a packet of another link");
      refuse(relay.endpoint(), *datagram, Verdict::ll_key, "a packet from the relay itself");
    }
    refuse(world.client, backward, Verdict::type, "a backward packet of a client");
    report.need(relay.run(0, before, forward, world.now_ms).accepted() &&
                    relay.run(0, behind, backward, world.now_ms).accepted(),
                "the true packets go on afterwards");
  }
  return report;
}

}  // namespace allium::property
