// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/connection_table.hpp"

#include <utility>
#include <vector>

#include "crypto_accel/base/check.hpp"

namespace allium::control {

namespace ip = boost::asio::ip;

void OmqLink::note_connections() {
  while (const std::optional<ZmqConnectionEvent> event = monitor->next()) {
    const bool has_come = event->kind == ZmqConnectionEvent::Kind::came;
    input = has_come ? InputTally(event->descriptor) : InputTally();
  }
}

ip::address without_mapping(const ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return ip::make_address_v4(ip::v4_mapped, address.to_v6());
  }
  return address;
}

std::shared_ptr<Output> ConnectionTable::descriptor_opened(int descriptor,
                                                           const ip::tcp::endpoint& peer) {
  descriptor_closed(descriptor);
  auto opened = std::make_shared<Output>(make_pipe_());
  opened->descriptor = descriptor;
  opened->peer = peer;
  incoming_.emplace(descriptor, Incoming{std::move(opened), InputTally(descriptor)});
  const auto gives_way = arrivals_.came(descriptor, address_block(peer.address()));
  return gives_way ? output(*gives_way) : nullptr;
}

void ConnectionTable::descriptors_closed() {
  while (!incoming_.empty()) {
    descriptor_closed(incoming_.begin()->first);
  }
}

std::shared_ptr<Output> ConnectionTable::output(int descriptor) const {
  const auto found = incoming_.find(descriptor);
  return found == incoming_.end() ? nullptr : found->second.output;
}

void ConnectionTable::took(const ZmqReceived& message) {
  const auto found = incoming_.find(message.descriptor);
  if (found != incoming_.end()) {
    found->second.input.took(message.wire_bytes);
  }
}

void ConnectionTable::descriptor_lost(int descriptor) {
  const auto found = by_descriptor_.find(descriptor);
  if (found != by_descriptor_.end()) {
    close(*find(found->second));
  }
  arrivals_.lost(descriptor);
  const auto incoming = incoming_.find(descriptor);
  if (incoming != incoming_.end()) {
    incoming->second.is_lost = true;
    // Last: whatever else counts it would keep it for ever.
    pool_.close(incoming->second.output);
  }
}

void ConnectionTable::descriptor_closed(int descriptor) {
  descriptor_lost(descriptor);
  arrivals_.left(descriptor);
  incoming_.erase(descriptor);
}

std::shared_ptr<Output> ConnectionTable::overtaken_by(const ZmqReceived& message) const {
  const auto known = by_routing_id_.find(message.routing_id);
  const int descriptor = known == by_routing_id_.end() ? -1 : find(known->second)->descriptor;
  return descriptor == message.descriptor ? nullptr : output(descriptor);
}

ConnectionTable::Link ConnectionTable::client(const ZmqReceived& message, const X25519Key& key,
                                              const std::shared_ptr<ZmqSocket>& listener) {
  const auto incoming = incoming_.find(message.descriptor);
  if (incoming == incoming_.end() || incoming->second.is_lost) {
    return nullptr;
  }
  const auto known = by_routing_id_.find(message.routing_id);
  if (known != by_routing_id_.end()) {
    Link link = find(known->second);
    if (link->key == key && link->descriptor == message.descriptor) {
      return link;
    }
    close(*link);
  }
  const auto same_descriptor = by_descriptor_.find(message.descriptor);
  if (same_descriptor != by_descriptor_.end()) {
    close(*find(same_descriptor->second));
  }
  auto link = std::make_shared<OmqLink>(next_number(), key, listener, incoming->second.output);
  link->routing_id = message.routing_id;
  link->descriptor = message.descriptor;
  boost::system::error_code ignored;
  link->address = without_mapping(ip::make_address(message.address, ignored));
  links_.emplace(link->number, link);
  by_routing_id_.emplace(link->routing_id, link->number);
  by_descriptor_.emplace(link->descriptor, link->number);
  return link;
}

ConnectionTable::Link ConnectionTable::add_outgoing(const OmqPeer& peer,
                                                    std::shared_ptr<ZmqSocket> socket,
                                                    std::unique_ptr<ZmqMonitor> monitor) {
  auto link = std::make_shared<OmqLink>(next_number(), peer.x25519, std::move(socket),
                                        std::make_shared<Output>(make_pipe_()));
  link->is_outgoing = true;
  link->monitor = std::move(monitor);
  link->endpoint = peer.endpoint;
  link->address = peer.endpoint.address();
  links_.emplace(link->number, link);
  ALLIUM_CHECK(outgoing_.emplace(peer.x25519, link->number).second);
  return link;
}

std::vector<ConnectionTable::Link> ConnectionTable::outgoing() const {
  std::vector<Link> links;
  links.reserve(outgoing_.size());
  for (const auto& [key, number] : outgoing_) {
    links.push_back(find(number));
  }
  return links;
}

ConnectionTable::Link ConnectionTable::find(OmqConnection number) const {
  const auto found = links_.find(number);
  return found == links_.end() ? nullptr : found->second;
}

ConnectionTable::Link ConnectionTable::find_outgoing(const X25519Key& key) const {
  const auto found = outgoing_.find(key);
  return found == outgoing_.end() ? nullptr : find(found->second);
}

ConnectionTable::Link ConnectionTable::idlest_outgoing() const {
  Link idlest;
  for (const auto& [key, number] : outgoing_) {
    const Link link = find(number);
    const bool is_idle = link->requested_count == 0 && link->served_count == 0;
    if (is_idle && (!idlest || link->last_used < idlest->last_used)) {
      idlest = link;
    }
  }
  return idlest;
}

void ConnectionTable::close(OmqLink& link) {
  if (std::exchange(link.is_closed, true)) {
    return;
  }
  link.output->outbox.clear();
  if (link.is_outgoing) {
    outgoing_.erase(link.key);
    link.monitor.reset();
    link.socket->close();
    pool_.close(link.output);
  } else {
    by_routing_id_.erase(link.routing_id);
    by_descriptor_.erase(link.descriptor);
    pool_.count(link.output);
  }
  const OmqConnection number = link.number;
  waiting.erase(number);
  closed_(link);
  links_.erase(number);  // the last: it may be what keeps `link`
}

void ConnectionTable::close_all() {
  while (!links_.empty()) {
    close(*links_.begin()->second);
  }
}

}  // namespace allium::control
