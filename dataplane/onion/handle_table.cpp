// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/handle_table.hpp"

#include <array>
#include <atomic>
#include <new>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/check.hpp"

namespace allium::onion {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kLiveMax = std::size_t{1} << 20;
constexpr std::uint64_t kMagic = 0x616c6c3148444c31;  // "all1HDL1": the layout's name and version
constexpr std::uint64_t kHandleMax = (std::uint64_t{1} << 48) - 1;
constexpr std::uint64_t kDead = ~std::uint64_t{0};  // held a handle once; 0 never did

// Twice the live entries, so that a new one finds room near the place that its number names.
std::size_t places_for(const HandleLimits& limits) noexcept {
  return 2 * limits.live_max;
}

bool is_live_at(std::uint64_t last_use_epoch, std::uint64_t epoch) noexcept {
  return epoch <= last_use_epoch + 1;
}

struct AddressWords {
  explicit AddressWords(const Endpoint& endpoint) noexcept
      : high(load_be(endpoint.address.data(), 8)),
        low(load_be(endpoint.address.data() + 8, 8)),
        port(endpoint.port) {}

  std::uint64_t high;
  std::uint64_t low;
  std::uint64_t port;
};

}  // namespace

struct alignas(kAlignment) HandleTable::Header {
  std::atomic<std::uint64_t> magic;
  std::atomic<std::uint64_t> live_max;
  std::atomic<std::uint64_t> next_handle;
};

// `version` is odd while the entry changes its client; who dies then leaves it odd, hence dead. An entry
// whose handle somebody may still ask for never changes its client.
struct alignas(kAlignment) HandleTable::Entry {
  std::atomic<std::uint64_t> version;
  std::atomic<std::uint64_t> handle;
  std::atomic<std::uint64_t> epoch;  // of the last use
  std::atomic<std::uint64_t> high;
  std::atomic<std::uint64_t> low;
  std::atomic<std::uint64_t> port;

  [[nodiscard]] bool holds_live(std::uint64_t at_epoch) const noexcept {
    const std::uint64_t held = handle.load(std::memory_order_relaxed);
    return (version.load(std::memory_order_relaxed) & 1) == 0 && held != 0 && held != kDead &&
           is_live_at(epoch.load(std::memory_order_relaxed), at_epoch);
  }

  void set(std::uint64_t new_handle, const AddressWords& client, std::uint64_t new_epoch) noexcept {
    const std::uint64_t odd = version.load(std::memory_order_relaxed) | 1;
    version.store(odd, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    handle.store(new_handle, std::memory_order_relaxed);
    high.store(client.high, std::memory_order_relaxed);
    low.store(client.low, std::memory_order_relaxed);
    port.store(client.port, std::memory_order_relaxed);
    epoch.store(new_epoch, std::memory_order_relaxed);
    version.store(odd + 1, std::memory_order_release);
  }
};

/// What a walk over the table found.
struct HandleTable::Census {
  Entry* of_client = nullptr;
  std::size_t live = 0;
  std::size_t same_host = 0;
  std::size_t same_site = 0;
};

std::size_t HandleTable::bytes_needed(const HandleLimits& limits) noexcept {
  ALLIUM_CHECK(limits.live_max > 0 && limits.live_max <= kLiveMax);
  return sizeof(Header) + places_for(limits) * sizeof(Entry);
}

Result<HandleTable> HandleTable::attach(std::span<std::byte> memory, const HandleLimits& limits,
                                        std::uint64_t first_handle) {
  if (memory.size() != bytes_needed(limits)) {
    return fail(Errc::malformed, "the handle table's memory has another size than its limits need");
  }
  ALLIUM_CHECK(reinterpret_cast<std::uintptr_t>(memory.data()) % kAlignment == 0);
  HandleTable table;
  table.header_ = std::launder(reinterpret_cast<Header*>(memory.data()));
  table.entries_ = std::launder(reinterpret_cast<Entry*>(memory.data() + sizeof(Header)));
  table.entry_count_ = places_for(limits);
  table.limits_ = limits;
  Header& header = *table.header_;
  const std::uint64_t magic = header.magic.load(std::memory_order_acquire);
  if (magic == 0) {
    header.live_max.store(limits.live_max, std::memory_order_relaxed);
    header.next_handle.store(first_handle, std::memory_order_relaxed);
    header.magic.store(kMagic, std::memory_order_release);
  } else if (magic != kMagic ||
             header.live_max.load(std::memory_order_relaxed) != limits.live_max) {
    return fail(Errc::malformed,
                "the handle table's memory has another layout; start with new memory");
  }
  return table;
}

HandleTable::HandleTable(HandleTable&& other) noexcept
    : header_(other.header_),
      entries_(other.entries_),
      entry_count_(other.entry_count_),
      limits_(other.limits_) {}

std::optional<std::uint64_t> HandleTable::use(const Endpoint& client,
                                              std::uint64_t epoch) noexcept {
  const std::lock_guard guard(lock_);
  const Census census = count(client, epoch);
  if (census.of_client != nullptr) {
    census.of_client->epoch.store(epoch, std::memory_order_relaxed);
    return census.of_client->handle.load(std::memory_order_relaxed);
  }
  return has_room(census) ? add(client, epoch) : std::nullopt;
}

// Buries the dead on its way, so that they stay dead if the clock steps back.
HandleTable::Census HandleTable::count(const Endpoint& client, std::uint64_t epoch) const noexcept {
  constexpr unsigned kBitsBelowSite = 16;
  const AddressWords wanted(client);
  Census census;
  for (std::size_t place = 0; place < entry_count_; ++place) {
    Entry& entry = entries_[place];
    if (!entry.holds_live(epoch)) {
      if (entry.handle.load(std::memory_order_relaxed) != 0) {
        entry.handle.store(kDead, std::memory_order_relaxed);
      }
      continue;
    }
    const std::uint64_t high = entry.high.load(std::memory_order_relaxed);
    const bool is_same_host = high == wanted.high;
    ++census.live;
    census.same_host += is_same_host ? 1 : 0;
    census.same_site += high >> kBitsBelowSite == wanted.high >> kBitsBelowSite ? 1 : 0;
    if (is_same_host && entry.low.load(std::memory_order_relaxed) == wanted.low &&
        entry.port.load(std::memory_order_relaxed) == wanted.port) {
      census.of_client = &entry;
    }
  }
  return census;
}

bool HandleTable::has_room(const Census& census) const noexcept {
  const auto is_below = [](std::size_t count, std::size_t bound) {
    return bound == 0 || count < bound;
  };
  return census.live < limits_.live_max && is_below(census.same_host, limits_.per_host) &&
         is_below(census.same_site, limits_.per_site);
}

std::optional<std::uint64_t> HandleTable::add(const Endpoint& client,
                                              std::uint64_t epoch) noexcept {
  const std::uint64_t handle = header_->next_handle.load(std::memory_order_relaxed);
  if (handle > kHandleMax) {
    return std::nullopt;
  }
  // The number is spent before it is written anywhere: a crash here loses it, and never gives it twice.
  header_->next_handle.store(handle + 1, std::memory_order_release);
  for (std::size_t step = 0; step < entry_count_; ++step) {
    Entry& entry = entries_[(handle + step) % entry_count_];
    if (!entry.holds_live(epoch)) {
      entry.set(handle, AddressWords(client), epoch);
      return handle;
    }
  }
  return std::nullopt;
}

std::optional<Endpoint> HandleTable::find(std::uint64_t handle,
                                          std::uint64_t epoch) const noexcept {
  for (std::size_t step = 0; step < entry_count_; ++step) {
    const Entry& entry = entries_[(handle + step) % entry_count_];
    const std::uint64_t version = entry.version.load(std::memory_order_acquire);
    const std::uint64_t held = entry.handle.load(std::memory_order_relaxed);
    if (held == 0 && version == 0) {
      return std::nullopt;  // no number ever went past an unused place
    }
    if (held != handle || held == kDead) {
      continue;
    }
    Endpoint client;
    store_be(client.address.data(), entry.high.load(std::memory_order_relaxed), 8);
    store_be(client.address.data() + 8, entry.low.load(std::memory_order_relaxed), 8);
    client.port = static_cast<std::uint16_t>(entry.port.load(std::memory_order_relaxed));
    const std::uint64_t last_use = entry.epoch.load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    const bool is_whole =
        (version & 1) == 0 && entry.version.load(std::memory_order_relaxed) == version;
    return is_whole && is_live_at(last_use, epoch) ? std::optional(client) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace allium::onion
