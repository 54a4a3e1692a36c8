// SPDX-License-Identifier: Apache-2.0
// The output and the exit code of `allium client ping`.
#include <cstdio>
#include <iostream>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "crypto_accel/base/random.hpp"
#include "tools/client/ping.hpp"
#include "tools/client/verb.hpp"

namespace allium::client {
namespace {

double loss_percent(const PingResult& result) {
  if (result.sent == 0) {
    return 0;
  }
  return 100.0 * static_cast<double>(result.sent - result.received) /
         static_cast<double>(result.sent);
}

std::string joined(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, " "));
}

void print_answer(const PingAnswer& answer) {
  fmt::print("{} bytes from {} over {} hops: seq={} time={}\n", answer.byte_count,
             answer.plan->back().name, answer.plan->size(), answer.number,
             in_ms(answer.round_trip_us));
  std::fflush(stdout);
}

void print_summary(const PingResult& result) {
  const Spread spread = spread_of(result.round_trips_us);
  fmt::print("--- {} ---\n", joined(result.hops));
  fmt::print("{} sent, {} received, {:.1f} % lost, {} path{} opened\n", result.sent,
             result.received, loss_percent(result), result.paths_opened,
             result.paths_opened == 1 ? "" : "s");
  if (result.received > 0) {
    fmt::print("round trip min {} median {} max {}\n", in_ms(spread.min), in_ms(spread.median),
               in_ms(spread.max));
  }
}

void print_json(const PingOptions& options, const PingResult& result) {
  const Spread spread = spread_of(result.round_trips_us);
  boost::json::array hops;
  for (const std::string& hop : result.hops) {
    hops.emplace_back(hop);
  }
  const boost::json::object object = {
      {"schema", "allium.client.ping/1"},
      {"class", options.packet_class == onion::PacketClass::v ? "v" : "d"},
      {"hops", hops},
      {"sent", result.sent},
      {"received", result.received},
      {"loss_percent", loss_percent(result)},
      {"rtt_us_min", spread.min},
      {"rtt_us_median", spread.median},
      {"rtt_us_max", spread.max},
      {"open_us", result.open_us},
      {"paths_opened", result.paths_opened},
      {"ignored",
       {{"unknown", result.ignored.unknown},
        {"slot", result.ignored.slot},
        {"client_tag", result.ignored.client_tag},
        {"zero", result.ignored.zero},
        {"repeated", result.ignored.repeated}}},
      {"interrupted", result.interrupted}};
  std::cout << boost::json::serialize(object) << '\n';
}

Result<void> check_options(const PingOptions& options) {
  if (options.count < 1 || options.count > PingOptions::kCountMax) {
    return fail(Errc::out_of_range,
                fmt::format("--count is 1 to {}, not {}", PingOptions::kCountMax, options.count));
  }
  if (options.timeout_ms < 1 || options.timeout_ms > 60'000 || options.interval_ms > 3'600'000) {
    return fail(Errc::out_of_range, "--timeout is 1 to 60000 ms, --interval at most 3600000 ms");
  }
  return check_path(options.path, options.packet_class);
}

}  // namespace

int run_client_ping(const PingOptions& options) {
  if (const Result<void> checked = check_options(options); !checked) {
    return report(checked.error());
  }
  Result<Run> run = start_run(options.network_file, options.authority);
  if (!run) {
    return report(run.error());
  }
  Talk talk = talk_to_stderr(options.trace);
  const Result<PingResult> result =
      ping(*run->wire, *run->network, options, system_random(), talk,
           options.json ? std::function<void(const PingAnswer&)>{} : print_answer);
  if (!result) {
    return report(result.error());
  }
  if (options.json) {
    print_json(options, *result);
  } else {
    print_summary(*result);
  }
  if (result->interrupted) {
    return kExitInterrupted;
  }
  return result->received > 0 ? kExitDone : kExitNegative;
}

}  // namespace allium::client
