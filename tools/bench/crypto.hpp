// SPDX-License-Identifier: Apache-2.0
#pragma once

// Cycles a packet of every kernel by burst size, in this process; keys are warm, and packets but for those of 36 MB.
//
//   Units      TSC cycles a packet. Functions are named as in onion_batch.hpp, but for the two
//              uses of single blocks: segment_open (decrypt_blocks) and session_secret (encrypt_blocks); and
//              gcm_N and xchacha_N, aead_open of texts of N bytes; chain, all of a middle hop's functions in
//              a row (onion_chain.hpp), and floor (crypto_floor.hpp), both also over 36 MB of packets: _l3.
//   Threads    one.

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace allium::bench {

inline constexpr std::size_t kBurstSizes[] = {1, 2, 4, 8, 16, 32};

/// What half of the samples lie between, and what they lie around.
struct Quartiles {
  double low = 0;
  double median = 0;
  double high = 0;
};

struct CryptoFigure {
  std::string kernel;                          ///< "ipsec-mb", "libsodium"
  std::string function;                        ///< "layer_left", "x25519"
  std::string packet_class;                    ///< "d", "v", or "" where it does not matter
  std::vector<Quartiles> cycles_per_packet{};  ///< one a burst size

  /// Of the packets that it goes through, where they are more than a burst; how much of their memory is on huge pages.
  std::size_t loop_bytes = 0;
  double loop_huge_percent = 0;

  /// What it is compared with, or "": "ipsec-mb floor". Its cycles over the yardstick's, of samples in which the two
  /// took turns, one a burst size.
  std::string yardstick{};
  std::vector<Quartiles> over_yardstick{};
};

/// Every function of every kernel that this CPU runs. Quick: fewer samples. `progress` hears what is measured next.
[[nodiscard]] std::vector<CryptoFigure> measure_crypto(
    bool is_quick, const std::function<void(const std::string&)>& progress);

}  // namespace allium::bench
