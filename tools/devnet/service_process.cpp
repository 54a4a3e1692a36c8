// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/service_process.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>

#include "control/manage/local_socket.hpp"
#include "control/network/network_view.hpp"
#include "control/node/node_memory.hpp"
#include "dataplane/onion/endpoint_text.hpp"
#include "dataplane/onion/handle_table.hpp"
#include "dataplane/onion/replay_set.hpp"

namespace allium::devnet {
namespace {

constexpr std::size_t kSwarmSize = 5;
constexpr int kStopTries = 500;
constexpr std::uint64_t kAskTimeoutMs = 500;
constexpr int kLowestFree = 16;  // above the numbers that a process looks for what it inherits

// A devnet node is sized for 20,000 packets a second: 4 MiB of replay set. All its clients share one host.
constexpr std::uint64_t kPacketsPerSecond = 20000;
constexpr onion::HandleLimits kHandleLimits = {1024, 64, 256};

/// `descriptor` under a number that is not one of the first.
Result<int> moved_up(Result<int> descriptor) {
  if (!descriptor || *descriptor >= kLowestFree) {
    return descriptor;
  }
  const int high = fcntl(*descriptor, F_DUPFD_CLOEXEC, kLowestFree);
  close(*descriptor);
  return high >= 0 ? Result<int>(high) : fail(Errc::io, std::strerror(errno));
}

std::string listen_list(const std::vector<onion::Endpoint>& endpoints, std::uint16_t port) {
  std::string list;
  for (onion::Endpoint endpoint : endpoints) {
    endpoint.port = port;
    list += (list.empty() ? "\"" : ", \"") + onion::endpoint_text(endpoint) + '"';
  }
  return '[' + list + ']';
}

}  // namespace

std::vector<control::ServiceEntry> service_entries(std::size_t node_count) {
  const std::size_t swarm_count = std::max<std::size_t>(1, node_count / kSwarmSize);
  std::vector<control::SwarmId> ids;
  while (ids.size() < swarm_count) {
    ids.push_back(control::new_swarm_id(control::SwarmMap(ids)));
  }
  std::vector<control::ServiceEntry> entries;
  for (std::size_t i = 0; i < node_count; ++i) {
    entries.push_back({ids[i % swarm_count], kHttpsPort, kOmqPort});
  }
  return entries;
}

Result<std::unique_ptr<ServiceProcess>> ServiceProcess::create(ServicePlan plan,
                                                               const RuntimeDirectory& directory,
                                                               const control::Seed& seed) {
  std::unique_ptr<ServiceProcess> process(new ServiceProcess(std::move(plan), directory));
  const auto identity = moved_up(control::identity_in_memory(seed));
  if (!identity) {
    return tl::unexpected(identity.error());
  }
  process->identity_ = *identity;
  const auto memory = control::NodeMemory::create(
      onion::ReplaySet::bytes_needed(onion::ReplaySet::lines_for(kPacketsPerSecond)),
      onion::HandleTable::bytes_needed(kHandleLimits));
  if (!memory) {
    return tl::unexpected(memory.error());
  }
  for (std::size_t i = 0; i < memory->size(); ++i) {
    const auto moved = moved_up((*memory)[i]);
    if (!moved) {
      return tl::unexpected(moved.error());
    }
    process->memory_[i] = *moved;
  }
  if (auto written = process->write_configuration(); !written) {
    return tl::unexpected(written.error());
  }
  return process;
}

ServiceProcess::~ServiceProcess() {
  stop();
  for (const int descriptor : {identity_, memory_[0], memory_[1], memory_[2]}) {
    if (descriptor >= 0) {
      close(descriptor);
    }
  }
}

Result<void> ServiceProcess::write_configuration() const {
  std::ofstream file(path("toml"), std::ios::trunc);
  file << "schema = 1\n[node]\nidentity = \"/proc/self/fd/" << identity_ << "\"\ndata = \""
       << path("data") << "\"\n[network]\ndocument = \"" << plan_.document
       << "\"\nauthorities = [\"" << control::identity_key_text(plan_.authority)
       << "\"]\n[https]\nlisten = " << listen_list(plan_.endpoints, kHttpsPort)
       << "\n[omq]\nlisten = " << listen_list(plan_.endpoints, kOmqPort)
       << "\n[dataplane]\nsocket = \"" << directory_.node_socket(plan_.node)
       << "\"\npackets_per_second = " << kPacketsPerSecond
       << "\nipv6_clients = " << kHandleLimits.live_max
       << "\nipv6_clients_per_host = " << kHandleLimits.per_host << "\nipv6_clients_per_site = "
       << kHandleLimits.per_site
       // Of a folder that is often in memory.
       << "\n[storage]\nmax_bytes = \"1GiB\""
       // All clients of a devnet have one address, and what is measured here is the node.
       << "\n[limits]\naddress_burst = 100000\naddress_per_second = 100000"
       << "\n[onion]\nexit_to_private_addresses = true\n[control]\nsocket = \""
       << directory_.service_socket(plan_.node) << "\"\n";
  file.close();
  return file ? Result<void>() : fail(Errc::io, path("toml") + ": " + std::strerror(errno));
}

// As sd_listen_fds_with_names(3) expects it.
void ServiceProcess::hand_over_memory() const {
  std::string names;
  for (std::size_t i = 0; i < memory_.size(); ++i) {
    dup2(memory_[i], SD_LISTEN_FDS_START + static_cast<int>(i));
    names += (i == 0 ? "" : ":") + std::string(control::NodeMemory::kNames[i]);
  }
  setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
  setenv("LISTEN_FDS", std::to_string(memory_.size()).c_str(), 1);
  setenv("LISTEN_FDNAMES", names.c_str(), 1);
}

void ServiceProcess::run() const {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int log =
      open(path("service.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  fcntl(identity_, F_SETFD, 0);  // it keeps its number, which the configuration has
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  hand_over_memory();
  if (setns(plan_.network_namespace, CLONE_NEWNET) != 0) {
    std::perror("allium devnet: network namespace");
    _exit(1);
  }
  execl(plan_.program.c_str(), plan_.program.c_str(), "--config", path("toml").c_str(),
        static_cast<char*>(nullptr));
  std::perror(plan_.program.c_str());
  _exit(127);
}

Result<void> ServiceProcess::spawn() {
  unlink(directory_.service_socket(plan_.node).c_str());
  pid_ = fork();
  if (pid_ < 0) {
    return fail(Errc::unavailable, std::string("cannot start a process: ") + std::strerror(errno));
  }
  if (pid_ == 0) {
    run();
  }
  return {};
}

Result<boost::json::object> ServiceProcess::ask(const char* question) const {
  if (pid_ <= 0) {
    return fail(Errc::unavailable, plan_.node + ": alliumd does not run");
  }
  return control::ask_local(directory_.service_socket(plan_.node), question, kAskTimeoutMs);
}

void ServiceProcess::kill_now() noexcept {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    on_exit();
  }
}

void ServiceProcess::stop() noexcept {
  if (pid_ <= 0) {
    return;
  }
  kill(pid_, SIGTERM);
  for (int tries = 0; tries < kStopTries; ++tries) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      on_exit();
      return;
    }
    const timespec duration{0, 10'000'000};
    nanosleep(&duration, nullptr);
  }
  kill_now();
}

std::string ServiceProcess::last_words() const {
  std::ifstream file(path("service.log"));
  std::string line;
  std::string last = "no word from it";
  while (std::getline(file, line)) {
    last = line.empty() ? last : line;
  }
  return last;
}

}  // namespace allium::devnet
