// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/service_process.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>

#include "control/manage/local_socket.hpp"
#include "control/network/network_view.hpp"
#include "dataplane/onion/endpoint_text.hpp"

namespace allium::devnet {
namespace {

constexpr std::size_t kSwarmSize = 5;
constexpr int kStopTries = 500;

std::string listen_list(const std::vector<onion::Endpoint>& endpoints, std::uint16_t port) {
  std::string list;
  for (onion::Endpoint endpoint : endpoints) {
    endpoint.port = port;
    list += (list.empty() ? "\"" : ", \"") + onion::endpoint_text(endpoint) + '"';
  }
  return '[' + list + ']';
}

}  // namespace

control::ServiceEntry service_entry(std::size_t index, std::size_t node_count) {
  const std::size_t swarm_count = std::max<std::size_t>(1, node_count / kSwarmSize);
  const std::uint64_t gap = std::numeric_limits<std::uint64_t>::max() / swarm_count;
  return {index % swarm_count * gap, kHttpsPort, kOmqPort};
}

Result<std::unique_ptr<ServiceProcess>> ServiceProcess::create(ServicePlan plan,
                                                               const RuntimeDirectory& directory,
                                                               const control::Seed& seed) {
  std::unique_ptr<ServiceProcess> process(new ServiceProcess(std::move(plan), directory));
  const auto identity = control::identity_in_memory(seed);
  if (!identity) {
    return tl::unexpected(identity.error());
  }
  process->identity_ = *identity;
  if (auto written = process->write_configuration(); !written) {
    return tl::unexpected(written.error());
  }
  return process;
}

ServiceProcess::~ServiceProcess() {
  stop();
  if (identity_ >= 0) {
    close(identity_);
  }
}

Result<void> ServiceProcess::write_configuration() const {
  std::ofstream file(path("toml"), std::ios::trunc);
  file << "schema = 1\n[node]\nidentity = \"/proc/self/fd/" << identity_ << "\"\ndata = \""
       << path("data") << "\"\n[network]\ndocument = \"" << directory_.network()
       << "\"\nauthorities = [\"" << control::identity_key_text(plan_.authority)
       << "\"]\n[https]\nlisten = " << listen_list(plan_.endpoints, kHttpsPort)
       << "\n[omq]\nlisten = " << listen_list(plan_.endpoints, kOmqPort)
       << "\n[limits]\naddress_burst = 100000\naddress_per_second = 100000\n"
       << "[onion]\nexit_to_private_addresses = true\n[control]\nsocket = \"" << path("service")
       << "\"\n";
  file.close();
  return file ? Result<void>() : fail(Errc::io, path("toml") + ": " + std::strerror(errno));
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
  unlink(path("service").c_str());
  pid_ = fork();
  if (pid_ < 0) {
    return fail(Errc::unavailable, std::string("cannot start a process: ") + std::strerror(errno));
  }
  if (pid_ == 0) {
    run();
  }
  return {};
}

bool ServiceProcess::is_ready() const {
  if (pid_ <= 0 || access(path("service").c_str(), F_OK) != 0) {
    return false;
  }
  const auto status = control::ask_local(path("service"), "status");
  return status && status->at("ready").as_bool();
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
