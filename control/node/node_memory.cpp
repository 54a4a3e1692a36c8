// SPDX-License-Identifier: Apache-2.0
#include "control/node/node_memory.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <sodium.h>

#include "dataplane/control_port/controller.hpp"

namespace allium::control {

struct NodeMemory::Slot {
  std::uint64_t number = 0;  ///< the higher one counts
  std::array<std::uint8_t, crypto_generichash_BYTES> digest{};
  std::array<std::uint8_t, NodeKeys::kStateBytes> state{};
};

namespace {

constexpr std::size_t kSlots = 2;
constexpr std::size_t kKeyBytes = 16384;

template <typename Slot>
std::array<std::uint8_t, crypto_generichash_BYTES> digest_of(const Slot& slot) {
  std::array<std::uint8_t, crypto_generichash_BYTES> digest;
  crypto_generichash_state hash;
  crypto_generichash_init(&hash, nullptr, 0, digest.size());
  std::array<std::uint8_t, 8> number;
  store_be(number.data(), slot.number, number.size());
  crypto_generichash_update(&hash, number.data(), number.size());
  crypto_generichash_update(&hash, slot.state.data(), slot.state.size());
  crypto_generichash_final(&hash, digest.data(), digest.size());
  return digest;
}

bool has_size(int descriptor, std::size_t byte_count) noexcept {
  struct stat about {};

  return fstat(descriptor, &about) == 0 && static_cast<std::size_t>(about.st_size) == byte_count;
}

/// What the service manager has kept, by the places of kNames; -1 where there is none that fits.
std::array<int, 3> take_kept(const std::array<std::size_t, 3>& sizes) {
  std::array<int, 3> kept{-1, -1, -1};
  char** names = nullptr;
  const int count = sd_listen_fds_with_names(1, &names);
  for (int i = 0; i < count; ++i) {
    const int descriptor = SD_LISTEN_FDS_START + i;
    bool is_taken = false;
    for (std::size_t k = 0; k < kept.size() && !is_taken; ++k) {
      if (kept[k] < 0 && std::strcmp(names[i], NodeMemory::kNames[k]) == 0 &&
          has_size(descriptor, sizes[k])) {
        kept[k] = descriptor;
        is_taken = true;
      }
    }
    if (!is_taken) {
      close(descriptor);
    }
    std::free(names[i]);
  }
  std::free(names);
  return kept;
}

void ask_to_keep(int descriptor, const char* name) {
  const std::string forget = std::string("FDSTOREREMOVE=1\nFDNAME=") + name;
  const std::string keep = std::string("FDSTORE=1\nFDPOLL=0\nFDNAME=") + name;
  sd_notify(0, forget.c_str());
  sd_pid_notify_with_fds(0, 0, keep.c_str(), &descriptor, 1);
}

}  // namespace

Result<std::array<int, 3>> NodeMemory::create(std::size_t replay_bytes, std::size_t handle_bytes) {
  const std::array<std::size_t, 3> sizes = {kKeyBytes, replay_bytes, handle_bytes};
  std::array<int, 3> made{-1, -1, -1};
  for (std::size_t i = 0; i < made.size(); ++i) {
    const Result<int> memory = control_port::create_sealed_memory(kNames[i], sizes[i]);
    if (!memory) {
      std::for_each(made.begin(), made.begin() + static_cast<std::ptrdiff_t>(i), close);
      return tl::unexpected(memory.error());
    }
    made[i] = *memory;
  }
  return made;
}

Result<NodeMemory> NodeMemory::open(std::size_t replay_bytes, std::size_t handle_bytes) {
  const std::array<std::size_t, 3> sizes = {kKeyBytes, replay_bytes, handle_bytes};
  NodeMemory memory;
  memory.descriptors_ = take_kept(sizes);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (memory.descriptors_[i] >= 0) {
      continue;
    }
    const Result<int> made = control_port::create_sealed_memory(kNames[i], sizes[i]);
    if (!made) {
      return tl::unexpected(made.error());
    }
    memory.descriptors_[i] = *made;
    ask_to_keep(*made, kNames[i]);
  }
  if (Result<void> mapped = memory.map_keys(); !mapped) {
    return tl::unexpected(mapped.error());
  }
  return memory;
}

Result<void> NodeMemory::map_keys() {
  static_assert(kSlots * sizeof(Slot) <= kKeyBytes);
  void* const memory =
      mmap(nullptr, kKeyBytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptors_[0], 0);
  if (memory == MAP_FAILED) {
    return fail(Errc::unavailable, std::string("no memory for keys: ") + std::strerror(errno));
  }
  madvise(memory, kKeyBytes, MADV_DONTDUMP);
  slots_ = static_cast<Slot*>(memory);
  return {};
}

NodeMemory::NodeMemory(NodeMemory&& other) noexcept
    : descriptors_(std::exchange(other.descriptors_, {-1, -1, -1})),
      slots_(std::exchange(other.slots_, nullptr)) {}

NodeMemory::~NodeMemory() {
  if (slots_ != nullptr) {
    munmap(slots_, kKeyBytes);
  }
  for (const int descriptor : descriptors_) {
    if (descriptor >= 0) {
      close(descriptor);
    }
  }
}

NodeMemory::Slot* NodeMemory::newest() const {
  Slot* best = nullptr;
  for (Slot* slot : {slots_, slots_ + 1}) {
    if (slot->number != 0 && (best == nullptr || slot->number > best->number) &&
        digest_of(*slot) == slot->digest) {
      best = slot;
    }
  }
  return best;
}

void NodeMemory::load(NodeKeys::State& target) const {
  target.clear();
  if (const Slot* const slot = newest()) {
    target.bytes() = slot->state;
  }
}

void NodeMemory::keep(const NodeKeys::State& state) {
  Slot* const last = newest();
  Slot* const next = last == slots_ ? slots_ + 1 : slots_;
  next->number = 0;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  next->state = state.bytes();
  next->number = last == nullptr ? 1 : last->number + 1;
  next->digest = digest_of(*next);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (last != nullptr) {
    wipe(last, sizeof *last);  // keys that are erased are erased here too
  }
}

}  // namespace allium::control
