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

std::shared_ptr<Incoming> ConnectionTable::came(std::shared_ptr<Incoming> connection) {
  const int descriptor = connection->descriptor();
  const AddressBlock block = connection->block();
  ALLIUM_CHECK(incoming_.emplace(descriptor, Accepted{std::move(connection)}).second);
  const auto gives_way = arrivals_.came(descriptor, block, Arrivals::Clock::now());
  return gives_way ? incoming(*gives_way) : nullptr;
}

std::shared_ptr<Incoming> ConnectionTable::incoming(int descriptor) const {
  const auto found = incoming_.find(descriptor);
  return found == incoming_.end() ? nullptr : found->second.connection;
}

void ConnectionTable::recount(const Incoming& connection) {
  const auto found = incoming_.find(connection.descriptor());
  if (found != incoming_.end() && found->second.connection.get() == &connection) {
    incoming_held_ += connection.held() - found->second.held;
    found->second.held = connection.held();
  }
}

void ConnectionTable::end(int descriptor) {
  const auto known = by_descriptor_.find(descriptor);
  if (known != by_descriptor_.end()) {
    close(*find(known->second));
  }
  const auto found = incoming_.find(descriptor);
  if (found == incoming_.end()) {
    return;
  }
  const std::shared_ptr<Incoming> connection = found->second.connection;
  incoming_held_ -= found->second.held;
  incoming_.erase(found);
  arrivals_.left(descriptor);
  pool_.close(connection->output());  // last: whatever else counts it would keep it for ever
  connection->close();
}

ConnectionTable::Link ConnectionTable::client(const Incoming& connection) {
  const std::shared_ptr<Incoming> open = incoming(connection.descriptor());
  if (open.get() != &connection) {
    return nullptr;
  }
  const auto known = by_descriptor_.find(connection.descriptor());
  if (known != by_descriptor_.end()) {
    return find(known->second);
  }
  auto link = std::make_shared<OmqLink>(next_number(), connection.key(), connection.output());
  link->incoming = open;
  link->address = connection.address();
  links_.emplace(link->number, link);
  by_descriptor_.emplace(connection.descriptor(), link->number);
  return link;
}

ConnectionTable::Link ConnectionTable::add_outgoing(const OmqPeer& peer,
                                                    std::shared_ptr<ZmqSocket> socket,
                                                    std::unique_ptr<ZmqMonitor> monitor) {
  auto link =
      std::make_shared<OmqLink>(next_number(), peer.x25519, std::make_shared<Output>(make_pipe_()));
  link->socket = std::move(socket);
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
    by_descriptor_.erase(link.incoming->descriptor());
    pool_.count(link.output);
  }
  const OmqConnection number = link.number;
  waiting.erase(number);
  closed_(link);
  links_.erase(number);  // the last: it may be what keeps `link`
}

void ConnectionTable::close_all() {
  while (!incoming_.empty()) {
    end(incoming_.begin()->first);
  }
  while (!links_.empty()) {
    close(*links_.begin()->second);
  }
}

}  // namespace allium::control
