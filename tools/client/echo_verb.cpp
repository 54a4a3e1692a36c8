// SPDX-License-Identifier: Apache-2.0
// Files, output and exit code of `allium client echo`.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <sodium.h>

#include "crypto_accel/base/random.hpp"
#include "tools/client/echo.hpp"
#include "tools/client/verb.hpp"

namespace allium::client {
namespace {

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}

  ~File() {
    if (descriptor_ >= 0) {
      ::close(descriptor_);
    }
  }

  File(const File&) = delete;
  File& operator=(const File&) = delete;

  [[nodiscard]] int get() const { return descriptor_; }

 private:
  int descriptor_;
};

Error file_error(const std::string& verb, const std::string& path) {
  return {Errc::malformed, fmt::format("cannot {} {}: {}", verb, path, std::strerror(errno))};
}

Result<std::vector<std::uint8_t>> read_file(const std::string& path) {
  // Not to wait for a writer, should it be a FIFO.
  const File file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));

  struct stat status {};

  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) {
    return tl::unexpected(file_error("read", path));
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(Errc::malformed, path + " is not a regular file: name one");
  }
  const auto byte_count = static_cast<std::size_t>(status.st_size);
  if (byte_count > EchoTransfer::kFileBytesMax) {
    return fail(Errc::out_of_range, fmt::format("{} has {} bytes, and echo takes at most {}: use a "
                                                "smaller file",
                                                path, byte_count, EchoTransfer::kFileBytesMax));
  }
  std::vector<std::uint8_t> bytes(byte_count);
  std::size_t at = 0;
  while (at < byte_count) {
    const ssize_t got = ::read(file.get(), bytes.data() + at, byte_count - at);
    if (got < 0) {
      return tl::unexpected(file_error("read", path));
    }
    if (got == 0) {
      return fail(Errc::malformed, path + " became shorter while it was read: try again");
    }
    at += static_cast<std::size_t>(got);
  }
  return bytes;
}

/// Whether it could be written, before much work is done for it. What is there stays as it is.
Result<void> try_file(const std::string& path) {
  const bool is_new = ::access(path.c_str(), F_OK) != 0;
  const File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0644));
  if (file.get() < 0) {
    return tl::unexpected(file_error("write", path));
  }
  if (is_new) {
    ::unlink(path.c_str());
  }
  return {};
}

Result<void> write_file(const std::string& path, Bytes bytes) {
  const File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (file.get() < 0) {
    return tl::unexpected(file_error("write", path));
  }
  while (!bytes.empty()) {
    const ssize_t put = ::write(file.get(), bytes.data(), bytes.size());
    if (put < 0) {
      return tl::unexpected(file_error("write", path));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

std::string sha256_hex(Bytes bytes) {
  std::array<std::uint8_t, crypto_hash_sha256_BYTES> digest;
  crypto_hash_sha256(digest.data(), bytes.data(), bytes.size());
  std::string hex;
  for (const std::uint8_t byte : digest) {
    hex += fmt::format("{:02x}", byte);
  }
  return hex;
}

struct Comparison {
  std::size_t byte_count;
  std::string sent;
  std::string received;

  [[nodiscard]] bool same() const { return sent == received; }
};

double megabytes_per_s(const Comparison& comparison, const EchoResult& result) {
  return result.duration_us == 0
             ? 0.0
             : static_cast<double>(comparison.byte_count) / static_cast<double>(result.duration_us);
}

void print_summary(const Comparison& comparison, const EchoResult& result) {
  fmt::print("{} bytes through {} and back in {:.2f} s, {:.2f} MB/s\n", comparison.byte_count,
             fmt::join(result.hops, " "), static_cast<double>(result.duration_us) / 1e6,
             megabytes_per_s(comparison, result));
  fmt::print(
      "{} packets sent, {} of them again; round trip {}; {} path{} opened; {} stall{}, {} in all\n",
      result.counts.packets_sent, result.counts.retransmitted, in_ms(result.round_trip_us),
      result.paths_opened, result.paths_opened == 1 ? "" : "s", result.counts.stalls,
      result.counts.stalls == 1 ? "" : "s", in_ms(result.stalled_us));
  fmt::print("sha256 sent     {}\nsha256 received {}\n{}\n", comparison.sent, comparison.received,
             comparison.same() ? "equal" : "DIFFERENT");
}

void print_json(const Comparison& comparison, const EchoResult& result) {
  boost::json::array hops;
  for (const std::string& hop : result.hops) {
    hops.emplace_back(hop);
  }
  const boost::json::object object = {{"schema", "allium.client.echo/1"},
                                      {"file_bytes", comparison.byte_count},
                                      {"hops", hops},
                                      {"sha256_sent", comparison.sent},
                                      {"sha256_received", comparison.received},
                                      {"equal", comparison.same()},
                                      {"duration_us", result.duration_us},
                                      {"goodput_mbyte_s", megabytes_per_s(comparison, result)},
                                      {"packets_sent", result.counts.packets_sent},
                                      {"packets_received", result.counts.packets_received},
                                      {"retransmitted", result.counts.retransmitted},
                                      {"repeated", result.counts.repeated},
                                      {"rtt_us_smoothed", result.round_trip_us},
                                      {"open_us", result.open_us},
                                      {"paths_opened", result.paths_opened},
                                      {"stalls", result.counts.stalls},
                                      {"stalled_us", result.stalled_us},
                                      {"ignored",
                                       {{"unknown", result.ignored.unknown},
                                        {"slot", result.ignored.slot},
                                        {"client_tag", result.ignored.client_tag},
                                        {"zero", result.ignored.zero},
                                        {"repeated", result.ignored.repeated}}}};
  std::cout << boost::json::serialize(object) << '\n';
}

int finish(const EchoOptions& options, Bytes file, const EchoResult& result) {
  if (!result.complete) {
    fmt::print(stderr, "interrupted\n");
    return kExitInterrupted;
  }
  if (!options.out.empty()) {
    if (const Result<void> written = write_file(options.out, result.received); !written) {
      return report(written.error());
    }
  }
  const Comparison comparison{file.size(), sha256_hex(file), sha256_hex(result.received)};
  if (options.json) {
    print_json(comparison, result);
  } else {
    print_summary(comparison, result);
  }
  return comparison.same() ? kExitDone : kExitNegative;
}

}  // namespace

int run_client_echo(const EchoOptions& options) {
  if (const Result<void> checked = check_path(options.path, onion::PacketClass::d); !checked) {
    return report(checked.error());
  }
  const Result<std::vector<std::uint8_t>> file = read_file(options.file);
  if (!file) {
    return report(file.error());
  }
  if (const Result<void> tried = options.out.empty() ? Result<void>() : try_file(options.out);
      !tried) {
    return report(tried.error());
  }
  Result<Run> run = start_run(options.network_file, options.authority);
  if (!run) {
    return report(run.error());
  }
  Talk talk = talk_to_stderr(options.trace);
  const Result<EchoResult> result =
      echo_file(*run->wire, *run->network, options, *file, system_random(), talk);
  if (!result) {
    return report(result.error());
  }
  return finish(options, *file, *result);
}

}  // namespace allium::client
