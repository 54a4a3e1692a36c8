// SPDX-License-Identifier: Apache-2.0
#pragma once

// One relay whose keys the harness knows, so that it can put right MACs and seals around whatever a fuzzer
// chose: contents that only a peer or a client with keys could send.
//
//   Units      bytes of UDP payload; one moment in time unless a caller moves it.
//   Errors     broken promises of the relay end the process (ALLIUM_CHECK).
//   Threads    one.

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "crypto_accel/kernel_registry.hpp"
#include "dataplane/onion/relay.hpp"

namespace allium::fuzz {

inline constexpr std::uint64_t kNowMs = 1'800'008'436'000;
inline constexpr std::uint32_t kOwnId = 0x02020202;
inline constexpr std::uint32_t kPeerId = 0x01010101;   ///< the neighbour that sends
inline constexpr std::uint32_t kOtherId = 0x03030303;  ///< another that can be sent to

/// Bytes from a counter through AES: the same each time.
class CountingRandom {
 public:
  [[nodiscard]] Random source() noexcept { return {this, fill}; }

  void restart() noexcept { counter_ = 0; }

 private:
  static void fill(void* self, std::uint8_t* target, std::size_t byte_count) noexcept;

  std::uint64_t counter_ = 0;
};

using DatagramBytes = std::array<std::uint8_t, onion::kDatagramBytesMax>;

class RelayUnderTest {
 public:
  /// `kernel`: instead of the right one, to make the relay wrong on purpose.
  explicit RelayUnderTest(const crypto_accel::OnionKernel* kernel = nullptr);
  ~RelayUnderTest();
  RelayUnderTest(const RelayUnderTest&) = delete;
  RelayUnderTest& operator=(const RelayUnderTest&) = delete;

  /// Forgets every packet, handle and count.
  void reset();

  struct Outcome {
    onion::Verdict verdict;
    onion::Outgoing outgoing;
    std::uint16_t bytes;
  };

  /// One datagram through the whole relay. Checks that there is exactly one verdict, that what goes out has a
  /// known length and a target, and that the books balance.
  Outcome run(DatagramBytes& datagram, std::size_t byte_count, const onion::Endpoint& source,
              std::uint64_t now_ms = kNowMs);

  struct Input {
    DatagramBytes datagram{};
    std::size_t byte_count = 0;
    onion::Endpoint source;
  };

  /// At most onion::kBurstMax datagrams at once; each is changed into what goes out.
  std::vector<Outcome> run_burst(std::span<Input> inputs, std::uint64_t now_ms = kNowMs);

  [[nodiscard]] static onion::Endpoint peer_endpoint();
  [[nodiscard]] static onion::Endpoint client_endpoint(bool is_v6);

  /// Puts version, type, key id, slot, veil and tag of the link from the peer on a datagram that is right
  /// behind its link header.
  void seal_link(DatagramBytes& datagram, onion::PacketType type);

  /// LL of a client, with a valid cookie for `source`.
  void seal_client(DatagramBytes& datagram, onion::PacketType type, const onion::Endpoint& source);

  /// FS with this plaintext, and the γ that belongs to it, over the rest of the datagram as it is.
  void seal_segment(DatagramBytes& datagram, onion::PacketType type, const Block& plain);

  /// SHDR with this rt inside and a right γ, over the rest of the datagram as it is. `eph_secret` makes eph.
  void seal_setup(DatagramBytes& datagram, onion::PacketType type, const Block& rt,
                  std::uint8_t eph_secret);

  /// A return block with these 24 bytes inside (k_ret, prev, meta) at the front of RSTACK; `depth` 0 to 3, the
  /// live blocks behind it as they are.
  void seal_return(DatagramBytes& datagram, const std::array<std::uint8_t, 24>& plain,
                   unsigned depth);

  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }

  [[nodiscard]] const std::array<std::uint64_t, onion::kVerdictCount>& verdicts() const noexcept {
    return verdicts_;
  }

 private:
  struct Parts;

  std::unique_ptr<Parts> parts_;
  std::uint64_t received_ = 0;
  std::array<std::uint64_t, onion::kVerdictCount> verdicts_{};
};

/// The relay that all inputs of a fuzzer share; reset now and then.
RelayUnderTest& shared_relay();

/// Fills `datagram` from the input, again and again, so that all of it depends on the input.
void spread(Bytes input, DatagramBytes& datagram);

}  // namespace allium::fuzz
