// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/runtime_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
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

namespace {

tl::unexpected<Error> not_ours(const RuntimeDirectory& directory) {
  return fail(Errc::refused, directory.path +
                                 " is not a folder of yours alone; remove it or set "
                                 "ALLIUM_DEVNET_DIR");
}

/// A folder that only its owner, the caller, can write to. False: there is nothing.
Result<bool> is_there_and_ours(const RuntimeDirectory& directory) {
  struct stat status {};

  if (lstat(directory.path.c_str(), &status) != 0) {
    return errno == ENOENT ? Result<bool>(false)
                           : fail(Errc::io, directory.path + ": " + std::strerror(errno));
  }
  const bool is_ours =
      S_ISDIR(status.st_mode) && status.st_uid == geteuid() && (status.st_mode & 022) == 0;
  return is_ours ? Result<bool>(true) : not_ours(directory);
}

bool is_marked(const RuntimeDirectory& directory) {
  struct stat status {};

  return lstat(directory.mark().c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         status.st_uid == geteuid();
}

/// Of a node: n1.sock, n12.log, n3.data ...
bool is_of_a_node(const std::string& name) {
  std::size_t digits = 1;
  while (digits < name.size() && std::isdigit(static_cast<unsigned char>(name[digits])) != 0) {
    ++digits;
  }
  return name.front() == 'n' && digits > 1 && digits < name.size() && name[digits] == '.';
}

bool is_of_a_devnet(const std::string& name) {
  for (const char* known : {"lock", "state", "authority", "supervisor.sock", "supervisor.log"}) {
    if (name == known) {
      return true;
    }
  }
  return name.rfind("network", 0) == 0 || name.rfind("document", 0) == 0 || is_of_a_node(name);
}

void remove_known(const RuntimeDirectory& directory, const std::string& but) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path, error)) {
    const std::string name = entry.path().filename().string();
    if (name != but && is_of_a_devnet(name)) {
      std::filesystem::remove_all(entry.path(), error);
    }
  }
}

}  // namespace

Result<void> create_runtime_directory(const RuntimeDirectory& directory) {
  if (mkdir(directory.path.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(Errc::io, "cannot make " + directory.path + ": " + std::strerror(errno) +
                              "; set ALLIUM_DEVNET_DIR to a folder that you may write");
  }
  const Result<bool> is_ours = is_there_and_ours(directory);
  if (!is_ours) {
    return tl::unexpected(is_ours.error());
  }
  std::error_code error;
  if (!is_marked(directory) && !std::filesystem::is_empty(directory.path, error)) {
    return fail(Errc::refused, directory.path +
                                   " has other things in it; set ALLIUM_DEVNET_DIR to a folder "
                                   "that is empty or not there");
  }
  const int mark =
      open(directory.mark().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (mark < 0) {
    return fail(Errc::io, directory.mark() + ": " + std::strerror(errno));
  }
  close(mark);
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

void clear_runtime_directory(const RuntimeDirectory& directory) {
  remove_known(directory, "lock");
}

bool is_locked(const RuntimeDirectory& directory) noexcept {
  const int lock = open(directory.lock().c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  const bool is_held = lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) != 0;
  if (lock >= 0) {
    close(lock);
  }
  return is_held;
}

Result<bool> remove_runtime_directory(const RuntimeDirectory& directory) {
  const Result<bool> is_ours = is_there_and_ours(directory);
  if (!is_ours || !*is_ours) {
    return is_ours;
  }
  if (!is_marked(directory)) {
    return fail(Errc::refused,
                directory.path + " is not a devnet's folder; nothing was removed from it");
  }
  remove_known(directory, "");
  // The mark goes last: what is interrupted here can be done again.
  unlink(directory.mark().c_str());
  if (rmdir(directory.path.c_str()) != 0 && errno != ENOTEMPTY && errno != EEXIST &&
      errno != ENOENT) {
    return fail(Errc::io, directory.path + ": " + std::strerror(errno));
  }
  return true;
}

}  // namespace allium::devnet
