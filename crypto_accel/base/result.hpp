// SPDX-License-Identifier: Apache-2.0
#pragma once

// Result<T>: the value of an operation, or why there is none. For operations; packets have verdicts
// (dataplane/onion/verdict.hpp), and our own mistakes ALLIUM_CHECK.

#include <cstdint>
#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace allium {

enum class Errc : std::uint8_t {
  malformed = 1,  ///< bytes from outside break their format
  out_of_range,   ///< a number beyond its bound
  bad_signature,  ///< a signature or MAC that does not hold
  stale,          ///< not valid any more, or older than what is known
  not_found,
  refused,      ///< by policy; nothing changed
  full,         ///< a bound was reached
  unavailable,  ///< the other side is not there, or the machine cannot
  timeout,
  io,  ///< the operating system said no; `text` has its words
  internal,
  unauthorised,  ///< not by this user; nothing changed
};

struct Error {
  Errc code{};
  std::string text;  ///< one line for a person: what is wrong and what to do next; no secrets
};

template <typename T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(Errc code, std::string text) {
  return tl::unexpected<Error>(Error{code, std::move(text)});
}

}  // namespace allium
