// SPDX-License-Identifier: Apache-2.0
#include "dataplane/engine/kernel_neighbours.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>

#include "dataplane/onion/endpoint.hpp"

namespace allium::dataplane {
namespace {

using Address = NextHopTable::Address;

constexpr std::uint64_t kSolicitEveryMs = 1000;
constexpr std::uint64_t kSolicitForMs = 10000;
constexpr std::uint16_t kDiscardPort = 9;

std::optional<Address> address_of(const nl_addr* source) noexcept {
  if (source == nullptr) {
    return std::nullopt;
  }
  const auto* bytes = static_cast<const std::uint8_t*>(nl_addr_get_binary_addr(source));
  const unsigned length = nl_addr_get_len(source);
  if (length == 4) {
    return onion::Endpoint::from_v4(bytes, 0).address;
  }
  if (length == 16) {
    return onion::Endpoint::from_v6(bytes, 0).address;
  }
  return std::nullopt;
}

bool is_v4(const Address& address) noexcept {
  onion::Endpoint endpoint;
  endpoint.address = address;
  return endpoint.is_v4();
}

bool has_prefix(const Address& address, const Address& prefix, unsigned bit_count) noexcept {
  const unsigned whole = bit_count / 8;
  if (!std::equal(prefix.begin(), prefix.begin() + whole, address.begin())) {
    return false;
  }
  const unsigned rest = bit_count % 8;
  return rest == 0 || (prefix[whole] ^ address[whole]) >> (8 - rest) == 0;
}

struct Route {
  Address prefix{};
  unsigned bit_count = 0;  ///< in the 128 bits of a mapped address
  unsigned interface_index = 0;
  std::uint32_t metric = 0;
  std::optional<Address> gateway;
};

std::optional<Route> route_of(rtnl_route* source) noexcept {
  const int family = rtnl_route_get_family(source);
  if (rtnl_route_get_table(source) != RT_TABLE_MAIN || rtnl_route_get_type(source) != RTN_UNICAST ||
      (family != AF_INET && family != AF_INET6) || rtnl_route_get_nnexthops(source) < 1) {
    return std::nullopt;
  }
  rtnl_nexthop* hop = rtnl_route_nexthop_n(source, 0);
  nl_addr* destination = rtnl_route_get_dst(source);
  Route route;
  const unsigned shift = family == AF_INET ? 96 : 0;
  if (const auto prefix = address_of(destination)) {
    route.prefix = *prefix;
    route.bit_count = shift + nl_addr_get_prefixlen(destination);
  } else {
    const std::array<std::uint8_t, 4> any{};
    route.prefix = family == AF_INET ? onion::Endpoint::from_v4(any.data(), 0).address : Address{};
    route.bit_count = shift;
  }
  route.interface_index = static_cast<unsigned>(rtnl_route_nh_get_ifindex(hop));
  route.metric = rtnl_route_get_priority(source);
  route.gateway = address_of(rtnl_route_nh_get_gateway(hop));
  return route;
}

}  // namespace

Result<std::vector<Address>> interface_addresses(const std::string& interface_name) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) {
    return fail(Errc::io, std::string("cannot read the interfaces: ") + std::strerror(errno));
  }
  std::vector<Address> addresses;
  for (const ifaddrs* item = list; item != nullptr; item = item->ifa_next) {
    if (item->ifa_addr == nullptr || interface_name != item->ifa_name) {
      continue;
    }
    if (item->ifa_addr->sa_family == AF_INET) {
      sockaddr_in v4{};
      std::memcpy(&v4, item->ifa_addr, sizeof v4);
      std::array<std::uint8_t, 4> bytes{};
      std::memcpy(bytes.data(), &v4.sin_addr, 4);
      addresses.push_back(onion::Endpoint::from_v4(bytes.data(), 0).address);
    } else if (item->ifa_addr->sa_family == AF_INET6) {
      sockaddr_in6 v6{};
      std::memcpy(&v6, item->ifa_addr, sizeof v6);
      if (!IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr)) {
        addresses.push_back(onion::Endpoint::from_v6(v6.sin6_addr.s6_addr, 0).address);
      }
    }
  }
  freeifaddrs(list);
  if (addresses.empty()) {
    return fail(Errc::not_found, "interface '" + interface_name +
                                     "' has no address; give it one (ip address add ...)");
  }
  return addresses;
}

struct KernelNeighbours::State {
  struct Port {
    KernelPort config;
    unsigned interface_index;
  };

  struct Wanted {
    std::uint64_t asked_ms;
    std::uint64_t solicited_ms;
  };

  std::vector<Port> ports;
  nl_cache_mngr* manager = nullptr;
  nl_cache* neighbours = nullptr;
  nl_cache* routes = nullptr;
  int probe_v4 = -1;
  int probe_v6 = -1;
  std::unordered_map<Address, Wanted, NextHopTable::AddressHash> wanted;
  NextHopTable::Entries table;
  bool is_stale = true;
  std::uint64_t made_ms = 0;

  ~State() {
    if (manager != nullptr) {
      nl_cache_mngr_free(manager);
    }
    for (const int descriptor : {probe_v4, probe_v6}) {
      if (descriptor >= 0) {
        close(descriptor);
      }
    }
  }

  [[nodiscard]] std::vector<Route> usable_routes() const;
  [[nodiscard]] NextHopTable::Entries known_neighbours() const;
  [[nodiscard]] std::optional<NextHop> resolve(const Address& address,
                                               const std::vector<Route>& all_routes,
                                               const NextHopTable::Entries& known) const;
  void probe(const Address& address) const noexcept;
};

std::vector<Route> KernelNeighbours::State::usable_routes() const {
  std::vector<Route> usable;
  for (nl_object* object = nl_cache_get_first(routes); object != nullptr;
       object = nl_cache_get_next(object)) {
    if (const auto route = route_of(reinterpret_cast<rtnl_route*>(object))) {
      usable.push_back(*route);
    }
  }
  // The longest prefix first, then the smallest metric.
  std::sort(usable.begin(), usable.end(), [](const Route& left, const Route& right) {
    return left.bit_count != right.bit_count ? left.bit_count > right.bit_count
                                             : left.metric < right.metric;
  });
  return usable;
}

NextHopTable::Entries KernelNeighbours::State::known_neighbours() const {
  NextHopTable::Entries known;
  for (nl_object* object = nl_cache_get_first(neighbours); object != nullptr;
       object = nl_cache_get_next(object)) {
    auto* neighbour = reinterpret_cast<rtnl_neigh*>(object);
    const auto address = address_of(rtnl_neigh_get_dst(neighbour));
    const nl_addr* mac = rtnl_neigh_get_lladdr(neighbour);
    const int state = rtnl_neigh_get_state(neighbour);
    if (!address || mac == nullptr || nl_addr_get_len(mac) != 6 ||
        (state & (NUD_INCOMPLETE | NUD_FAILED | NUD_NOARP)) != 0) {
      continue;
    }
    const auto interface_index = static_cast<unsigned>(rtnl_neigh_get_ifindex(neighbour));
    for (const Port& port : ports) {
      if (port.interface_index == interface_index) {
        NextHop hop;
        hop.port_index = port.config.port_index;
        std::memcpy(hop.mac.data(), nl_addr_get_binary_addr(mac), hop.mac.size());
        known[*address] = hop;
      }
    }
  }
  return known;
}

std::optional<NextHop> KernelNeighbours::State::resolve(const Address& address,
                                                        const std::vector<Route>& all_routes,
                                                        const NextHopTable::Entries& known) const {
  for (const Route& route : all_routes) {
    if (is_v4(route.prefix) != is_v4(address) ||
        !has_prefix(address, route.prefix, route.bit_count)) {
      continue;
    }
    const auto neighbour = known.find(route.gateway.value_or(address));
    if (neighbour == known.end()) {
      return std::nullopt;
    }
    NextHop hop = neighbour->second;
    for (const Port& port : ports) {
      if (port.interface_index != route.interface_index) {
        continue;
      }
      for (const Address& own : port.config.addresses) {
        if (is_v4(own) == is_v4(address)) {
          hop.source_address = own;
          return hop;
        }
      }
    }
    return std::nullopt;
  }
  return std::nullopt;
}

// Any datagram makes the kernel look for the neighbour; this one goes to the discard port.
void KernelNeighbours::State::probe(const Address& address) const noexcept {
  const char nothing = 0;
  if (is_v4(address)) {
    sockaddr_in target{};
    target.sin_family = AF_INET;
    target.sin_port = htons(kDiscardPort);
    std::memcpy(&target.sin_addr, address.data() + 12, 4);
    static_cast<void>(sendto(probe_v4, &nothing, 1, MSG_DONTWAIT | MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&target), sizeof target));
  } else {
    sockaddr_in6 target{};
    target.sin6_family = AF_INET6;
    target.sin6_port = htons(kDiscardPort);
    std::memcpy(&target.sin6_addr, address.data(), 16);
    static_cast<void>(sendto(probe_v6, &nothing, 1, MSG_DONTWAIT | MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&target), sizeof target));
  }
}

KernelNeighbours::KernelNeighbours(std::unique_ptr<State> state) : state_(std::move(state)) {}

KernelNeighbours::~KernelNeighbours() = default;

Result<std::unique_ptr<KernelNeighbours>> KernelNeighbours::open(std::vector<KernelPort> ports) {
  auto state = std::make_unique<State>();
  for (KernelPort& port : ports) {
    const unsigned index = if_nametoindex(port.interface_name.c_str());
    if (index == 0) {
      return fail(Errc::not_found, "no interface '" + port.interface_name + "'; see: ip link");
    }
    state->ports.push_back({std::move(port), index});
  }
  int code = nl_cache_mngr_alloc(nullptr, NETLINK_ROUTE, NL_AUTO_PROVIDE, &state->manager);
  if (code == 0) {
    code = nl_cache_mngr_add(state->manager, "route/neigh", nullptr, nullptr, &state->neighbours);
  }
  if (code == 0) {
    code = nl_cache_mngr_add(state->manager, "route/route", nullptr, nullptr, &state->routes);
  }
  if (code != 0) {
    return fail(Errc::unavailable,
                std::string("the kernel's routes cannot be read: ") + nl_geterror(code));
  }
  state->probe_v4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  state->probe_v6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return std::unique_ptr<KernelNeighbours>(new KernelNeighbours(std::move(state)));
}

int KernelNeighbours::descriptor() const noexcept {
  return nl_cache_mngr_get_fd(state_->manager);
}

void KernelNeighbours::prefer_source(const Address& address) {
  for (State::Port& port : state_->ports) {
    std::vector<Address>& own = port.config.addresses;
    const auto found = std::find(own.begin(), own.end(), address);
    if (found != own.end() && found != own.begin()) {
      std::rotate(own.begin(), found, found + 1);
      state_->is_stale = true;
    }
  }
}

void KernelNeighbours::read_news() noexcept {
  nl_cache_mngr_data_ready(state_->manager);
  state_->is_stale = true;
}

void KernelNeighbours::want(const Address& address, std::uint64_t now_ms) {
  auto& wanted = state_->wanted;
  const auto [found, is_new] = wanted.try_emplace(address, State::Wanted{now_ms, 0});
  found->second.asked_ms = now_ms;
  if (is_new) {
    state_->is_stale = true;
  }
  if (wanted.size() > NextHopTable::kEntriesMax) {
    wanted.erase(std::min_element(wanted.begin(), wanted.end(), [](const auto& a, const auto& b) {
      return a.second.asked_ms < b.second.asked_ms;
    }));
  }
}

void KernelNeighbours::solicit(std::uint64_t now_ms) noexcept {
  for (auto& [address, wanted] : state_->wanted) {
    if (state_->table.count(address) == 0 && now_ms < wanted.asked_ms + kSolicitForMs &&
        now_ms >= wanted.solicited_ms + kSolicitEveryMs) {
      wanted.solicited_ms = now_ms;
      state_->probe(address);
    }
  }
}

bool KernelNeighbours::has_news() const noexcept {
  return state_->is_stale;
}

std::optional<NextHopTable::Entries> KernelNeighbours::changed_table(std::uint64_t now_ms) {
  // A clock that stepped back makes the difference huge, and the table is made.
  if (!state_->is_stale || now_ms - state_->made_ms < kTableEveryMs) {
    return std::nullopt;
  }
  state_->is_stale = false;
  state_->made_ms = now_ms;
  const std::vector<Route> routes = state_->usable_routes();
  const NextHopTable::Entries known = state_->known_neighbours();
  NextHopTable::Entries table;
  for (const auto& [address, wanted] : state_->wanted) {
    if (const auto hop = state_->resolve(address, routes, known)) {
      table[address] = *hop;
    }
  }
  const auto same = [](const NextHop& left, const NextHop& right) {
    return left.port_index == right.port_index && left.mac == right.mac &&
           left.source_address == right.source_address;
  };
  const bool is_equal = table.size() == state_->table.size() &&
                        std::all_of(table.begin(), table.end(), [&](const auto& entry) {
                          const auto old = state_->table.find(entry.first);
                          return old != state_->table.end() && same(old->second, entry.second);
                        });
  if (is_equal) {
    return std::nullopt;
  }
  state_->table = table;
  return table;
}

}  // namespace allium::dataplane
