// SPDX-License-Identifier: Apache-2.0

// One relay and a million packets: valid ones of every type among truncated, random, replayed, expired
// and mutated ones, in bursts, while the clock runs through a change of epoch. Every packet ends in
// exactly one verdict, the verdicts are those that its kind must have, and the sums balance.
//
// ALLIUM_PACKETS says how many; without it a million, and under sanitizers a hundred thousand unless
// ALLIUM_LONG is set.

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "dataplane/onion/time_index.hpp"
#include "tests/property/onion_world.hpp"

namespace allium::property {
namespace {

using onion::PacketClass;
using onion::PacketType;
using onion::Service;
using onion::Verdict;

constexpr std::size_t kUnderTest = kRelayUnderTest;
constexpr std::size_t kBefore = 0;  ///< the relay on the client's side of it
constexpr std::size_t kBehind = 2;
constexpr std::size_t kFar = 3;
constexpr std::size_t kRecentMax = 512;
constexpr std::uint64_t kPacketsPerSecond = 5000;
constexpr std::uint64_t kBeforeChangeMs = kEpochStartMs + 500'000;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

std::uint64_t packet_count() {
  if (const char* wish = std::getenv("ALLIUM_PACKETS")) {
    return std::strtoull(wish, nullptr, 10);
  }
  return kSanitized && std::getenv("ALLIUM_LONG") == nullptr ? 100'000 : 1'000'000;
}

enum class Kind : std::uint8_t {
  valid,
  no_cookie,
  unknown_service,
  truncated,
  random,
  replayed,
  stale_slot,
  expired_segment,
  expired_return,
  old_link_key,
  mutated,   ///< as an outsider can
  resealed,  ///< as a peer can, who has the link's keys
};

constexpr std::size_t kKinds = static_cast<std::size_t>(Kind::resealed) + 1;

struct Sent {
  Kind kind{};
  std::size_t from = kClient;  ///< kClient or a relay
  onion::Endpoint source;
  Buffer datagram;
};

/// How many in a thousand are of each kind; what is left is valid.
struct Mix {
  std::uint64_t truncated;
  std::uint64_t random;
  std::uint64_t replayed;
  std::uint64_t expired;
  std::uint64_t mutated;
};

constexpr Mix kEvenMix = {80, 100, 120, 100, 300};
constexpr Mix kGarbageStorm = {150, 480, 100, 100, 150};  // 20 in a thousand are valid

struct Totals {
  std::uint64_t received = 0;
  std::array<std::uint64_t, onion::kVerdictCount> verdicts{};
  std::array<std::uint64_t, kKinds> kinds{};
  std::array<std::uint64_t, 9> valid_types{};
  std::array<std::uint64_t, 9> dropped_types{};
  std::uint64_t forwarded = 0;
  std::uint64_t answers = 0;
  std::uint64_t challenges = 0;
  std::uint64_t wrong = 0;
  std::string first_wrong;

  [[nodiscard]] std::uint64_t of(Verdict verdict) const {
    return verdicts[static_cast<std::size_t>(verdict)];
  }
};

class Crowd {
 public:
  explicit Crowd(const Mix& mix, std::uint64_t seed)
      : mix_(mix), world_(options(seed)), random_(seed ^ 0x5eed) {
    returns_ = make_returns();
    // A relay that keeps a million deliveries would test the machine's memory.
    for (std::size_t i = 0; i < world_.relay_count(); ++i) {
      world_.relay(i).keeps_deliveries = false;
    }
  }

  Totals run(std::uint64_t packets);

 private:
  static WorldOptions options(std::uint64_t seed) {
    WorldOptions options;
    options.seed = seed;
    options.worker_count = 2;
    options.now_ms = kBeforeChangeMs;
    options.cookie_required = true;
    options.replay_lines = 8192;
    return options;
  }

  Sent next();
  Sent next_valid();
  Sent valid_forward(PacketClass packet_class);
  Sent valid_backward(PacketClass packet_class);
  Sent valid_setup(PacketType type);
  Sent unknown_service();
  Sent truncated();
  Sent random_bytes();
  Sent expired();
  Sent expired_segment();
  Sent changed();
  void answer(const Sent& sent, const onion::Burst& burst, std::size_t lane);
  void judge(const Sent& sent, const onion::Burst& burst, std::size_t lane);
  void remember(const Sent& sent);
  void stamp(Buffer& datagram);
  std::vector<Buffer> make_returns();
  const ClientPath& path(const std::vector<std::size_t>& relays, Service service);
  [[nodiscard]] Buffer with_cookie(std::size_t entry, onion::SetupPacket& setup);

  Mix mix_;
  World world_;
  SeededRandom random_;
  std::vector<Buffer> returns_;  ///< R for the relay under test whose block has run out
  std::vector<Sent> recent_;
  std::size_t recent_next_ = 0;
  std::vector<Sent> waiting_;  ///< valid R packets that answers have made
  std::map<std::vector<std::size_t>, ClientPath> paths_;
  std::uint64_t paths_epoch_ = 0;
  std::map<std::pair<std::size_t, std::uint64_t>, onion::Cookie> cookies_;
  std::uint64_t seq_ = 1;
  std::uint64_t link_seq_ = std::uint64_t{1} << 36;
  Totals totals_;
};

const ClientPath& Crowd::path(const std::vector<std::size_t>& relays, Service service) {
  const std::uint64_t epoch = onion::epoch_of(world_.now_ms);
  if (epoch != paths_epoch_) {
    paths_.clear();
    paths_epoch_ = epoch;
  }
  std::vector<std::size_t> key = relays;
  key.push_back(1000 + static_cast<std::size_t>(service));
  const auto found = paths_.find(key);
  return found != paths_.end()
             ? found->second
             : paths_.emplace(key, world_.make_path(relays, service)).first->second;
}

// What the relay before would put in front of a packet that it sends on.
void Crowd::stamp(Buffer& datagram) {
  datagram[onion::kKeyIdOffset] = static_cast<std::uint8_t>(onion::epoch_of(world_.now_ms));
  store_be(datagram.data() + onion::kSeqOffset, link_seq_++, onion::kSeqBytes);
}

Sent Crowd::valid_forward(PacketClass packet_class) {
  // A packet of a path from here on is what the relay before sends of a longer one.
  static const std::array<std::vector<std::size_t>, 3> kRests = {
      {{kUnderTest}, {kUnderTest, kBehind}, {kUnderTest, kBehind, kFar}}};
  const auto& rest = kRests[random_.below(kRests.size())];
  constexpr std::array<Service, 3> kServices = {Service::storage, Service::echo, Service::drop};
  const Service service = kServices[random_.below(kServices.size())];
  const ClientPath& chosen = path(rest, service);
  Sent sent{Kind::valid, kClient, world_.client, {}};
  sent.datagram = service == Service::echo ? world_.echo_packet(chosen, packet_class, seq_++)
                                           : world_.data_packet(chosen, packet_class, seq_++);
  if (random_.one_in(2)) {
    sent.from = kBefore;
    sent.source = world_.relay(kBefore).endpoint();
    stamp(sent.datagram);
    world_.seal(kBefore, kUnderTest, sent.datagram);
  }
  return sent;
}

Sent Crowd::valid_backward(PacketClass packet_class) {
  const ClientPath& chosen = path({kUnderTest, kBehind}, Service::echo);
  // The terminal's half of the path alone: as if the relay under test had sent the packet on.
  const ClientPath& rest = path({kBehind}, Service::echo);
  Buffer request =
      world_.data_packet(rest, packet_class, seq_++, chosen.reply_of(packet_class).view());
  stamp(request);
  world_.seal(kUnderTest, kBehind, request);
  const Outcome answer =
      world_.relay(kBehind).run(0, world_.relay(kUnderTest).endpoint(), request, world_.now_ms);
  EXPECT_EQ(answer.outgoing, onion::Outgoing::answer);
  return {Kind::valid, kBehind, world_.relay(kBehind).endpoint(), answer.datagram};
}

Buffer Crowd::with_cookie(std::size_t entry, onion::SetupPacket& setup) {
  const Bytes view = setup.datagram.view();
  const std::pair key(entry, onion::epoch_of(world_.now_ms));
  if (!cookies_.contains(key)) {
    Outcome challenge =
        world_.relay(entry).run(0, world_.client, Buffer(view.begin(), view.end()), world_.now_ms);
    EXPECT_EQ(challenge.outgoing, onion::Outgoing::challenge);
    cookies_[key] = onion::challenge_cookie(challenge.datagram);
  }
  onion::put_cookie(MutableBytes(setup.datagram.bytes).first(setup.datagram.byte_count),
                    cookies_[key]);
  return {view.begin(), view.end()};
}

Sent Crowd::valid_setup(PacketType type) {
  const bool has_relay_before = random_.one_in(2);
  std::vector<std::size_t> relays;
  if (has_relay_before) {
    relays.push_back(kBefore);
  }
  relays.push_back(kUnderTest);
  if (random_.one_in(2)) {
    relays.push_back(kBehind);
  }
  onion::SetupPacket setup = world_.setup_packet(relays, type, Service::echo);
  if (!has_relay_before && random_.one_in(8)) {
    const Bytes view = setup.datagram.view();
    return {Kind::no_cookie, kClient, world_.client, Buffer(view.begin(), view.end())};
  }
  Sent sent{Kind::valid, kClient, world_.client, with_cookie(relays.front(), setup)};
  if (has_relay_before) {
    const Outcome on = world_.relay(kBefore).run(0, world_.client, sent.datagram, world_.now_ms);
    EXPECT_EQ(on.verdict, Verdict::forward);
    sent = {Kind::valid, kBefore, world_.relay(kBefore).endpoint(), on.datagram};
  }
  return sent;
}

Sent Crowd::next_valid() {
  if (!waiting_.empty()) {
    Sent sent = std::move(waiting_.back());
    waiting_.pop_back();
    return sent;
  }
  const std::uint64_t dice = random_.below(1000);
  if (dice < 20) {
    return valid_setup(random_.one_in(2) ? PacketType::s0 : PacketType::s1);
  }
  const PacketClass packet_class = random_.one_in(2) ? PacketClass::d : PacketClass::v;
  return dice < 600 ? valid_forward(packet_class) : valid_backward(packet_class);
}

Sent Crowd::unknown_service() {
  const ClientPath& chosen = path({kUnderTest}, static_cast<Service>(77));
  return {Kind::unknown_service, kClient, world_.client,
          world_.data_packet(chosen, PacketClass::v, seq_++)};
}

Sent Crowd::truncated() {
  if (recent_.empty()) {
    return random_bytes();
  }
  Sent sent = recent_[random_.below(recent_.size())];
  sent.kind = Kind::truncated;
  const std::size_t full = sent.datagram.size();
  sent.datagram.resize(random_.one_in(4) ? onion::kSmallBytes : random_.below(full));
  if (sent.datagram.size() == full || sent.datagram.size() == onion::kChallengeBytes) {
    sent.datagram.resize(full - 1);
  }
  return sent;
}

Sent Crowd::random_bytes() {
  constexpr std::array<std::size_t, 3> kSizes = {onion::kChallengeBytes, onion::kSmallBytes,
                                                 onion::kLargeBytes};
  Sent sent{Kind::random, kClient, world_.client, random_.bytes(kSizes[random_.below(3)])};
  if (random_.one_in(4)) {
    sent.source = client_v6(static_cast<std::uint16_t>(random_.below(9)), 0, 1);
  } else if (random_.one_in(3)) {
    sent.from = kBehind;
    sent.source = world_.relay(kBehind).endpoint();
  }
  // Half of them get as far as a random packet can: right version, type, length, slot and key.
  if (random_.one_in(2)) {
    const auto type = static_cast<PacketType>(1 + random_.below(7));
    sent.datagram = random_.bytes(onion::type_info(type).total_bytes);
    sent.datagram[0] = static_cast<std::uint8_t>(0x10 | static_cast<unsigned>(type));
    sent.datagram[onion::kSlotOffset] = static_cast<std::uint8_t>(onion::slot_of(world_.now_ms));
    if (sent.from != kClient) {
      stamp(sent.datagram);
      world_.seal(sent.from, kUnderTest, sent.datagram);
    }
  }
  return sent;
}

// R whose block is older than 120 s: made at the start, when the clock stood earlier.
std::vector<Buffer> Crowd::make_returns() {
  const std::uint64_t now_ms = world_.now_ms;
  world_.now_ms -= 400'000;
  std::vector<Buffer> returns;
  for (int i = 0; i < 8; ++i) {
    onion::SetupPacket setup =
        world_.setup_packet({kUnderTest, kBehind}, PacketType::s0, Service::echo);
    const Buffer datagram = with_cookie(kUnderTest, setup);
    Watch watch = [&](std::size_t from, std::size_t to, Buffer& packet) {
      if (from == kBehind && to == kUnderTest) {
        returns.push_back(packet);
        world_.lift(from, to, returns.back());
      }
    };
    world_.travel(kClient, kUnderTest, datagram, watch);
  }
  cookies_.clear();
  world_.now_ms = now_ms;
  return returns;
}

Sent Crowd::expired_segment() {
  static constexpr std::array<std::uint8_t, 6> kService = {0, 4, 0, 0, 0, 0};
  Block plain = world_.plain_segment(4, onion::epoch_of(world_.now_ms), kService);
  store_be(plain.data() + 1, onion::unit10_of(world_.now_ms) - random_.below(1000), 2);
  ClientPath chosen = world_.make_path({kUnderTest}, Service::drop);
  const std::uint64_t epoch = onion::epoch_of(world_.now_ms);
  chosen.session.hop[0].segment_forward = world_.seal_segment(kUnderTest, epoch, plain);
  chosen.session.hop[0].secret.bytes() = world_.segment_secret(kUnderTest, epoch, plain);
  return {Kind::expired_segment, kClient, world_.client,
          world_.data_packet(chosen, PacketClass::v, seq_++)};
}

Sent Crowd::expired() {
  switch (random_.below(4)) {
    case 0:
      return expired_segment();
    case 1: {
      Sent sent{Kind::expired_return, kBehind, world_.relay(kBehind).endpoint(),
                returns_[random_.below(returns_.size())]};
      sent.datagram[onion::kSlotOffset] = static_cast<std::uint8_t>(onion::slot_of(world_.now_ms));
      stamp(sent.datagram);
      world_.seal(kBehind, kUnderTest, sent.datagram);
      return sent;
    }
    case 2: {
      const std::uint64_t now_ms = world_.now_ms;
      world_.now_ms -= 8'000 * (2 + random_.below(20));
      const ClientPath& chosen = path({kUnderTest}, Service::drop);
      Sent sent{Kind::stale_slot, kClient, world_.client,
                world_.data_packet(chosen, PacketClass::v, seq_++)};
      world_.now_ms = now_ms;
      return sent;
    }
    default: {
      Sent sent{Kind::old_link_key, kBehind, world_.relay(kBehind).endpoint(), {}};
      sent.datagram = world_.data_packet(path({kUnderTest}, Service::drop), PacketClass::v, seq_++);
      stamp(sent.datagram);
      sent.datagram[onion::kKeyIdOffset] =
          static_cast<std::uint8_t>(onion::epoch_of(world_.now_ms) - 2 - random_.below(100));
      return sent;
    }
  }
}

// A field of its own for every packet, chosen evenly among its fields and not among its bits.
Sent Crowd::changed() {
  if (recent_.empty()) {
    return random_bytes();
  }
  Sent sent = recent_[random_.below(recent_.size())];
  sent.kind = Kind::mutated;
  const onion::TypeInfo& info = info_of(sent.datagram);
  const bool is_resealed = sent.from != kClient && random_.one_in(2);
  if (is_resealed) {
    world_.lift(sent.from, kUnderTest, sent.datagram);
    sent.kind = Kind::resealed;
  }

  struct Field {
    std::size_t first;
    std::size_t last;
  };

  const std::array<Field, 10> fields = {{{0, 0},
                                         {1, 1},
                                         {2, 2},
                                         {3, 7},
                                         {8, 15},
                                         {16, 31},
                                         {32, 47},
                                         {48, info.t_offset - 1U},
                                         {info.t_offset, info.x_r_offset - 1U},
                                         {info.x_r_offset, info.total_bytes - 1U}}};
  // A peer that seals again cannot claim another version or type and still have a link tag made here.
  const Field& field = fields[is_resealed ? 1 + random_.below(9) : random_.below(10)];
  const std::size_t byte = field.first + random_.below(field.last - field.first + 1);
  flip_bit(sent.datagram, byte * 8 + random_.below(8));
  if (is_resealed) {
    world_.seal(sent.from, kUnderTest, sent.datagram);
  }
  return sent;
}

Sent Crowd::next() {
  std::uint64_t dice = random_.below(1000);
  const auto falls_to = [&](std::uint64_t share) {
    const bool is_hit = dice < share;
    dice -= is_hit ? 0 : share;
    return is_hit;
  };
  if (falls_to(mix_.truncated)) {
    return truncated();
  }
  if (falls_to(mix_.random)) {
    return random_bytes();
  }
  if (falls_to(mix_.replayed)) {
    if (recent_.empty()) {
      return random_bytes();
    }
    Sent sent = recent_[random_.below(recent_.size())];
    sent.kind = Kind::replayed;
    return sent;
  }
  if (falls_to(mix_.expired)) {
    return expired();
  }
  if (falls_to(mix_.mutated)) {
    return changed();
  }
  return random_.one_in(100) ? unknown_service() : next_valid();
}

void Crowd::remember(const Sent& sent) {
  if (recent_.size() < kRecentMax) {
    recent_.push_back(sent);
  } else {
    recent_[recent_next_++ % kRecentMax] = sent;
  }
}

// A setup packet that goes on to a terminal comes back as R: one more valid packet.
void Crowd::answer(const Sent& sent, const onion::Burst& burst, std::size_t lane) {
  const PacketType type = type_of(sent.datagram);
  const bool is_setup = type == PacketType::s0 || type == PacketType::s1;
  if (!is_setup || burst.outgoing[lane] != onion::Outgoing::forward) {
    return;
  }
  const Buffer on(burst.data[lane], burst.data[lane] + burst.bytes[lane]);
  const Outcome answer =
      world_.relay(kBehind).run(0, world_.relay(kUnderTest).endpoint(), on, world_.now_ms);
  EXPECT_EQ(answer.outgoing, onion::Outgoing::answer);
  waiting_.push_back({Kind::valid, kBehind, world_.relay(kBehind).endpoint(), answer.datagram});
}

bool is_expected(Kind kind, Verdict verdict) {
  switch (kind) {
    case Kind::valid:
      return verdict == Verdict::forward || verdict == Verdict::deliver;
    case Kind::no_cookie:
      return verdict == Verdict::cookie;
    case Kind::unknown_service:
      return verdict == Verdict::svc_unknown;
    case Kind::truncated:
      return verdict == Verdict::length;
    case Kind::replayed:
      return verdict == Verdict::replay;
    case Kind::stale_slot:
      return verdict == Verdict::slot;
    case Kind::expired_segment:
      return verdict == Verdict::fs_expired;
    case Kind::expired_return:
      return verdict == Verdict::r_expired;
    case Kind::old_link_key:
      return verdict == Verdict::ll_key;
    case Kind::random:
    case Kind::mutated:
      return onion::is_drop(verdict);
    case Kind::resealed:  // backward, T is noise that a peer may change
      return verdict == Verdict::forward || onion::is_drop(verdict);
  }
  return false;
}

void Crowd::judge(const Sent& sent, const onion::Burst& burst, std::size_t lane) {
  const Verdict verdict = burst.verdict[lane];
  ++totals_.received;
  ++totals_.verdicts[static_cast<std::size_t>(verdict)];
  ++totals_.kinds[static_cast<std::size_t>(sent.kind)];
  const bool is_settled = verdict != Verdict::pending && verdict != Verdict::parked;
  if (!is_settled || !is_expected(sent.kind, verdict)) {
    ++totals_.wrong;
    if (totals_.first_wrong.empty()) {
      totals_.first_wrong = "packet " + std::to_string(totals_.received) + " of kind " +
                            std::to_string(static_cast<int>(sent.kind)) + ", type " +
                            std::to_string(sent.datagram.empty() ? 0 : sent.datagram[0] & 0x0f) +
                            ": " + std::string(onion::verdict_name(verdict));
    }
  }
  switch (burst.outgoing[lane]) {
    case onion::Outgoing::none:
      break;
    case onion::Outgoing::forward:
      ++totals_.forwarded;
      break;
    case onion::Outgoing::answer:
      ++totals_.answers;
      break;
    case onion::Outgoing::challenge:
      ++totals_.challenges;
      break;
  }
  if (sent.kind == Kind::valid) {
    ++totals_.valid_types[static_cast<std::size_t>(type_of(sent.datagram))];
    answer(sent, burst, lane);
  } else if (sent.kind == Kind::mutated) {
    ++totals_.dropped_types[std::min<std::size_t>(sent.datagram[0] & 0x0f, 8)];
  }
}

Totals Crowd::run(std::uint64_t packets) {
  WorldRelay& relay = world_.relay(kUnderTest);
  std::array<std::array<std::uint8_t, onion::kDatagramBytesMax>, onion::kBurstMax> room{};
  std::uint64_t since_second = 0;
  while (totals_.received < packets) {
    const std::uint64_t left = packets - totals_.received;
    onion::Burst burst;
    burst.count = std::min<std::uint64_t>(1 + random_.below(onion::kBurstMax), left);
    std::vector<Sent> sent;
    for (std::size_t lane = 0; lane < burst.count; ++lane) {
      sent.push_back(next());
      if (sent.back().kind == Kind::valid) {
        remember(sent.back());
      }
      std::copy(sent.back().datagram.begin(), sent.back().datagram.end(), room[lane].begin());
      burst.data[lane] = room[lane].data();
      burst.bytes[lane] = static_cast<std::uint16_t>(sent.back().datagram.size());
      burst.source[lane] = sent.back().source;
    }
    relay.run_burst(random_.below(2), burst, world_.now_ms);
    for (std::size_t lane = 0; lane < burst.count; ++lane) {
      judge(sent[lane], burst, lane);
    }
    since_second += burst.count;
    if (since_second >= kPacketsPerSecond) {
      since_second = 0;
      world_.now_ms += 1000;
      recent_.clear();
      recent_next_ = 0;
    }
  }
  return totals_;
}

void expect_balance(const Totals& totals, std::uint64_t packets) {
  EXPECT_EQ(totals.wrong, 0) << totals.first_wrong;
  EXPECT_EQ(totals.received, packets);
  std::uint64_t sum = 0;
  std::uint64_t drops = 0;
  for (std::size_t i = 0; i < onion::kVerdictCount; ++i) {
    sum += totals.verdicts[i];
    drops += i >= onion::kFirstDrop ? totals.verdicts[i] : 0;
  }
  EXPECT_EQ(sum, packets);
  EXPECT_EQ(totals.of(Verdict::pending) + totals.of(Verdict::parked), 0);
  EXPECT_EQ(totals.of(Verdict::forward) + totals.of(Verdict::deliver) + drops, packets);
  EXPECT_EQ(totals.forwarded, totals.of(Verdict::forward));
  EXPECT_EQ(totals.challenges, totals.of(Verdict::cookie));
  EXPECT_LE(totals.answers, totals.of(Verdict::deliver));
}

TEST(MillionPackets, OfEveryKindEndInOneVerdictEach) {
  const std::uint64_t packets = packet_count();

  const Totals totals = Crowd(kEvenMix, 1).run(packets);

  expect_balance(totals, packets);
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    EXPECT_GT(totals.kinds[kind], packets / 10'000) << "kind " << kind;
  }
  for (std::size_t type = 1; type <= 7; ++type) {
    EXPECT_GT(totals.valid_types[type], packets / 2000) << "type " << type;
    EXPECT_GT(totals.dropped_types[type], 0U) << "type " << type;
  }
  for (const Verdict reached :
       {Verdict::length, Verdict::version, Verdict::type, Verdict::ll_key, Verdict::ll_tag,
        Verdict::slot, Verdict::cookie, Verdict::fs_type, Verdict::fs_expired, Verdict::header_mac,
        Verdict::r_block, Verdict::r_expired, Verdict::replay, Verdict::svc_unknown}) {
    EXPECT_GT(totals.of(reached), 0U) << onion::verdict_name(reached);
  }
}

TEST(MillionPackets, OfGarbageKeepNoValidOneFromGoingOn) {
  const std::uint64_t packets = packet_count() / 4;

  const Totals totals = Crowd(kGarbageStorm, 2).run(packets);

  expect_balance(totals, packets);
  EXPECT_GT(totals.kinds[static_cast<std::size_t>(Kind::valid)], packets / 100);
}

}  // namespace
}  // namespace allium::property
