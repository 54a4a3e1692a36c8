// SPDX-License-Identifier: Apache-2.0
#include "control/daemon.hpp"

#include <fcntl.h>
#include <sys/timex.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/array.hpp>

#include "control/manage/event_log.hpp"
#include "control/manage/local_socket.hpp"
#include "control/network/file_registry.hpp"
#include "control/node/identity_file.hpp"
#include "control/service/encoding.hpp"
#include "control/service/node_service.hpp"
#include "storage/rocks_store.hpp"

namespace allium::control {
namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::chrono::seconds kBeat{5};
constexpr std::uint64_t kDocumentWarningS = 86'400;
constexpr std::size_t kCertificateBytesMax = 64 * 1024;

std::uint64_t unix_s() {
  return static_cast<std::uint64_t>(std::time(nullptr));
}

std::string hex_number(std::uint64_t number) {
  std::array<std::uint8_t, 8> bytes;
  store_be(bytes.data(), number, bytes.size());
  return to_hex(bytes);
}

/// What the kernel knows of this machine's clock.
struct ClockState {
  bool is_synchronised = false;
  double offset_ms = 0;
};

ClockState clock_state() {
  timex about{};
  const int state = ntp_adjtime(&about);
  const double unit_ms = (about.status & STA_NANO) != 0 ? 1e-6 : 1e-3;
  return {state != TIME_ERROR && (about.status & STA_UNSYNC) == 0,
          static_cast<double>(about.offset) * unit_ms};
}

Result<CertificatePair> load_or_make_certificate(const std::string& directory) {
  const std::string path = directory + "/tls.pem";
  CertificatePair pair;
  std::ifstream file(path);
  std::string text(std::istreambuf_iterator<char>(file), {});
  const std::size_t split = text.find("-----BEGIN CERTIFICATE-----");
  if (file && text.size() < kCertificateBytesMax && split != std::string::npos) {
    pair.key_pem = text.substr(0, split);
    pair.certificate_pem = text.substr(split);
    return pair;
  }
  Result<CertificatePair> made = make_certificate();
  if (!made) {
    return made;
  }
  text = made->key_pem + made->certificate_pem;
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool is_written = descriptor >= 0 && write(descriptor, text.data(), text.size()) ==
                                                 static_cast<ssize_t>(text.size());
  const int error = errno;
  if (descriptor >= 0) {
    close(descriptor);
  }
  return is_written ? std::move(made) : fail(Errc::io, path + ": " + std::strerror(error));
}

Result<IdentitySecret> load_identity(const Configuration& configuration, const EventLog& log) {
  std::optional<Passphrase> passphrase;
  if (!configuration.passphrase_file.empty()) {
    Result<Passphrase> read = Passphrase::read(configuration.passphrase_file);
    if (!read) {
      return tl::unexpected(read.error());
    }
    passphrase = *std::move(read);
  }
  Result<IdentityFile> file =
      read_identity_file(configuration.identity_file, passphrase ? &*passphrase : nullptr);
  if (!file) {
    const bool is_missing = file.error().code == Errc::not_found;
    return fail(file.error().code,
                file.error().text + (is_missing ? "; make one: allium key init" : ""));
  }
  if (!file->is_sealed) {
    log.warn("identity.unsealed",
             {{"file", configuration.identity_file},
              {"advice", "whoever copies this file is this node; seal it with a passphrase"}});
  }
  return IdentitySecret::from_seed(file->seed);
}

}  // namespace

struct Daemon::State {
  explicit State(Configuration with)
      : configuration(std::move(with)),
        log(configuration.log_level, configuration.log_format),
        signals(io, SIGTERM, SIGINT),
        beat(io) {}

  Result<void> open_service();
  void on_network(const RegistryState& network);
  void on_beat();
  [[nodiscard]] json::object status() const;
  [[nodiscard]] json::array problems(const NodeServiceStatus& now) const;

  Configuration configuration;
  EventLog log;
  asio::io_context io{1};
  asio::signal_set signals;
  asio::steady_timer beat;
  std::uint64_t started_s = unix_s();
  std::optional<IdentitySecret> identity;
  std::unique_ptr<storage::MessageStore> store;
  std::unique_ptr<NodeService> service;
  std::unique_ptr<FileRegistry> registry;
  std::unique_ptr<LocalSocket> local;
  std::uint64_t height = 0;
  std::uint64_t valid_until_s = 0;
  std::string registry_problem;
};

Daemon::Daemon(Configuration configuration)
    : state_(std::make_unique<State>(std::move(configuration))) {}

Daemon::~Daemon() = default;

Result<void> Daemon::State::open_service() {
  Result<CertificatePair> certificate = load_or_make_certificate(configuration.data_directory);
  if (!certificate) {
    return tl::unexpected(certificate.error());
  }
  NodeServiceOptions options;
  options.https = configuration.https_listen;
  options.omq = configuration.omq_listen;
  options.certificate = *std::move(certificate);
  options.per_address.capacity = configuration.per_address.burst;
  options.per_address.refill_per_second = configuration.per_address.per_second;
  options.per_account.capacity = configuration.per_account.burst;
  options.per_account.refill_per_second = configuration.per_account.per_second;
  options.may_exit_to_private = configuration.may_exit_to_private;
  Result<std::unique_ptr<NodeService>> opened =
      NodeService::open(io, *store, *identity, std::move(options), system_random());
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  service = *std::move(opened);
  return {};
}

Result<void> Daemon::start() {
  State& state = *state_;
  Result<IdentitySecret> identity = load_identity(state.configuration, state.log);
  if (!identity) {
    return tl::unexpected(identity.error());
  }
  state.identity.emplace(*std::move(identity));
  std::error_code error;
  std::filesystem::create_directories(state.configuration.data_directory, error);
  storage::RocksStoreOptions store_options;
  store_options.directory = state.configuration.data_directory + "/messages";
  store_options.bytes_limit = state.configuration.store_bytes_max;
  auto store = storage::RocksStore::open(store_options);
  if (!store) {
    return tl::unexpected(store.error());
  }
  state.store = *std::move(store);
  if (const Result<void> opened = state.open_service(); !opened) {
    return opened;
  }
  auto local = LocalSocket::open(
      state.io, state.configuration.control_socket, [&state](std::string_view question) {
        return question == "status" ? state.status() : json::object{{"error", "say: status"}};
      });
  if (!local) {
    return tl::unexpected(local.error());
  }
  state.local = *std::move(local);
  FileRegistryOptions registry_options;
  registry_options.path = state.configuration.network_file;
  registry_options.memory_path = state.configuration.data_directory + "/network-serial";
  registry_options.authorities = state.configuration.authorities;
  state.registry = std::make_unique<FileRegistry>(state.io, registry_options);
  state.registry->start([&state](const RegistryState& network) { state.on_network(network); },
                        [&state](const Error& problem) {
                          state.registry_problem = problem.text;
                          state.log.error("registry.refused", {{"reason", problem.text}});
                        });
  state.log.info("node.started", {{"node", to_hex(state.identity->public_key())}});
  return {};
}

void Daemon::State::on_network(const RegistryState& network) {
  registry_problem.clear();
  const SwarmId before = service->status().swarm;
  height = network.height;
  valid_until_s = network.valid_until_s;
  service->update_network(network.nodes, network.height);
  const NodeServiceStatus now = service->status();
  log.info("registry.update", {{"height", std::to_string(height)},
                               {"nodes", std::to_string(network.nodes->all().size())},
                               {"swarm", now.swarm == kNoSwarm ? "none" : hex_number(now.swarm)},
                               {"members", std::to_string(now.members)},
                               {"swarm_changed", now.swarm == before ? "false" : "true"}});
}

json::array Daemon::State::problems(const NodeServiceStatus& now) const {
  json::array found;
  const auto add = [&found](std::string_view text) { found.emplace_back(text); };
  if (!registry_problem.empty()) {
    add(registry_problem);
  }
  if (!now.is_ready) {
    add("no list of nodes yet: clients are answered 503");
  } else if (now.swarm == kNoSwarm) {
    add("the network document has this node in no swarm");
  } else if (valid_until_s < unix_s() + kDocumentWarningS && registry_problem.empty()) {
    add("the network document ends within a day: get a newer one");
  }
  if (now.members > 1 && now.members_dead > 0) {
    add(std::to_string(now.members_dead) + " of " + std::to_string(now.members - 1) +
        " other members of the swarm do not answer; what they miss is kept for them");
  }
  if (now.store.is_broken) {
    add("the store cannot write: look at the disk, then restart alliumd");
  } else if (now.store.is_nearly_full) {
    add("the store is nearly full: raise [storage] max_bytes, or add disk");
  }
  return found;
}

json::object Daemon::State::status() const {
  const NodeServiceStatus now = service->status();
  const ClockState clock = clock_state();
  json::array problem_list = problems(now);
  json::object status;
  status["schema"] = "allium.status/1";
  status["version"] = ALLIUM_VERSION;
  status["healthy"] = problem_list.empty();
  status["problems"] = std::move(problem_list);
  status["node"] = to_hex(identity->public_key());
  status["uptime_s"] = unix_s() - started_s;
  status["ready"] = now.is_ready;
  status["swarm"] = now.swarm == kNoSwarm ? json::value() : json::value(hex_number(now.swarm));
  status["members"] = now.members;
  status["members_dead"] = now.members_dead;
  status["network"] = {{"height", height}, {"valid_until_s", valid_until_s}};
  status["store"] = {{"messages", now.store.messages},
                     {"accounts", now.store.accounts},
                     {"used_bytes", now.store.bytes_used},
                     {"limit_bytes", now.store.bytes_limit}};
  status["requests"] = {{"rpc", now.rpc_requests},
                        {"rate_limited", now.rate_limited},
                        {"onion", now.onion.received},
                        {"onion_refused", now.onion.refused},
                        {"connections", now.https.connections_open},
                        {"subscriptions", now.subscriptions}};
  status["swarm_traffic"] = {{"forwarded", now.swarm_counters.forwarded},
                             {"timeouts", now.swarm_counters.timeouts},
                             {"queued", now.swarm_counters.queued},
                             {"handed_over", now.swarm_counters.handed_over},
                             {"lost_records", now.swarm_counters.lost_records}};
  status["clock"] = {{"synchronised", clock.is_synchronised}, {"offset_ms", clock.offset_ms}};
  return status;
}

void Daemon::State::on_beat() {
  // The watchdog hears of us only as long as this thread turns.
  const NodeServiceStatus now = service->status();
  const std::string text =
      "STATUS=" ALLIUM_VERSION " " + std::string(problems(now).empty() ? "ACTIVE" : "DEGRADED") +
      " swarm=" + (now.swarm == kNoSwarm ? "none" : hex_number(now.swarm)) + "(" +
      std::to_string(now.members) + ") " + std::to_string(now.store.messages) + " msgs";
  sd_notify(0, ("WATCHDOG=1\n" + text).c_str());
  beat.expires_after(kBeat);
  beat.async_wait([this](const boost::system::error_code& error) {
    if (!error) {
      on_beat();
    }
  });
}

void Daemon::run() {
  State& state = *state_;
  state.signals.async_wait([&state](const boost::system::error_code& error, int signal) {
    if (!error) {
      state.log.info("node.stopping", {{"signal", strsignal(signal)}});
      sd_notify(0, "STOPPING=1");
      state.io.stop();
    }
  });
  state.on_beat();
  sd_notify(0, "READY=1");
  state.io.run();
  // From the outside in: no new requests, then the swarm, then the store, which writes what it has.
  state.local.reset();
  state.registry.reset();
  state.service.reset();
  state.store.reset();
  state.log.info("node.stopped");
}

}  // namespace allium::control
