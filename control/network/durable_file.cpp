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

tl::unexpected<Error> file_error(const std::string& path, int error) {
  return fail(error == ENOENT ? Errc::not_found : Errc::io, path + ": " + std::strerror(error));
}

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(descriptor, text.data(), text.size());
    if (count < 0 && errno != EINTR) {
      return false;
    }
    text.remove_prefix(count > 0 ? static_cast<std::size_t>(count) : 0);
  }
  return true;
}

}  // namespace

Result<void> create_file(const std::string& path, std::string_view text, mode_t mode, Sync sync) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0) {
    return errno == EEXIST ? fail(Errc::refused, path + ": it is there already")
                           : file_error(path, errno);
  }
  int error = write_all(file, text) && (sync == Sync::no || fsync(file) == 0) ? 0 : errno;
  if (close(file) != 0 && error == 0) {
    error = errno;
  }
  if (error != 0) {
    unlink(path.c_str());
    return file_error(path, error);
  }
  return {};
}

Result<void> replace_file(const std::string& path, std::string_view text, mode_t mode, Sync sync) {
  const std::string draft = path + ".new";
  unlink(draft.c_str());  // what a crash left
  if (Result<void> created = create_file(draft, text, mode, sync); !created) {
    return created;
  }
  if (std::rename(draft.c_str(), path.c_str()) != 0) {
    const int error = errno;
    unlink(draft.c_str());
    return file_error(path, error);
  }
  return sync == Sync::yes ? sync_directory_of(path) : Result<void>();
}

Result<void> sync_directory_of(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  const std::string directory = parent.empty() ? "." : parent.string();
  const int opened = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int error = opened >= 0 && fsync(opened) == 0 ? 0 : errno;
  if (opened >= 0) {
    close(opened);
  }
  return error == 0 ? Result<void>() : file_error(directory, error);
}

}  // namespace allium::control
