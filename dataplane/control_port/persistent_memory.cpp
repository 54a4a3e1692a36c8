// SPDX-License-Identifier: Apache-2.0
#include "dataplane/control_port/persistent_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "dataplane/onion/replay_set.hpp"

namespace allium::control_port {
namespace {

Result<int> sealed_memory(const char* name, std::size_t byte_count) {
  const int memory = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (memory < 0 || ftruncate(memory, static_cast<off_t>(byte_count)) != 0 ||
      fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    const std::string why = std::strerror(errno);
    if (memory >= 0) {
      close(memory);
    }
    return fail(Errc::unavailable, std::string("no memory for ") + name + ": " + why);
  }
  return memory;
}

void close_once(int& descriptor) noexcept {
  if (descriptor >= 0) {
    close(std::exchange(descriptor, -1));
  }
}

}  // namespace

Result<PersistentMemory> PersistentMemory::create(const PersistentMemorySizes& sizes) {
  PersistentMemory memory;
  memory.sizes_ = sizes;
  const auto replay =
      sealed_memory("allium-replay-set", onion::ReplaySet::bytes_needed(sizes.replay_lines));
  if (!replay) {
    return tl::unexpected(replay.error());
  }
  memory.replay_ = *replay;
  const auto handles =
      sealed_memory("allium-handle-table", onion::HandleTable::bytes_needed(sizes.handles));
  if (!handles) {
    return tl::unexpected(handles.error());
  }
  memory.handles_ = *handles;
  return memory;
}

PersistentMemory::~PersistentMemory() {
  close_once(replay_);
  close_once(handles_);
}

PersistentMemory::PersistentMemory(PersistentMemory&& other) noexcept
    : sizes_(other.sizes_),
      replay_(std::exchange(other.replay_, -1)),
      handles_(std::exchange(other.handles_, -1)) {}

PersistentMemory& PersistentMemory::operator=(PersistentMemory&& other) noexcept {
  std::swap(sizes_, other.sizes_);
  std::swap(replay_, other.replay_);
  std::swap(handles_, other.handles_);
  return *this;
}

Configure PersistentMemory::configure(std::uint64_t slot_floor_if_new) const noexcept {
  Configure message;
  message.replay_lines = sizes_.replay_lines;
  message.handles_max = static_cast<std::uint32_t>(sizes_.handles.live_max);
  message.handles_per_host = static_cast<std::uint32_t>(sizes_.handles.per_host);
  message.handles_per_site = static_cast<std::uint32_t>(sizes_.handles.per_site);
  message.slot_floor_if_new = slot_floor_if_new;
  return message;
}

}  // namespace allium::control_port
