// SPDX-License-Identifier: Apache-2.0
#include "control/daemon.hpp"

#include <sys/timex.h>
#include <systemd/sd-daemon.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/array.hpp>

#include "control/certificate_file.hpp"
#include "control/document_fetcher.hpp"
#include "control/manage/counters_json.hpp"
#include "control/manage/event_log.hpp"
#include "control/manage/local_socket.hpp"
#include "control/network/durable_file.hpp"
#include "control/network/file_registry.hpp"
#include "control/node/clock_watch.hpp"
#include "control/node/dataplane_link.hpp"
#include "control/node/identity_file.hpp"
#include "control/service/encoding.hpp"
#include "control/service/node_service.hpp"
#include "storage/rocks_store.hpp"

namespace allium::control {
namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::chrono::microseconds kBeat{5'000'000};
constexpr std::chrono::milliseconds kRecordsGap{200};
constexpr std::uint64_t kDocumentWarningS = 86'400;

std::uint64_t unix_s() {
  return static_cast<std::uint64_t>(std::time(nullptr));
}

std::uint64_t unix_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

/// Empty: not there.
std::string text_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string hex_number(std::uint64_t number) {
  std::array<std::uint8_t, 8> bytes;
  store_be(bytes.data(), number, bytes.size());
  return to_hex(bytes);
}

std::string mib(std::uint64_t bytes) {
  return std::to_string(bytes >> 20);
}

/// What to do for a store that cannot write.
std::string broken_advice(const storage::StoreDisk& disk) {
  if (!disk.waits_for_room) {
    return "look at the disk, then restart alliumd";
  }
  return "its disk is full; make room for " + mib(disk.bytes_to_open) +
         " MiB, it then goes on by itself" +
         (disk.problem.empty() ? "" : " (last try: " + disk.problem + ")");
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

bool is_open_to_others(const std::string& directory) {
  using std::filesystem::perms;
  std::error_code ignored;
  const perms mode = std::filesystem::status(directory, ignored).permissions();
  return (mode & (perms::group_all | perms::others_all)) != perms::none;
}

/// Makes it for this user alone. One that was there may be shared on purpose, or hold other things (/srv); what messages are kept in
/// is nobody else's.
Result<void> make_data_directory(const std::string& directory, const EventLog& log) {
  std::error_code error;
  const std::string messages = directory + "/messages";
  std::filesystem::create_directories(messages, error);  // under main's umask
  if (!error && is_open_to_others(messages)) {
    std::filesystem::permissions(messages, std::filesystem::perms::owner_all, error);
  }
  if (error) {
    return fail(Errc::io, messages + ": " + error.message());
  }
  if (is_open_to_others(directory)) {
    log.warn("data.is_open", {{"directory", directory},
                              {"advice", "others may look into it; say: chmod 700 " + directory}});
  }
  return {};
}

Result<Seed> load_seed(const Configuration& configuration, const EventLog& log) {
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
  return std::move(file->seed);
}

}  // namespace

struct Daemon::State {
  explicit State(Configuration with)
      : configuration(std::move(with)),
        log(configuration.log_level, configuration.log_format),
        signals(io, SIGTERM, SIGINT),
        beat(io),
        records_timer(io) {}

  Result<void> open_service();
  Result<void> open_dataplane(const Seed& seed);
  Result<void> open_local();
  Result<void> start_registry();
  Result<void> start_fetcher(const std::string& file);
  void on_network(const RegistryState& network);
  void on_dataplane(const DataplaneState& now);
  void update_relays();
  void keep_records_soon();

  [[nodiscard]] std::string records_file() const {
    return configuration.data_directory + "/network-records";
  }

  void watch_clock();
  void on_beat();
  void look_at_disk();
  void log_changes(const NodeServiceStatus& now);
  [[nodiscard]] static std::chrono::microseconds beat_interval();
  void answer(std::string_view question, const LocalSocket::Give& give);
  [[nodiscard]] std::function<void(std::function<void()>)> poster();
  [[nodiscard]] json::object status() const;
  [[nodiscard]] json::object dataplane_status(const NodeServiceStatus& now) const;
  [[nodiscard]] json::array problems(const NodeServiceStatus& now) const;

  Configuration configuration;
  EventLog log;
  asio::io_context io{1};
  asio::signal_set signals;
  asio::steady_timer beat;
  asio::steady_timer records_timer;
  bool is_keeping_records = false;
  std::uint64_t started_s = unix_s();
  std::optional<IdentitySecret> identity;
  std::unique_ptr<storage::RocksStore> store;
  std::unique_ptr<NodeService> service;
  std::unique_ptr<DataplaneLink> dataplane;  ///< null: this node has none
  std::unique_ptr<DocumentFetcher> fetcher;  ///< null: the document is a file of this machine
  std::unique_ptr<FileRegistry> registry;
  std::unique_ptr<LocalSocket> local;
  DataplaneState dataplane_state;
  ClockWatch clock;
  bool is_clock_good = true;
  std::uint64_t height = 0;
  std::uint64_t valid_until_s = 0;
  std::string registry_problem;
  std::string fetch_problem;
  storage::StoreDisk disk;  ///< as it was at the last beat
  bool is_disk_nearly_full = false;

  /// What the log has been told last.
  struct {
    std::size_t members_dead = 0;
    std::uint64_t records_refused = 0;
    std::uint64_t parts_open = 0;
    bool is_store_broken = false;
    bool is_store_nearly_full = false;
    bool is_disk_nearly_full = false;
  } logged;
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
    if (dataplane) {
      dataplane->reply(std::move(reply));
    }
  };
  options.on_records = [this] {
    update_relays();
    keep_records_soon();
  };
  options.on_time = [this](const NodeKey& node, std::uint64_t their_ms, std::uint64_t sent_ms,
                           std::uint64_t heard_ms) {
    clock.add(node, their_ms, sent_ms, heard_ms);
    watch_clock();
  };
  const std::string held_file = configuration.data_directory + "/network-held";
  options.held = text_of_file(held_file);
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

// Whatever other threads bring is dropped once this object is on its way out.
std::function<void(std::function<void()>)> Daemon::State::poster() {
  return [this](std::function<void()> what) { asio::post(io, std::move(what)); };
}

Result<void> Daemon::State::open_dataplane(const Seed& seed) {
  if (configuration.dataplane_socket.empty()) {
    return {};
  }
  DataplaneOptions options;
  options.socket = configuration.dataplane_socket;
  options.packets_per_second = configuration.packets_per_second;
  options.handles_max = configuration.ipv6_clients_max;
  options.handles_per_host = configuration.ipv6_clients_per_host;
  options.handles_per_site = configuration.ipv6_clients_per_site;
  DataplaneLink::Events events;
  events.post = poster();
  events.on_state = [this](const DataplaneState& now) { on_dataplane(now); };
  events.on_record = [this](const SignedNodeRecord& record) { service->publish_record(record); };
  events.on_deliveries = [this](const std::vector<control_port::DeliveryRecord>& records) {
    service->deliver(records);
  };
  auto opened = DataplaneLink::open(std::move(options), IdentitySecret::from_seed(seed),
                                    system_random(), std::move(events));
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  dataplane = *std::move(opened);
  dataplane_state.problem = "not connected yet";
  return {};
}

Result<void> Daemon::State::open_local() {
  auto opened = LocalSocket::open(
      io, configuration.control_socket,
      [this](std::string_view question, const LocalSocket::Give& give) { answer(question, give); });
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  local = *std::move(opened);
  return {};
}

Result<void> Daemon::State::start_registry() {
  FileRegistryOptions options;
  options.path = configuration.network_file;
  const bool is_fetched = options.path.find("://") != std::string::npos;
  if (is_fetched) {
    options.path = configuration.data_directory + "/network-document";
  }
  options.memory_path = configuration.data_directory + "/network-serial";
  options.authorities = configuration.authorities;
  registry = std::make_unique<FileRegistry>(io, options);
  registry->start([this](const RegistryState& network) { on_network(network); },
                  [this](const Error& problem) {
                    registry_problem = problem.text;
                    log.error("registry.refused", {{"reason", problem.text}});
                  });
  return is_fetched ? start_fetcher(options.path) : Result<void>();
}

Result<void> Daemon::State::start_fetcher(const std::string& file) {
  auto made = DocumentFetcher::create(
      io, configuration.network_file, file,
      [this](const NetworkBundle& bundle) -> Result<void> {
        const Result<NetworkDocument> document = registry->check(bundle);
        return document ? Result<void>() : tl::unexpected(document.error());
      },
      [this](const Result<void>& fetched) {
        fetch_problem = fetched ? std::string() : fetched.error().text;
        if (!fetched) {
          log.warn("registry.not_fetched", {{"reason", fetch_problem}});
        }
      });
  if (!made) {
    return tl::unexpected(made.error());
  }
  fetcher = *std::move(made);
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
  if (Result<void> started = state.start_registry(); !started) {
    return started;
  }
  state.log.info("node.started", {{"node", to_hex(state.identity->public_key())}});
  return {};
}

void Daemon::State::on_dataplane(const DataplaneState& now) {
  const bool was_serving = std::exchange(dataplane_state, now).is_serving;
  if (was_serving == now.is_serving) {
    return;
  }
  if (now.is_serving) {
    log.info("dataplane.serving", {{"pid", std::to_string(now.pid)},
                                   {"device", now.device},
                                   {"relays", std::to_string(now.relays)}});
  } else {
    log.warn("dataplane.stopped", {{"reason", now.problem}});
  }
}

void Daemon::State::update_relays() {
  const NetworkDocument* const document = service->records().document();
  if (!dataplane || document == nullptr) {
    return;
  }
  std::vector<onion::Endpoint> own;
  std::vector<PeerKeys> peers;
  for (const RelayEntry& relay : document->relays) {
    if (relay.identity == identity->public_key()) {
      own = relay.endpoints;
      continue;
    }
    // One without a record stays in the table: its packets find no key, and are not a client's.
    PeerKeys& peer = peers.emplace_back();
    peer.id = relay.id();
    peer.endpoint = relay.endpoints.front();
    if (const NodeRecord* const record = service->records().find(relay.identity)) {
      peer.keys = record->keys;
    }
  }
  dataplane->set_network(std::move(own), std::move(peers));
}

void Daemon::State::watch_clock() {
  const bool is_good = clock.is_good(unix_ms());
  if (std::exchange(is_clock_good, is_good) == is_good) {
    return;
  }
  if (is_good) {
    log.info("clock.good");
  } else {
    log.error("clock.off", {{"offset_ms", std::to_string(clock.offset_ms(unix_ms()).value_or(0))},
                            {"effect", "no packets are forwarded until it is set"}});
  }
  if (dataplane) {
    dataplane->set_serving(is_good);
  }
}

void Daemon::State::answer(std::string_view question, const LocalSocket::Give& give) {
  if (question == "status") {
    give(status());
  } else if (question == "network") {
    give({{"schema", "allium.network/1"}, {"bundle", service->network_bundle()}});
  } else if (question == "counters" && dataplane) {
    dataplane->ask_counters([give](const Result<control_port::Counters>& counters) {
      give(counters ? counters_json("", *counters)
                    : json::object{{"error", counters.error().text}});
    });
  } else if (question == "counters") {
    give({{"error", "this node has no dataplane: [dataplane] socket is not set"}});
  } else {
    give({{"error", "say: status, counters or network"}});
  }
}

void Daemon::State::on_network(const RegistryState& network) {
  registry_problem.clear();
  const SwarmId before = service->status().swarm;
  height = network.height;
  valid_until_s = network.valid_until_s;
  service->update_network(network);
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
  if (!fetch_problem.empty()) {
    add("the network document is not fetched: " + fetch_problem);
  }
  if (!now.is_ready) {
    add("no list of nodes yet: clients are answered 503");
  } else if (now.swarm == kNoSwarm) {
    add("the network document has this node in no swarm");
  } else if (valid_until_s < unix_s() + kDocumentWarningS && registry_problem.empty()) {
    add("the network document ends within a day: get a newer one");
  }
  if (!is_clock_good) {
    add("the clock is off by " + std::to_string(clock.offset_ms(unix_ms()).value_or(0)) +
        " ms against other nodes: set it (timedatectl); no packets are forwarded until then");
  } else if (dataplane && !dataplane_state.is_serving) {
    add("no packets are forwarded: " + dataplane_state.problem);
  }
  if (now.members > 1 && now.members_dead > 0) {
    add(std::to_string(now.members_dead) + " of " + std::to_string(now.members - 1) +
        " other members of the swarm do not answer; what they miss is kept for them");
  }
  if (now.store.is_broken) {
    add("the store cannot write: " + broken_advice(store->disk()));
  } else if (now.store.is_nearly_full) {
    add("the store is nearly full: raise [storage] max_bytes, or add disk");
  }
  if (is_disk_nearly_full && !now.store.is_broken) {
    add("the store's disk is nearly full: " + mib(*disk.bytes_free) + " MiB are free where " +
        mib(disk.bytes_wanted) + " should be; make room, or lower [storage] max_bytes");
  }
  return found;
}

json::object Daemon::State::dataplane_status(const NodeServiceStatus& now) const {
  const DataplaneState& dp = dataplane_state;
  return {{"connected", dp.is_connected},
          {"serving", dp.is_serving},
          {"problem", dp.problem},
          {"pid", dp.pid},
          {"workers", dp.workers},
          {"device", dp.device},
          {"kernels", dp.kernels},
          {"accepts_from_ms", dp.accepts_from_ms},
          {"relays", dp.relays},
          {"connections", dp.connections},
          {"requests", now.fast_lane.requests},
          {"answered", now.fast_lane.answered},
          {"answers_too_long", now.fast_lane.too_long},
          {"answers_lost", dp.replies_lost},
          {"malformed", now.fast_lane.malformed},
          {"unserved", now.fast_lane.unserved},
          {"busy", now.fast_lane.busy}};
}

json::object Daemon::State::status() const {
  const NodeServiceStatus now = service->status();
  const ClockState kernel_clock = clock_state();
  const std::optional<std::int64_t> offset_ms = clock.offset_ms(unix_ms());
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
  status["store"] = {
      {"messages", now.store.messages},
      {"accounts", now.store.accounts},
      {"used_bytes", now.store.bytes_used},
      {"limit_bytes", now.store.bytes_limit},
      {"disk_free_bytes", disk.bytes_free ? json::value(*disk.bytes_free) : json::value()},
      {"disk_wanted_bytes", disk.bytes_wanted}};
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
  status["fetch"] = {{"parts_open", now.fetch.parts_open},
                     {"pages", now.fetch.pages},
                     {"served", now.fetch.served}};
  status["clock"] = {{"synchronised", kernel_clock.is_synchronised},
                     {"kernel_offset_ms", kernel_clock.offset_ms},
                     {"offset_ms", offset_ms ? json::value(*offset_ms) : json::value()},
                     {"good", is_clock_good}};
  status["dataplane"] = dataplane ? json::value(dataplane_status(now)) : json::value();
  status["records"] = {{"known", service->records().numbers().size()},
                       {"taken", now.records.taken},
                       {"refused", now.records.refused},
                       {"last_refusal", now.records.last_refusal}};
  return status;
}

// What has changed since the last beat, for whoever reads the log and not the status.
void Daemon::State::log_changes(const NodeServiceStatus& now) {
  if (std::exchange(logged.members_dead, now.members_dead) != now.members_dead) {
    log.warn("swarm.members", {{"members", std::to_string(now.members)},
                               {"dead", std::to_string(now.members_dead)}});
  }
  if (std::exchange(logged.is_store_broken, now.store.is_broken) != now.store.is_broken) {
    if (now.store.is_broken) {
      log.error("store.broken", {{"advice", broken_advice(disk)}});
    } else {
      log.info("store.good");
    }
  }
  if (std::exchange(logged.is_disk_nearly_full, is_disk_nearly_full) != is_disk_nearly_full) {
    log.warn(is_disk_nearly_full ? "disk.nearly_full" : "disk.has_room",
             {{"free_bytes", std::to_string(disk.bytes_free.value_or(0))},
              {"wanted_bytes", std::to_string(disk.bytes_wanted)}});
  }
  if (std::exchange(logged.is_store_nearly_full, now.store.is_nearly_full) !=
      now.store.is_nearly_full) {
    log.warn(now.store.is_nearly_full ? "store.nearly_full" : "store.has_room",
             {{"used_bytes", std::to_string(now.store.bytes_used)},
              {"limit_bytes", std::to_string(now.store.bytes_limit)}});
  }
  if (std::exchange(logged.records_refused, now.records.refused) != now.records.refused) {
    log.warn("record.refused", {{"refused", std::to_string(now.records.refused)},
                                {"last", now.records.last_refusal}});
  }
  if (std::exchange(logged.parts_open, now.fetch.parts_open) != now.fetch.parts_open) {
    log.info("swarm.fetching", {{"parts_open", std::to_string(now.fetch.parts_open)}});
  }
}

void Daemon::State::look_at_disk() {
  disk = store->disk();
  // An eighth more to be good again, or the log would tell of every coming and going at the edge.
  const std::uint64_t wanted =
      disk.bytes_wanted + (is_disk_nearly_full ? disk.bytes_wanted / 8 : 0);
  is_disk_nearly_full = disk.bytes_free && *disk.bytes_free < wanted;
}

std::chrono::microseconds Daemon::State::beat_interval() {
  std::uint64_t watchdog_us = 0;
  const bool is_watched = sd_watchdog_enabled(0, &watchdog_us) > 0;
  return is_watched ? std::min(kBeat, std::chrono::microseconds(watchdog_us / 3)) : kBeat;
}

void Daemon::State::on_beat() {
  // The watchdog hears of us only as long as this thread turns.
  const NodeServiceStatus now = service->status();
  look_at_disk();
  log_changes(now);
  const std::string text =
      "STATUS=" ALLIUM_VERSION " " + std::string(problems(now).empty() ? "ACTIVE" : "DEGRADED") +
      " swarm=" + (now.swarm == kNoSwarm ? "none" : hex_number(now.swarm)) + "(" +
      std::to_string(now.members) + ") " + std::to_string(now.store.messages) + " msgs";
  sd_notify(0, ("WATCHDOG=1\n" + text).c_str());
  beat.expires_after(beat_interval());
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
  state.fetcher.reset();
  state.dataplane.reset();
  state.service.reset();
  state.store.reset();
  state.log.info("node.stopped");
}

}  // namespace allium::control
