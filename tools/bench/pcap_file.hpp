// SPDX-License-Identifier: Apache-2.0
#pragma once

// Files of Ethernet frames in libpcap's format (version 2.4, little-endian): what the pcap device reads and
// writes.
//
//   Ownership  objects own their streams.
//   Errors     Errc::io; reading besides Errc::malformed.
//   Threads    one an object.
//   Limits     frames of at most kFrameBytesMax bytes.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::bench {

inline constexpr std::size_t kFrameBytesMax = 2048;

struct StreamClose {
  void operator()(std::FILE* stream) const noexcept { std::fclose(stream); }
};

using Stream = std::unique_ptr<std::FILE, StreamClose>;

class PcapWriter {
 public:
  static Result<PcapWriter> create(const std::string& path);

  /// Requires frame.size() <= kFrameBytesMax. Time stamps count up from zero.
  Result<void> add(Bytes frame);

  /// All frames are in the file afterwards.
  Result<void> finish();

 private:
  explicit PcapWriter(Stream stream) : stream_(std::move(stream)) {}

  Stream stream_;
  std::uint64_t count_ = 0;
  std::vector<std::uint8_t> record_;
};

class PcapReader {
 public:
  /// Errc::malformed where it is not such a file.
  static Result<PcapReader> open(const std::string& path);

  /// The next frame, empty at the end of the file.
  Result<std::vector<std::uint8_t>> next();

 private:
  explicit PcapReader(Stream stream) : stream_(std::move(stream)) {}

  Stream stream_;
};

}  // namespace allium::bench
