// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/supervisor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include <boost/json.hpp>

#include "control/network/network_view.hpp"
#include "dataplane/onion/endpoint_text.hpp"
#include "dataplane/onion/time_index.hpp"
#include "tools/devnet/enter.hpp"
#include "tools/devnet/node.hpp"
#include "tools/devnet/registry_process.hpp"
#include "tools/devnet/runtime_directory.hpp"
#include "tools/devnet/seeded_random.hpp"
#include "tools/devnet/topology.hpp"

namespace allium::devnet {
namespace {

namespace json = boost::json;

constexpr int kStartingTickMs = 10;
constexpr int kIdleTickMs = 1000;
constexpr int kUpTimeoutMs = 60000;
constexpr std::uint64_t kFetchGapMs = 10000;
constexpr std::uint64_t kDocumentLifeS = 7 * 86400;
constexpr std::size_t kRequestBytesMax = 4096;
constexpr unsigned kCrashRestartsMax = 20;
constexpr char kTakenOver = 'K';
constexpr int kStartingTries = 400;  // of 50 ms

std::uint64_t now_ms() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

std::string hex_id(std::uint32_t id) {
  std::array<char, 9> text{};
  std::snprintf(text.data(), text.size(), "%08x", id);
  return text.data();
}

class Supervisor {
 public:
  Supervisor(const DevnetOptions& options, int report)
      : options_(options),
        report_(report),
        directory_(runtime_directory()),
        started_ms_(now_ms()) {}

  Result<void> set_up();
  void run();

 private:
  void tell(const std::string& line) const;
  Result<void> open_socket();
  Result<void> publish_document();
  void tend_document();
  void tend_network_file();
  Result<void> fetch_network(Node& node);
  std::size_t count_running() const;
  void tend_starting();
  void hear_command();
  void reap();
  void service_ended(Node& node);
  void restart_after_crash(Node& node);
  void serve_verb();
  json::object answer(const json::object& request);
  json::object status();
  json::object counters(const json::object& request);
  json::object start(Node& node);
  Node* find(const json::object& request);

  DevnetOptions options_;
  int report_;  ///< connection to the command that started us; -1 when it has taken the devnet over
  RuntimeDirectory directory_;
  std::uint64_t started_ms_;
  std::optional<Topology> topology_;
  std::vector<std::unique_ptr<Node>> nodes_;
  RegistryProcess registry_;
  std::optional<control::IdentitySecret> authority_;
  std::uint64_t serial_ = 0;
  std::uint64_t published_ms_ = 0;
  std::uint64_t fetched_ms_ = 0;
  std::size_t fetch_from_ = 0;
  std::string network_text_;
  int listener_ = -1;
  int signals_ = -1;
  bool is_ending_ = false;
  unsigned crash_restarts_ = 0;
};

void Supervisor::tell(const std::string& line) const {
  const std::string text = line + "\n";
  if (report_ >= 0) {
    static_cast<void>(!send(report_, text.data(), text.size(), MSG_NOSIGNAL));
  }
}

tl::unexpected<Error> system_error(const std::string& what) {
  return fail(Errc::io, what + ": " + std::strerror(errno));
}

Result<void> Supervisor::open_socket() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = directory_.socket();
  if (path.size() >= sizeof address.sun_path) {
    return fail(Errc::out_of_range, path + " is too long for a socket; set ALLIUM_DEVNET_DIR");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  unlink(path.c_str());
  listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener_ < 0 ||
      bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener_, 16) != 0) {
    return system_error(path);
  }
  return {};
}

Result<void> Supervisor::set_up() {
  if (auto left = leave_host_network(); !left) {
    return left;
  }
  auto topology = Topology::create(options_.node_count);
  if (!topology) {
    return tl::unexpected(topology.error());
  }
  topology_.emplace(std::move(*topology));
  if (auto opened = open_socket(); !opened) {
    return opened;
  }
  SeededRandom seeded(options_.seed.value_or(0), "authority");
  authority_ = control::IdentitySecret::generate(options_.seed ? seeded.source() : system_random());
  for (std::size_t index = 0; index < options_.node_count; ++index) {
    NodePlan plan;
    plan.index = index;
    plan.network_namespace = topology_->namespace_of(index);
    plan.dataplane_program = options_.dataplane_program;
    plan.no_huge = options_.no_huge;
    plan.worker_count = options_.worker_count;
    plan.seed = options_.seed;
    plan.service_program = options_.service_program;
    plan.authority = authority_->public_key();
    auto node = Node::create(plan, directory_);
    if (!node) {
      return tl::unexpected(node.error());
    }
    nodes_.push_back(std::move(*node));
  }
  if (auto published = publish_document(); !published) {
    return published;
  }
  if (auto started = registry_.start(directory_.document(), authority_->public_key()); !started) {
    return started;
  }
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT}) {
    sigaddset(&signals, number);
  }
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signals_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  for (const auto& node : nodes_) {
    if (auto spawned = node->spawn(now_ms()); !spawned) {
      return spawned;
    }
  }
  return {};
}

Result<void> Supervisor::publish_document() {
  published_ms_ = now_ms();
  control::NetworkDocument document;
  document.serial = ++serial_;
  document.valid_from_s = onion::seconds_of(started_ms_);
  document.valid_until_s = onion::seconds_of(published_ms_) + kDocumentLifeS;
  for (const auto& node : nodes_) {
    document.relays.push_back({node->identity(), node->name(), node->endpoints(),
                               service_entry(document.relays.size(), nodes_.size())});
  }
  auto text = control::serialise(document);
  if (!text) {
    return tl::unexpected(text.error());
  }
  control::NetworkBundle bundle;
  bundle.document.text = std::move(*text);
  control::sign(bundle.document, *authority_);
  if (auto written = control::write_bundle_file(directory_.document(), bundle); !written) {
    return written;
  }
  std::ofstream authority(directory_.authority());
  authority << control::identity_key_text(authority_->public_key()) << "\n";
  return authority ? Result<void>() : system_error(directory_.authority());
}

// A devnet may run for weeks; its document is signed anew long before it ends.
void Supervisor::tend_document() {
  if (now_ms() < published_ms_ + kDocumentLifeS * 1000 / 2) {
    return;
  }
  if (auto published = publish_document(); !published) {
    std::fprintf(stderr, "document not published: %s\n", published.error().text.c_str());
  }
}

// What a client would fetch, from one node after the other.
void Supervisor::tend_network_file() {
  if (report_ >= 0 || now_ms() < fetched_ms_ + kFetchGapMs) {
    return;
  }
  fetched_ms_ = now_ms();
  for (std::size_t tries = 0; tries < nodes_.size(); ++tries) {
    Node& node = *nodes_[fetch_from_++ % nodes_.size()];
    if (node.state() == NodeState::up) {
      static_cast<void>(fetch_network(node));
      return;
    }
  }
}

Result<void> Supervisor::fetch_network(Node& node) {
  const auto answer = node.service().ask("network");
  if (!answer) {
    return tl::unexpected(answer.error());
  }
  const json::value* text = answer->if_contains("bundle");
  if (text == nullptr || !text->is_string() || network_text_ == text->as_string()) {
    return {};
  }
  const auto bundle = control::parse_network_bundle(text->as_string());
  if (!bundle) {
    return tl::unexpected(bundle.error());
  }
  network_text_ = text->as_string();
  return control::write_bundle_file(directory_.network(), *bundle);
}

std::size_t Supervisor::count_running() const {
  return static_cast<std::size_t>(std::count_if(nodes_.begin(), nodes_.end(), [](const auto& node) {
    return node->state() == NodeState::up || node->state() == NodeState::starting;
  }));
}

void Supervisor::tend_starting() {
  std::size_t up = 0;
  bool news = false;
  for (const auto& node : nodes_) {
    if (node->state() == NodeState::starting) {
      auto is_up = node->look_whether_up(count_running() - 1, now_ms());
      if (!is_up) {
        std::fprintf(stderr, "%s: %s\n", node->name().c_str(), is_up.error().text.c_str());
        tell("E" + is_up.error().text);
        node->stop();
        continue;
      }
      news |= *is_up;
    }
    up += node->state() == NodeState::up ? 1U : 0U;
  }
  if (!news || report_ < 0) {
    return;
  }
  tell("P" + std::to_string(up) + "/" + std::to_string(nodes_.size()));
  if (up < nodes_.size()) {
    return;
  }
  if (auto fetched = fetch_network(*nodes_.front()); !fetched) {
    tell("E" + fetched.error().text);
    return;
  }
  tell("R");
}

// `up` says that it knows of the devnet; or it was interrupted before, and then all ends again.
void Supervisor::hear_command() {
  char word = 0;
  is_ending_ |= recv(report_, &word, 1, MSG_DONTWAIT) != 1 || word != kTakenOver;
  close(report_);
  report_ = -1;
}

void Supervisor::restart_after_crash(Node& node) {
  std::fprintf(stderr, "%s crashed: %s\n", node.name().c_str(), node.last_words().c_str());
  if (++crash_restarts_ > kCrashRestartsMax) {
    return;
  }
  if (auto spawned = node.spawn(now_ms()); !spawned) {
    std::fprintf(stderr, "%s: %s\n", node.name().c_str(), spawned.error().text.c_str());
  }
}

void Supervisor::service_ended(Node& node) {
  const std::string words = node.name() + ": alliumd ended: " + node.service().last_words();
  std::fprintf(stderr, "%s\n", words.c_str());
  if (node.state() == NodeState::starting && report_ >= 0) {
    tell("E" + words);
  } else if (++crash_restarts_ <= kCrashRestartsMax) {
    if (auto spawned = node.service().spawn(); !spawned) {
      std::fprintf(stderr, "%s: %s\n", node.name().c_str(), spawned.error().text.c_str());
    }
  }
}

void Supervisor::reap() {
  for (const auto& node : nodes_) {
    int status = 0;
    ServiceProcess& service = node->service();
    if (service.pid() > 0 && waitpid(service.pid(), &status, WNOHANG) == service.pid()) {
      service.on_exit();
      service_ended(*node);
    }
    if (node->pid() <= 0 || waitpid(node->pid(), &status, WNOHANG) != node->pid()) {
      continue;
    }
    const bool was_starting = node->state() == NodeState::starting;
    node->on_exit();
    if (was_starting && report_ >= 0) {
      tell("E" + node->name() + " does not start: " + node->last_words());
    } else {
      restart_after_crash(*node);
    }
  }
}

Node* Supervisor::find(const json::object& request) {
  const json::value* wanted = request.if_contains("node");
  if (wanted == nullptr || !wanted->is_string() || wanted->as_string().empty()) {
    return nullptr;
  }
  const std::string text(wanted->as_string());
  std::vector<Node*> found;
  for (const auto& node : nodes_) {
    if (node->name() == text) {
      return node.get();
    }
    if (hex_id(node->id()).rfind(text, 0) == 0) {
      found.push_back(node.get());
    }
  }
  return found.size() == 1 ? found.front() : nullptr;
}

json::object error_answer(const Error& error) {
  return {{"error", error.text}, {"code", static_cast<int>(error.code)}};
}

json::object Supervisor::status() {
  json::array list;
  std::size_t up = 0;
  for (const auto& node : nodes_) {
    json::array addresses;
    for (const onion::Endpoint& endpoint : node->endpoints()) {
      addresses.emplace_back(onion::endpoint_text(endpoint));
    }
    up += node->state() == NodeState::up ? 1U : 0U;
    json::object item = {{"name", node->name()},
                         {"id", hex_id(node->id())},
                         {"state", node_state_name(node->state())},
                         {"pid", node->pid()},
                         {"starts", node->starts()},
                         {"endpoints", std::move(addresses)},
                         {"service_pid", node->service().pid()},
                         {"service_key", control::identity_key_text(node->identity())},
                         {"https_port", kHttpsPort},
                         {"omq_port", kOmqPort}};
    list.push_back(std::move(item));
  }
  return {{"schema", "allium.devnet.status/1"},
          {"running", true},
          {"supervisor_pid", getpid()},
          {"uptime_s", (now_ms() - started_ms_) / 1000},
          {"network_file", directory_.network()},
          {"authority", control::identity_key_text(authority_->public_key())},
          {"registry", std::string("http://") + kRegistryAddress + ":" +
                           std::to_string(kRegistryPort) + "/json_rpc"},
          {"nodes_up", up},
          {"nodes_total", nodes_.size()},
          {"nodes", std::move(list)}};
}

json::object Supervisor::counters(const json::object& request) {
  json::array list;
  json::array silent;
  const json::value* wanted = request.if_contains("node");
  const bool all = wanted != nullptr && wanted->is_string() && wanted->as_string() == "all";
  Node* one = all ? nullptr : find(request);
  if (!all && one == nullptr) {
    return error_answer(
        {Errc::not_found, "no such node, or more than one; see: allium devnet status"});
  }
  for (const auto& node : nodes_) {
    if (one != nullptr && one != node.get()) {
      continue;
    }
    auto read = node->counters();
    if (!read && one != nullptr) {
      return error_answer(read.error());
    }
    if (read) {
      list.push_back(*std::move(read));
    } else {
      silent.push_back(json::object{{"node", node->name()}, {"reason", read.error().text}});
    }
  }
  return {{"schema", "allium.counters/1"},
          {"nodes", std::move(list)},
          {"without_answer", std::move(silent)}};
}

json::object Supervisor::start(Node& node) {
  if (node.state() == NodeState::up || node.state() == NodeState::starting) {
    return error_answer({Errc::refused, node.name() + " is up already"});
  }
  const std::uint64_t begin_ms = now_ms();
  auto spawned = node.spawn(begin_ms);
  while (spawned) {
    auto is_up = node.look_whether_up(count_running() - 1, now_ms());
    if (!is_up) {
      node.stop();
      return error_answer(is_up.error());
    }
    if (*is_up) {
      static_cast<void>(fetch_network(node));
      return {{"schema", "allium.devnet.start/1"},
              {"node", node.name()},
              {"pid", node.pid()},
              {"start_ms", now_ms() - begin_ms},
              {"accepts_from_ms", node.accepts_from_ms()}};
    }
    int status = 0;
    if (waitpid(node.pid(), &status, WNOHANG) == node.pid()) {
      node.on_exit();
      return error_answer({Errc::unavailable, node.name() + ": " + node.last_words()});
    }
    ServiceProcess& service = node.service();
    if (service.pid() > 0 && waitpid(service.pid(), &status, WNOHANG) == service.pid()) {
      service.on_exit();
      node.stop();
      return error_answer(
          {Errc::unavailable, node.name() + ": alliumd ended: " + service.last_words()});
    }
    poll(nullptr, 0, kStartingTickMs);
  }
  return error_answer(spawned.error());
}

json::object Supervisor::answer(const json::object& request) {
  const json::value* verb = request.if_contains("verb");
  const std::string name =
      verb != nullptr && verb->is_string() ? std::string(verb->as_string()) : "";
  if (name == "status") {
    return status();
  }
  if (name == "counters") {
    return counters(request);
  }
  if (name == "down") {
    is_ending_ = true;
    return {{"schema", "allium.devnet.down/1"}, {"supervisor_pid", getpid()}};
  }
  Node* node = find(request);
  if (node == nullptr) {
    return error_answer(
        {Errc::not_found, "no such node, or more than one; see: allium devnet status"});
  }
  if (name == "kill") {
    if (node->pid() <= 0) {
      return error_answer({Errc::refused, node->name() + " is not running"});
    }
    const pid_t pid = node->pid();
    node->kill_now();
    return {{"schema", "allium.devnet.kill/1"}, {"node", node->name()}, {"pid", pid}};
  }
  if (name == "start") {
    return start(*node);
  }
  if (name == "namespace") {
    return {{"descriptor", node->network_namespace()}};
  }
  return error_answer({Errc::malformed, "unknown request; are both programs of one version?"});
}

void Supervisor::serve_verb() {
  const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (connection < 0) {
    return;
  }
  ucred credentials{};
  socklen_t size = sizeof credentials;
  const bool is_own = getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 &&
                      (credentials.uid == geteuid() || credentials.uid == 0);
  std::string line;
  std::array<char, kRequestBytesMax> buffer{};
  while (is_own && line.find('\n') == std::string::npos && line.size() < kRequestBytesMax) {
    pollfd wait{connection, POLLIN, 0};
    const ssize_t count =
        poll(&wait, 1, 500) == 1 ? recv(connection, buffer.data(), buffer.size(), 0) : 0;
    if (count <= 0) {
      break;
    }
    line.append(buffer.data(), static_cast<std::size_t>(count));
  }
  boost::system::error_code error;
  const json::value request = json::parse(line, error);
  if (is_own && !error && request.is_object()) {
    const std::string text = json::serialize(answer(request.as_object()));
    static_cast<void>(!send(connection, text.data(), text.size(), MSG_NOSIGNAL));
  }
  close(connection);
}

void Supervisor::run() {
  while (!is_ending_) {
    bool is_starting = false;
    std::array<pollfd, 3> waits = {
        {{listener_, POLLIN, 0}, {signals_, POLLIN, 0}, {report_, POLLIN, 0}}};
    for (const auto& node : nodes_) {
      is_starting |= node->state() == NodeState::starting;
    }
    poll(waits.data(), waits.size(), is_starting ? kStartingTickMs : kIdleTickMs);
    signalfd_siginfo signal{};
    while (read(signals_, &signal, sizeof signal) == static_cast<ssize_t>(sizeof signal)) {
      is_ending_ |= signal.ssi_signo != SIGCHLD;
    }
    if (waits[2].revents != 0) {
      hear_command();
    }
    reap();
    tend_starting();
    tend_document();
    tend_network_file();
    if (waits[0].revents != 0) {
      serve_verb();
    }
  }
  for (const auto& node : nodes_) {
    // All at once; the destructors wait for each.
    if (node->pid() > 0) {
      kill(node->pid(), SIGTERM);
    }
    if (node->service().pid() > 0) {
      kill(node->service().pid(), SIGTERM);
    }
  }
  nodes_.clear();
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
[[noreturn]] void live(const DevnetOptions& options, int report) {
  setsid();
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
      const std::string text = "E" + ready.error().text + "\n";
      static_cast<void>(!send(report, text.data(), text.size(), MSG_NOSIGNAL));
      static_cast<void>(remove_runtime_directory(directory));
      _exit(1);
    }
    supervisor.run();
  }
  static_cast<void>(remove_runtime_directory(directory));
  _exit(0);
}

// From here on the devnet is complete: an interrupt can only come too late, so what is left to say is said.
void take_over(int report) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  static_cast<void>(!send(report, &kTakenOver, 1, MSG_NOSIGNAL));
}

Result<void> follow_start(int report, const std::function<void(const std::string&)>& progress) {
  std::string text;
  std::array<char, 1024> buffer{};
  for (;;) {
    pollfd wait{report, POLLIN, 0};
    const ssize_t count =
        poll(&wait, 1, kUpTimeoutMs) == 1 ? read(report, buffer.data(), buffer.size()) : 0;
    if (count <= 0) {
      return fail(Errc::timeout, "the devnet did not come up; see the logs in " +
                                     runtime_directory().path + ", then: allium devnet down");
    }
    text.append(buffer.data(), static_cast<std::size_t>(count));
    for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      const std::string line = text.substr(0, end);
      text.erase(0, end + 1);
      if (line[0] == 'R') {
        take_over(report);
        return {};
      }
      if (line[0] == 'E') {
        return fail(Errc::unavailable, line.substr(1));
      }
      progress(line.substr(1));
    }
  }
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
    return fail(Errc::timeout, "the supervisor (pid " + std::to_string(*pid) + ") does not end");
  }
  // The supervisor has removed its folder, unless it had to be killed.
  if (access(directory.mark().c_str(), F_OK) != 0) {
    return true;
  }
  return remove_runtime_directory(directory);
}

}  // namespace allium::devnet
