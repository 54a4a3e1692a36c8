// SPDX-License-Identifier: Apache-2.0
#pragma once

// A system call that failed, as an error: Errc::io with the words of errno.

#include <cerrno>
#include <cstring>
#include <string>

#include "crypto_accel/base/result.hpp"

namespace allium::devnet {

/// `what` is the path or the call.
[[nodiscard]] inline tl::unexpected<Error> system_error(const std::string& what) {
  return fail(Errc::io, what + ": " + std::strerror(errno));
}

}  // namespace allium::devnet
