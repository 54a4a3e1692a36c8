// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/pcap_file.hpp"

#include <array>
#include <cerrno>
#include <system_error>

#include "crypto_accel/base/check.hpp"

namespace allium::bench {
namespace {

constexpr std::uint32_t kMagicMicroseconds = 0xa1b2c3d4;
constexpr std::uint32_t kMagicNanoseconds = 0xa1b23c4d;  // the pcap device writes these
constexpr std::uint32_t kLinkEthernet = 1;
constexpr std::size_t kFileHeaderBytes = 24;
constexpr std::size_t kRecordHeaderBytes = 16;
constexpr std::size_t kLinkOffset = 20;
constexpr std::size_t kCapturedOffset = 8;
constexpr std::uint64_t kMicrosecondsPerSecond = 1'000'000;

void put_le(std::vector<std::uint8_t>& target, std::uint64_t value, std::size_t byte_count) {
  for (std::size_t i = 0; i < byte_count; ++i) {
    target.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
}

std::uint32_t load_le(const std::uint8_t* source) {
  return static_cast<std::uint32_t>(source[0]) | static_cast<std::uint32_t>(source[1]) << 8 |
         static_cast<std::uint32_t>(source[2]) << 16 | static_cast<std::uint32_t>(source[3]) << 24;
}

tl::unexpected<Error> io_failure() {
  return fail(Errc::io,
              std::string("a file of packets: ") + std::generic_category().message(errno));
}

Result<void> write_all(std::FILE* stream, const std::vector<std::uint8_t>& bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stream) != bytes.size()) {
    return io_failure();
  }
  return {};
}

}  // namespace

Result<PcapWriter> PcapWriter::create(const std::string& path) {
  Stream stream(std::fopen(path.c_str(), "wb"));
  if (!stream) {
    return io_failure();
  }
  std::vector<std::uint8_t> header;
  put_le(header, kMagicMicroseconds, 4);
  put_le(header, 2, 2);
  put_le(header, 4, 2);
  put_le(header, 0, 8);
  put_le(header, kFrameBytesMax, 4);
  put_le(header, kLinkEthernet, 4);
  if (auto written = write_all(stream.get(), header); !written) {
    return tl::unexpected(written.error());
  }
  return PcapWriter(std::move(stream));
}

Result<void> PcapWriter::add(Bytes frame) {
  ALLIUM_CHECK(frame.size() <= kFrameBytesMax);
  record_.clear();
  put_le(record_, count_ / kMicrosecondsPerSecond, 4);
  put_le(record_, count_ % kMicrosecondsPerSecond, 4);
  put_le(record_, frame.size(), 4);
  put_le(record_, frame.size(), 4);
  record_.insert(record_.end(), frame.begin(), frame.end());
  ++count_;
  return write_all(stream_.get(), record_);
}

Result<void> PcapWriter::finish() {
  if (std::fflush(stream_.get()) != 0) {
    return io_failure();
  }
  return {};
}

Result<PcapReader> PcapReader::open(const std::string& path) {
  Stream stream(std::fopen(path.c_str(), "rb"));
  if (!stream) {
    return io_failure();
  }
  std::array<std::uint8_t, kFileHeaderBytes> header{};
  if (std::fread(header.data(), 1, header.size(), stream.get()) != header.size()) {
    return fail(Errc::malformed, "not a file of packets: it is too short");
  }
  const std::uint32_t magic = load_le(header.data());
  if ((magic != kMagicMicroseconds && magic != kMagicNanoseconds) ||
      load_le(header.data() + kLinkOffset) != kLinkEthernet) {
    return fail(Errc::malformed, "not a file of Ethernet frames");
  }
  return PcapReader(std::move(stream));
}

Result<std::vector<std::uint8_t>> PcapReader::next() {
  std::array<std::uint8_t, kRecordHeaderBytes> header{};
  const std::size_t got = std::fread(header.data(), 1, header.size(), stream_.get());
  if (got == 0) {
    return std::vector<std::uint8_t>();
  }
  const std::size_t byte_count = load_le(header.data() + kCapturedOffset);
  if (got != header.size() || byte_count == 0 || byte_count > kFrameBytesMax) {
    return fail(Errc::malformed, "a file of packets breaks its format");
  }
  std::vector<std::uint8_t> frame(byte_count);
  if (std::fread(frame.data(), 1, byte_count, stream_.get()) != byte_count) {
    return fail(Errc::malformed, "a file of packets ends inside of one");
  }
  return frame;
}

}  // namespace allium::bench
