// SPDX-License-Identifier: Apache-2.0
#pragma once

// OpenSSL's queue of errors as one Error. Empties the queue.

#include <array>
#include <string>

#include <openssl/err.h>

#include "crypto_accel/base/result.hpp"

namespace allium::control {

[[nodiscard]] inline tl::unexpected<Error> openssl_failed(const char* what) {
  std::array<char, 200> words{};
  ERR_error_string_n(ERR_get_error(), words.data(), words.size());
  ERR_clear_error();
  return fail(Errc::internal, std::string(what) + ": " + words.data());
}

}  // namespace allium::control
