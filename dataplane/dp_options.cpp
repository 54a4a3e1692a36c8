// SPDX-License-Identifier: Apache-2.0
#include "dataplane/dp_options.hpp"

#include <getopt.h>
#include <net/if.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <utility>

#include "crypto_accel/kernel_registry.hpp"
#include "dataplane/engine/engine.hpp"
#include "dataplane/onion/endpoint_text.hpp"

namespace allium::dataplane {
namespace {

constexpr const char* kHelp =
    R"(allium-dp: the packet forwarder of one onion relay, driven by a controller over a Unix socket

usage: allium-dp --vdev DEVICE --control SOCKET [options]

  --vdev DEVICE       a DPDK device; more than once for several ports
                        net_af_packet0,iface=eth0        any Linux interface
                        net_memif0,role=server,socket=/run/x,id=0,mac=02:00:00:00:00:01
                                                         shared memory with a process of this machine
                        net_pcap0,rx_pcap=in.pcap,tx_pcap=out.pcap
                        net_null0   net_ring0
  --control SOCKET    where the controller connects (made with mode 0600)
  --port N            the onion port, UDP [22100]
  --workers N         poll-mode workers, queue i of every port is worker i's [1]
  --setup-share PCT   time of a worker for opening paths while data keeps coming [25]
  --lcores LIST       CPUs of the workers, such as 2,4-6 [any]
  --address IP        own address on a device without an interface; repeatable
  --next-hop MAC      where everything goes on a device without an interface
  --huge, --no-huge   use 2-MiB pages or not [use them where enough are free]
  --memory MB         for packets and queues [64]
  --kernels           list the crypto kernels of this CPU, and which are chosen
  --version, --help

ALLIUM_KERNEL=onion=NAME,x25519=NAME,aead=NAME forces kernels. The relay accepts packets when its controller has
configured it and sent the first snapshot of keys. SIGTERM ends it cleanly.

example: allium-dp --vdev net_af_packet0,iface=eth0 --control /run/allium/dp.sock
)";

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

// memif's own default is a socket of the network namespace, which every user of it may open: a file says who may.
void keep_sockets_private(Options& options) {
  for (std::string& vdev : options.eal.vdevs) {
    if (is_memif(vdev) && vdev.find("socket-abstract=") == std::string::npos) {
      vdev += ",socket-abstract=no";
    }
  }
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
  setup_share,
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
                               {"setup-share", required_argument, nullptr, setup_share},
                               {"address", required_argument, nullptr, address},
                               {"next-hop", required_argument, nullptr, next_hop},
                               {"huge", no_argument, nullptr, huge},
                               {"no-huge", no_argument, nullptr, no_huge},
                               {"memory", required_argument, nullptr, memory},
                               {"kernels", no_argument, nullptr, kernels},
                               {"version", no_argument, nullptr, version},
                               {"help", no_argument, nullptr, help},
                               {nullptr, 0, nullptr, 0}};

// Neither nobody's (0.0.0.0, ::) nor a group's.
bool is_of_one_host(const std::array<std::uint8_t, 16>& address) {
  onion::Endpoint endpoint;
  endpoint.address = address;
  const bool is_nobody =
      endpoint.is_v4() ? load_be(endpoint.v4(), 4) == 0
                       : load_be(address.data(), 8) == 0 && load_be(address.data() + 8, 8) == 0;
  const bool is_group = endpoint.is_v4() ? endpoint.v4()[0] >= 224 : address[0] == 0xff;
  return !is_nobody && !is_group;
}

// False where the value of an option is wrong, or contradicts an earlier one.
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
    case setup_share:
      return parse_number<unsigned>(optarg, 1, 100, options.setup_share_percent);
    case lcores:
      return parse_lcores(optarg, options.lcores);
    case address: {
      const auto parsed = onion::parse_address(optarg);
      const bool is_own = parsed && is_of_one_host(*parsed);
      if (is_own) {
        options.addresses.push_back(*parsed);
      }
      return is_own;
    }
    case next_hop:
      // The lowest bit of a MAC's first byte: a group, or everybody.
      return parse_mac(optarg, options.next_hop.emplace()) && (options.next_hop->front() & 1U) == 0;
    case huge:
      options.eal.pages = Pages::huge;
      return !std::exchange(options.has_pages, true);
    case no_huge:
      options.eal.pages = Pages::small;
      return !std::exchange(options.has_pages, true);
    case memory:
      return parse_number<unsigned>(optarg, 16, 65536, options.eal.memory_mb);
    default:
      return false;
  }
}

// A memif needs an end, a meeting place, and an address that the other end can be told before it is up.
std::optional<std::string> wrong_memif(const std::string& vdev) {
  const std::string role = argument_of(vdev, "role");
  if (role != "server" && role != "client") {
    return "--vdev " + vdev + " needs role=server or role=client";
  }
  if (!argument_of(vdev, "socket").starts_with('/')) {
    return "--vdev " + vdev + " needs socket=/PATH, the same at both ends";
  }
  if (argument_of(vdev, "mac").empty()) {
    return "--vdev " + vdev + " needs mac=, which is the --next-hop of the other end";
  }
  return std::nullopt;
}

// What is wrong with a device of the command line, as far as it can be seen before DPDK is asked.
std::optional<std::string> wrong_device(const std::string& vdev, const Options& options) {
  const std::string interface = interface_of(vdev);
  if (interface.empty() && vdev.starts_with("net_af_packet")) {
    return "--vdev " + vdev + " needs an interface: net_af_packet0,iface=eth0";
  }
  if (is_memif(vdev)) {
    if (auto wrong = wrong_memif(vdev)) {
      return wrong;
    }
  }
  if (interface.empty() && (options.addresses.empty() || !options.next_hop)) {
    return "--vdev " + vdev + " has no interface: give it --address and --next-hop";
  }
  if (!interface.empty() && if_nametoindex(interface.c_str()) == 0) {
    return "--vdev " + vdev + ": there is no interface '" + interface + "'; see: ip link";
  }
  return std::nullopt;
}

}  // namespace

int complain(int code, const std::string& text) {
  std::fprintf(stderr, "allium-dp: %s\n", text.c_str());
  return code;
}

std::string argument_of(const std::string& vdev, const std::string& key) {
  const std::string name = "," + key + "=";
  const std::size_t start = vdev.find(name);
  if (start == std::string::npos) {
    return {};
  }
  const std::size_t value = start + name.size();
  return vdev.substr(value, vdev.find(',', value) - value);
}

std::string interface_of(const std::string& vdev) {
  return argument_of(vdev, "iface");
}

bool is_memif(const std::string& vdev) {
  return vdev.starts_with("net_memif");
}

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
  for (const std::string& vdev : options.eal.vdevs) {
    if (const auto wrong = wrong_device(vdev, options)) {
      return complain(kExitUsage, *wrong);
    }
  }
  add_queues(options);
  keep_sockets_private(options);
  return std::nullopt;
}

}  // namespace allium::dataplane
