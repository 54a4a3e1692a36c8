// SPDX-License-Identifier: Apache-2.0
#include "control/daemon.hpp"

#include <systemd/sd-daemon.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>

#include "control/certificate_file.hpp"
#include "control/change_log.hpp"
#include "control/dataplane_steering.hpp"
#include "control/manage/counters_json.hpp"
#include "control/manage/event_log.hpp"
#include "control/manage/local_socket.hpp"
#include "control/manage/slow_answer.hpp"
#include "control/network/durable_file.hpp"
#include "control/network/network_view.hpp"
#include "control/network_source.hpp"
#include "control/node/identity_file.hpp"
#include "control/node_files.hpp"
#include "control/node_status.hpp"
#include "control/service/encoding.hpp"
#include "control/service/node_service.hpp"
#include "crypto_accel/base/clock.hpp"
#include "storage/rocks_store.hpp"

namespace allium::control {
namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::chrono::microseconds kBeat{5'000'000};
constexpr std::chrono::milliseconds kRecordsGap{200};
constexpr std::string_view kBackupWord = "backup ";
constexpr std::chrono::minutes kBackupMax{10};

/// Empty where there is none.
Result<std::string> text_of_file(const std::string& path) {
  std::error_code ignored;
  const std::filesystem::file_status there = std::filesystem::status(path, ignored);
  if (!std::filesystem::exists(there)) {
    return std::string();
  }
  if (!std::filesystem::is_regular_file(there)) {
    return fail(Errc::io, path + ": is no file; remove it, this node writes it anew");
  }
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

struct Daemon::State {
  explicit State(Configuration with)
      : configuration(std::move(with)),
        log(configuration.log_level, configuration.log_format),
        signals(io, SIGTERM, SIGINT),
        hangups(io, SIGHUP),
        beat(io),
        records_timer(io) {}

  Result<void> open_service();
  Result<void> open_dataplane(const Seed& seed);
  Result<void> open_local();
  void on_network(const RegistryState& registry);
  void keep_records_soon();

  [[nodiscard]] std::string records_file() const {
    return configuration.data_directory + "/network-records";
  }

  void on_hangup();
  void on_beat();
  void look_at_disk();
  void look_at_connections();
  [[nodiscard]] static std::chrono::microseconds beat_interval();
  void answer(std::string_view question, const LocalSocket::Asker& asker);
  void answer_backup(const std::string& directory, const LocalSocket::Asker& asker);
  [[nodiscard]] json::object make_backup(const std::string& directory) const;
  void answer_counters(const LocalSocket::Give& give);
  [[nodiscard]] NodeReport report();

  Configuration configuration;
  EventLog log;
  asio::io_context io{1};
  asio::signal_set signals;
  asio::signal_set hangups;
  asio::steady_timer beat;
  asio::steady_timer records_timer;
  bool is_keeping_records = false;
  std::uint64_t started_s = unix_s();
  std::optional<IdentitySecret> identity;
  std::unique_ptr<storage::RocksStore> store;
  storage::StoreDisk disk;                ///< as it was at the last report
  std::uint64_t omq_turned_away = 0;      ///< from the beat before to the last one
  std::uint64_t omq_turned_away_all = 0;  ///< up to the last beat
  DataplaneSteering dataplane{log};
  std::unique_ptr<NodeService> service;
  NetworkSource network{io, log};
  std::unique_ptr<LocalSocket> local;
  std::optional<SlowAnswer> backup{std::in_place, io};
  ChangeLog changes{log};
};

Daemon::Daemon(Configuration configuration)
    : state_(std::make_unique<State>(std::move(configuration))) {}

Daemon::~Daemon() = default;

Result<void> Daemon::State::open_service() {
  Result<CertificatePair> certificate =
      load_or_make_certificate(configuration.data_directory + "/tls.pem", log);
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
  options.send_return = [this](control_port::ReturnReply reply) {
    dataplane.reply(std::move(reply));
  };
  options.on_records = [this] {
    dataplane.set_relays(service->records(), identity->public_key());
    keep_records_soon();
  };
  options.on_time = [this](const NodeKey& node, std::uint64_t their_ms, std::uint64_t sent_ms,
                           std::uint64_t heard_ms) {
    dataplane.hear_time(node, their_ms, sent_ms, heard_ms);
  };
  const std::string held_file = configuration.data_directory + "/network-held";
  auto held = text_of_file(held_file);
  if (!held) {
    return tl::unexpected(held.error());
  }
  const bool is_held_there = !held->empty();
  options.held = *std::move(held);
  options.on_held = [this, held_file](const std::string& text) {
    if (const Result<void> kept = replace_file(held_file, text); !kept) {
      log.error("network.not_kept", {{"reason", kept.error().text}});
    }
  };
  Result<std::unique_ptr<NodeService>> opened =
      NodeService::open(io, *store, *identity, std::move(options), system_random());
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  service = *std::move(opened);
  if (is_held_there && !service->knows_last_network()) {
    log.warn("network.not_known",
             {{"file", held_file},
              {"reason",
               "it is damaged, or of another store or version; all nodes are asked what they have "
               "of this one's accounts"}});
  }
  if (auto known = read_bundle_file(records_file())) {
    service->remember_records(std::move(known->records));
  }
  return {};
}

// A process that starts again hands its dataplane at once what the one before knew: no packet waits for other nodes to answer.
void Daemon::State::keep_records_soon() {
  if (std::exchange(is_keeping_records, true)) {
    return;
  }
  records_timer.expires_after(kRecordsGap);
  records_timer.async_wait([this](const boost::system::error_code& error) {
    is_keeping_records = false;
    const auto bundle = parse_network_bundle(service->network_bundle());
    if (!error && bundle) {
      static_cast<void>(write_bundle_file(records_file(), *bundle, Sync::no));  // it is a cache
    }
  });
}

Result<void> Daemon::State::open_dataplane(const Seed& seed) {
  DataplaneSteering::Events events;
  // Whatever its thread brings is dropped once this object is on its way out.
  events.post = [this](std::function<void()> what) { asio::post(io, std::move(what)); };
  events.on_record = [this](const SignedNodeRecord& record) { service->publish_record(record); };
  events.on_deliveries = [this](const std::vector<control_port::DeliveryRecord>& records) {
    service->deliver(records);
  };
  return dataplane.open(configuration, seed, std::move(events));
}

Result<void> Daemon::State::open_local() {
  auto opened =
      LocalSocket::open(io, configuration.control_socket,
                        [this](std::string_view question, const LocalSocket::Asker& asker) {
                          answer(question, asker);
                        });
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  local = *std::move(opened);
  return {};
}

Result<void> Daemon::start() {
  State& state = *state_;
  const Result<Seed> seed = load_seed(state.configuration, state.log);
  if (!seed) {
    return tl::unexpected(seed.error());
  }
  state.identity.emplace(IdentitySecret::from_seed(*seed));
  if (Result<void> made = make_data_directory(state.configuration.data_directory, state.log);
      !made) {
    return made;
  }
  storage::RocksStoreOptions store_options;
  store_options.directory = state.configuration.data_directory + "/messages";
  store_options.bytes_limit = state.configuration.store_bytes_max;
  auto store = storage::RocksStore::open(store_options);
  if (!store) {
    return tl::unexpected(store.error());
  }
  state.store = *std::move(store);
  if (Result<void> opened = state.open_service(); !opened) {
    return opened;
  }
  if (Result<void> opened = state.open_dataplane(*seed); !opened) {
    return opened;
  }
  if (Result<void> opened = state.open_local(); !opened) {
    return opened;
  }
  if (Result<void> started = state.network.start(
          state.configuration,
          [&state](const RegistryState& network) { state.on_network(network); });
      !started) {
    return started;
  }
  state.log.info("node.started", {{"node", to_hex(state.identity->public_key())}});
  return {};
}

void Daemon::State::answer(std::string_view question, const LocalSocket::Asker& asker) {
  if (question == "status") {
    asker.give(status_json(report()));
  } else if (question == "network") {
    asker.give({{"schema", "allium.network/1"}, {"bundle", service->network_bundle()}});
  } else if (question == "counters") {
    answer_counters(asker.give);
  } else if (question.substr(0, kBackupWord.size()) == kBackupWord) {
    answer_backup(std::string(question.substr(kBackupWord.size())), asker);
  } else {
    asker.give({{"error", "say: status, counters, network or backup DIRECTORY"}});
  }
}

// It writes where the asker says with the rights of this process, so not everybody who may read the status may ask for it.
void Daemon::State::answer_backup(const std::string& directory, const LocalSocket::Asker& asker) {
  if (!asker.is_owner) {
    asker.give(
        {{"error", "a backup is made for root and the user of alliumd only: say it with sudo"},
         {"unauthorised", true}});
    return;
  }
  if (directory.empty() || directory.front() != '/') {
    asker.give({{"error", "a backup goes to a directory that is named from the root, /"}});
    return;
  }
  asker.wait(kBackupMax);
  const bool is_started =
      backup->start([this, directory] { return make_backup(directory); }, asker.give);
  if (!is_started) {
    asker.give({{"error", "another backup is being made: wait for its end"}, {"conflict", true}});
  }
}

/// On a thread of its own.
json::object Daemon::State::make_backup(const std::string& directory) const {
  const auto made = store->backup(directory);
  if (!made) {
    log.warn("store.not_backed_up", {{"reason", made.error().text}});
    return {{"error", made.error().text}};
  }
  log.info("store.backed_up",
           {{"directory", directory}, {"messages", std::to_string(made->messages)}});
  return {{"schema", "allium.backup/1"},
          {"directory", directory},
          {"messages", made->messages},
          {"accounts", made->accounts},
          {"used_bytes", made->bytes_used}};
}

void Daemon::State::answer_counters(const LocalSocket::Give& give) {
  const bool is_asked = dataplane.ask_counters([give](
                                                   const Result<control_port::Counters>& counters) {
    give(counters ? counters_json("", *counters) : json::object{{"error", counters.error().text}});
  });
  if (!is_asked) {
    give({{"error", "this node has no dataplane: [dataplane] socket is not set"}});
  }
}

void Daemon::State::on_network(const RegistryState& registry) {
  const SwarmId before = service->status().swarm;
  service->update_network(registry);
  const NodeServiceStatus now = service->status();
  log.info("registry.update", {{"height", std::to_string(registry.height)},
                               {"nodes", std::to_string(registry.nodes->all().size())},
                               {"swarm", swarm_text(now.swarm)},
                               {"members", std::to_string(now.members)},
                               {"swarm_changed", now.swarm == before ? "false" : "true"}});
}

NodeReport Daemon::State::report() {
  NodeReport report;
  report.node = identity->public_key();
  report.now_s = unix_s();
  report.started_s = started_s;
  report.height = network.height();
  report.valid_until_s = network.valid_until_s();
  report.registry_problem = network.problem();
  report.fetch_problem = network.fetch_problem();
  report.service = service->status();
  report.records_known = service->records().numbers().size();
  report.kernel_clock = read_kernel_clock();
  report.clock_offset_ms = dataplane.clock_offset_ms();
  report.is_clock_good = dataplane.is_clock_good();
  report.dataplane = dataplane.state();
  look_at_disk();
  report.disk = disk;
  report.omq_turned_away = omq_turned_away;
  return report;
}

void Daemon::State::look_at_disk() {
  const bool was_nearly_full = disk.is_nearly_full;
  disk = store->disk();
  // An eighth more to be good again, or the log would tell of every coming and going at the edge.
  const std::uint64_t wanted = disk.bytes_wanted + (was_nearly_full ? disk.bytes_wanted / 8 : 0);
  disk.is_nearly_full = disk.bytes_free && *disk.bytes_free < wanted;
}

void Daemon::State::look_at_connections() {
  const OmqCounters omq = service->status().omq;
  const std::uint64_t all =
      omq.refused_clients + omq.cut_silent + omq.cut_idle + omq.cut_unfinished;
  omq_turned_away = all - std::exchange(omq_turned_away_all, all);
}

std::chrono::microseconds Daemon::State::beat_interval() {
  std::uint64_t watchdog_us = 0;
  const bool is_watched = sd_watchdog_enabled(0, &watchdog_us) > 0;
  return is_watched ? std::min(kBeat, std::chrono::microseconds(watchdog_us / 3)) : kBeat;
}

void Daemon::State::on_beat() {
  // The watchdog hears of us only as long as this thread turns.
  look_at_connections();
  const NodeReport now = report();
  changes.tell(now);
  sd_notify(0, ("WATCHDOG=1\nSTATUS=" + status_line(now)).c_str());
  beat.expires_after(beat_interval());
  beat.async_wait([this](const boost::system::error_code& error) {
    if (!error) {
      on_beat();
    }
  });
}

// By habit it makes a daemon read its configuration again.
void Daemon::State::on_hangup() {
  hangups.async_wait([this](const boost::system::error_code& error, int) {
    if (!error) {
      log.warn("node.not_reloaded",
               {{"reason", "the configuration is read at start only: restart alliumd"}});
      on_hangup();
    }
  });
}

void Daemon::run() {
  State& state = *state_;
  state.on_hangup();
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
  state.backup.reset();
  state.network.stop();
  state.dataplane.close();
  state.service.reset();
  state.store.reset();
  state.log.info("node.stopped");
}

}  // namespace allium::control
