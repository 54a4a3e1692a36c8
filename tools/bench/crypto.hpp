// SPDX-License-Identifier: Apache-2.0
#pragma once

// Cycles a packet of every kernel by burst size, in this process, keys and packets warm.
//
//   Units      TSC cycles a packet, medians. Functions are named as in onion_batch.hpp, but for the two
//              uses of single blocks: segment_open (decrypt_blocks) and session_secret (encrypt_blocks); and
//              gcm_N and xchacha_N, aead_open of texts of N bytes.
//   Threads    one.

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace allium::bench {

inline constexpr std::size_t kBurstSizes[] = {1, 2, 4, 8, 16, 32};

struct CryptoFigure {
  std::string kernel;                     ///< "ipsec-mb", "libsodium"
  std::string function;                   ///< "layer_left", "x25519"
  std::string packet_class;               ///< "d", "v", or "" where it does not matter
  std::vector<double> cycles_per_packet;  ///< one a burst size
};

/// Every function of every kernel that this CPU runs. `progress` hears each kernel's name.
[[nodiscard]] std::vector<CryptoFigure> measure_crypto(
    const std::function<void(const std::string&)>& progress);

}  // namespace allium::bench
