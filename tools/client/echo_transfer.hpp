// SPDX-License-Identifier: Apache-2.0
#pragma once

// A file cut into packets that ECHO sends back: what to send next, what has come back, when to send again.
// Knows no path and no socket.
//
// A window of packets is in flight. It grows by one a round trip while everything comes back and is halved,
// at most once a round trip, when packets are lost. A packet is lost when its timer has run out, or when
// many that were sent after it have come back. When nothing comes back at all for a while the transfer is
// stalled: it then sends one packet at a time, less and less often, until an answer comes.
//
//   Units      bytes; ticks in microseconds.
//   Ownership  borrows the file's bytes; owns the copy that came back.
//   Errors     payloads that are not of this transfer are counted and ignored.
//   Threads    one.
//   Limits     kFileBytesMax; kWindowMax packets in flight.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "crypto_accel/base/bytes.hpp"
#include "tools/client/round_trip.hpp"
#include "tools/client/wire.hpp"

namespace allium::client {

class EchoTransfer {
 public:
  static constexpr std::size_t kFileBytesMax = std::size_t{1} << 30;
  static constexpr std::size_t kWindowMin = 8;
  static constexpr std::size_t kWindowFirst = 32;
  static constexpr std::size_t kWindowMax = 256;
  static constexpr std::size_t kHeaderBytes = 16;  ///< transfer:64 | chunk:32 | len:16 | 0:16

  /// `payload_bytes`: what fits into a packet, more than kHeaderBytes. An empty file is one empty chunk.
  /// Requires file.size() <= kFileBytesMax.
  EchoTransfer(Bytes file, std::size_t payload_bytes, std::uint64_t transfer_id);

  /// The payload of the next packet to send now; nullopt: nothing to send before deadline_us().
  [[nodiscard]] std::optional<std::vector<std::uint8_t>> next(std::uint64_t now_us);

  /// The payload that next() gave has been sent under `seq` (rising within a path).
  void sent(std::uint64_t path_number, std::uint64_t seq, std::uint64_t now_us);

  /// A payload has come back.
  void arrived(std::uint64_t path_number, std::uint64_t seq, Bytes payload, std::uint64_t now_us);

  /// When next() or a timer has something to do; kNever: only an arrival helps.
  [[nodiscard]] std::uint64_t deadline_us(std::uint64_t now_us) const;

  [[nodiscard]] bool done() const noexcept { return chunks_back_ == chunk_count_; }

  /// What came back, complete once done().
  [[nodiscard]] Bytes received() const noexcept { return received_; }

  [[nodiscard]] bool stalled() const noexcept { return stalled_; }

  /// The tick of the last arrival, or of the first packet.
  [[nodiscard]] std::uint64_t last_arrival_us() const noexcept { return last_arrival_us_; }

  [[nodiscard]] std::size_t bytes_back() const noexcept { return bytes_back_; }

  struct Counts {
    std::uint64_t packets_sent = 0;
    std::uint64_t packets_received = 0;
    std::uint64_t retransmitted = 0;
    std::uint64_t repeated = 0;  ///< chunks that came back more than once
    std::uint64_t foreign = 0;   ///< payloads of something else
    std::uint64_t stalls = 0;
  };

  [[nodiscard]] const Counts& counts() const noexcept { return counts_; }

  [[nodiscard]] const RoundTrip& round_trip() const noexcept { return round_trip_; }

  [[nodiscard]] std::size_t window() const noexcept { return window_; }

  [[nodiscard]] std::size_t chunk_count() const noexcept { return chunk_count_; }

 private:
  struct InFlight {
    std::uint64_t path_number;
    std::uint64_t seq;
    std::uint64_t order;  ///< rises with every packet, over all paths
    std::uint32_t chunk;
    std::uint64_t sent_us;
    bool open;  ///< neither come back nor given up
  };

  struct Chunk {
    std::uint32_t number;
    Bytes data;
  };

  void find_losses(std::uint64_t now_us);
  [[nodiscard]] bool is_lost(const InFlight& packet, std::uint64_t now_us) const;
  void give_up(InFlight& packet);
  void shrink_window(std::uint64_t now_us);
  void grow_window();
  void note_stall(std::uint64_t now_us);
  void note_answer(std::uint64_t path_number, std::uint64_t seq, std::uint64_t now_us);
  void store(const Chunk& chunk);
  void forget_returned();
  [[nodiscard]] bool anything_to_send() const noexcept;
  [[nodiscard]] bool may_send(std::uint64_t now_us) const noexcept;
  [[nodiscard]] std::uint32_t take_chunk();
  [[nodiscard]] std::size_t chunk_bytes(std::uint32_t chunk) const noexcept;
  [[nodiscard]] std::optional<Chunk> parse(Bytes payload) const noexcept;
  [[nodiscard]] std::uint64_t stall_after_us() const noexcept;

  Bytes file_;
  std::size_t chunk_bytes_max_;
  std::uint32_t chunk_count_;
  std::uint64_t transfer_id_;
  std::vector<std::uint8_t> received_;
  std::vector<bool> back_;
  std::uint32_t chunks_back_ = 0;
  std::size_t bytes_back_ = 0;
  std::uint32_t next_new_ = 0;
  std::deque<std::uint32_t> again_;
  std::deque<InFlight> in_flight_;  ///< in order of sending
  std::size_t flying_ = 0;          ///< of in_flight_, those still open
  std::uint64_t next_order_ = 0;
  std::uint64_t highest_back_ = 0;  ///< order of the latest packet that has come back
  std::uint32_t chosen_ = 0;        ///< what next() gave last
  RoundTrip round_trip_;
  std::size_t window_ = kWindowFirst;
  std::size_t window_doubles_until_ = kWindowMax;
  std::size_t answers_since_growth_ = 0;
  std::uint64_t halved_at_us_ = 0;
  std::uint64_t last_arrival_us_ = 0;
  bool started_ = false;
  bool stalled_ = false;
  std::uint64_t probe_at_us_ = 0;
  std::uint64_t probe_wait_us_ = 0;
  Counts counts_;
};

}  // namespace allium::client
