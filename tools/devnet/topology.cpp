// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/topology.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

namespace allium::devnet {
namespace {

constexpr std::size_t kNodesPerByte = 200;

// Runs `ip -batch -` on `script` in this namespace; its complaints become the error.
Result<void> run_ip(const std::string& script) {
  int in[2];
  int err[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
    return fail(Errc::io, std::string("cannot make a pipe: ") + std::strerror(errno));
  }
  const pid_t child = fork();
  if (child == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(err[1], STDERR_FILENO);
    execlp("ip", "ip", "-batch", "-", static_cast<char*>(nullptr));
    std::perror("ip (package iproute2)");
    _exit(127);
  }
  close(in[0]);
  close(err[1]);
  const ssize_t written = write(in[1], script.data(), script.size());  // well below a pipe's 64 KiB
  close(in[1]);
  std::string complaint;
  std::array<char, 512> buffer{};
  ssize_t count = 0;
  while ((count = read(err[0], buffer.data(), buffer.size())) > 0) {
    complaint.append(buffer.data(), static_cast<std::size_t>(count));
  }
  close(err[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (written != static_cast<ssize_t>(script.size()) || !WIFEXITED(status) ||
      WEXITSTATUS(status) != 0) {
    return fail(Errc::unavailable,
                "cannot lay out the network: " + complaint.substr(0, complaint.find('\n')));
  }
  return {};
}

Result<void> write_text(const char* path, const std::string& text) {
  const int descriptor = open(path, O_WRONLY | O_CLOEXEC);
  const bool done = descriptor >= 0 && write(descriptor, text.data(), text.size()) ==
                                           static_cast<ssize_t>(text.size());
  const int error = errno;
  if (descriptor >= 0) {
    close(descriptor);
  }
  if (!done) {
    return fail(Errc::unavailable, std::string(path) + ": " + std::strerror(error));
  }
  return {};
}

std::string node_number(std::size_t index) {
  return std::to_string(index + 1);
}

std::string v4_text(std::size_t index) {
  return "10.88." + std::to_string(1 + index / kNodesPerByte) + "." +
         std::to_string(1 + index % kNodesPerByte);
}

std::string v6_text(std::size_t index) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "fd88::1:%zx", index + 1);
  return text.data();
}

std::string mac_text(std::size_t index) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "02:00:0a:58:%02zx:%02zx", 1 + index / kNodesPerByte,
                1 + index % kNodesPerByte);
  return text.data();
}

Result<void> make_node(std::size_t index, int own_namespace, int node_namespace) {
  const std::string link = "v" + node_number(index);
  // The namespace goes to ip by its path in this process: ip itself inherits no descriptor.
  const std::string path =
      "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(node_namespace);
  auto done = run_ip("link add " + link + " type veth peer name eth0 netns " + path + "\n" +
                     "link set " + link + " master br0 up\n");
  if (!done || setns(node_namespace, CLONE_NEWNET) != 0) {
    return done ? fail(Errc::unavailable, std::strerror(errno)) : done;
  }
  done = run_ip("link set lo up\nlink set eth0 address " + mac_text(index) + " up\n" + "addr add " +
                v4_text(index) + "/16 dev eth0\n" + "addr add " + v6_text(index) +
                "/64 dev eth0 nodad\n");
  if (setns(own_namespace, CLONE_NEWNET) != 0) {
    return fail(Errc::unavailable, std::strerror(errno));
  }
  return done;
}

}  // namespace

Result<void> leave_host_network() {
  if (geteuid() == 0 && unshare(CLONE_NEWNET) == 0) {
    return {};
  }
  const std::string user = std::to_string(geteuid());
  const std::string group = std::to_string(getegid());
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
    return fail(
        Errc::unavailable,
        std::string("this machine allows no network namespace to this user (") +
            std::strerror(errno) +
            "); run as root, or allow user namespaces: sysctl kernel.unprivileged_userns_clone=1");
  }
  if (auto done = write_text("/proc/self/setgroups", "deny"); !done) {
    return done;
  }
  if (auto done = write_text("/proc/self/uid_map", "0 " + user + " 1"); !done) {
    return done;
  }
  return write_text("/proc/self/gid_map", "0 " + group + " 1");
}

Result<Topology> Topology::create(std::size_t node_count) {
  const int own_namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  // Without IGMP snooping the bridge floods neighbour solicitations, as a network without a querier must.
  auto done = run_ip(
      "link set lo up\nlink add br0 type bridge mcast_snooping 0\naddr add 10.88.0.1/16 dev br0\n"
      "addr add fd88::1/64 dev br0 nodad\nlink set br0 up\n");
  Topology topology;
  for (std::size_t index = 0; done && index < node_count; ++index) {
    if (unshare(CLONE_NEWNET) != 0) {
      done = fail(Errc::unavailable,
                  std::string("no further network namespace: ") + std::strerror(errno));
      break;
    }
    topology.nodes_.push_back(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (setns(own_namespace, CLONE_NEWNET) != 0) {
      done = fail(Errc::unavailable, std::strerror(errno));
      break;
    }
    done = make_node(index, own_namespace, topology.nodes_.back());
  }
  close(own_namespace);
  if (!done) {
    return tl::unexpected(done.error());
  }
  return topology;
}

Topology::~Topology() {
  for (const int descriptor : nodes_) {
    close(descriptor);
  }
}

std::string node_name(std::size_t index) {
  return "n" + node_number(index);
}

std::vector<onion::Endpoint> node_endpoints(std::size_t index) {
  const std::array<std::uint8_t, 4> v4 = {10, 88,
                                          static_cast<std::uint8_t>(1 + index / kNodesPerByte),
                                          static_cast<std::uint8_t>(1 + index % kNodesPerByte)};
  std::array<std::uint8_t, 16> v6 = {0xfd, 0x88};
  v6[13] = 1;
  store_be(v6.data() + 14, index + 1, 2);
  return {onion::Endpoint::from_v4(v4.data(), kOnionPort),
          onion::Endpoint::from_v6(v6.data(), kOnionPort)};
}

}  // namespace allium::devnet
