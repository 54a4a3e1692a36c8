// SPDX-License-Identifier: Apache-2.0
// The run, the output and the exit code of `allium rpc`.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>

#include "control/network/service_nodes.hpp"
#include "control/service/encoding.hpp"
#include "control/service/https/https_client.hpp"
#include "crypto_accel/base/clock.hpp"
#include "crypto_accel/base/random.hpp"
#include "dataplane/onion/endpoint_text.hpp"
#include "dataplane/onion/time_index.hpp"
#include "tools/client/rpc.hpp"
#include "tools/client/session_account.hpp"
#include "tools/client/session_onion.hpp"
#include "tools/client/storage_request.hpp"
#include "tools/client/verb.hpp"

namespace allium::client {
namespace {

namespace json = boost::json;

constexpr std::size_t kDataBytesMax = 1 << 20;
// By chance another path is tried: one of its relays may be down.
constexpr std::size_t kPathsTried = 3;

struct Outcome {
  int status = 0;
  json::value body;
  PathPlan plan;
  std::uint64_t round_trip_us = 0;
  std::size_t packets = 0;           ///< fast lane: of the answer
  std::optional<Receipts> receipts;  ///< of a store
};

Result<std::string> read_data(const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    file.open(path, std::ios::binary);
    if (!file) {
      return fail(Errc::not_found, path + " cannot be read");
    }
  }
  std::istream& in = path == "-" ? std::cin : file;
  std::string data(kDataBytesMax + 1, '\0');
  in.read(data.data(), static_cast<std::streamsize>(data.size()));
  data.resize(static_cast<std::size_t>(in.gcount()));
  if (in.bad()) {  // a directory opens like a file
    return fail(Errc::malformed, path + " is no file that can be read");
  }
  if (data.size() > kDataBytesMax) {
    return fail(Errc::out_of_range, path + " is longer than any message");
  }
  return data;
}

Result<SessionAccount> read_account(const RpcOptions& options) {
  std::optional<control::Passphrase> passphrase;
  if (!options.passphrase_file.empty()) {
    auto read = control::Passphrase::read(options.passphrase_file);
    if (!read) {
      return tl::unexpected(read.error());
    }
    passphrase = *std::move(read);
  }
  auto file =
      control::read_identity_file(options.account_file, passphrase ? &*passphrase : nullptr);
  if (!file) {
    return fail(file.error().code,
                file.error().text + "; make one: allium key init --unsealed --file FILE");
  }
  return SessionAccount::from_seed(file->seed);
}

Result<json::object> read_params(const RpcOptions& options, std::uint64_t now_ms) {
  json::error_code error;
  json::value value = json::parse(options.params, error);
  if (error || !value.is_object()) {
    return fail(Errc::malformed, "PARAMS is no JSON object: " + options.params.substr(0, 64));
  }
  json::object params = std::move(value.get_object());
  if (!options.data_file.empty()) {
    const auto data = read_data(options.data_file);
    if (!data) {
      return tl::unexpected(data.error());
    }
    params["data"] = control::to_base64(control::bytes_of(*data));
  }
  if (options.account_file.empty()) {
    return params;
  }
  const auto account = read_account(options);
  return account ? account->complete(options.method, std::move(params), now_ms)
                 : Result<json::object>(tl::unexpected(account.error()));
}

/// The service nodes that keep an account's messages; all of them for a request that names none.
std::vector<const RelayView*> keepers_of(const NetworkView& view, const json::object& params) {
  std::vector<control::SwarmId> swarms;
  for (const RelayView& relay : view.relays) {
    if (relay.service) {
      swarms.push_back(relay.service->swarm);
    }
  }
  const auto account = account_of(params);
  const auto swarm =
      account ? control::SwarmMap(swarms).swarm_of(storage::point_of(*account)) : std::nullopt;
  std::vector<const RelayView*> keepers;
  for (const RelayView& relay : view.relays) {
    if (relay.service && (!swarm || relay.service->swarm == *swarm)) {
      keepers.push_back(&relay);
    }
  }
  return keepers;
}

std::optional<Receipts> receipts_in(const RpcOptions& options, const Outcome& outcome,
                                    const NetworkView& view, const json::object& params) {
  if (options.method != "store" || outcome.status != 200) {
    return std::nullopt;
  }
  std::vector<control::IdentityKey> members;
  for (const RelayView* relay : keepers_of(view, params)) {
    members.push_back(relay->identity);
  }
  return check_receipts(outcome.body, members);
}

Result<PathPlan> plan_path(const RpcOptions& options, const NetworkView& view,
                           const json::object& params, std::uint64_t hour) {
  PathChoice choice = options.path;
  if (choice.names.empty()) {
    std::vector<const RelayView*> ends = keepers_of(view, params);
    std::erase_if(ends, [hour](const RelayView* relay) { return relay->key_of(hour) == nullptr; });
    if (ends.empty()) {
      return fail(Errc::not_found, "no service node of this network keeps that account's messages");
    }
    choice.end = ends[random_below(ends.size(), system_random())]->name;
  }
  return choose_path(view, choice, hour, system_random());
}

class Caller {
 public:
  Caller(const RpcOptions& options, Run& run, Talk& talk)
      : options_(options), run_(run), talk_(talk) {}

  Result<Outcome> call(const json::object& params) {
    const std::size_t tries = options_.path.names.empty() ? kPathsTried : 1;
    Error last;
    for (std::size_t i = 0; i < tries && !run_.wire->interrupted(); ++i) {
      Result<Outcome> outcome = call_once(params);
      if (outcome ||
          (outcome.error().code != Errc::timeout && outcome.error().code != Errc::unavailable)) {
        return outcome;
      }
      last = outcome.error();
      talk_.trace(run_.wire->now(), last.text);
    }
    return tl::unexpected(last);
  }

 private:
  Result<Outcome> call_once(const json::object& params) {
    const auto view = run_.network->load();
    if (!view) {
      return tl::unexpected(view.error());
    }
    const std::uint64_t hour = onion::hour_of(run_.wire->now().unix_ms);
    auto plan = plan_path(options_, *view, params, hour);
    if (!plan) {
      return tl::unexpected(plan.error());
    }
    talk_.trace(run_.wire->now(), "path " + path_names(*plan));
    auto outcome = options_.lane == Lane::fast ? by_packet(*std::move(plan), params)
                                               : by_onion_request(*std::move(plan), params);
    if (outcome) {
      outcome->receipts = receipts_in(options_, *outcome, *view, params);
    }
    return outcome;
  }

  Result<Outcome> by_packet(PathPlan plan, const json::object& params) {
    const auto raw = params_for_bt(options_.method, params);
    if (!raw) {
      return tl::unexpected(raw.error());
    }
    auto reply =
        request_storage(*run_.wire, plan, options_.method, *raw, cookies_, system_random());
    if (!reply) {
      return tl::unexpected(reply.error());
    }
    return Outcome{reply->content.status, body_from_bt(std::move(reply->content.body)),
                   std::move(plan),       reply->round_trip_us,
                   reply->packets,        {}};
  }

  Result<Outcome> by_onion_request(PathPlan plan, const json::object& params) {
    std::vector<SessionHop> hops;
    for (const RelayView& relay : plan) {
      if (!relay.service) {
        return fail(Errc::not_found, relay.name + " is no service node");
      }
      const auto hop = session_hop(relay.identity);
      if (!hop) {
        return tl::unexpected(hop.error());
      }
      hops.push_back(*hop);
    }
    const std::string request =
        json::serialize(json::object{{"method", options_.method}, {"params", params}});
    const auto onion =
        build_session_onion(hops, request, control::EncryptType::xchacha20, system_random());
    if (!onion) {
      return tl::unexpected(onion.error());
    }
    const std::uint64_t sent_us = run_.wire->now().tick_us;
    const auto response = post(plan.front(), onion->body);
    if (!response) {
      return tl::unexpected(response.error());
    }
    const std::uint64_t round_trip_us = run_.wire->now().tick_us - sent_us;
    if (response->status != 200) {
      return Outcome{static_cast<int>(response->status),
                     json::value(response->body),
                     std::move(plan),
                     round_trip_us,
                     0,
                     {}};
    }
    auto answer = open_session_answer(*onion, response->body);
    if (!answer) {
      return tl::unexpected(answer.error());
    }
    json::error_code error;
    json::value body = json::parse(answer->body, error);
    return Outcome{answer->status,
                   error ? json::value(answer->body) : std::move(body),
                   std::move(plan),
                   round_trip_us,
                   0,
                   {}};
  }

  static Result<control::HttpResponse> post(const RelayView& entry, const std::string& body) {
    boost::asio::io_context io;
    auto client = control::HttpsClient::create(io, {});
    if (!client) {
      return tl::unexpected(client.error());
    }
    control::Url url;
    url.scheme = "https";
    url.host = onion::address_text(entry.endpoint.address);
    url.port = entry.service->https_port;
    url.target = "/onion_req/v2";
    Result<control::HttpResponse> result = fail(Errc::unavailable, "no answer");
    client->post(url, {}, body, control::HttpsClient::kTimeout,
                 [&](Result<control::HttpResponse> response) {
                   result = std::move(response);
                   client->stop();
                   io.stop();
                 });
    io.run();
    if (!result) {
      return fail(result.error().code, entry.name + ": " + result.error().text);
    }
    return result;
  }

  const RpcOptions& options_;
  Run& run_;
  Talk& talk_;
  CookieJar cookies_;
};

void print(const RpcOptions& options, const Outcome& outcome) {
  if (!options.json) {
    fmt::print(stderr, "{} via {} in {:.1f} ms\n", outcome.status, path_names(outcome.plan),
               static_cast<double>(outcome.round_trip_us) / 1e3);
    if (outcome.receipts) {
      fmt::print(stderr, "{} of {} members of the swarm have signed for it\n",
                 outcome.receipts->valid, outcome.receipts->members);
    }
    const bool is_text = outcome.body.is_string();
    std::cout << (is_text ? std::string(outcome.body.get_string()) : json::serialize(outcome.body))
              << '\n';
    return;
  }
  json::array hops;
  for (const RelayView& relay : outcome.plan) {
    hops.emplace_back(relay.name);
  }
  json::value receipts;
  if (outcome.receipts) {
    receipts = {{"members", outcome.receipts->members}, {"valid", outcome.receipts->valid}};
  }
  std::cout << json::serialize(
                   json::object{{"schema", "allium.rpc/1"},
                                {"lane", options.lane == Lane::fast ? "fast" : "compat"},
                                {"path", std::move(hops)},
                                {"status", outcome.status},
                                {"round_trip_us", outcome.round_trip_us},
                                {"packets", outcome.packets},
                                {"receipts", std::move(receipts)},
                                {"body", outcome.body}})
            << '\n';
}

}  // namespace

int run_rpc(const RpcOptions& options) {
  const std::size_t hop_count =
      options.path.names.empty() ? options.path.hop_count : options.path.names.size();
  if (hop_count < 1 || hop_count > onion::kHopsMax) {
    return report({Errc::out_of_range, fmt::format("a path has 1 to {} hops", onion::kHopsMax)});
  }
  Talk talk = talk_to_stderr(options.trace);
  // Files are the caller's: read before his network is left for the devnet's.
  const auto params = read_params(options, unix_ms());
  if (!params) {
    return report(params.error());
  }
  Result<Run> run = start_run(options.network_file, options.authority);
  if (!run) {
    return report(run.error());
  }
  const Result<Outcome> outcome = Caller(options, *run, talk).call(*params);
  if (!outcome) {
    return run->wire->interrupted() ? kExitInterrupted : report(outcome.error());
  }
  print(options, *outcome);
  return outcome->status == 200 ? kExitDone : kExitNegative;
}

}  // namespace allium::client
