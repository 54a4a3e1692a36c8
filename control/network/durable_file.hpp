// SPDX-License-Identifier: Apache-2.0
#pragma once

// Files that are written whole: whoever looks, also after a power cut, finds the old text or the new one.
//
//   Errors   Errc::refused (it is there already), Errc::not_found, Errc::io; every text begins with the path.
//   Threads  reentrant, one writer a path.

#include <sys/types.h>

#include <string>
#include <string_view>

#include "crypto_accel/base/result.hpp"

namespace allium::control {

/// Whether to wait until it is on the disk. Without, a power cut may leave an empty file: for what can be asked for again.
enum class Sync : bool { no, yes };

/// Refuses to replace a file. After any other failure there is none.
[[nodiscard]] Result<void> create_file(const std::string& path, std::string_view text, mode_t mode,
                                       Sync sync = Sync::yes);

[[nodiscard]] Result<void> replace_file(const std::string& path, std::string_view text,
                                        mode_t mode = 0644, Sync sync = Sync::yes);

/// Until then, a name made or changed in a directory may be lost by a power cut.
[[nodiscard]] Result<void> sync_directory_of(const std::string& path);

}  // namespace allium::control
