// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>

#include "tools/bench/environment.hpp"
#include "tools/bench/no_drop_measurement.hpp"
#include "tools/bench/offered_load.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

json::object rate_json(double pps, std::size_t datagram_bytes) {
  return {{"mpps", pps / 1e6}, {"gbit_s", pps * static_cast<double>(datagram_bytes) * 8 / 1e9}};
}

json::object found_json(const FoundRate& found, double loss_max, std::size_t datagram_bytes) {
  json::object object = rate_json(found.pps, datagram_bytes);
  object["is_at_least"] = found.is_at_least;
  object["loss_percent_max"] = loss_max * 100;
  return object;
}

json::object place_of(const NoDropResult& result) {
  json::object place = environment();
  place["tsc_hz"] = result.tsc_hz;
  place["pages"] = result.uses_huge_pages ? kHugePages : "4 KiB";
  place["kernels"] = result.kernels;
  place["steal_percent"] = result.steal_percent;
  // The generator's core too.
  place["workers"] = 2;
  mark_comparative(place);
  return place;
}

json::array trials_json(const std::vector<Trial>& trials) {
  json::array list;
  for (const Trial& trial : trials) {
    list.push_back({{"wanted_mpps", trial.wanted_pps / 1e6},
                    {"offered_mpps", trial.offered_pps / 1e6},
                    {"offered", trial.offered},
                    {"lost", trial.lost},
                    {"interruptions", trial.interruptions}});
  }
  return list;
}

}  // namespace

json::object no_drop_json(const NoDropResult& result) {
  const ForwardOptions& traffic = result.options.traffic;
  json::object object = {{"schema", "allium.bench.no_drop/1"},
                         {"class", traffic.packet_class == onion::PacketClass::v ? "v" : "d"},
                         {"ip", traffic.is_v6 ? 6 : 4},
                         {"valid", result.is_valid()},
                         {"datagram_bytes", result.datagram_bytes},
                         {"packets", result.packets},
                         {"sessions", traffic.sessions},
                         {"loop_bytes", result.packets * result.datagram_bytes},
                         {"burst", traffic.burst},
                         {"ring_frames", kRingFrames},
                         {"replay_rate_mpps", traffic.replay_mpps},
                         {"trial_seconds", result.options.trial_seconds},
                         {"step_percent", result.options.step_percent},
                         {"environment", place_of(result)},
                         {"accepted", result.accepted},
                         {"received", result.outcome.received},
                         {"forwarded", result.outcome.forwarded},
                         {"counted_by_sink", result.outcome.sink},
                         {"written_to_replay_set", result.outcome.written},
                         {"accepted_by_next_relay", result.accepted_by_next},
                         {"drops", result.outcome.drops},
                         {"trials", trials_json(result.trials)}};
  if (result.is_valid()) {
    object["no_drop"] = found_json(result.no_drop, 0, result.datagram_bytes);
    object["partial_drop"] = found_json(result.partial_drop, kPartialDrop, result.datagram_bytes);
    object["flooded"] = rate_json(result.forwarded_most_pps, result.datagram_bytes);
    object["generator_mpps"] = result.generator_pps / 1e6;
  }
  return object;
}

}  // namespace allium::bench
