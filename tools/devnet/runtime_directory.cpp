// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/runtime_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace allium::devnet {

RuntimeDirectory runtime_directory() {
  if (const char* chosen = std::getenv("ALLIUM_DEVNET_DIR"); chosen != nullptr && *chosen != 0) {
    return {chosen};
  }
  if (const char* xdg = std::getenv("XDG_RUNTIME_DIR"); xdg != nullptr && *xdg != 0) {
    return {std::string(xdg) + "/allium-devnet"};
  }
  if (geteuid() == 0 && access("/run", W_OK) == 0) {
    return {"/run/allium-devnet"};
  }
  return {"/tmp/allium-devnet-" + std::to_string(geteuid())};
}

Result<void> create_runtime_directory(const RuntimeDirectory& directory) {
  if (mkdir(directory.path.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(Errc::io, "cannot make " + directory.path + ": " + std::strerror(errno) +
                              "; set ALLIUM_DEVNET_DIR to a folder that you may write");
  }

  struct stat status {};

  if (lstat(directory.path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) ||
      status.st_uid != geteuid() || (status.st_mode & 022) != 0) {
    return fail(Errc::refused, directory.path +
                                   " is not a folder of yours alone; remove it or set "
                                   "ALLIUM_DEVNET_DIR");
  }
  return {};
}

Result<int> lock_runtime_directory(const RuntimeDirectory& directory) {
  const int lock = open(directory.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock < 0) {
    return fail(Errc::io, directory.lock() + ": " + std::strerror(errno));
  }
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    close(lock);
    return fail(
        Errc::refused,
        "a devnet is running already; see: allium devnet status, or end it: allium devnet down");
  }
  return lock;
}

void remove_runtime_directory(const RuntimeDirectory& directory) noexcept {
  std::error_code ignored;
  std::filesystem::remove_all(directory.path, ignored);
}

}  // namespace allium::devnet
