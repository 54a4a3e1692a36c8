// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/free_descriptors.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstddef>

namespace allium::storage::internal {
namespace {

// Logs, manifest, directories, a table for each log, and the tables that are opened ahead of use.
constexpr std::size_t kFilesToOpen = 64;

}  // namespace

bool can_open_files() {
  std::array<int, kFilesToOpen> taken{};
  std::size_t count = 0;
  // Opened and not duplicated: the machine has a bound of open files as well.
  while (count < taken.size() && (taken[count] = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
    ++count;
  }
  for (std::size_t i = 0; i < count; ++i) {
    ::close(taken[i]);
  }
  return count == taken.size();
}

}  // namespace allium::storage::internal
