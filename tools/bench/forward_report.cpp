// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <boost/json.hpp>

#include "dataplane/onion/stage_probe.hpp"
#include "tools/bench/environment.hpp"
#include "tools/bench/forward_measurement.hpp"
#include "tools/bench/statistics.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

const char* name_of(onion::PacketClass packet_class) {
  switch (packet_class) {
    case onion::PacketClass::v:
      return "v";
    case onion::PacketClass::s0:
      return "s";
    default:
      return "d";
  }
}

std::size_t workers_max(const ForwardResult& result) {
  std::size_t most = 0;
  for (const ContenderResult& contender : result.contenders) {
    most = std::max(most, contender.workers);
  }
  return most;
}

json::object place_of(const ForwardResult& result) {
  const ContenderResult& first = result.contenders.front();
  json::object place = environment();
  place["tsc_hz"] = result.tsc_hz;
  place["pages"] = result.uses_huge_pages ? kHugePages : "4 KiB";
  place["replay_set_huge_bytes"] = result.replay_set_huge_bytes;
  place["kernels"] = first.kernels;
  place["steal_percent"] = result.steal_percent;
  place["spread_percent"] = spread_percent(first.cycles);
  place["preemptions"] = result.preemptions;
  place["workers"] = workers_max(result);
  mark_comparative(place);
  return place;
}

void add_cycles(const ContenderResult& contender, json::object& target) {
  const auto [low, high] = std::minmax_element(contender.cycles.begin(), contender.cycles.end());
  target["cycles_per_packet"] = median(contender.cycles);
  target["cycles_per_packet_min"] = *low;
  target["cycles_per_packet_max"] = *high;
  target["cycles_per_packet_mean"] = contender.cycles_mean;
}

void add_figures(const ForwardResult& result, json::object& target) {
  const ContenderResult& first = result.contenders.front();
  const double pps = static_cast<double>(result.tsc_hz) / median(first.cycles);
  target["mpps"] = pps / 1e6;
  target["gbit_s"] = pps * static_cast<double>(result.datagram_bytes) * 8 / 1e9;
  add_cycles(first, target);
  target["spread_percent"] = spread_percent(first.cycles);
  target["io_cycles_per_packet"] = median(result.io_cycles);
  target["udp_checksum_cycles"] = median(result.udp_checksum_cycles);
  target["cycles_without_io"] = median(first.cycles) - median(result.io_cycles);
}

void add_counts(const ContenderResult& contender, json::object& target) {
  target["received"] = contender.outcome.received;
  target["forwarded"] = contender.outcome.forwarded;
  target["counted_by_sink"] = contender.outcome.sink;
  target["written_to_replay_set"] = contender.outcome.written;
  target["accepted_by_next_relay"] = contender.accepted;
  target["drops"] = contender.outcome.drops;
}

// How many times faster the first is: the median of the repeats' ratios, in each of which the two took turns.
void add_ratio(const ContenderResult& first, const ContenderResult& other, json::object& target) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < first.cycles.size(); ++i) {
    ratios.push_back(other.cycles[i] / first.cycles[i]);
  }
  const auto [low, high] = std::minmax_element(ratios.begin(), ratios.end());
  target["ratio"] = median(ratios);
  target["ratio_min"] = *low;
  target["ratio_max"] = *high;
}

void add_stages(const ForwardResult& result, json::object& target) {
  json::object stages;
  for (std::size_t i = 0; i < onion::kStageCount; ++i) {
    if (result.stage_cycles[i] != 0) {
      stages[onion::kStageNames[i]] = result.stage_cycles[i];
    }
  }
  target["stages"] = std::move(stages);
  target["cycles_per_packet_with_stage_clock"] = median(result.staged->cycles);
}

json::object compared_json(const ForwardResult& result, const ContenderResult& other) {
  json::object object = {{"kernels", other.kernels},
                         {"burst", other.burst},
                         {"bad_tag_percent", other.bad_tag_percent},
                         {"workers", other.workers},
                         {"valid", other.is_valid}};
  add_counts(other, object);
  if (result.is_valid()) {
    add_cycles(other, object);
    add_ratio(result.contenders.front(), other, object);
  }
  return object;
}

}  // namespace

json::object forward_json(const ForwardResult& result) {
  const ForwardOptions& options = result.options;
  const ContenderResult& first = result.contenders.front();
  const bool is_setup = options.packet_class == onion::PacketClass::s0;
  json::object object = {{"schema", "allium.bench.forward/1"},
                         {"class", name_of(options.packet_class)},
                         {"ip", options.is_v6 ? 6 : 4},
                         {"valid", result.is_valid()},
                         {"backend", options.backend == Backend::ring ? "ring" : "pcap"},
                         {"workers", first.workers},
                         {"bad_tag_percent", first.bad_tag_percent},
                         {"datagram_bytes", result.datagram_bytes},
                         {"frame_bytes", result.frame_bytes},
                         {"packets", result.packets},
                         {"sessions", is_setup ? result.packets : options.sessions},
                         {"loop_bytes", result.packets * result.datagram_bytes},
                         {"replay_set_bytes", result.replay_set_bytes},
                         {"replay_rate_mpps", options.replay_mpps},
                         {"burst", first.burst},
                         {"slice_packets", result.slice_packets},
                         {"repeats", options.repeats},
                         {"passes", options.passes},
                         {"environment", place_of(result)}};
  add_counts(first, object);
  if (result.is_valid()) {
    add_figures(result, object);
  }
  if (result.is_valid() && result.staged) {
    add_stages(result, object);
  }
  json::array others;
  for (std::size_t i = 1; i < result.contenders.size(); ++i) {
    others.push_back(compared_json(result, result.contenders[i]));
  }
  if (!others.empty()) {
    object["compared"] = others.front();
    object["contenders"] = std::move(others);
  }
  return object;
}

}  // namespace allium::bench
