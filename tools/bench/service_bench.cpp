// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/service_bench.hpp"

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include "tools/bench/statistics.hpp"
#include "tools/bench/store_requests.hpp"
#include "tools/client/session_onion.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

constexpr std::string_view kInfo = R"({"method":"info","params":{}})";

std::uint64_t now_ms() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

Result<void> check_options(const ServiceBenchOptions& options, std::size_t body_bytes) {
  for (const std::size_t in_flight : options.in_flight) {
    if (options.ops < in_flight) {
      return fail(Errc::out_of_range, "--ops takes at least as many as are in flight, here " +
                                          std::to_string(in_flight));
    }
  }
  // Requests and answers are in memory until the end of the window.
  if (options.ops > kRequestBytesMax / (body_bytes + 2048)) {
    return fail(Errc::out_of_range,
                "so many requests of that size do not fit into 1 GiB: use fewer --ops");
  }
  return {};
}

/// Makes the requests of one window. Errors are those of the client's code.
using MakePlan = std::function<Result<LoadPlan>(std::size_t count)>;

Result<ServiceBench> run_all(std::vector<RunningNode> nodes, const ServiceBenchOptions& options,
                             const MakePlan& make, const Progress& progress) {
  ServiceBench bench;
  bench.nodes = std::move(nodes);
  for (const std::size_t in_flight : options.in_flight) {
    progress("making " + std::to_string(options.ops) + " requests, then sending them with " +
             std::to_string(in_flight) + " in flight");
    const std::size_t before = warm_up_count(options.ops, in_flight);
    Result<LoadPlan> plan = make(before + options.ops);
    if (!plan) {
      return tl::unexpected(std::move(plan.error()));
    }
    plan->nodes = bench.nodes;
    plan->in_flight = in_flight;
    plan->warm_up_count = before;
    Result<LoadResult> load = run_load(*plan);
    if (!load) {
      return tl::unexpected(std::move(load.error()));
    }
    bench.loads.push_back(*std::move(load));
    if (!bench.is_valid()) {
      break;
    }
  }
  return bench;
}

LoadPlan store_plan(std::span<const storage::Account> accounts,
                    const std::vector<RunningNode>& members, std::size_t size, std::size_t count,
                    const Random& random) {
  LoadPlan plan;
  plan.target = "/storage_rpc/v1";
  const auto hashes = std::make_shared<std::vector<std::string>>();
  const std::uint64_t at_ms = now_ms();
  for (std::size_t i = 0; i < count; ++i) {
    StoreRequest request = store_request(accounts[i % accounts.size()], size, at_ms, random);
    plan.bodies.push_back(std::move(request.body));
    hashes->push_back(std::move(request.hash));
  }
  plan.check = [hashes, members](std::size_t index, std::string_view body) {
    return wrong_in_store_answer(body, (*hashes)[index], members);
  };
  return plan;
}

std::string wrong_in_onion_answer(const client::SessionOnion& onion, std::string_view body) {
  const Result<client::SessionAnswer> answer = client::open_session_answer(onion, body);
  if (!answer) {
    return answer.error().text;
  }
  if (answer->status != 200) {
    return "status " + std::to_string(answer->status) + " inside: " + answer->body.substr(0, 100);
  }
  json::error_code error;
  const json::value info = json::parse(answer->body, error);
  const json::object* object = error ? nullptr : info.if_object();
  return object != nullptr && object->contains("version") ? "" : "no version inside";
}

Result<LoadPlan> onion_plan(std::span<const client::SessionHop> path, std::size_t count,
                            const Random& random) {
  LoadPlan plan;
  plan.target = "/onion_req/v2";
  const auto onions = std::make_shared<std::vector<client::SessionOnion>>();
  for (std::size_t i = 0; i < count; ++i) {
    Result<client::SessionOnion> onion =
        client::build_session_onion(path, kInfo, control::EncryptType::aes_gcm, random);
    if (!onion) {
      return tl::unexpected(std::move(onion.error()));
    }
    plan.bodies.push_back(std::exchange(onion->body, {}));
    onions->push_back(*std::move(onion));
  }
  plan.check = [onions](std::size_t index, std::string_view body) {
    return wrong_in_onion_answer((*onions)[index], body);
  };
  return plan;
}

}  // namespace

Result<ServiceBench> bench_store(const ServiceNetwork& network, const StoreBenchOptions& options,
                                 const Random& random, const Progress& progress) {
  if (auto checked = check_options(options, options.size * 4 / 3); !checked) {
    return tl::unexpected(std::move(checked.error()));
  }
  Result<std::vector<RunningNode>> members = swarm_around(network, options.entry);
  if (!members) {
    return tl::unexpected(std::move(members.error()));
  }
  const auto accounts =
      accounts_of(network.swarms, members->front().node.swarm, kStoreAccounts, random);
  return run_all(
      *members, options,
      [&](std::size_t count) -> Result<LoadPlan> {
        return store_plan(accounts, *members, options.size, count, random);
      },
      progress);
}

Result<ServiceBench> bench_onion(const ServiceNetwork& network, const OnionBenchOptions& options,
                                 const Random& random, const Progress& progress) {
  if (auto checked = check_options(options, options.hops * 256); !checked) {
    return tl::unexpected(std::move(checked.error()));
  }
  Result<std::vector<RunningNode>> nodes = path_through(network, options.hops);
  if (!nodes) {
    return tl::unexpected(std::move(nodes.error()));
  }
  std::vector<client::SessionHop> path;
  for (const RunningNode& node : *nodes) {
    path.push_back({node.node.ed25519, node.node.x25519});
  }
  return run_all(
      *std::move(nodes), options,
      [&](std::size_t count) { return onion_plan(path, count, random); }, progress);
}

std::optional<double> mean_cpu_us(const LoadResult& load, std::size_t first, std::size_t end) {
  end = std::min(end, load.cpu_us.size());
  if (first >= end) {
    return std::nullopt;
  }
  const auto begin = load.cpu_us.begin();
  return mean(
      {begin + static_cast<std::ptrdiff_t>(first), begin + static_cast<std::ptrdiff_t>(end)});
}

}  // namespace allium::bench
