// SPDX-License-Identifier: Apache-2.0

// allium-dp: one relay's dataplane process. Brings up devices, listens for its controller, and forwards from
// the first snapshot on. The main thread does everything that enters the kernel; the workers poll.

#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "crypto_accel/kernel_registry.hpp"
#include "dataplane/engine/control_server.hpp"
#include "dataplane/engine/eal.hpp"
#include "dataplane/engine/engine.hpp"
#include "dataplane/engine/kernel_neighbours.hpp"
#include "dataplane/engine/port_guard.hpp"
#include "dataplane/onion/endpoint_text.hpp"

namespace allium::dataplane {
namespace {

constexpr int kExitUsage = 2;
constexpr int kExitFailed = 1;
constexpr int kTickMs = 100;  // Engine::maintain wants no less
constexpr unsigned kPacketsPerWorker = 4095;

constexpr const char* kHelp =
    R"(allium-dp: the packet forwarder of one onion relay, driven by a controller over a Unix socket

usage: allium-dp --vdev DEVICE --control SOCKET [options]

  --vdev DEVICE       a DPDK device; more than once for several ports
                        net_af_packet0,iface=eth0        any Linux interface
                        net_pcap0,rx_pcap=in.pcap,tx_pcap=out.pcap
                        net_null0   net_ring0
  --control SOCKET    where the controller connects (made with mode 0600)
  --port N            the onion port, UDP [22100]
  --workers N         poll-mode workers, queue i of every port is worker i's [1]
  --lcores LIST       CPUs of the workers, such as 2,4-6 [any]
  --address IP        own address on a device without an interface; repeatable
  --next-hop MAC      where everything goes on a device without an interface
  --huge, --no-huge   use 2-MiB pages or not [use them where enough are free]
  --memory MB         for packets and queues [64]
  --kernels           list the crypto kernels of this CPU, and which are chosen
  --version, --help

ALLIUM_KERNEL=onion=NAME,x25519=NAME forces kernels. The relay accepts packets when its controller has
configured it and sent the first snapshot of keys. SIGTERM ends it cleanly.

example: allium-dp --vdev net_af_packet0,iface=eth0 --control /run/allium/dp.sock
)";

struct Options {
  EalConfig eal;
  std::string control_path;
  std::uint16_t onion_port = 22100;
  std::size_t workers = 1;
  std::vector<int> lcores;
  std::vector<std::array<std::uint8_t, 16>> addresses;
  std::optional<MacAddress> next_hop;
};

int complain(int code, const std::string& text) {
  std::fprintf(stderr, "allium-dp: %s\n", text.c_str());
  return code;
}

template <typename T>
bool parse_number(const char* text, T low, T high, T& target) {
  const char* end = text + std::strlen(text);
  const auto [rest, error] = std::from_chars(text, end, target);
  return error == std::errc() && rest == end && target >= low && target <= high;
}

bool parse_mac(const std::string& text, MacAddress& mac) {
  unsigned bytes[6];
  char rest = 0;
  if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%c", &bytes[0], &bytes[1], &bytes[2],
                  &bytes[3], &bytes[4], &bytes[5], &rest) != 6) {
    return false;
  }
  for (std::size_t i = 0; i < mac.size(); ++i) {
    mac[i] = static_cast<std::uint8_t>(bytes[i]);
  }
  return true;
}

// "2,4-6": CPUs that this process may use.
bool parse_lcores(const std::string& text, std::vector<int>& cpus) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find(',', start), text.size());
    const std::string part = text.substr(start, end - start);
    const std::size_t dash = part.find('-');
    int first = 0;
    int last = 0;
    if (!parse_number<int>(part.substr(0, dash).c_str(), 0, CPU_SETSIZE - 1, first) ||
        !parse_number<int>(part.substr(dash == std::string::npos ? 0 : dash + 1).c_str(), first,
                           CPU_SETSIZE - 1, last)) {
      return false;
    }
    for (int cpu = first; cpu <= last; ++cpu) {
      if (CPU_ISSET(static_cast<std::size_t>(cpu), &allowed) == 0) {
        return false;
      }
      cpus.push_back(cpu);
    }
    start = end + 1;
  }
  return true;
}

// An af_packet device has as many queues as its arguments say: one for each worker.
void add_queues(Options& options) {
  for (std::string& vdev : options.eal.vdevs) {
    if (options.workers > 1 && vdev.starts_with("net_af_packet") &&
        vdev.find("qpairs=") == std::string::npos) {
      vdev += ",qpairs=" + std::to_string(options.workers);
    }
  }
}

// The value of "iface=" in a device string.
std::string interface_of(const std::string& vdev) {
  const std::size_t start = vdev.find("iface=");
  if (start == std::string::npos) {
    return {};
  }
  const std::size_t end = vdev.find(',', start);
  return vdev.substr(start + 6, end == std::string::npos ? end : end - start - 6);
}

int list_kernels() {
  const auto kernels = crypto_accel::kernels_from_environment();
  if (!kernels) {
    return complain(kExitFailed, kernels.error().text);
  }
  std::fputs(crypto_accel::describe_kernels(*kernels).c_str(), stdout);
  return 0;
}

enum Flag : int {
  vdev,
  control,
  port,
  workers,
  address,
  next_hop,
  lcores,
  huge,
  no_huge,
  memory,
  kernels,
  version,
  help
};

constexpr option kOptions[] = {{"vdev", required_argument, nullptr, vdev},
                               {"control", required_argument, nullptr, control},
                               {"port", required_argument, nullptr, port},
                               {"workers", required_argument, nullptr, workers},
                               {"lcores", required_argument, nullptr, lcores},
                               {"address", required_argument, nullptr, address},
                               {"next-hop", required_argument, nullptr, next_hop},
                               {"huge", no_argument, nullptr, huge},
                               {"no-huge", no_argument, nullptr, no_huge},
                               {"memory", required_argument, nullptr, memory},
                               {"kernels", no_argument, nullptr, kernels},
                               {"version", no_argument, nullptr, version},
                               {"help", no_argument, nullptr, help},
                               {nullptr, 0, nullptr, 0}};

// False where the value of an option is wrong.
bool take_option(int flag, Options& options) {
  switch (flag) {
    case vdev:
      options.eal.vdevs.emplace_back(optarg);
      return options.eal.vdevs.size() <= kPortsMax;
    case control:
      options.control_path = optarg;
      return true;
    case port:
      return parse_number<std::uint16_t>(optarg, 1, 65535, options.onion_port);
    case workers:
      return parse_number<std::size_t>(optarg, 1, kWorkersMax, options.workers);
    case lcores:
      return parse_lcores(optarg, options.lcores);
    case address: {
      const auto parsed = onion::parse_address(optarg);
      if (parsed) {
        options.addresses.push_back(*parsed);
      }
      return parsed.has_value();
    }
    case next_hop:
      return parse_mac(optarg, options.next_hop.emplace());
    case huge:
      options.eal.pages = Pages::huge;
      return true;
    case no_huge:
      options.eal.pages = Pages::small;
      return true;
    case memory:
      return parse_number<unsigned>(optarg, 16, 65536, options.eal.memory_mb);
    default:
      return false;
  }
}

// An exit code where the program ends here.
std::optional<int> read_options(int argc, char** argv, Options& options) {
  opterr = 0;
  int flag = 0;
  int index = 0;
  while ((flag = getopt_long(argc, argv, "", kOptions, &index)) != -1) {
    if (flag == help) {
      std::fputs(kHelp, stdout);
      return 0;
    }
    if (flag == version) {
      std::puts("allium-dp " ALLIUM_VERSION);
      return 0;
    }
    if (flag == kernels) {
      return list_kernels();
    }
    if (flag == '?' || flag == ':') {
      return complain(kExitUsage, std::string("unknown or incomplete option '") + argv[optind - 1] +
                                      "'; see: allium-dp --help");
    }
    if (!take_option(flag, options)) {
      return complain(kExitUsage, std::string("--") + kOptions[index].name + " " +
                                      (optarg == nullptr ? "" : optarg) +
                                      " is not a value it takes; see: allium-dp --help");
    }
  }
  if (optind < argc) {
    return complain(kExitUsage,
                    std::string("'") + argv[optind] + "' is not an option; see: allium-dp --help");
  }
  if (options.eal.vdevs.empty() || options.control_path.empty()) {
    return complain(kExitUsage, "needs --vdev and --control; see: allium-dp --help");
  }
  add_queues(options);
  return std::nullopt;
}

/// Everything of the process, in the order in which it comes up; it goes down the other way round.
struct Process {
  PacketPool pool;
  PortGuard guard;
  std::unique_ptr<KernelNeighbours> neighbours;
  std::unique_ptr<ControlServer> server;
  std::unique_ptr<Engine> engine;  // last: workers stop before what they use goes
  bool is_started = false;

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

Result<EngineConfig> bring_up_ports(const Options& options, Process& process,
                                    std::vector<KernelPort>& kernel_ports) {
  EngineConfig config;
  config.worker_count = options.workers;
  config.worker_cpus = options.lcores;
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
    auto mac = start_device(*dpdk_port, queues, process.pool.get());
    if (!mac) {
      return fail(mac.error().code, name + ": " + mac.error().text);
    }
    EnginePort& engine_port = config.ports.emplace_back();
    engine_port.dpdk_port = *dpdk_port;
    engine_port.identity.mac = *mac;
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
    } else if (options.addresses.empty() || !options.next_hop) {
      return fail(Errc::refused, name + " has no interface: give it --address and --next-hop");
    }
    std::fprintf(stderr, "device    %s  %s", name.c_str(), text_of(*mac).c_str());
    for (const auto& own : engine_port.identity.addresses) {
      std::fprintf(stderr, "  %s", onion::address_text(own).c_str());
    }
    std::fprintf(stderr, "  udp %u\n", options.onion_port);
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

void on_snapshot(Process& process, const std::vector<onion::PeerConfig>& peers,
                 std::uint64_t accepts_from_ms) {
  if (process.neighbours) {
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
                      Process& process) {
  const auto eal = start_eal(options.eal);
  if (!eal) {
    return tl::unexpected(eal.error());
  }
  std::vector<KernelPort> kernel_ports;
  auto config = bring_up_ports(options, process, kernel_ports);
  if (!config) {
    return tl::unexpected(config.error());
  }
  config->kernels = kernel_set;
  const std::string kernel_names = "onion=" + std::string(kernel_set.onion->name) +
                                   ",x25519=" + std::string(kernel_set.x25519->name);
  std::fprintf(stderr, "kernels   %s\n", kernel_names.c_str());
  std::fprintf(stderr, "pages     %s\n",
               eal->uses_huge_pages
                   ? "2 MiB"
                   : "4 KiB: no free 2-MiB pages were used; large packets cost more");
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
  server.on_snapshot = [&process](const std::vector<onion::PeerConfig>& peers,
                                  std::uint64_t accepts_from_ms) {
    on_snapshot(process, peers, accepts_from_ms);
  };
  auto opened = ControlServer::open(std::move(server), *process.engine);
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  process.server = std::move(*opened);
  std::fprintf(stderr, "control   %s: waiting for keys\n", options.control_path.c_str());
  return {};
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
  Process process;
  if (const auto up = bring_up(options, *kernel_set, process); !up) {
    return complain(kExitFailed, up.error().text);
  }
  return run_loop(process, signals);
}

}  // namespace
}  // namespace allium::dataplane

int main(int argc, char** argv) {
  return allium::dataplane::run(argc, argv);
}
