// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/capture.hpp"

#include <signal.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>

#include <pcap/pcap.h>

namespace allium::devnet {
namespace {

constexpr int kSnapBytes = 65535;
constexpr int kPollMs = 100;

std::atomic<bool> interrupted{false};

void interrupt(int) {
  interrupted.store(true);
}

std::int64_t monotonic_s() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

struct PcapClose {
  void operator()(pcap_t* handle) const noexcept { pcap_close(handle); }

  void operator()(pcap_dumper_t* dumper) const noexcept { pcap_dump_close(dumper); }
};

}  // namespace

Result<std::uint64_t> capture(const std::string& interface_name, const CaptureLimits& limits,
                              std::FILE* file) {
  std::array<char, PCAP_ERRBUF_SIZE> error{};
  const std::unique_ptr<pcap_t, PcapClose> handle(
      pcap_open_live(interface_name.c_str(), kSnapBytes, 1, kPollMs, error.data()));
  if (!handle) {
    std::fclose(file);
    return fail(Errc::unavailable, std::string("cannot capture: ") + error.data());
  }
  const std::unique_ptr<pcap_dumper_t, PcapClose> dumper(pcap_dump_fopen(handle.get(), file));
  if (!dumper) {
    return fail(Errc::io, pcap_geterr(handle.get()));
  }

  struct sigaction action {};

  action.sa_handler = interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  const std::int64_t end_s = monotonic_s() + limits.seconds_max;
  std::uint64_t count = 0;
  pcap_setnonblock(handle.get(), 1, error.data());
  while (count < limits.packets_max && monotonic_s() < end_s && !interrupted.load()) {
    pcap_pkthdr* header = nullptr;
    const u_char* bytes = nullptr;
    const int code = pcap_next_ex(handle.get(), &header, &bytes);
    if (code == 1) {
      pcap_dump(reinterpret_cast<u_char*>(dumper.get()), header, bytes);
      ++count;
    } else if (code == 0) {
      const timespec pause{0, 5'000'000};
      nanosleep(&pause, nullptr);
    } else {
      return fail(Errc::io, pcap_geterr(handle.get()));
    }
  }
  if (pcap_dump_flush(dumper.get()) != 0 || std::ferror(pcap_dump_file(dumper.get())) != 0) {
    return fail(Errc::io, std::string("the capture cannot be written: ") + std::strerror(errno));
  }
  return count;
}

}  // namespace allium::devnet
