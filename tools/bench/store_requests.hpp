// SPDX-License-Identifier: Apache-2.0
#pragma once

// Storage RPC requests that store messages, and what their answers have to be.
//
//   Units      bytes, milliseconds since 1970.
//   Ownership  values.
//   Errors     of an answer: words, what is wrong with it.
//   Threads    reentrant; `random` is the caller's.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "crypto_accel/base/random.hpp"
#include "storage/account.hpp"
#include "tools/bench/service_network.hpp"

namespace allium::bench {

/// How long the messages live: long enough for a run, so that a devnet is not filled.
inline constexpr std::uint64_t kMessageLifeMs = 600'000;

struct StoreRequest {
  std::string body;  ///< of POST /storage_rpc/v1
  std::string hash;  ///< that the message has by the protocol
};

/// A message of `size` random bytes, to namespace 0, where no signature is needed.
[[nodiscard]] StoreRequest store_request(const storage::Account& account, std::size_t size,
                                         std::uint64_t now_ms, const Random& random);

/// Whether `body`, answered with status 200, says that all of `members`, and nobody else, hold the message under `hash`. Empty:
/// it does.
[[nodiscard]] std::string wrong_in_store_answer(std::string_view body, std::string_view hash,
                                                std::span<const RunningNode> members);

}  // namespace allium::bench
