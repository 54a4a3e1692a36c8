// SPDX-License-Identifier: Apache-2.0
#pragma once

// Files that are replaced whole: whoever looks, also after a power cut, finds the old text or the new one.
//
//   Errors   Errc::io; the text begins with the path.
//   Threads  reentrant, one writer a path.

#include <string>
#include <string_view>

#include "crypto_accel/base/result.hpp"

namespace allium::control {

[[nodiscard]] Result<void> replace_file(const std::string& path, std::string_view text);

}  // namespace allium::control
