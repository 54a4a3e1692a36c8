// SPDX-License-Identifier: Apache-2.0

// allium-dp: one relay's dataplane process. Brings up devices, listens for its controller, and forwards from
// the first snapshot on. The main thread does everything that enters the kernel; the workers poll.

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "crypto_accel/base/memory_privacy.hpp"
#include "crypto_accel/kernel_registry.hpp"
#include "dataplane/dp_options.hpp"
#include "dataplane/engine/control_server.hpp"
#include "dataplane/engine/eal.hpp"
#include "dataplane/engine/engine.hpp"
#include "dataplane/engine/kernel_neighbours.hpp"
#include "dataplane/engine/port_guard.hpp"
#include "dataplane/onion/endpoint_text.hpp"

namespace allium::dataplane {
namespace {

constexpr int kTickMs = 100;  // Engine::maintain wants no less
constexpr unsigned kPacketsPerWorker = 4095;

/// Everything of the process, in the order in which it comes up; it goes down the other way round.
struct Process {
  PacketPool pool;
  PortGuard guard;
  std::unique_ptr<KernelNeighbours> neighbours;
  std::unique_ptr<ControlServer> server;
  std::unique_ptr<Engine> engine;  // last: workers stop before what they use goes
  bool is_started = false;
  std::string report;  ///< said when everything is up, so that a failure is one line

  ~Process() {
    engine.reset();
    server.reset();
    stop_devices();
  }
};

std::string text_of(const MacAddress& mac) {
  std::array<char, 18> text{};
  std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
                mac[3], mac[4], mac[5]);
  return text.data();
}

// How packets come to more than one queue of a device.
std::string spread_text(const std::string& vdev, bool hashes_flows) {
  if (hashes_flows) {
    return "flows spread by the device (RSS)";
  }
  if (vdev.starts_with("net_af_packet")) {
    return "flows spread by the kernel (fanout)";
  }
  return "not spread by the device: whoever sends chooses the queue, so workers may be idle";
}

bool is_memif_client(const std::string& vdev) {
  return is_memif(vdev) && argument_of(vdev, "role") == "client";
}

// A memif client whose server is not there yet tries again, while nobody polls the device: later would be under
// the workers' hands. `signals` ends the wait.
Result<void> wait_for_server(const std::string& vdev, std::uint16_t dpdk_port, int signals) {
  constexpr int kTryMs = 250;
  constexpr int kLookMs = 10;
  constexpr int kWaitMs = 30'000;
  for (int waited_ms = 0; !has_link(dpdk_port); waited_ms += kLookMs) {
    if (waited_ms == kTryMs) {
      std::fprintf(stderr, "link      %s: waiting for the server\n", vdev.c_str());
    }
    pollfd wait{signals, POLLIN, 0};
    if (poll(&wait, 1, kLookMs) > 0) {
      return fail(Errc::unavailable, "ended by a signal while it waited for a memif server");
    }
    if (waited_ms >= kWaitMs) {
      return fail(Errc::unavailable, vdev + ": no server at its socket with that id within 30 s");
    }
    if (waited_ms % kTryMs == kTryMs - kLookMs && !has_link(dpdk_port)) {
      start_again(dpdk_port);
    }
  }
  return {};
}

Result<EngineConfig> bring_up_ports(const Options& options, int signals, Process& process,
                                    std::vector<KernelPort>& kernel_ports) {
  EngineConfig config;
  config.worker_count = options.workers;
  config.worker_cpus = options.lcores;
  config.setup_share_percent = options.setup_share_percent;
  const auto packets = static_cast<unsigned>(options.eal.vdevs.size() * options.workers);
  auto pool = make_packet_pool("allium_packets", packets * kPacketsPerWorker);
  if (!pool) {
    return tl::unexpected(pool.error());
  }
  process.pool = std::move(*pool);
  config.pool = process.pool.get();
  for (const std::string& name : options.eal.vdevs) {
    auto dpdk_port = find_device(name);
    if (!dpdk_port) {
      return tl::unexpected(dpdk_port.error());
    }
    DeviceQueues queues;
    queues.count = static_cast<std::uint16_t>(options.workers);
    queues.may_start_later = is_memif_client(name);
    auto started = start_device(*dpdk_port, queues, process.pool.get());
    if (!started) {
      return fail(started.error().code, name + ": " + started.error().text);
    }
    if (is_memif_client(name)) {
      if (auto linked = wait_for_server(name, *dpdk_port, signals); !linked) {
        return tl::unexpected(linked.error());
      }
    }
    EnginePort& engine_port = config.ports.emplace_back();
    engine_port.dpdk_port = *dpdk_port;
    engine_port.identity.mac = started->mac;
    engine_port.identity.onion_port = options.onion_port;
    engine_port.identity.addresses = options.addresses;
    const std::string interface = interface_of(name);
    if (!interface.empty()) {
      auto addresses = interface_addresses(interface);
      if (!addresses) {
        return tl::unexpected(addresses.error());
      }
      engine_port.identity.addresses = *addresses;
      kernel_ports.push_back(
          {interface, static_cast<std::uint16_t>(config.ports.size() - 1), *addresses});
    }
    process.report += "device    " + name + "  " + text_of(started->mac);
    for (const auto& own : engine_port.identity.addresses) {
      process.report += "  " + onion::address_text(own);
    }
    process.report += "  udp " + std::to_string(options.onion_port) + "\n";
    if (options.workers > 1) {
      process.report += "queues    " + std::to_string(options.workers) + ", " +
                        spread_text(name, started->hashes_flows) + "\n";
    }
  }
  return config;
}

void publish_fixed_next_hop(Engine& engine, const EngineConfig& config, const Options& options) {
  NextHop hop;
  hop.mac = *options.next_hop;
  hop.source_address = config.ports.front().identity.addresses.front();
  engine.publish_next_hops(NextHopTable({}, hop));
}

std::uint64_t now_ms() {
  return system_clock().now_ms(nullptr);
}

void on_snapshot(Process& process, const onion::Endpoint& own,
                 const std::vector<onion::PeerConfig>& peers, std::uint64_t accepts_from_ms) {
  if (process.neighbours) {
    process.neighbours->prefer_source(own.address);
    for (const onion::PeerConfig& peer : peers) {
      process.neighbours->want(peer.endpoint.address, now_ms());
    }
  }
  if (process.is_started) {
    return;
  }
  process.is_started = true;
  process.engine->start();
  const std::uint64_t now = now_ms();
  if (accepts_from_ms > now) {
    std::fprintf(stderr,
                 "accepts   packets in %.1f s: the replay set is new, so slots before are closed\n",
                 static_cast<double>(accepts_from_ms - now) / 1000.0);
  } else {
    std::fprintf(stderr, "accepts   packets now; %zu relays known\n", peers.size());
  }
}

void tick(Process& process) {
  process.engine->maintain();
  process.server->push_deliveries();
  if (!process.neighbours) {
    return;
  }
  const std::uint64_t now = now_ms();
  for (const auto& address : process.engine->take_unresolved(64)) {
    process.neighbours->want(address, now);
  }
  process.neighbours->solicit(now);
  if (auto table = process.neighbours->changed_table(now)) {
    process.engine->publish_next_hops(NextHopTable(std::move(*table)));
  }
}

int run_loop(Process& process, int signals) {
  for (;;) {
    std::array<pollfd, 5> waits = {
        {{signals, POLLIN, 0},
         {process.server->listener(), POLLIN, 0},
         {process.server->connection(), POLLIN, 0},
         {process.neighbours ? process.neighbours->descriptor() : -1, POLLIN, 0},
         {process.engine->news_descriptor(), POLLIN, 0}}};
    const bool is_table_due = process.neighbours && process.neighbours->has_news();
    poll(waits.data(), waits.size(),
         is_table_due ? static_cast<int>(KernelNeighbours::kTableEveryMs) : kTickMs);
    if (waits[0].revents != 0) {
      return 0;
    }
    if (waits[1].revents != 0) {
      process.server->accept_one();
    }
    if (waits[2].revents != 0 && !process.server->serve()) {
      return 0;
    }
    if (waits[3].revents != 0) {
      process.neighbours->read_news();
    }
    if (waits[4].revents != 0) {
      process.engine->read_news();
    }
    tick(process);
  }
}

int block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

Result<void> bring_up(const Options& options, const crypto_accel::KernelSet& kernel_set,
                      int signals, Process& process) {
  const auto eal = start_eal(options.eal);
  if (!eal) {
    return tl::unexpected(eal.error());
  }
  std::vector<KernelPort> kernel_ports;
  auto config = bring_up_ports(options, signals, process, kernel_ports);
  if (!config) {
    return tl::unexpected(config.error());
  }
  config->kernels = kernel_set;
  const std::string kernel_names = "onion=" + std::string(kernel_set.onion->name) +
                                   ",x25519=" + std::string(kernel_set.x25519->name);
  process.report += "kernels   " + kernel_names + "\n";
  process.report += eal->uses_huge_pages
                        ? "pages     2 MiB\n"
                        : "pages     4 KiB: without free 2-MiB pages, large packets cost more\n";
  auto engine = Engine::create(*config);
  if (!engine) {
    return tl::unexpected(engine.error());
  }
  process.engine = std::move(*engine);
  if (!kernel_ports.empty()) {
    auto guard = PortGuard::open(options.onion_port);
    auto neighbours = KernelNeighbours::open(kernel_ports);
    if (!guard || !neighbours) {
      return tl::unexpected(guard ? neighbours.error() : guard.error());
    }
    process.guard = std::move(*guard);
    process.neighbours = std::move(*neighbours);
  } else {
    publish_fixed_next_hop(*process.engine, *config, options);
  }
  ControlServerConfig server;
  server.path = options.control_path;
  server.welcome.pid = static_cast<std::uint32_t>(getpid());
  server.welcome.worker_count = static_cast<std::uint16_t>(options.workers);
  server.welcome.device = options.eal.vdevs.front();
  server.welcome.kernels = kernel_names;
  server.on_snapshot = [&process](const onion::Endpoint& own,
                                  const std::vector<onion::PeerConfig>& peers,
                                  std::uint64_t accepts_from_ms) {
    on_snapshot(process, own, peers, accepts_from_ms);
  };
  auto opened = ControlServer::open(std::move(server), *process.engine);
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  process.server = std::move(*opened);
  process.report += "control   " + options.control_path + ": waiting for keys\n";
  return {};
}

// Several relays that start at once may all see the same free pages. DPDK cannot be started twice in a
// process, so the one that comes too late begins again.
void start_again_without_huge_pages(int argc, char** argv) {
  std::vector<char*> arguments(argv, argv + argc);
  std::string no_huge = "--no-huge";
  arguments.push_back(no_huge.data());
  arguments.push_back(nullptr);
  execv("/proc/self/exe", arguments.data());
}

int run(int argc, char** argv) {
  Options options;
  if (const auto code = read_options(argc, argv, options)) {
    return *code;
  }
  const auto kernel_set = crypto_accel::kernels_from_environment();
  if (!kernel_set) {
    return complain(kExitFailed, kernel_set.error().text);
  }
  const int signals = block_signals();
  umask(0077);  // a memif server makes its socket with what this leaves
  Process process;
  if (const auto up = bring_up(options, *kernel_set, signals, process); !up) {
    if (up.error().code == Errc::full) {
      start_again_without_huge_pages(argc, argv);
    }
    return complain(kExitFailed, up.error().text);
  }
  // Only now, because DPDK looks at files of /proc/self that are root's from here on. Its controller has the first key to give.
  forbid_memory_dumps();
  std::fputs(process.report.c_str(), stderr);
  return run_loop(process, signals);
}

}  // namespace
}  // namespace allium::dataplane

int main(int argc, char** argv) {
  return allium::dataplane::run(argc, argv);
}
