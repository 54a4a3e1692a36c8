// SPDX-License-Identifier: Apache-2.0
#include "control/network/durable_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace allium::control {
namespace {

bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(file, text.data(), text.size());
    if (count < 0 && errno != EINTR) {
      return false;
    }
    text.remove_prefix(count > 0 ? static_cast<std::size_t>(count) : 0);
  }
  return true;
}

bool sync_directory(const std::filesystem::path& directory) {
  const int opened =
      open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool is_synced = opened >= 0 && fsync(opened) == 0;
  if (opened >= 0) {
    close(opened);
  }
  return is_synced;
}

}  // namespace

Result<void> replace_file(const std::string& path, std::string_view text) {
  const std::string draft = path + ".new";
  const int file = open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
  bool is_written = file >= 0 && write_all(file, text) && fsync(file) == 0;
  int error = errno;
  if (file >= 0 && close(file) != 0 && is_written) {
    is_written = false;
    error = errno;
  }
  if (is_written && std::rename(draft.c_str(), path.c_str()) == 0 &&
      sync_directory(std::filesystem::path(path).parent_path())) {
    return {};
  }
  error = is_written ? errno : error;
  unlink(draft.c_str());
  return fail(Errc::io, path + ": cannot be written: " + std::strerror(error));
}

}  // namespace allium::control
