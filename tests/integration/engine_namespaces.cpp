// SPDX-License-Identifier: Apache-2.0
#include "engine_namespaces.hpp"

#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "dataplane/engine/engine.hpp"

namespace allium::dataplane {
namespace {

constexpr std::uint16_t kOnionPort = 22100;
constexpr uid_t kNobody = 65534;
constexpr std::size_t kClientNumber = 100;
constexpr std::size_t kReplayLines = 4096;
constexpr onion::HandleLimits kHandleLimits = {64, 16, 64};
constexpr int kControlMs = 10'000;

using Clock = std::chrono::steady_clock;

onion::Endpoint endpoint_of(std::size_t number, bool is_ipv6, std::uint16_t port) {
  if (is_ipv6) {
    std::array<std::uint8_t, 16> address = {0xfd, 0x77};
    address[15] = static_cast<std::uint8_t>(number);
    return onion::Endpoint::from_v6(address.data(), port);
  }
  const std::array<std::uint8_t, 4> address = {10, 77, 0, static_cast<std::uint8_t>(number)};
  return onion::Endpoint::from_v4(address.data(), port);
}

std::string address_v4(std::size_t number) {
  return "10.77.0." + std::to_string(number) + "/24";
}

std::string address_v6(std::size_t number) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "fd77::%zx/64", number);
  return text.data();
}

using Words = std::vector<std::string>;

[[noreturn]] void execute(const Words& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) {
    pointers.push_back(const_cast<char*>(word.c_str()));
  }
  pointers.push_back(nullptr);
  execvp(pointers[0], pointers.data());
  std::perror(pointers[0]);
  _exit(127);
}

// Runs a command to its end, in another network namespace where `network_namespace` is one.
void run(const Words& words, int network_namespace = -1) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (network_namespace >= 0 && setns(network_namespace, CLONE_NEWNET) != 0) {
      _exit(126);
    }
    execute(words);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  std::string line;
  for (const std::string& word : words) {
    line += word + " ";
  }
  ASSERT_EQ(status, 0) << line;
}

bool write_file(const char* path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  return static_cast<bool>(file.flush());
}

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t byte_count = 0;

  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress socket_address(const onion::Endpoint& endpoint) {
  SocketAddress address;
  if (endpoint.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, endpoint.v4(), 4);
    std::memcpy(&address.storage, &v4, sizeof v4);
    address.byte_count = sizeof v4;
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    std::memcpy(&v6.sin6_addr, endpoint.address.data(), 16);
    std::memcpy(&address.storage, &v6, sizeof v6);
    address.byte_count = sizeof v6;
  }
  return address;
}

onion::Endpoint endpoint_from(const SocketAddress& address) {
  if (address.storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.storage, sizeof v4);
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &v4.sin_addr, 4);
    return onion::Endpoint::from_v4(bytes.data(), ntohs(v4.sin_port));
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address.storage, sizeof v6);
  return onion::Endpoint::from_v6(v6.sin6_addr.s6_addr, ntohs(v6.sin6_port));
}

}  // namespace

bool enter_namespaces(bool unprivileged) {
  if (geteuid() == 0 && !unprivileged) {
    return unshare(CLONE_NEWNET) == 0;
  }
  if (geteuid() == 0) {
    if (setgroups(0, nullptr) != 0 || setresgid(kNobody, kNobody, kNobody) != 0 ||
        setresuid(kNobody, kNobody, kNobody) != 0) {
      return false;
    }
    // Or the files of /proc/self stay root's.
    prctl(PR_SET_DUMPABLE, 1);
  }
  const std::string user = "0 " + std::to_string(geteuid()) + " 1";
  const std::string group = "0 " + std::to_string(getegid()) + " 1";
  return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 && write_file("/proc/self/setgroups", "deny") &&
         write_file("/proc/self/uid_map", user) && write_file("/proc/self/gid_map", group);
}

struct NamespaceWorld::Relay {
  RelayName name;
  int network_namespace = -1;
  pid_t process = -1;
  std::uint64_t start = 0;
  std::uint64_t serial = 0;
  int replay_memory = -1;
  int handle_memory = -1;
  std::optional<control_port::Controller> controller;

  ~Relay() {
    if (process > 0) {
      kill(process, SIGKILL);
      waitpid(process, nullptr, 0);
    }
    for (const int descriptor : {network_namespace, replay_memory, handle_memory}) {
      if (descriptor >= 0) {
        close(descriptor);
      }
    }
  }
};

NamespaceWorld::NamespaceWorld(const NamespaceOptions& options) : options_(options) {
  std::string path = "/tmp/allium-test.XXXXXX";
  EXPECT_NE(mkdtemp(path.data()), nullptr);
  directory_ = path;
  lay_out(options.relay_count);
  client_ = socket(options.is_ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  SocketAddress own = socket_address(endpoint_of(kClientNumber, options.is_ipv6, 0));
  EXPECT_EQ(bind(client_, own.get(), own.byte_count), 0) << std::strerror(errno);
  const int receive_bytes = 4 << 20;
  setsockopt(client_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
  for (const auto& relay : relays_) {
    start(*relay);
  }
  for (const auto& relay : relays_) {
    connect(*relay);
  }
}

NamespaceWorld::~NamespaceWorld() {
  relays_.clear();
  close(client_);
  std::filesystem::remove_all(directory_);
}

void NamespaceWorld::lay_out(std::size_t relay_count) {
  run({"ip", "link", "set", "lo", "up"});
  run({"ip", "link", "add", "br0", "type", "bridge"});
  run({"ip", "address", "add", address_v4(kClientNumber), "dev", "br0"});
  run({"ip", "address", "add", address_v6(kClientNumber), "dev", "br0", "nodad"});
  run({"ip", "link", "set", "br0", "up"});
  for (std::size_t number = 1; number <= relay_count; ++number) {
    auto relay = std::make_unique<Relay>();
    relay->name = {number, endpoint_of(number, options_.is_ipv6, kOnionPort)};
    const auto replay =
        control_port::create_sealed_memory("replay", onion::ReplaySet::bytes_needed(kReplayLines));
    const auto handles = control_port::create_sealed_memory(
        "handles", onion::HandleTable::bytes_needed(kHandleLimits));
    ASSERT_TRUE(replay && handles);
    relay->replay_memory = *replay;
    relay->handle_memory = *handles;
    add_namespace(*relay);
    relays_.push_back(std::move(relay));
  }
}

void NamespaceWorld::add_namespace(Relay& relay) {
  std::array<int, 2> ready{};
  std::array<int, 2> done{};
  ASSERT_EQ(pipe2(ready.data(), O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(done.data(), O_CLOEXEC), 0);
  const pid_t holder = fork();
  ASSERT_GE(holder, 0);
  char byte = 0;
  if (holder == 0) {
    close(done[1]);
    byte = static_cast<char>(unshare(CLONE_NEWNET) == 0);
    // The read ends when the other side closes.
    const bool is_told = write(ready[1], &byte, 1) == 1;
    _exit(is_told && read(done[0], &byte, 1) == 0 ? 0 : 1);
  }
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 1);
  const std::string number = std::to_string(relay.name.number);
  const std::string outer = "veth" + number;
  relay.network_namespace =
      open(("/proc/" + std::to_string(holder) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC);
  run({"ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns",
       std::to_string(holder)});
  for (const int descriptor : {ready[0], ready[1], done[0], done[1]}) {
    close(descriptor);
  }
  ASSERT_EQ(waitpid(holder, nullptr, 0), holder);
  run({"ip", "link", "set", outer, "master", "br0", "up"});
  const int inside = relay.network_namespace;
  run({"ip", "address", "add", address_v4(relay.name.number), "dev", "eth0"}, inside);
  run({"ip", "address", "add", address_v6(relay.name.number), "dev", "eth0", "nodad"}, inside);
  run({"ip", "link", "set", "lo", "up"}, inside);
  run({"ip", "link", "set", "eth0", "up"}, inside);
}

void NamespaceWorld::start(Relay& relay) {
  ++relay.start;
  const std::string base = directory_ + "/" + std::to_string(relay.name.number);
  Words words = {
      ALLIUM_DP_PROGRAM, "--vdev", "net_af_packet0,iface=eth0", "--control", base + ".sock",
      "--memory",        "48"};
  words.insert(words.end(), options_.more_arguments.begin(), options_.more_arguments.end());
  relay.process = fork();
  ASSERT_GE(relay.process, 0);
  if (relay.process == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int log = open((base + ".log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0 || dup2(log, STDERR_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
        setns(relay.network_namespace, CLONE_NEWNET) != 0) {
      _exit(126);
    }
    execute(words);
  }
}

void NamespaceWorld::connect(Relay& relay) {
  const std::string path = directory_ + "/" + std::to_string(relay.name.number) + ".sock";
  const auto deadline = Clock::now() + std::chrono::seconds(20);
  while (!relay.controller) {
    auto controller = control_port::Controller::connect(path, kControlMs);
    if (controller) {
      relay.controller.emplace(std::move(*controller));
      break;
    }
    ASSERT_LT(Clock::now(), deadline) << controller.error().text << talk(relay.name.number - 1);
    ASSERT_EQ(waitpid(relay.process, nullptr, WNOHANG), 0) << talk(relay.name.number - 1);
    poll(nullptr, 0, 10);
  }
  control_port::Configure configure;
  configure.replay_lines = kReplayLines;
  configure.handles_max = static_cast<std::uint32_t>(kHandleLimits.live_max);
  configure.handles_per_host = static_cast<std::uint32_t>(kHandleLimits.per_host);
  configure.handles_per_site = static_cast<std::uint32_t>(kHandleLimits.per_site);
  const auto accepted =
      relay.controller->configure(configure, relay.replay_memory, relay.handle_memory, kControlMs);
  ASSERT_TRUE(accepted) << accepted.error().text;
  publish(relay);
}

void NamespaceWorld::publish(Relay& relay) {
  std::vector<RelayName> all;
  for (const auto& one : relays_) {
    all.push_back(one->name);
  }
  SnapshotWish wish;
  wish.serial = ++relay.serial;
  wish.start = relay.start;
  wish.now_ms = now_ms();
  TestSnapshot snapshot = make_snapshot(relay.name, all, wish);
  const auto accepted =
      relay.controller->publish(std::move(snapshot.begin), std::move(snapshot.peers), kControlMs);
  ASSERT_TRUE(accepted) << accepted.error().text;
  EXPECT_EQ(accepted->serial, relay.serial);
}

std::uint64_t NamespaceWorld::now_ms() const {
  return system_clock().now_ms(nullptr);
}

RelayName NamespaceWorld::relay_name(std::size_t index) const {
  return relays_[index]->name;
}

bool NamespaceWorld::send(std::size_t relay_index, Bytes datagram) {
  SocketAddress target = socket_address(relays_[relay_index]->name.endpoint);
  return sendto(client_, datagram.data(), datagram.size(), 0, target.get(), target.byte_count) >= 0;
}

std::vector<Arrived> NamespaceWorld::collect(std::size_t count) {
  // Where an answer is due, a busy machine may take its time; where none is, a short wait is enough.
  constexpr int kAnswerMs = 5000;
  constexpr int kQuietMs = 300;
  std::vector<Arrived> arrived;
  std::array<std::uint8_t, 2048> buffer{};
  for (;;) {
    pollfd wait{client_, POLLIN, 0};
    if (arrived.size() >= count && count > 0) {
      return arrived;
    }
    if (poll(&wait, 1, count > 0 ? kAnswerMs : kQuietMs) <= 0) {
      return arrived;
    }
    SocketAddress source;
    source.byte_count = sizeof source.storage;
    const ssize_t received = recvfrom(client_, buffer.data(), buffer.size(), MSG_DONTWAIT,
                                      source.get(), &source.byte_count);
    if (received >= 0) {
      arrived.push_back({endpoint_from(source), {buffer.begin(), buffer.begin() + received}});
    }
  }
}

control_port::Counters NamespaceWorld::counters(std::size_t relay_index) {
  auto counters = relays_[relay_index]->controller->counters(kControlMs);
  if (!counters) {
    ADD_FAILURE() << counters.error().text;
    return {};
  }
  return *counters;
}

void NamespaceWorld::crash(std::size_t relay_index) {
  Relay& relay = *relays_[relay_index];
  kill(relay.process, SIGKILL);
  ASSERT_EQ(waitpid(relay.process, nullptr, 0), relay.process);
  relay.controller.reset();
  start(relay);
  connect(relay);
}

int NamespaceWorld::stop(std::size_t relay_index) {
  Relay& relay = *relays_[relay_index];
  kill(relay.process, SIGTERM);
  int status = 0;
  EXPECT_EQ(waitpid(std::exchange(relay.process, -1), &status, 0) > 0, true);
  return status;
}

std::string NamespaceWorld::talk(std::size_t relay_index) const {
  std::ifstream file(directory_ + "/" + std::to_string(relay_index + 1) + ".log");
  return {std::istreambuf_iterator<char>(file), {}};
}

pid_t NamespaceWorld::process(std::size_t relay_index) const {
  return relays_[relay_index]->process;
}

}  // namespace allium::dataplane
