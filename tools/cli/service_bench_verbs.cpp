// SPDX-License-Identifier: Apache-2.0
#include "tools/cli/service_bench_verbs.hpp"

#include <time.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <CLI/Config.hpp>
#include <CLI/Error.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <boost/json.hpp>

#include "control/network/network_view.hpp"
#include "crypto_accel/base/random.hpp"
#include "tools/bench/environment.hpp"
#include "tools/bench/group_commit.hpp"
#include "tools/bench/service_bench.hpp"
#include "tools/bench/statistics.hpp"
#include "tools/cli/output.hpp"
#include "tools/devnet/enter.hpp"

namespace allium::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kCommitInFlight = 1024;  // four batches

/// What the peer's server costs: version 2.8.0 at -O1 on the reference machine, five nodes and the client on one core, one request
/// at a time over HTTPS keep-alive; from /proc, within 5 %.
struct Peer {
  const char* what;
  std::size_t size;
  int entry_us[2];
  int other_us[2];
  double wall_ms;
};

constexpr Peer kPeerStores[] = {
    {"store of 1 kB, swarm of 5", 1'000, {730, 730}, {270, 300}, 4.3},
    {"store of 10 kB, swarm of 5", 10'000, {1050, 1050}, {350, 400}, 5.5},
    {"store of 76 kB, swarm of 5", 76'000, {3300, 3300}, {830, 1000}, 25},
};
constexpr Peer kPeerOnion = {"onion, 4 nodes, small, aes-gcm", 0, {400, 400}, {330, 400}, 3.3};

/// The one whose size is nearest, as a ratio.
const Peer& peer_of_size(std::size_t size) {
  const auto distance = [size](const Peer& peer) {
    const double ratio = static_cast<double>(size) / static_cast<double>(peer.size);
    return std::max(ratio, 1 / ratio);
  };
  return *std::min_element(
      std::begin(kPeerStores), std::end(kPeerStores),
      [&](const Peer& left, const Peer& right) { return distance(left) < distance(right); });
}

/// What we aim for, with 64 in flight.
struct Goal {
  int entry_us;
  int other_us;
};

constexpr Goal kStoreGoal = {150, 75};  // of 1 kB
constexpr Goal kOnionGoal = {120, 120};

/// How a verb's figures are told.
struct Report {
  const char* schema;
  const char* what;        ///< "stores"
  const char* other;       ///< who else is measured
  std::size_t others_end;  ///< of the nodes: those from 1 up to there
  bool has_destination;
  const Peer* peer;
  const Goal* goal;  ///< null: none for this size or path
};

void tell(const std::string& line) {
  std::fprintf(stderr, "%s\n", line.c_str());
}

[[noreturn]] void stop_with(const Error& error) {
  if (error.code == Errc::out_of_range) {
    std::fprintf(stderr, "error: %s\n", error.text.c_str());
    throw CLI::RuntimeError(kExitUsage);
  }
  finish_with(error);
}

/// The running devnet's service nodes; the process is in its network afterwards.
bench::ServiceNetwork enter_service_network() {
  if (!devnet::running_supervisor()) {
    finish_with(Error{Errc::not_found,
                      "no devnet is running; start one with service nodes: allium devnet up "
                      "--nodes 5"});
  }
  const json::object status = ask({{"verb", "status"}});
  const auto authority =
      control::parse_identity_key(std::string(status.at("authority").as_string()));
  const auto bundle = control::read_bundle_file(std::string(status.at("network_file").as_string()));
  if (!authority || !bundle) {
    finish_with(authority ? bundle.error() : authority.error());
  }
  const auto document = control::verify(bundle->document, {{*authority}, 1},
                                        static_cast<std::uint64_t>(::time(nullptr)), 0);
  if (!document) {
    finish_with(document.error());
  }
  auto network = bench::service_network(status, *document);
  if (!network) {
    finish_with(network.error());
  }
  if (auto entered = devnet::enter_devnet(); !entered) {
    finish_with(entered.error());
  }
  return *std::move(network);
}

json::value number_or_null(const std::optional<double>& number) {
  return number ? json::value(*number) : json::value(nullptr);
}

std::optional<double> other_us(const Report& report, const bench::LoadResult& load) {
  return bench::mean_cpu_us(load, 1, report.others_end);
}

std::optional<double> destination_us(const Report& report, const bench::LoadResult& load) {
  const std::size_t count = load.cpu_us.size();
  return report.has_destination && count > 1 ? std::optional(load.cpu_us.back()) : std::nullopt;
}

json::object figure_json(const Report& report, const bench::ServiceBench& result,
                         const bench::LoadResult& load) {
  json::object figure = {{"in_flight", load.in_flight},
                         {"requests", load.requests},
                         {"errors", load.failures},
                         {"valid", load.is_valid()}};
  if (!load.is_valid()) {
    figure["first_error"] = load.first_failure;
    return figure;
  }
  json::object by_node;
  for (std::size_t i = 0; i < result.nodes.size(); ++i) {
    by_node[result.nodes[i].name] = load.cpu_us[i];
  }
  figure["requests_per_s"] = static_cast<double>(load.requests) / load.window_s;
  figure["p50_ms"] = bench::quantile(load.latencies_ms, 0.5);
  figure["p99_ms"] = bench::quantile(load.latencies_ms, 0.99);
  figure["cpu_us_entry"] = load.cpu_us.front();
  figure["cpu_us_other"] = number_or_null(other_us(report, load));
  if (report.has_destination) {
    figure["cpu_us_destination"] = number_or_null(destination_us(report, load));
  }
  figure["cpu_us_client"] = load.cpu_us_client;
  figure["cpu_us_by_node"] = std::move(by_node);
  figure["window_s"] = load.window_s;
  figure["connections_in_window"] = load.connections;
  return figure;
}

json::object place_of(const bench::ServiceBench& result) {
  json::object environment = bench::environment();
  double steal = 0;
  for (const bench::LoadResult& load : result.loads) {
    steal = std::max(steal, load.steal_percent);
  }
  environment["steal_percent"] = steal;
  bench::mark_comparative(environment);
  return environment;
}

json::array names_of(const bench::ServiceBench& result) {
  json::array names;
  for (const bench::RunningNode& node : result.nodes) {
    names.emplace_back(node.name);
  }
  return names;
}

json::object peer_json(const Peer& peer) {
  return {{"what", peer.what},
          {"cpu_us_entry", {peer.entry_us[0], peer.entry_us[1]}},
          {"cpu_us_other", {peer.other_us[0], peer.other_us[1]}},
          {"wall_ms", peer.wall_ms}};
}

json::object result_json(const Report& report, const bench::ServiceBench& result,
                         const json::object& more) {
  json::object object = {{"schema", report.schema}, {"valid", result.is_valid()}};
  // The figures of the last window, for those who ask for one number; all of them below.
  for (auto& [key, value] : figure_json(report, result, result.loads.back())) {
    object[key] = std::move(value);
  }
  json::array figures;
  for (const bench::LoadResult& load : result.loads) {
    figures.push_back(figure_json(report, result, load));
  }
  object["figures"] = std::move(figures);
  object["entry"] = result.nodes.front().name;
  object["nodes"] = names_of(result);
  object["peer"] = peer_json(*report.peer);
  if (report.goal != nullptr) {
    object["goal"] = {{"cpu_us_entry", report.goal->entry_us},
                      {"cpu_us_other", report.goal->other_us}};
  }
  for (const auto& [key, value] : more) {
    object[key] = value;
  }
  object["environment"] = place_of(result);
  return object;
}

std::string range_text(const int (&range)[2]) {
  const std::string low = std::to_string(range[0]);
  return range[0] == range[1] ? low : low + "-" + std::to_string(range[1]);
}

std::string whole(const std::optional<double>& number) {
  if (!number) {
    return "-";
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.0f", *number);
  return text;
}

std::string two_digits(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", number);
  return text;
}

/// A line of the table: its name, then requests a second, two latencies, and the CPU of entry, others, destination and client.
using Row = std::array<std::string, 8>;

void print_row(const Report& report, const Row& row) {
  std::printf("%-9s", row[0].c_str());
  for (std::size_t i = 1; i < row.size(); ++i) {
    if (i != 6 || report.has_destination) {
      std::printf(" %10s", row[i].c_str());
    }
  }
  std::printf("\n");
}

void print_load(const Report& report, const bench::LoadResult& load) {
  print_row(report, {std::to_string(load.in_flight),
                     two_digits(static_cast<double>(load.requests) / load.window_s),
                     two_digits(bench::quantile(load.latencies_ms, 0.5)),
                     two_digits(bench::quantile(load.latencies_ms, 0.99)),
                     whole(load.cpu_us.front()), whole(other_us(report, load)),
                     whole(destination_us(report, load)), whole(load.cpu_us_client)});
  if (load.connections > 0) {
    std::printf("%-9s %zu connections were made in the window; their cost is in these figures\n",
                "", load.connections);
  }
}

void print_table(const Report& report, const bench::ServiceBench& result) {
  print_row(report, {"IN FLIGHT", "REQUESTS/S", "P50 ms", "P99 ms", "ENTRY us", "OTHER us",
                     "DEST us", "CLIENT us"});
  for (const bench::LoadResult& load : result.loads) {
    if (load.is_valid()) {
      print_load(report, load);
    }
  }
  const Peer& peer = *report.peer;
  print_row(report, {"peer, 1", "", two_digits(peer.wall_ms), "", range_text(peer.entry_us),
                     range_text(peer.other_us), "", ""});
  if (report.goal != nullptr) {
    print_row(report, {"goal, 64", "", "", "", std::to_string(report.goal->entry_us),
                       std::to_string(report.goal->other_us), "", ""});
  }
}

void print_text(const Report& report, const bench::ServiceBench& result,
                const std::string& method) {
  std::printf("%s\n", bench::environment_text(place_of(result)).c_str());
  std::string nodes;
  for (const bench::RunningNode& node : result.nodes) {
    nodes += " " + node.name;
  }
  std::printf("nodes    %s; the first gets the requests\n", nodes.c_str());
  std::printf("method    %s\n", method.c_str());
  std::printf("          every answer is opened and checked; us: CPU time a request, OTHER: %s\n",
              report.other);
  if (result.loads.front().is_valid()) {
    print_table(report, result);
    std::printf("peer      %s: its server 2.8.0 at -O1 on the reference machine, all on one core\n",
                report.peer->what);
  }
}

/// Says what was wrong, and ends the verb where something was.
void finish(const Report& report, const bench::ServiceBench& result) {
  if (result.is_valid()) {
    return;
  }
  const bench::LoadResult& load = result.loads.back();
  std::fprintf(stderr,
               "error: no figure with %zu in flight: %zu %s were not answered rightly; the first: "
               "%s; see: allium devnet status\n",
               load.in_flight, load.failures, report.what, load.first_failure.c_str());
  finish_with(kExitNegative);
}

/// The worth of sharing syncs, on the disk of the temporary directory.
bench::GroupCommit commit_of(std::size_t size) {
  tell("storing in a directory of its own, with a sync each and many a sync");
  std::error_code error;
  const std::string parent = std::filesystem::temp_directory_path(error).string();
  const auto commit =
      bench::measure_group_commit(error ? "/tmp" : parent, size, kCommitInFlight, system_random());
  if (!commit) {
    finish_with(commit.error());
  }
  return *commit;
}

struct Words {
  bench::StoreBenchOptions store;
  bench::OnionBenchOptions onion;
  std::optional<std::size_t> in_flight;
  bool json = false;
};

void print_commit(const bench::GroupCommit& commit) {
  std::printf(
      "commit    %.0f stores/s with %zu in flight, %.0f with a sync each: %.1f times (the store by "
      "itself%s)\n",
      commit.grouped_per_s, commit.in_flight, commit.single_per_s, commit.ratio,
      commit.in_memory ? "; IN MEMORY: a sync costs nothing here, set TMPDIR to a disk" : "");
}

json::object commit_json(const bench::GroupCommit& commit) {
  return {{"group_commit_over_single_sync", commit.ratio},
          {"group_commit",
           {{"in_flight", commit.in_flight},
            {"grouped_stores_per_s", commit.grouped_per_s},
            {"single_sync_stores_per_s", commit.single_per_s},
            {"in_memory", commit.in_memory}}}};
}

void store(const Words& words) {
  const bench::ServiceNetwork network = enter_service_network();
  const bench::StoreBenchOptions& options = words.store;
  const auto result = bench::bench_store(network, options, system_random(), tell);
  if (!result) {
    stop_with(result.error());
  }
  const bool is_one_kb = options.size >= 900 && options.size <= 1100;
  const Report report = {"allium.bench.store/1",
                         "stores",
                         "mean of the other members of the swarm",
                         result->nodes.size(),
                         false,
                         &peer_of_size(options.size),
                         is_one_kb ? &kStoreGoal : nullptr};
  const bool is_valid = result->is_valid();
  const bench::GroupCommit commit = is_valid ? commit_of(options.size) : bench::GroupCommit();
  if (words.json) {
    json::object more = is_valid ? commit_json(commit) : json::object();
    more["size_bytes"] = options.size;
    more["accounts"] = bench::kStoreAccounts;
    print_json(result_json(report, *result, more));
  } else {
    print_text(report, *result,
               std::to_string(options.ops) + " messages of " + std::to_string(options.size) +
                   " bytes to " + std::to_string(bench::kStoreAccounts) +
                   " accounts of the swarm, held by all its members; HTTPS, kept connections");
    if (is_valid) {
      print_commit(commit);
    }
  }
  finish(report, *result);
}

void onion_request(const Words& words) {
  const bench::ServiceNetwork network = enter_service_network();
  const bench::OnionBenchOptions& options = words.onion;
  const auto result = bench::bench_onion(network, options, system_random(), tell);
  if (!result) {
    stop_with(result.error());
  }
  const Report report = {"allium.bench.onion-request/1",
                         "onion requests",
                         "mean of the nodes between entry and destination",
                         result->nodes.size() - 1,
                         true,
                         &kPeerOnion,
                         &kOnionGoal};
  if (words.json) {
    print_json(result_json(report, *result, {{"hops", options.hops}, {"enc_type", "aes-gcm"}}));
  } else {
    print_text(report, *result,
               std::to_string(options.ops) + " onion requests for `info` through " +
                   std::to_string(options.hops) + " nodes, aes-gcm; HTTPS, kept connections");
  }
  finish(report, *result);
}

void add_shared_options(CLI::App& verb, Words& words, bench::ServiceBenchOptions& options) {
  verb.add_option("--ops", options.ops, "Requests in each window; a tenth more before it")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  verb.add_option("--in-flight", words.in_flight, "Requests at a time [a window of 1, one of 64]")
      ->check(CLI::Range(1, 256));
  verb.add_flag("--json", words.json, "One JSON object on standard output");
}

void choose_in_flight(const Words& words, bench::ServiceBenchOptions& options) {
  if (words.in_flight) {
    options.in_flight = {*words.in_flight};
  }
}

constexpr const char* kFooter =
    "CPU is the process's own clock of each node's service, before and after the window. Needs a "
    "devnet with\nservice nodes: allium devnet up --nodes 5. A wrong answer, a refusal "
    "or a "
    "node that is silent ends\nwith exit code 1 and no figure.";

void add_store(CLI::App& bench_verbs) {
  CLI::App* const verb = bench_verbs.add_subcommand(
      "store", "Messages stored at one service node of the devnet and copied to its swarm");
  const auto words = std::make_shared<Words>();
  add_shared_options(*verb, *words, words->store);
  verb->add_option("--size", words->store.size, "Bytes of a message")
      ->check(CLI::Range(1, 76'800))
      ->capture_default_str();
  verb->add_option("--node", words->store.entry, "The node that gets the requests [the first one]");
  verb->footer(std::string("Examples:\n"
                           "  allium bench store\n"
                           "  allium bench store --in-flight 64 --size 10000 --node n3\n"
                           "  allium bench store --json | jq .cpu_us_entry\n") +
               kFooter);
  verb->callback([words] {
    choose_in_flight(*words, words->store);
    store(*words);
  });
}

void add_onion_request(CLI::App& bench_verbs) {
  CLI::App* const verb = bench_verbs.add_subcommand(
      "onion-request", "Onion requests through service nodes of the devnet, and their answers");
  const auto words = std::make_shared<Words>();
  add_shared_options(*verb, *words, words->onion);
  verb->add_option(
          "--hops", words->onion.hops,
          "Nodes of the path, from the one that gets the requests to the one that is meant")
      ->check(CLI::Range(1, 4))
      ->capture_default_str();
  verb->footer(std::string("Examples:\n"
                           "  allium bench onion-request\n"
                           "  allium bench onion-request --hops 3 --in-flight 64\n"
                           "  allium bench onion-request --json | jq .cpu_us_other\n") +
               kFooter);
  verb->callback([words] {
    choose_in_flight(*words, words->onion);
    onion_request(*words);
  });
}

}  // namespace

void add_service_bench_verbs(CLI::App& bench_verbs) {
  add_store(bench_verbs);
  add_onion_request(bench_verbs);
}

}  // namespace allium::cli
