// SPDX-License-Identifier: Apache-2.0
#include "tests/kat/vector_world.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "dataplane/onion/time_index.hpp"

namespace allium::kat {
namespace {

namespace json = boost::json;
using onion::Burst;
using onion::Outgoing;
using onion::PacketType;
using onion::Verdict;

constexpr std::size_t kRelaysMax = 256;
constexpr std::size_t kReplayLines = 64;
constexpr std::size_t kHandleLimitMax = 4096;
constexpr std::size_t kKeyBytes = 32;

struct FreeAligned {
  void operator()(std::byte* memory) const noexcept { std::free(memory); }
};

class AlignedMemory {
 public:
  explicit AlignedMemory(std::size_t byte_count)
      : size_((byte_count + 63) / 64 * 64),
        memory_(static_cast<std::byte*>(std::aligned_alloc(64, size_))),
        asked_(byte_count) {
    std::fill_n(memory_.get(), size_, std::byte{0});
  }

  [[nodiscard]] std::span<std::byte> span() noexcept { return {memory_.get(), asked_}; }

 private:
  std::size_t size_;
  std::unique_ptr<std::byte, FreeAligned> memory_;
  std::size_t asked_;
};

template <typename T>
T value_of(Result<T> result) {
  if (!result) {
    throw VectorError(result.error().text);
  }
  return std::move(*result);
}

std::uint64_t number_of(std::string_view text) {
  char* end = nullptr;
  const std::string copy(text);
  const std::uint64_t number = std::strtoull(copy.c_str(), &end, 10);
  if (copy.empty() || *end != '\0') {
    throw VectorError("\"" + copy + "\" is not a number");
  }
  return number;
}

Secret<16> secret_field(const json::object& object, std::string_view name) {
  return Secret<16>(std::span<const std::uint8_t, 16>(array_of<16>(object, name)));
}

VectorRelay parse_relay(const json::object& object) {
  VectorRelay relay;
  relay.id = static_cast<std::uint32_t>(hex_number(text_field(object, "id")));
  if (crypto_accel::relay_id(array_of<kKeyBytes>(object, "identity")) != relay.id) {
    throw VectorError("a relay's id is not that of its identity");
  }
  relay.address = text_field(object, "addr");
  relay.endpoint = parse_endpoint(relay.address, number_field(object, "port"));
  for (const auto& [hour, keys] : object_field(object, "x25519")) {
    VectorRelay::Hour& target = relay.hours[number_of(hour)];
    target.private_key.bytes() = array_of<kKeyBytes>(as_object(keys), "priv");
    target.public_key = array_of<kKeyBytes>(as_object(keys), "pub");
  }
  for (const auto& [epoch, keys] : object_field(object, "epochs")) {
    const json::object& fields = as_object(keys);
    onion::EpochSecrets& target = relay.epochs[number_of(epoch)];
    target.epoch = number_of(epoch);
    target.segment = secret_field(fields, "A");
    target.secret = secret_field(fields, "B");
    target.return_block = secret_field(fields, "E");
    target.replay = secret_field(fields, "R");
    target.cookie = secret_field(fields, "C");
  }
  return relay;
}

// Bytes 32 to 63: gamma of D and V, half of eph and gamma of S, half of the block of R. So many of them
// that no packet which a vector spoilt can come out whole; bit 7 stays, since it states the hour in S.
void spoil(ByteString& datagram, std::size_t lane) {
  for (std::size_t at = 32; at < 64; ++at) {
    datagram[at] ^= static_cast<std::uint8_t>(0x40 | lane);
  }
}

std::string id_text(std::uint32_t id) {
  std::array<char, 9> text{};
  std::snprintf(text.data(), text.size(), "%08x", id);
  return text.data();
}

json::object return_json(const onion::ReturnContext& context) {
  return {{"prev_type", static_cast<std::uint64_t>(context.previous_type)},
          {"prev", to_hex(context.previous)},
          {"k_ret", to_hex(context.k_ret)},
          {"depth", context.depth},
          {"live", to_hex(Bytes(context.live).first(std::size_t{48} * context.depth))}};
}

}  // namespace

std::string Feed::complaint() const {
  if (drawn_ == bytes_.size()) {
    return {};
  }
  return "random: " + std::to_string(bytes_.size()) + " bytes expected to be drawn, " +
         std::to_string(drawn_) + " were";
}

void Feed::fill(void* self, std::uint8_t* target, std::size_t byte_count) noexcept {
  auto& feed = *static_cast<Feed*>(self);
  for (std::size_t i = 0; i < byte_count; ++i) {
    const std::size_t at = feed.drawn_ + i;
    target[i] = at < feed.bytes_.size() ? feed.bytes_[at] : 0;
  }
  feed.drawn_ += byte_count;
}

// A relay's memory of one case.
struct World::State {
  State(const crypto_accel::KernelSet& kernels, std::size_t handle_limit, std::uint64_t slot_floor,
        std::uint64_t first_handle)
      : limits{handle_limit, 0, 0},
        replay_memory(onion::ReplaySet::bytes_needed(kReplayLines)),
        handle_memory(onion::HandleTable::bytes_needed(limits)),
        replay(value_of(onion::ReplaySet::attach(replay_memory.span(), kReplayLines, slot_floor))),
        handles(value_of(onion::HandleTable::attach(handle_memory.span(), limits, first_handle))),
        relay(parts(kernels)) {}

  onion::RelayParts parts(const crypto_accel::KernelSet& kernels) {
    onion::RelayParts made;
    made.kernels = kernels;
    made.replay = &replay;
    made.handles = &handles;
    made.bridge = &bridge;
    made.sequence = {&seq, take};
    made.salt = {&salt, take};
    made.random = {this, draw};
    made.sink = {this, deliver};
    return made;
  }

  static bool take(void* counter, std::uint64_t, std::uint64_t& number) noexcept {
    number = (*static_cast<std::uint64_t*>(counter))++;
    return true;
  }

  static void draw(void* self, std::uint8_t* target, std::size_t byte_count) noexcept {
    const Random source = static_cast<State*>(self)->feed->source();
    source.fill(source.state, target, byte_count);
  }

  static bool deliver(void* self, const onion::Delivery& delivery) noexcept {
    json::object result{{"verdict", "deliver"},
                        {"service", delivery.service},
                        {"type", onion::type_info(delivery.type).name},
                        {"T", to_hex({delivery.t, 16})},
                        {"data", to_hex({delivery.data, delivery.data_bytes})}};
    if (delivery.context != nullptr && delivery.service == 1) {
      result["return"] = return_json(*delivery.context);
    }
    static_cast<State*>(self)->deliveries.emplace_back(std::move(result));
    return true;
  }

  onion::HandleLimits limits;
  AlignedMemory replay_memory;
  AlignedMemory handle_memory;
  onion::ReplaySet replay;
  onion::HandleTable handles;
  onion::Bridge bridge;
  std::uint64_t seq = 0;
  std::uint64_t salt = 0;
  bool cookie_required = true;
  Feed* feed = nullptr;
  json::array deliveries;
  onion::Relay relay;
};

World::World(const json::object& network, const crypto_accel::KernelSet& kernels,
             std::size_t lane_count)
    : kernels_(kernels),
      lane_count_(lane_count),
      handle_limit_(number_field(network, "handle_limit")),
      batch_(*kernels.onion) {
  const json::array& relays = array_field(network, "relays");
  if (relays.size() > kRelaysMax || handle_limit_ == 0 || handle_limit_ > kHandleLimitMax) {
    throw VectorError("a number of `network` is out of range");
  }
  for (const json::value& relay : relays) {
    relays_.push_back(parse_relay(as_object(relay)));
    index_of_id_[relays_.back().id] = relays_.size() - 1;
  }
  reset({});
}

World::~World() = default;

void World::reset(const json::object& state) {
  states_.clear();
  for (std::size_t index = 0; index < relays_.size(); ++index) {
    const json::value* given = state.if_contains(std::to_string(index));
    const json::object empty;
    const json::object& fields = given != nullptr ? as_object(*given) : empty;
    const auto number = [&](std::string_view name, std::uint64_t otherwise) {
      return fields.contains(name) ? number_field(fields, name) : otherwise;
    };
    auto made = std::make_unique<State>(kernels_, handle_limit_, number("slot_floor", 0),
                                        number("handle", 1));
    made->seq = number("seq", 0);
    made->salt = fields.contains("salt") ? hex_number(text_field(fields, "salt")) : 0;
    made->cookie_required =
        !fields.contains("cookie_required") || flag_field(fields, "cookie_required");
    states_.push_back(std::move(made));
  }
}

const VectorRelay& World::relay(std::uint64_t index) const {
  if (index >= relays_.size()) {
    throw VectorError("there is no relay " + std::to_string(index));
  }
  return relays_[index];
}

const onion::LinkSecrets* World::link(std::uint64_t from, std::uint64_t to, std::uint64_t epoch) {
  const LinkName name{from, to, epoch};
  const auto known = links_.find(name);
  if (known != links_.end()) {
    return known->second.get();
  }
  const std::uint64_t hour = epoch / 6;
  const VectorRelay& own = relay(from);
  const VectorRelay& peer = relay(to);
  std::unique_ptr<onion::LinkSecrets> made;
  if (own.hours.contains(hour) && peer.hours.contains(hour)) {
    const VectorRelay::Hour& key = own.hours.at(hour);
    std::optional<onion::LinkSecrets> derived =
        onion::derive_link_secrets(key.private_key, {own.id, key.public_key},
                                   {peer.id, peer.hours.at(hour).public_key}, epoch);
    if (derived) {
      made = std::make_unique<onion::LinkSecrets>(std::move(*derived));
    }
  }
  return (links_[name] = std::move(made)).get();
}

// What the controlling process would have given this relay for that moment.
std::unique_ptr<const onion::RelaySnapshot> World::snapshot(std::uint64_t index,
                                                            std::uint64_t now_ms) {
  const VectorRelay& own = relay(index);
  const std::uint64_t now = onion::epoch_of(now_ms);
  onion::SnapshotConfig config;
  config.own_id = own.id;
  config.own_endpoint = own.endpoint;
  config.cookie_required = states_[index]->cookie_required;
  for (const std::uint64_t epoch : {now - 1, now, now + 1}) {
    if (const auto found = own.epochs.find(epoch); found != own.epochs.end()) {
      onion::EpochSecrets& target = config.epochs.emplace_back();
      target.epoch = epoch;
      target.segment.copy_from(found->second.segment);
      target.secret.copy_from(found->second.secret);
      target.return_block.copy_from(found->second.return_block);
      target.replay.copy_from(found->second.replay);
      target.cookie.copy_from(found->second.cookie);
    }
  }
  const std::uint64_t this_hour = onion::hour_of(now_ms);
  for (const std::uint64_t hour : {this_hour - 1, this_hour, this_hour + 1}) {
    if (const auto found = own.hours.find(hour); found != own.hours.end()) {
      onion::HourKey& target = config.hours.emplace_back();
      target.hour = hour;
      target.private_key.copy_from(found->second.private_key);
      target.public_key = found->second.public_key;
    }
  }
  for (std::size_t other = 0; other < relays_.size(); ++other) {
    if (other == index) {
      continue;
    }
    onion::PeerConfig& peer = config.peers.emplace_back();
    peer.id = relays_[other].id;
    peer.endpoint = relays_[other].endpoint;
    for (const std::uint64_t epoch : {now - 1, now, now + 1}) {
      if (const onion::LinkSecrets* secrets = link(index, other, epoch)) {
        onion::LinkSecrets& target = peer.links.emplace_back();
        target.epoch = epoch;
        target.in_mac.copy_from(secrets->in_mac);
        target.in_veil.copy_from(secrets->in_veil);
        target.out_mac.copy_from(secrets->out_mac);
        target.out_veil.copy_from(secrets->out_veil);
      }
    }
  }
  return value_of(onion::RelaySnapshot::build(config, batch_));
}

json::object World::forward_result(const Burst& burst, std::size_t lane) const {
  const onion::Target& target = burst.target[lane];
  json::object next;
  if (target.to_relay) {
    const VectorRelay& peer = relays_[index_of_id_.at(target.relay_id)];
    next = {{"kind", "relay"},
            {"id", id_text(target.relay_id)},
            {"addr", address_text(target.endpoint)},
            {"port", peer.endpoint.port}};
  } else {
    next = {{"kind", "client"},
            {"addr", address_text(target.endpoint)},
            {"port", target.endpoint.port}};
  }
  json::object result{{"verdict", "forward"},
                      {"next", std::move(next)},
                      {"out", to_hex({burst.data[lane], burst.bytes[lane]})}};
  const bool is_setup = burst.type[lane] == PacketType::s0 || burst.type[lane] == PacketType::s1;
  if (burst.outgoing[lane] == Outgoing::forward && is_setup) {
    result["delay_ms"] = 10 * std::uint64_t{burst.delay_10ms[lane]};
  }
  return result;
}

json::array World::results(const Burst& burst, std::size_t lane,
                           const json::array& deliveries) const {
  json::array list;
  if (onion::is_drop(burst.verdict[lane])) {
    list.emplace_back(
        json::object{{"verdict", "drop"}, {"reason", onion::verdict_name(burst.verdict[lane])}});
  } else {
    for (const json::value& delivery : deliveries) {
      list.push_back(delivery);
    }
  }
  if (burst.outgoing[lane] != Outgoing::none) {
    list.emplace_back(forward_result(burst, lane));
  }
  return list;
}

json::array World::receive(std::uint64_t index, std::uint64_t now_ms, const onion::Endpoint& source,
                           const ByteString& datagram, Feed& feed) {
  const auto keys = snapshot(index, now_ms);
  State& state = *states_[index];
  state.feed = &feed;
  state.deliveries.clear();
  state.replay.raise_floor(onion::slot_of(now_ms) - 1);
  state.replay.clear_all_due();

  const std::size_t room = std::max(datagram.size(), onion::kDatagramBytesMax);
  std::vector<ByteString> buffers(lane_count_, datagram);
  Burst burst;
  burst.count = lane_count_;
  for (std::size_t lane = 0; lane < lane_count_; ++lane) {
    buffers[lane].resize(room);
    if (lane + 1 < lane_count_) {
      spoil(buffers[lane], lane);
    }
    burst.data[lane] = buffers[lane].data();
    burst.bytes[lane] = static_cast<std::uint16_t>(std::min<std::size_t>(datagram.size(), 0xffff));
    burst.source[lane] = source;
  }
  state.relay.run(*keys, burst, now_ms);
  return results(burst, lane_count_ - 1, state.deliveries);
}

// An answer of a service, in the last lane of a burst that is otherwise empty.
struct World::Lane {
  explicit Lane(std::size_t lane_count)
      : buffers(lane_count, ByteString(onion::kDatagramBytesMax)) {
    burst.count = lane_count;
    for (std::size_t lane = 0; lane < lane_count; ++lane) {
      burst.data[lane] = buffers[lane].data();
      burst.verdict[lane] = Verdict::forward;
    }
  }

  std::vector<ByteString> buffers;
  Burst burst;
};

json::array World::reply_return(std::uint64_t index, std::uint64_t now_ms,
                                const onion::ReturnContext& context, std::uint64_t seq,
                                const ByteString& data, Feed& feed) {
  const auto keys = snapshot(index, now_ms);
  State& state = *states_[index];
  state.feed = &feed;
  Lane made(lane_count_);
  const std::size_t lane = lane_count_ - 1;
  state.relay.reply_return(*keys, context, seq, data, made.burst, lane, now_ms);
  state.relay.transmit(*keys, made.burst, now_ms);
  return results(made.burst, lane, {});
}

json::array World::reply_block(std::uint64_t index, std::uint64_t now_ms,
                               onion::PacketClass packet_class, const ByteString& block,
                               std::uint64_t seq, const ByteString& data, Feed& feed) {
  const auto keys = snapshot(index, now_ms);
  State& state = *states_[index];
  state.feed = &feed;
  Lane made(lane_count_);
  const std::size_t lane = lane_count_ - 1;
  state.relay.reply_block(*keys, packet_class, block, seq, data, made.burst, lane, now_ms);
  state.relay.transmit(*keys, made.burst, now_ms);
  return results(made.burst, lane, {});
}

}  // namespace allium::kat
