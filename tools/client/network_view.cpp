// SPDX-License-Identifier: Apache-2.0
#include "tools/client/network_view.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "crypto_accel/base/bytes.hpp"

namespace allium::client {
namespace {

Result<PathPlan> choose_named(const NetworkView& view, const PathChoice& choice) {
  PathPlan plan;
  for (const std::string& name : choice.names) {
    const RelayView* const relay = view.find(name);
    if (relay == nullptr) {
      return fail(Errc::not_found,
                  fmt::format("there is no relay '{}' in the network: see the names with "
                              "'allium devnet status'",
                              name));
    }
    plan.push_back(*relay);
  }
  return plan;
}

void take_named(std::vector<const RelayView*>& candidates, std::string_view name, PathPlan& plan) {
  const auto found = std::find_if(candidates.begin(), candidates.end(),
                                  [name](const RelayView* relay) { return relay->name == name; });
  if (found != candidates.end()) {
    plan.push_back(**found);
    candidates.erase(found);
  }
}

Result<PathPlan> choose_random(const NetworkView& view, const PathChoice& choice,
                               std::uint64_t hour, const Random& random) {
  std::vector<const RelayView*> candidates;
  for (const RelayView& relay : view.relays) {
    if (relay.key_of(hour) != nullptr) {
      candidates.push_back(&relay);
    }
  }
  if (candidates.size() < choice.hop_count) {
    return fail(
        Errc::not_found,
        fmt::format("{} of {} relays publish an onion key for this hour, and a path of {} hops "
                    "needs as many: use fewer hops or a larger network",
                    candidates.size(), view.relays.size(), choice.hop_count));
  }
  PathPlan plan;
  PathPlan end;
  take_named(candidates, choice.end, end);
  if (plan.size() + end.size() < choice.hop_count) {
    take_named(candidates, choice.entry, plan);
  }
  while (plan.size() + end.size() < choice.hop_count) {
    const auto index = static_cast<std::ptrdiff_t>(random_below(candidates.size(), random));
    plan.push_back(*candidates[static_cast<std::size_t>(index)]);
    candidates.erase(candidates.begin() + index);
  }
  plan.insert(plan.end(), end.begin(), end.end());
  return plan;
}

Result<void> check_plan(const PathPlan& plan, std::uint64_t hour) {
  for (std::size_t i = 0; i < plan.size(); ++i) {
    if (plan[i].key_of(hour) == nullptr) {
      return fail(
          Errc::not_found,
          fmt::format("hop {} ({}) publishes no onion key for this hour: check the clock, or get "
                      "newer node records",
                      i + 1, plan[i].name));
    }
    for (std::size_t other = 0; other < i; ++other) {
      if (plan[other].id == plan[i].id) {
        return fail(Errc::out_of_range,
                    fmt::format("{} is in the path twice: name different relays", plan[i].name));
      }
    }
  }
  return {};
}

}  // namespace

const crypto_accel::PublicKey* RelayView::key_of(std::uint64_t hour) const noexcept {
  for (const OnionKey& key : keys) {
    if (key.hour == hour) {
      return &key.public_key;
    }
  }
  return nullptr;
}

const RelayView* NetworkView::find(std::string_view name) const noexcept {
  for (const RelayView& relay : relays) {
    if (relay.name == name || fmt::format("{:08x}", relay.id) == name) {
      return &relay;
    }
  }
  return nullptr;
}

std::uint64_t random_below(std::uint64_t bound, const Random& random) {
  // Draws at or above the largest multiple of the bound are thrown away: no number is favoured.
  const std::uint64_t limit = ~std::uint64_t{0} - (~std::uint64_t{0} % bound);
  for (;;) {
    std::array<std::uint8_t, 8> bytes;
    random(bytes);
    const std::uint64_t number = load_be(bytes.data(), bytes.size());
    if (number < limit) {
      return number % bound;
    }
  }
}

Result<PathPlan> choose_path(const NetworkView& view, const PathChoice& choice, std::uint64_t hour,
                             const Random& random) {
  Result<PathPlan> plan =
      choice.names.empty() ? choose_random(view, choice, hour, random) : choose_named(view, choice);
  if (plan) {
    if (Result<void> checked = check_plan(*plan, hour); !checked) {
      return tl::unexpected(checked.error());
    }
  }
  return plan;
}

std::string path_names(const PathPlan& plan) {
  std::string names;
  for (const RelayView& relay : plan) {
    names += names.empty() ? relay.name : ' ' + relay.name;
  }
  return names;
}

}  // namespace allium::client
