// SPDX-License-Identifier: Apache-2.0
#pragma once

// A network of real relays in one process, fixed by a seed: keys, salts, random bytes and time come from
// here. A datagram is carried from hop to hop by one call; on each link it can be watched, changed, and
// sealed again as the relay at the end of that link could do who colludes.
//
//   client --- relay[path 0] === relay[path 1] === ... === terminal      === links with veil and tag
//
//   Units      now_ms is Unix time in milliseconds; each relay may have a clock of its own (skew_ms).
//   Ownership  a World owns its relays and their memory.
//   Errors     what cannot happen here is an ALLIUM_CHECK.
//   Threads    one.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/onion/backward_open.hpp"
#include "dataplane/onion/path_builder.hpp"
#include "dataplane/onion/relay.hpp"
#include "tests/property/flaw.hpp"
#include "tests/property/seeded_random.hpp"

namespace allium::property {

/// In the place of a relay's index: the client's side.
inline constexpr std::size_t kClient = ~std::size_t{0};

/// The relay that has the flaw; the one in the middle of most paths.
inline constexpr std::size_t kRelayUnderTest = 1;

inline constexpr std::uint64_t kEpochStartMs = 1'800'000'000'000;  // of an hour as well
inline constexpr std::uint64_t kStartMs = kEpochStartMs + 302'000;

struct WorldOptions {
  std::uint64_t seed = 1;
  std::size_t relay_count = 4;
  std::size_t worker_count = 1;
  std::uint64_t now_ms = kStartMs;
  Flaw flaw = Flaw::none;
  bool cookie_required = false;
  std::size_t replay_lines = 512;
};

/// What a relay made of one datagram.
struct Outcome {
  onion::Verdict verdict = onion::Verdict::pending;
  onion::Outgoing outgoing = onion::Outgoing::none;
  onion::Target target;
  std::uint64_t slot = 0;  ///< that it was sent with
  Buffer datagram;         ///< what goes out

  [[nodiscard]] bool accepted() const noexcept { return !onion::is_drop(verdict); }
};

struct DeliveredData {
  std::uint16_t service = 0;
  onion::PacketType type{};
  Block t{};
  Buffer data;
};

class World;

/// One relay: workers that share a replay set, a handle table and a bridge in memory that survives them.
class WorldRelay {
 public:
  WorldRelay(const WorldOptions& options, std::size_t index);
  ~WorldRelay();
  WorldRelay(const WorldRelay&) = delete;
  WorldRelay& operator=(const WorldRelay&) = delete;

  [[nodiscard]] std::size_t index() const noexcept { return index_; }

  [[nodiscard]] std::uint32_t id() const noexcept { return id_; }

  [[nodiscard]] const onion::Endpoint& endpoint() const noexcept { return endpoint_; }

  [[nodiscard]] const onion::RelaySnapshot& snapshot() const noexcept { return *snapshot_; }

  /// One datagram in a burst of one.
  Outcome run(std::size_t worker, const onion::Endpoint& source, const Buffer& datagram,
              std::uint64_t world_ms);

  /// A whole burst, with verdicts and what goes out left in it.
  void run_burst(std::size_t worker, onion::Burst& burst, std::uint64_t world_ms);

  /// The workers die and start again over the memory that they left.
  void crash();

  /// The replay set is emptied, as if the relay had never run: to try two futures of one packet.
  void forget();

  [[nodiscard]] std::uint64_t clock_ms(std::uint64_t world_ms) const noexcept {
    return world_ms + static_cast<std::uint64_t>(skew_ms);
  }

  std::int64_t skew_ms = 0;
  std::vector<DeliveredData> delivered;  ///< what services got
  bool keeps_deliveries = true;
  std::uint64_t delivery_count = 0;

 private:
  friend class World;
  struct Memory;
  struct Worker;

  void follow(std::uint64_t now_ms);
  void start();
  void check_clock(std::uint64_t now_ms);
  void bend(const onion::Burst& before, onion::Burst& burst, std::uint64_t now_ms) const;
  [[nodiscard]] std::size_t set_of(std::size_t worker) const noexcept;

  WorldOptions options_;
  Flaw flaw_;
  std::size_t index_;
  std::uint32_t id_;
  onion::Endpoint endpoint_;
  const World* world_ = nullptr;
  std::unique_ptr<Memory> memory_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<const onion::RelaySnapshot> snapshot_;
  std::uint64_t snapshot_epoch_ = 0;
  std::uint64_t last_slot_ = 0;
};

/// What a client has of a path.
struct ClientPath {
  std::vector<std::size_t> relays;  ///< entry first
  onion::Endpoint client;
  onion::PathSession session;
  std::array<onion::ReplyBlock, 2> reply;  ///< of D and V

  [[nodiscard]] const onion::ReplyBlock& reply_of(onion::PacketClass packet_class) const {
    return reply[packet_class == onion::PacketClass::v ? 1 : 0];
  }
};

/// One hop of a journey.
struct Step {
  std::size_t from = kClient;
  std::size_t relay = 0;
  Buffer in;  ///< as it was on the wire
  Outcome out;
};

struct Journey {
  std::vector<Step> steps;
  std::optional<Buffer> at_client;  ///< what reached the client in the end

  [[nodiscard]] onion::Verdict last() const noexcept {
    return steps.empty() ? onion::Verdict::pending : steps.back().out.verdict;
  }

  /// The n-th step at a relay (0: the first); null where there is none.
  [[nodiscard]] const Step* at(std::size_t relay, std::size_t n = 0) const noexcept;
};

/// Sees, and may change, a datagram on its way from relay (or kClient) to relay (or kClient).
using Watch = std::function<void(std::size_t from, std::size_t to, Buffer& datagram)>;

/// A client's address: 198.51.100.n.
[[nodiscard]] onion::Endpoint client_v4(std::uint8_t n);
/// 2001:db8:site:host::n.
[[nodiscard]] onion::Endpoint client_v6(std::uint16_t site, std::uint16_t host, std::uint8_t n);

class World {
 public:
  explicit World(const WorldOptions& options);

  [[nodiscard]] WorldRelay& relay(std::size_t index) { return *relays_[index]; }

  [[nodiscard]] std::size_t relay_count() const noexcept { return relays_.size(); }

  /// Carries a datagram from `from` to relay `to` and on, at now_ms, until it ends.
  Journey travel(std::size_t from, std::size_t to, Buffer datagram, const Watch& watch = {});

  /// Carries on with what a relay sent.
  Journey carry_on(std::size_t from, const Outcome& sent, const Watch& watch = {});

  /// The link's veil taken off in place, as the relay `to` does; and put on again with a right tag, as
  /// the relay `from` does. Nothing for links of clients.
  void lift(std::size_t from, std::size_t to, Buffer& datagram) const;
  void seal(std::size_t from, std::size_t to, Buffer& datagram) const;

  /// A path whose segments are sealed here and now under the relays' keys, with fresh reply blocks in
  /// the classes that it is not too long for.
  ClientPath make_path(const std::vector<std::size_t>& relays, onion::Service service);

  /// FS over any plain text under A_e of the relay.
  [[nodiscard]] Block seal_segment(std::size_t relay, std::uint64_t epoch,
                                   const Block& plain) const;
  /// s of a segment that was sealed with this plain text.
  [[nodiscard]] Block segment_secret(std::size_t relay, std::uint64_t epoch,
                                     const Block& plain) const;
  /// type | exp | next | salt, with a fresh salt.
  [[nodiscard]] Block plain_segment(std::uint8_t type, std::uint64_t epoch, Bytes next);

  /// A DF or VF packet of the path, with the client's clock.
  Buffer data_packet(const ClientPath& path, onion::PacketClass packet_class, std::uint64_t seq,
                     Bytes data = {});
  /// The same with the path's reply block in front: ECHO sends it back.
  Buffer echo_packet(const ClientPath& path, onion::PacketClass packet_class, std::uint64_t seq);

  /// S0 or S1 over `relays` to `service`.
  onion::SetupPacket setup_packet(const std::vector<std::size_t>& relays, onion::PacketType type,
                                  onion::Service service);

  /// What opens an answer: s of each hop, or k_ret of each.
  [[nodiscard]] static std::vector<const Secret<16>*> secrets_of(const ClientPath& path);
  [[nodiscard]] static std::vector<const Secret<16>*> secrets_of(const onion::SetupPacket& setup);

  /// Random bytes of clients. With constant_spare: the same ones each time.
  [[nodiscard]] Random spare_source() noexcept;

  /// The index of a relay's endpoint; kClient where it is nobody's.
  [[nodiscard]] std::size_t index_of(const onion::Endpoint& endpoint) const;

  /// Keys, as their owners have them.
  [[nodiscard]] onion::EpochSecrets epoch_secrets(std::size_t relay, std::uint64_t epoch) const;
  [[nodiscard]] onion::HourKey hour_key(std::size_t relay, std::uint64_t hour) const;
  [[nodiscard]] const onion::LinkSecrets& link(std::size_t owner, std::size_t peer,
                                               std::uint64_t epoch) const;

  std::uint64_t now_ms;
  onion::Endpoint client = client_v4(7);
  SeededRandom random;

 private:
  friend class WorldRelay;

  [[nodiscard]] Bytes next_of(const ClientPath& path, std::size_t hop, bool backward,
                              std::array<std::uint8_t, 6>& next) const;

  WorldOptions options_;
  std::uint64_t next_salt_ = std::uint64_t{1} << 44;  ///< an allocation that no worker has
  std::vector<std::unique_ptr<WorldRelay>> relays_;
  mutable std::map<std::array<std::uint64_t, 3>, std::unique_ptr<onion::LinkSecrets>> links_;
};

/// The packet type that a datagram claims. Requires a first byte.
[[nodiscard]] inline onion::PacketType type_of(const Buffer& datagram) {
  return static_cast<onion::PacketType>(datagram[0] & 0x0f);
}

[[nodiscard]] inline const onion::TypeInfo& info_of(const Buffer& datagram) {
  return onion::type_info(type_of(datagram));
}

inline void flip_bit(Buffer& datagram, std::size_t bit) {
  datagram[bit / 8] = static_cast<std::uint8_t>(datagram[bit / 8] ^ 1U << (bit % 8));
}

}  // namespace allium::property
