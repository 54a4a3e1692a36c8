// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/node.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "crypto_accel/base/random.hpp"
#include "tools/devnet/registry_process.hpp"
#include "tools/devnet/seeded_random.hpp"
#include "tools/devnet/topology.hpp"

namespace allium::devnet {
namespace {

constexpr std::uint64_t kStartTimeoutMs = 30000;
constexpr std::uint64_t kLookGapMs = 50;

void sleep_ms(long duration_ms) noexcept {
  const timespec duration{0, duration_ms * 1'000'000};
  nanosleep(&duration, nullptr);
}

}  // namespace

const char* node_state_name(NodeState state) noexcept {
  switch (state) {
    case NodeState::down:
      return "down";
    case NodeState::starting:
      return "starting";
    case NodeState::up:
      return "up";
    case NodeState::killed:
      return "killed";
  }
  return "?";
}

Node::Node(const NodePlan& plan, const RuntimeDirectory& directory)
    : plan_(plan),
      directory_(directory),
      name_(node_name(plan.index)),
      endpoints_(node_endpoints(plan.index)) {}

Result<std::unique_ptr<Node>> Node::create(const NodePlan& plan,
                                           const RuntimeDirectory& directory) {
  std::unique_ptr<Node> node(new Node(plan, directory));
  SeededRandom seeded(plan.seed.value_or(0), node->name_ + " identity");
  control::Seed seed;
  (plan.seed ? seeded.source() : system_random())(seed.bytes());
  node->identity_ = control::IdentitySecret::from_seed(seed).public_key();
  // Half of the nodes take the document from a file, the others by HTTP.
  const std::string document = plan.index % 2 == 0
                                   ? directory.document()
                                   : std::string("http://") + kRegistryAddress + ":" +
                                         std::to_string(kRegistryPort) + "/document";
  auto service = ServiceProcess::create({plan.service_program, node->name_, plan.network_namespace,
                                         node->endpoints_, plan.authority, document},
                                        directory, seed);
  if (!service) {
    return tl::unexpected(service.error());
  }
  node->service_ = *std::move(service);
  return node;
}

Node::~Node() {
  stop();
}

void Node::run_dataplane() const {
  // The relay goes with its supervisor, however that ends.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int log =
      open(directory_.node_log(name_).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (setns(plan_.network_namespace, CLONE_NEWNET) != 0) {
    std::perror("allium devnet: network namespace");
    _exit(1);
  }
  const std::string socket = directory_.node_socket(name_);
  const std::string port = std::to_string(kOnionPort);
  const std::string workers = std::to_string(plan_.worker_count);
  const std::string device =
      "net_af_packet0,iface=eth0,framesz=2048,blocksz=65536,framecnt=1024,qpairs=" + workers;
  std::vector<const char*> arguments = {plan_.dataplane_program.c_str(),
                                        "--vdev",
                                        device.c_str(),
                                        "--control",
                                        socket.c_str(),
                                        "--port",
                                        port.c_str(),
                                        "--workers",
                                        workers.c_str(),
                                        "--memory",
                                        "48"};
  if (plan_.no_huge) {
    arguments.push_back("--no-huge");
  }
  arguments.push_back(nullptr);
  execv(plan_.dataplane_program.c_str(), const_cast<char* const*>(arguments.data()));
  std::perror(plan_.dataplane_program.c_str());
  _exit(127);
}

Result<void> Node::spawn(std::uint64_t now_ms) {
  state_ = NodeState::starting;
  spawned_ms_ = now_ms;
  if (pid_ <= 0) {
    unlink(directory_.node_socket(name_).c_str());
    pid_ = fork();
    if (pid_ < 0) {
      return fail(Errc::unavailable,
                  std::string("cannot start a process: ") + std::strerror(errno));
    }
    if (pid_ == 0) {
      run_dataplane();
    }
    ++starts_;
  }
  return service_->pid() > 0 ? Result<void>() : service_->spawn();
}

Result<bool> Node::look_whether_up(std::size_t relays, std::uint64_t now_ms) {
  if (now_ms < looked_ms_ + kLookGapMs && now_ms >= looked_ms_) {
    return false;
  }
  looked_ms_ = now_ms;
  std::string why = "alliumd does not answer: " + service_->last_words();
  if (const auto status = service_->ask("status")) {
    const boost::json::object& dataplane = status->at("dataplane").as_object();
    const bool is_serving = dataplane.at("serving").as_bool();
    const auto known = dataplane.at("relays").to_number<std::size_t>();
    if (is_serving && known >= relays && status->at("ready").as_bool()) {
      accepts_from_ms_ = dataplane.at("accepts_from_ms").to_number<std::uint64_t>();
      state_ = NodeState::up;
      return true;
    }
    why = is_serving ? "it has keys of " + std::to_string(known) + " of " + std::to_string(relays) +
                           " other relays"
                     : std::string(dataplane.at("problem").as_string()) + ": " + last_words();
  }
  if (now_ms > spawned_ms_ + kStartTimeoutMs) {
    return fail(Errc::timeout, name_ + " does not come up: " + why);
  }
  return false;
}

Result<boost::json::object> Node::counters() const {
  if (pid_ <= 0) {
    return fail(Errc::unavailable, name_ + " is " + node_state_name(state_) +
                                       "; start it: allium devnet start " + name_);
  }
  auto answer = service_->ask("counters");
  if (answer && answer->contains("error")) {
    return fail(Errc::unavailable, std::string(answer->at("error").as_string()));
  }
  if (answer) {
    (*answer)["node"] = name_;
  }
  return answer;
}

void Node::kill_now() noexcept {
  service_->kill_now();
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    on_exit();
  }
  state_ = NodeState::killed;
}

void Node::stop() noexcept {
  service_->stop();
  if (pid_ <= 0) {
    return;
  }
  kill(pid_, SIGTERM);
  for (int tries = 0; tries < 100 && pid_ > 0; ++tries) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      on_exit();
      return;
    }
    sleep_ms(10);
  }
  kill_now();
}

void Node::on_exit() noexcept {
  pid_ = -1;
  state_ = NodeState::down;
}

std::string Node::last_words() const {
  std::ifstream file(directory_.node_log(name_));
  std::string line;
  std::string last = "no word from it";
  while (std::getline(file, line)) {
    if (!line.empty()) {
      last = line;
    }
  }
  return last;
}

}  // namespace allium::devnet
