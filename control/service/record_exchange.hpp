// SPDX-License-Identifier: Apache-2.0
#pragma once

// How node records get round: every node tells all others of its own new record at once, and now and then asks one of them, by
// chance, for whatever that one has newer. No authority signs, and any node can tell a client everything (bundle_text()).
//
// One command, sn.allium_records, a bt dict each way:
//   "h"  what the asker has: id:32 | number:64 a relay (left out: it wants nothing)
//   "r"  records, a list of [text, signature]
//   "t"  Unix milliseconds of the sender
//
//   Ownership  borrows what is in ExchangeSurroundings.
//   Errors     records that do not hold are counted; their node is told nothing.
//   Threads    the service thread.
//   Limits     kAnswerBytesMax an answer, kTellingMax nodes told at a time.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/value.hpp>

#include "control/network/record_book.hpp"
#include "control/service/membership.hpp"
#include "control/service/peer_transport.hpp"
#include "crypto_accel/base/random.hpp"

namespace allium::control {

struct ExchangeSurroundings {
  const Membership& membership;
  PeerTransport& peers;
  Random random;
  std::function<std::uint64_t()> now_ms;
  /// Something in the book is new.
  std::function<void()> on_change;
  /// A node said the time: of its clock, and when it was asked and heard, of ours. May be empty.
  std::function<void(const NodeKey& node, std::uint64_t their_ms, std::uint64_t sent_ms,
                     std::uint64_t heard_ms)>
      on_time;
};

struct ExchangeCounters {
  std::uint64_t asked = 0;
  std::uint64_t unanswered = 0;
  std::uint64_t taken = 0;    ///< records that were newer
  std::uint64_t older = 0;    ///< than what was known: news cross on their ways
  std::uint64_t refused = 0;  ///< records that do not hold
  std::string last_refusal;
};

class RecordExchange {
 public:
  static constexpr std::size_t kAnswerBytesMax = std::size_t{512} << 10;
  static constexpr std::size_t kTellingMax = 8;
  static constexpr std::uint64_t kHurriedMs =
      250;  ///< between questions, while records are missing; doubles
  static constexpr std::uint64_t kCalmMs = 30'000;  ///< when all are there
  static constexpr std::uint64_t kTimeoutMs = 3000;
  /// Nodes whose time is asked for before it gets calm: as many as a median needs.
  static constexpr std::size_t kHeardNeeded = 3;

  explicit RecordExchange(ExchangeSurroundings surroundings);
  ~RecordExchange();
  RecordExchange(const RecordExchange&) = delete;
  RecordExchange& operator=(const RecordExchange&) = delete;

  /// What an earlier process knew: looked at with the first document.
  void remember(std::vector<SignedNodeRecord> records) { remembered_ = std::move(records); }

  void set_document(std::shared_ptr<const NetworkDocument> document,
                    SignedNetworkDocument signed_document);

  /// This node's own record is new: all others are told.
  void publish(const SignedNodeRecord& own);

  /// Begins to ask; membership has to be ready.
  void start();

  /// The command of another node.
  void answer(std::string_view part, const std::function<void(PeerParts)>& reply);

  [[nodiscard]] const RecordBook& book() const noexcept { return book_; }

  /// Document and records as a client needs them. Empty: there is no document yet.
  [[nodiscard]] const std::string& bundle_text();

  [[nodiscard]] const ExchangeCounters& counters() const noexcept { return counters_; }

 private:
  void changed();
  void take_all(const boost::json::value& list);
  [[nodiscard]] bool is_complete() const;
  [[nodiscard]] std::optional<ServiceNode> anybody();
  void ask_later(std::uint64_t delay_ms);
  void ask(const ServiceNode& node, std::function<void()> then);
  void tell_next();

  ExchangeSurroundings around_;
  RecordBook book_;
  SignedNetworkDocument signed_document_;
  std::string bundle_text_;  ///< empty: to be made
  std::vector<SignedNodeRecord> remembered_;
  std::optional<SignedNodeRecord> own_;
  std::set<NodeKey> heard_;  ///< since the last document
  std::deque<NodeKey> to_tell_;
  std::size_t telling_ = 0;
  std::uint64_t hurry_ms_ = kHurriedMs;
  std::uint64_t asking_round_ = 0;
  bool is_started_ = false;
  ExchangeCounters counters_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control
