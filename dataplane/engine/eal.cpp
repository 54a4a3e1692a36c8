// SPDX-License-Identifier: Apache-2.0
#include "dataplane/engine/eal.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include <rte_bus_vdev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>

namespace allium::dataplane {
namespace {

constexpr std::size_t kLogBytes = 16384;
constexpr unsigned kAnySocket = ~0U;  // SOCKET_ID_ANY, of the type that the calls take

// DPDK prints what it thinks of a mistake over several lines; people get one. The log goes to memory, and
// the first line is quoted.
class LogBuffer {
 public:
  LogBuffer() : bytes_(kLogBytes, '\0'), stream_(fmemopen(bytes_.data(), kLogBytes - 1, "w")) {
    if (stream_ != nullptr) {
      setvbuf(stream_, nullptr, _IONBF, 0);
      rte_openlog_stream(stream_);
    }
  }

  /// The first complaint says what is wrong; what follows is what fails because of it.
  [[nodiscard]] std::string first_line() const {
    const std::string text(bytes_.c_str());
    const std::size_t start = text.find_first_not_of('\n');
    return start == std::string::npos ? std::string()
                                      : text.substr(start, text.find('\n', start) - start);
  }

 private:
  std::string bytes_;
  std::FILE* stream_;
};

LogBuffer& log_buffer() {
  // Lives as long as the process: DPDK writes to it until the end.
  static LogBuffer* buffer = new LogBuffer;
  return *buffer;
}

std::string quoted_log() {
  const std::string line = log_buffer().first_line();
  return line.empty() ? std::string() : " (DPDK: " + line + ")";
}

std::uint64_t free_huge_pages() {
  std::ifstream file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
  std::uint64_t count = 0;
  file >> count;
  return file ? count : 0;
}

// The EAL insists on a folder of its own: /var/run/dpdk, which an ordinary user or a user namespace may not
// have, or one of a fixed name that the first user keeps. It gets a new one, which goes again after the start.
class RuntimeDirectory {
 public:
  RuntimeDirectory() {
    if (mkdtemp(path_.data()) != nullptr) {
      setenv("RUNTIME_DIRECTORY", path_.c_str(), 1);
    }
  }

  ~RuntimeDirectory() {
    unsetenv("RUNTIME_DIRECTORY");
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  RuntimeDirectory(const RuntimeDirectory&) = delete;
  RuntimeDirectory& operator=(const RuntimeDirectory&) = delete;

 private:
  std::string path_ = "/tmp/allium-dp.XXXXXX";
};

// The EAL pins its main thread, and threads inherit that: it is pinned to all that the process may use.
std::string lcore_argument() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  std::string list;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &allowed) != 0) {
      list += (list.empty() ? "" : ",") + std::to_string(cpu);
    }
  }
  return "--lcores=0@(" + list + ")";
}

std::vector<std::string> eal_arguments(const EalConfig& config, bool huge) {
  std::vector<std::string> arguments = {
      "allium-dp",   lcore_argument(),  "--no-pci", "--no-telemetry",
      "--no-shconf", "--log-level=*:4", "-m",       std::to_string(config.memory_mb)};
  arguments.emplace_back(huge ? "--in-memory" : "--no-huge");
  if (huge) {
    arguments.emplace_back("--single-file-segments");
  }
  for (const std::string& vdev : config.vdevs) {
    arguments.push_back("--vdev=" + vdev);
  }
  return arguments;
}

// By addresses and ports where the device can, else by addresses: relays all use one port, so between two relays
// there is one flow either way. Zero: it can do neither.
std::uint64_t hashes_of(const rte_eth_dev_info& info) {
  const std::uint64_t by_ports = info.flow_type_rss_offloads & RTE_ETH_RSS_UDP;
  return by_ports != 0 ? by_ports
                       : info.flow_type_rss_offloads & (RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6);
}

}  // namespace

Result<EalState> start_eal(const EalConfig& config) {
  const std::uint64_t pages_needed = config.memory_mb / 2 + 2;
  const std::uint64_t pages_free = free_huge_pages();
  const bool huge = config.pages == Pages::huge ||
                    (config.pages == Pages::automatic && pages_free >= pages_needed);
  if (huge && pages_free < pages_needed) {
    return fail(Errc::unavailable, "--huge needs " + std::to_string(pages_needed) +
                                       " free 2-MiB pages, there are " +
                                       std::to_string(pages_free) +
                                       "; reserve some (sysctl vm.nr_hugepages) or use --no-huge");
  }
  const RuntimeDirectory directory;
  log_buffer();
  std::vector<std::string> arguments = eal_arguments(config, huge);
  std::vector<char*> pointers;
  pointers.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) {
    pointers.push_back(argument.data());
  }
  pointers.push_back(nullptr);
  if (rte_eal_init(static_cast<int>(arguments.size()), pointers.data()) < 0) {
    if (huge && config.pages == Pages::automatic) {
      return fail(Errc::full, "the huge pages that were free went to somebody else" + quoted_log());
    }
    return fail(Errc::unavailable,
                std::string("DPDK does not start: ") + rte_strerror(rte_errno) + quoted_log() +
                    "; check --vdev, --memory and, for af_packet, that the interface exists");
  }
  return EalState{huge};
}

Result<std::uint16_t> find_device(const std::string& vdev) {
  const std::string name = vdev.substr(0, vdev.find(','));
  std::uint16_t port = 0;
  if (rte_eth_dev_get_port_by_name(name.c_str(), &port) != 0) {
    return fail(Errc::not_found,
                "no device '" + name + "' came up" + quoted_log() +
                    "; known kinds: net_af_packet, net_memif, net_pcap, net_null, net_ring");
  }
  return port;
}

Result<StartedDevice> start_device(std::uint16_t dpdk_port, const DeviceQueues& queues,
                                   rte_mempool* pool) {
  const auto failed = [&](int code, const char* what) {
    return fail(Errc::unavailable, std::string(what) + ": " + rte_strerror(-code) + quoted_log());
  };
  rte_eth_dev_info info{};
  int code = rte_eth_dev_info_get(dpdk_port, &info);
  if (code != 0) {
    return failed(code, "the device does not say what it can");
  }
  if (queues.count > std::min(info.max_rx_queues, info.max_tx_queues)) {
    return fail(Errc::unavailable,
                "the device has " +
                    std::to_string(std::min(info.max_rx_queues, info.max_tx_queues)) +
                    " queues; no more --workers than that");
  }
  rte_eth_conf conf{};
  const std::uint64_t hashes = hashes_of(info);
  const bool hashes_flows = queues.count > 1 && hashes != 0;
  if (hashes_flows) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = hashes;
  }
  code = rte_eth_dev_configure(dpdk_port, queues.count, queues.count, &conf);
  if (code != 0) {
    return failed(code, "the device does not take that many queues; fewer --workers?");
  }
  for (std::uint16_t queue = 0; queue < queues.count && code == 0; ++queue) {
    code = rte_eth_rx_queue_setup(dpdk_port, queue, queues.descriptors, kAnySocket, nullptr, pool);
    if (code == 0) {
      code = rte_eth_tx_queue_setup(dpdk_port, queue, queues.descriptors, kAnySocket, nullptr);
    }
  }
  if (code != 0) {
    return failed(code, "the device's queues cannot be set up");
  }
  code = rte_eth_dev_start(dpdk_port);
  if (code != 0 && !queues.may_start_later) {
    return failed(code, "the device does not start");
  }
  rte_ether_addr address{};
  code = rte_eth_macaddr_get(dpdk_port, &address);
  if (code != 0) {
    return failed(code, "the device has no MAC address");
  }
  StartedDevice started;
  std::memcpy(started.mac.data(), address.addr_bytes, started.mac.size());
  started.hashes_flows = hashes_flows;
  return started;
}

bool has_link(std::uint16_t dpdk_port) noexcept {
  rte_eth_link link{};
  return rte_eth_link_get_nowait(dpdk_port, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

bool start_again(std::uint16_t dpdk_port) noexcept {
  return rte_eth_dev_stop(dpdk_port) == 0 && rte_eth_dev_start(dpdk_port) == 0;
}

void PoolFree::operator()(rte_mempool* pool) const noexcept {
  rte_mempool_free(pool);
}

Result<PacketPool> make_packet_pool(const std::string& name, unsigned packet_count) {
  rte_mempool* pool = rte_pktmbuf_pool_create(name.c_str(), packet_count, 64, 0,
                                              RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  if (pool == nullptr) {
    return fail(Errc::unavailable, std::string("no memory for packets: ") +
                                       rte_strerror(rte_errno) + "; give more with --memory");
  }
  return PacketPool(pool);
}

void stop_devices() noexcept {
  for (std::uint16_t port = 0; port < RTE_MAX_ETHPORTS; ++port) {
    if (rte_eth_dev_is_valid_port(port) != 0) {
      rte_eth_dev_stop(port);
      rte_eth_dev_close(port);
    }
  }
}

}  // namespace allium::dataplane
