// SPDX-License-Identifier: Apache-2.0
#pragma once

// The storage RPC for what comes by onion packets: one-shot requests (S0, S1) to service STORAGE, whose answers go back in R
// packets (SPEC.md sections 10 to 12.1). What is in X_R:
//
//   kind:8 | flags:8 | len:16 | id:32 | len bytes | zero
//   kind 1, request:   bt {"method": ..., "params": {...}}
//   kind 2, response:  index:16 | count:16 | a piece of bt {"body": ..., "code": ...}; the pieces in order are the answer
//
//   Ownership  borrows the RPC.
//   Errors     what is no request ends in a counter; a request ends in one answer. One that would take more than kPiecesMax packets
//              is answered 413.
//   Threads    the service thread.
//   Limits     kPendingMax requests at a time, later ones are dropped and counted.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/service/storage_rpc.hpp"
#include "crypto_accel/base/bytes.hpp"
#include "dataplane/control_port/messages.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::control {

/// The start of X_R in packets of service STORAGE (SPEC.md section 12.1).
struct InnerHeader {
  static constexpr std::size_t kBytes = 8;

  enum Kind : std::uint8_t { nothing = 0, request = 1, response = 2, datagram = 3 };

  std::uint8_t kind = nothing;
  std::uint8_t flags = 0;
  std::uint32_t id = 0;
  Bytes content;
};

/// None: an unknown kind or flag, or a length beyond the data. Views into `data`.
[[nodiscard]] std::optional<InnerHeader> parse_inner_header(Bytes data) noexcept;

struct FastLaneCounters {
  std::uint64_t requests = 0;  ///< handed to the RPC
  std::uint64_t answered = 0;
  std::uint64_t too_long = 0;   ///< of those, with 413 for want of packets
  std::uint64_t pieces = 0;     ///< packets of answers
  std::uint64_t nothing = 0;    ///< kind 0
  std::uint64_t malformed = 0;  ///< no inner header, or no request in it
  std::uint64_t unserved = 0;   ///< a type of packet or kind that nothing here answers
  std::uint64_t busy = 0;       ///< dropped at kPendingMax
};

class FastLane {
 public:
  static constexpr std::size_t kPendingMax = 1024;
  static constexpr std::size_t kPiecesMax = onion::kReturnAnswersMax;
  static constexpr std::size_t kPieceHeaderBytes = 4;

  using Send = std::function<void(control_port::ReturnReply)>;

  FastLane(StorageRpc& rpc, Send send) : rpc_(rpc), send_(std::move(send)) {}

  ~FastLane() { *is_alive_ = false; }

  FastLane(const FastLane&) = delete;
  FastLane& operator=(const FastLane&) = delete;

  void deliver(const control_port::DeliveryRecord& record);

  [[nodiscard]] const FastLaneCounters& counters() const noexcept { return counters_; }

 private:
  void send_answer(const control_port::DeliveryRecord& record, std::uint32_t id,
                   const Answer& answer);

  StorageRpc& rpc_;
  Send send_;
  std::size_t pending_ = 0;
  FastLaneCounters counters_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control
