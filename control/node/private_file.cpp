// SPDX-License-Identifier: Apache-2.0
#include "control/node/private_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "control/network/durable_file.hpp"
#include "crypto_accel/base/secret.hpp"

namespace allium::control {
namespace {

constexpr mode_t kOthers = S_IRWXG | S_IRWXO;

tl::unexpected<Error> file_error(const std::string& path, int error) {
  return fail(error == ENOENT ? Errc::not_found : Errc::io, path + ": " + std::strerror(error));
}

/// Closes what it holds.
class Descriptor {
 public:
  explicit Descriptor(int descriptor) noexcept : descriptor_(descriptor) {}

  ~Descriptor() {
    if (descriptor_ >= 0) {
      close(descriptor_);
    }
  }

  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  [[nodiscard]] int get() const noexcept { return descriptor_; }

 private:
  int descriptor_;
};

}  // namespace

Result<std::string> read_private_file(const std::string& path, std::size_t bytes_max) {
  // A named pipe would wait for its writer at open() already.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));

  struct stat about {};

  if (file.get() < 0 || fstat(file.get(), &about) != 0) {
    return file_error(path, errno);
  }
  if (!S_ISREG(about.st_mode)) {
    return fail(Errc::refused,
                path + ": no regular file: write it to one of mode 0600, and name that");
  }
  if ((about.st_mode & kOthers) != 0) {
    return fail(Errc::refused, path + ": others may read it; say: chmod 600 " + path);
  }
  return read_to_end(file.get(), bytes_max, path);
}

Result<void> create_private_file(const std::string& path, std::string_view text) {
  return create_file(path, text, S_IRUSR | S_IWUSR);
}

Result<void> replace_private_file(const std::string& path, std::string_view text) {
  return replace_file(path, text, S_IRUSR | S_IWUSR);
}

Result<bool> make_file_private(const std::string& path) {
  struct stat about {};

  if (stat(path.c_str(), &about) != 0) {
    return file_error(path, errno);
  }
  const bool was_open = (about.st_mode & kOthers) != 0;
  if (was_open && chmod(path.c_str(), about.st_mode & S_IRWXU) != 0) {
    return fail(Errc::refused,
                path + ": others may read it, and chmod 600 fails: " + std::strerror(errno));
  }
  return was_open;
}

Result<std::string> read_to_end(int descriptor, std::size_t bytes_max, const std::string& name) {
  const bool is_terminal = isatty(descriptor) == 1;
  std::string text(bytes_max + 1, '\0');
  std::size_t filled = 0;
  int error = 0;
  while (filled < text.size()) {
    const ssize_t count = read(descriptor, text.data() + filled, text.size() - filled);
    if (count > 0) {
      filled += static_cast<std::size_t>(count);
    }
    error = count < 0 && errno != EINTR ? errno : 0;
    if (count == 0 || error != 0 || (count > 0 && is_terminal && text[filled - 1] == '\n')) {
      break;
    }
  }
  if (error == 0 && filled <= bytes_max) {
    text.resize(filled);
    return text;
  }
  wipe(text.data(), text.size());
  return error != 0 ? file_error(name, error) : fail(Errc::malformed, name + ": too long");
}

}  // namespace allium::control
