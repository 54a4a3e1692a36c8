// SPDX-License-Identifier: Apache-2.0
#include "test_client.hpp"

#include <gtest/gtest.h>

#include "dataplane/onion/time_index.hpp"

namespace allium::dataplane {

using onion::PacketClass;
using onion::PacketType;

onion::SetupPacket TestClient::setup(PacketType type, const std::vector<std::size_t>& relays,
                                     onion::Service service, Bytes data, std::uint8_t delay_10ms) {
  const std::uint64_t hour = onion::hour_of(net_.now_ms());
  std::vector<onion::SetupHop> hops;
  for (std::size_t i = 0; i < relays.size(); ++i) {
    onion::SetupHop& hop = hops.emplace_back();
    hop.onion_key = net_.relay_name(relays[i]).onion_key(hour);
    hop.next = i + 1 < relays.size() ? onion::NextHop::to_relay(net_.relay_name(relays[i + 1]).id())
                                     : onion::NextHop::to_service(service);
    hop.delay_10ms = i + 1 < relays.size() ? delay_10ms : std::uint8_t{0};
  }
  onion::SetupRequest request;
  request.type = type;
  request.slot = onion::slot_of(net_.now_ms());
  request.hour = hour;
  request.hops = hops;
  system_random()(request.t);
  request.data = data;
  request.cookie = cookie_;
  auto packet = onion::build_setup(request, system_random());
  EXPECT_TRUE(packet);
  return std::move(*packet);
}

std::optional<onion::BackwardPacket> TestClient::exchange(onion::SetupPacket& packet,
                                                          std::size_t entry) {
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(net_.send(entry, packet.datagram.view()));
    for (const Arrived& arrived : net_.collect(1)) {
      const auto envelope = onion::read_backward_envelope(arrived.datagram);
      if (envelope && envelope->type == PacketType::c) {
        cookie_ = onion::challenge_cookie(arrived.datagram);
        onion::put_cookie(packet.datagram.bytes, cookie_);
      } else if (envelope && envelope->type == PacketType::r) {
        EXPECT_EQ(arrived.source, net_.relay_name(entry).endpoint);
        return open_return(packet, arrived);
      }
    }
  }
  return std::nullopt;
}

std::optional<onion::BackwardPacket> TestClient::open_return(const onion::SetupPacket& packet,
                                                             const Arrived& arrived) {
  std::vector<const Secret<16>*> secrets;
  for (const onion::SetupHopKeys& hop : packet.hops()) {
    secrets.push_back(&hop.k_ret);
  }
  auto opened = onion::open_backward(PacketClass::r, net_.now_ms(), secrets, arrived.datagram);
  return opened ? std::optional(*opened) : std::nullopt;
}

std::optional<ClientPath> TestClient::open_path(const std::vector<std::size_t>& relays,
                                                onion::Service service) {
  onion::SetupPacket packet = setup(PacketType::s1, relays, service, {});
  const auto answer = exchange(packet, relays.front());
  if (!answer) {
    return std::nullopt;
  }
  onion::Record record{};
  std::copy_n(answer->data.begin(), record.size(), record.begin());
  auto session = onion::open_record(packet.hops(), packet.record, record);
  if (!session) {
    return std::nullopt;
  }
  return ClientPath{std::move(*session), relays};
}

onion::Datagram TestClient::data(PacketClass packet_class, const ClientPath& path,
                                 std::uint64_t seq, Bytes data) {
  const auto packet =
      onion::build_data(packet_class, onion::slot_of(net_.now_ms()), path.session.hops(),
                        onion::flow_and_seq(1, seq), data, system_random());
  EXPECT_TRUE(packet);
  return *packet;
}

onion::ReplyBlock TestClient::reply_block(PacketClass packet_class, const ClientPath& path) {
  const auto block = onion::build_reply_block(packet_class, path.session.hops(), system_random());
  EXPECT_TRUE(block);
  return *block;
}

onion::Datagram TestClient::echo(PacketClass packet_class, const ClientPath& path,
                                 std::uint64_t seq, Bytes text) {
  const onion::ReplyBlock block = reply_block(packet_class, path);
  std::vector<std::uint8_t> body(block.view().begin(), block.view().end());
  body.insert(body.end(), text.begin(), text.end());
  return data(packet_class, path, seq, body);
}

std::optional<onion::BackwardPacket> TestClient::open(PacketClass packet_class,
                                                      const ClientPath& path,
                                                      const Arrived& arrived) {
  std::vector<const Secret<16>*> secrets;
  for (const onion::HopSession& hop : path.session.hops()) {
    secrets.push_back(&hop.secret);
  }
  auto opened = onion::open_backward(packet_class, net_.now_ms(), secrets, arrived.datagram);
  return opened ? std::optional(*opened) : std::nullopt;
}

}  // namespace allium::dataplane
