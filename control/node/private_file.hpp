// SPDX-License-Identifier: Apache-2.0
#pragma once

// Files that nobody but their owner may read: identities, passphrases, the TLS key.
//
//   Ownership  values; who is given a text wipes it.
//   Errors     Errc::not_found, Errc::io (the operating system's words), Errc::refused (no regular file, others may read it, it
//              is there already), Errc::malformed (too long). Every text begins with the path.
//   Threads    reentrant.

#include <cstddef>
#include <string>
#include <string_view>

#include "crypto_accel/base/result.hpp"

namespace allium::control {

/// All of it, at most `bytes_max`. Never waits: a pipe or a device is refused, not read.
[[nodiscard]] Result<std::string> read_private_file(const std::string& path, std::size_t bytes_max);

/// Mode 0600, synced. Errc::refused where the name is taken; after any other failure there is no file.
[[nodiscard]] Result<void> create_private_file(const std::string& path, std::string_view text);

/// The same, in the place of what is there: whoever looks, also after a power cut, finds the old file or the new one, whole.
[[nodiscard]] Result<void> replace_private_file(const std::string& path, std::string_view text);

/// Takes away what others may do with a file. Gives whether there was any such thing.
[[nodiscard]] Result<bool> make_file_private(const std::string& path);

/// Reads until the end, however many pieces it comes in; `name` stands for it in errors. A terminal's end is the end of a line.
[[nodiscard]] Result<std::string> read_to_end(int descriptor, std::size_t bytes_max,
                                              const std::string& name);

}  // namespace allium::control
