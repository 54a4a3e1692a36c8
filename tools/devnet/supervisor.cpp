// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/supervisor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "tools/devnet/enter.hpp"
#include "tools/devnet/internal/network_publisher.hpp"
#include "tools/devnet/internal/node_set.hpp"
#include "tools/devnet/internal/start_report.hpp"
#include "tools/devnet/internal/system_error.hpp"
#include "tools/devnet/internal/verb_socket.hpp"
#include "tools/devnet/internal/verbs.hpp"
#include "tools/devnet/internal/wall_clock.hpp"
#include "tools/devnet/node.hpp"
#include "tools/devnet/registry_process.hpp"
#include "tools/devnet/runtime_directory.hpp"
#include "tools/devnet/topology.hpp"

namespace allium::devnet {
namespace {

constexpr int kStartingTickMs = 10;
constexpr int kIdleTickMs = 1000;
constexpr int kStartingTries = 400;  // of 50 ms

class Supervisor {
 public:
  Supervisor(const DevnetOptions& options, StartReport& report)
      : options_(options),
        report_(report),
        network_(directory_, options.seed, started_ms_),
        verbs_(nodes_, network_, directory_, started_ms_) {}

  Result<void> set_up();
  void run();

 private:
  Result<void> create_nodes();
  void take_signals();
  void hear_signals();
  void tend_starting();
  void tend_files();

  DevnetOptions options_;
  StartReport& report_;
  RuntimeDirectory directory_ = runtime_directory();
  std::uint64_t started_ms_ = wall_clock_ms();
  std::optional<Topology> topology_;
  NodeSet nodes_;
  RegistryProcess registry_;
  NetworkPublisher network_;
  Verbs verbs_;
  VerbSocket socket_;
  int signals_ = -1;
  bool is_ending_ = false;
};

Result<void> Supervisor::set_up() {
  if (auto left = leave_host_network(); !left) {
    return left;
  }
  auto topology = Topology::create(options_.node_count);
  if (!topology) {
    return tl::unexpected(topology.error());
  }
  topology_.emplace(std::move(*topology));
  if (auto opened = socket_.open(directory_.socket()); !opened) {
    return opened;
  }
  if (auto created = create_nodes(); !created) {
    return created;
  }
  if (auto published = network_.publish(nodes_); !published) {
    return published;
  }
  if (auto started = registry_.start(directory_.document(), network_.authority()); !started) {
    return started;
  }
  take_signals();
  return nodes_.spawn_all();
}

Result<void> Supervisor::create_nodes() {
  for (std::size_t index = 0; index < options_.node_count; ++index) {
    NodePlan plan;
    plan.index = index;
    plan.network_namespace = topology_->namespace_of(index);
    plan.dataplane_program = options_.dataplane_program;
    plan.no_huge = options_.no_huge;
    plan.worker_count = options_.worker_count;
    plan.seed = options_.seed;
    plan.service_program = options_.service_program;
    plan.authority = network_.authority();
    auto node = Node::create(plan, directory_);
    if (!node) {
      return tl::unexpected(node.error());
    }
    nodes_.add(std::move(*node));
  }
  return {};
}

void Supervisor::take_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT}) {
    sigaddset(&signals, number);
  }
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signals_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

void Supervisor::hear_signals() {
  signalfd_siginfo signal{};
  while (read(signals_, &signal, sizeof signal) == static_cast<ssize_t>(sizeof signal)) {
    is_ending_ |= signal.ssi_signo != SIGCHLD;
  }
}

void Supervisor::tend_starting() {
  if (!nodes_.look_which_are_up(report_) || !report_.is_open()) {
    return;
  }
  const std::size_t up = nodes_.count_up();
  report_.tell_progress(up, nodes_.size());
  if (up < nodes_.size()) {
    return;
  }
  if (auto written = network_.write_client_file(nodes_.at(0)); !written) {
    report_.tell_failure(written.error().text);
    return;
  }
  report_.tell_ready();
}

void Supervisor::tend_files() {
  network_.renew(nodes_);
  if (!report_.is_open()) {
    network_.refresh_client_file(nodes_);
  }
}

void Supervisor::run() {
  while (!is_ending_ && !verbs_.is_down_asked()) {
    std::array<pollfd, 3> waits = {{{socket_.descriptor(), POLLIN, 0},
                                    {signals_, POLLIN, 0},
                                    {report_.descriptor(), POLLIN, 0}}};
    poll(waits.data(), waits.size(), nodes_.is_any_starting() ? kStartingTickMs : kIdleTickMs);
    hear_signals();
    if (waits[2].revents != 0) {
      is_ending_ |= !report_.hear_last_word();
    }
    nodes_.reap(report_);
    tend_starting();
    tend_files();
    if (waits[0].revents != 0) {
      socket_.serve([this](const boost::json::object& request) { return verbs_.answer(request); });
    }
  }
  nodes_.end_all();
}

Result<void> write_state(const RuntimeDirectory& directory) {
  std::ifstream stat("/proc/self/stat");
  std::string line;
  std::getline(stat, line);
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) {
    fields >> field;
  }
  std::ofstream state(directory.state());
  state << getpid() << " " << field << "\n";
  return state ? Result<void>() : system_error(directory.state());
}

// The life of the supervisor's process, after the fork.
[[noreturn]] void live(const DevnetOptions& options, int connection) {
  setsid();
  StartReport report(connection);
  const RuntimeDirectory directory = runtime_directory();
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  const int log = open((directory.path + "/supervisor.log").c_str(),
                       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  prctl(PR_SET_NAME, "allium-devnet");
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  {
    Supervisor supervisor(options, report);
    Result<void> ready = supervisor.set_up();
    if (ready) {
      ready = write_state(directory);
    }
    if (!ready) {
      report.tell_failure(ready.error().text);
      static_cast<void>(remove_runtime_directory(directory));
      _exit(1);
    }
    supervisor.run();
  }
  static_cast<void>(remove_runtime_directory(directory));
  _exit(0);
}

}  // namespace

Result<void> start_devnet(const DevnetOptions& options,
                          const std::function<void(const std::string&)>& progress) {
  if (running_supervisor()) {
    return fail(
        Errc::refused,
        "a devnet is running already; see: allium devnet status, or end it: allium devnet down");
  }
  const RuntimeDirectory directory = runtime_directory();
  for (const std::string& program : {options.dataplane_program, options.service_program}) {
    if (access(program.c_str(), X_OK) != 0) {
      return fail(Errc::not_found,
                  program + " is not there; build it: cmake --build --preset release");
    }
  }
  if (auto created = create_runtime_directory(directory); !created) {
    return created;
  }
  // The supervisor inherits the lock and holds it for its life; the relays get no copy.
  const auto lock = lock_runtime_directory(directory);
  if (!lock) {
    return tl::unexpected(lock.error());
  }
  clear_runtime_directory(directory);
  int report[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, report) != 0) {
    return system_error("socketpair");
  }
  const pid_t child = fork();
  if (child == 0) {
    close(report[0]);
    live(options, report[1]);
  }
  close(report[1]);
  close(*lock);
  auto started = child < 0 ? Result<void>(system_error("fork")) : follow_start(report[0], progress);
  close(report[0]);
  if (!started && child > 0) {
    kill(child, SIGTERM);
    waitpid(child, nullptr, 0);
  }
  return started;
}

Result<bool> stop_devnet() {
  const RuntimeDirectory directory = runtime_directory();
  // One that is just starting is waited for, and then ended.
  for (int tries = 0; tries < kStartingTries && !running_supervisor() && is_locked(directory);
       ++tries) {
    poll(nullptr, 0, 50);
  }
  const auto pid = running_supervisor();
  if (!pid) {
    if (is_locked(directory)) {
      return fail(Errc::refused,
                  "a devnet is starting and does not get on; interrupt its: allium devnet up");
    }
    return remove_runtime_directory(directory);
  }
  // Held by the supervisor until its process has ended, whatever has become of the file's name.
  const int lock = open(directory.lock().c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  const auto asked = ask_supervisor(R"({"verb":"down"})", 5000);
  for (int tries = 0; tries < 100 && running_supervisor(); ++tries) {
    if (!asked && tries == 0) {
      kill(*pid, SIGTERM);
    }
    if (tries == 80) {
      kill(*pid, SIGKILL);  // its relays and namespaces go with it
    }
    poll(nullptr, 0, 50);
  }
  if (running_supervisor()) {
    if (lock >= 0) {
      close(lock);
    }
    return fail(Errc::timeout, "the supervisor (pid " + std::to_string(*pid) + ") does not end");
  }
  // It answers no more, but may still be about to remove its folder: two at that would leave half of it.
  for (int tries = 0; lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) != 0 && tries < 100; ++tries) {
    poll(nullptr, 0, 50);
  }
  if (lock >= 0) {
    close(lock);
  }
  // The supervisor has removed its folder, unless it had to be killed.
  if (access(directory.mark().c_str(), F_OK) != 0) {
    return true;
  }
  return remove_runtime_directory(directory);
}

}  // namespace allium::devnet
