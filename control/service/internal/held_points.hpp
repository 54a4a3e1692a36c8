// SPDX-License-Identifier: Apache-2.0
#pragma once

// Of which accounts (by their points on the ring) this node's store has everything, what it lacks of the others, and whom it is to ask for
// that. It goes by the networks that the node has seen, one after the other, and outlives the process as a text.
//
// A node that has not seen every network as it came (it was down, its text is lost, or of another store or key) does not know who has had its
// accounts meanwhile. Then it may be anybody: all nodes are asked, strangers, and its own copy is taken for an old one. The same where accounts
// come back: who had them in between, but last, is none of those whom it knows.
//
//   Units      Unix milliseconds.
//   Ownership  values; shares the last network.
//   Errors     a text that is damaged, or of another store: nothing is known.
//   Threads    the service thread.
//   Limits     what has been wanted for storage::kLifeMsMax is wanted no longer: it has expired.

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "control/network/service_nodes.hpp"
#include "control/service/internal/held_ledger.hpp"
#include "storage/message_store.hpp"

namespace allium::control::internal {

/// For how long a member that has not been heard of may have what all others lack.
inline constexpr std::uint64_t kSourceSilentMs = 3'600'000;
/// For how long those who had them last are waited for before others are asked.
inline constexpr std::uint64_t kNearerFirstMs = 60'000;

/// Behind the last that came.
inline constexpr std::uint64_t kComparedAfterMs = 5'000;
/// Of those who had accounts before.
inline constexpr std::size_t kOwnersBeforeMax = 64;
/// Of accounts that were this node's own.
inline constexpr std::size_t kPastTenuresMax = 256;
/// Strangers that are looked at together.
inline constexpr std::size_t kStrangersAtOnce = 8;

class HeldPoints {
 public:
  /// `text` is what text() gave, of the same store.
  HeldPoints(std::string_view text, const std::string& store)
      : kept_(read_ledger(text, store).value_or(HeldLedger())) {}

  [[nodiscard]] std::string text(const std::string& store) const {
    return write_ledger(kept_, store);
  }

  /// The network is `now`, and this node is `own`. One after the other have heights that follow one another.
  void update(std::shared_ptr<const ServiceNodes> now, const NodeKey& own, std::uint64_t height,
              std::uint64_t now_ms);

  /// The last that was seen, of an earlier process keys and swarms alone; null: none.
  [[nodiscard]] const std::shared_ptr<const ServiceNodes>& network() const noexcept {
    return kept_.network;
  }

  /// Which of it this node was.
  [[nodiscard]] const NodeKey& own_key() const noexcept { return kept_.own_key; }

  /// Of points that are this node's own.
  [[nodiscard]] std::vector<Wanted> wanted() const;

  /// The next of those of whom it is not known whether they had points that are this node's own.
  [[nodiscard]] std::vector<Wanted> strangers() const;

  [[nodiscard]] std::size_t strangers_left() const noexcept { return strangers_.size(); }

  /// This one had nothing, or everything has come from there.
  void stranger_through(const Wanted& one, std::uint64_t now_ms);

  /// It did not answer: after the others.
  void stranger_silent(const Wanted& one);

  /// Whether any of these are or were this node's.
  [[nodiscard]] bool has_had(const PointRange& points) const;

  /// Not before those who are nearer.
  [[nodiscard]] bool is_for_later(const Wanted& one, std::uint64_t now_ms) const;

  /// The source has answered.
  void heard(const Wanted& one, std::uint64_t now_ms);

  /// It has not. After kNearerFirstMs, and where nobody else has given it, it may be anybody who has it. True: strangers() has changed.
  bool silent(const Wanted& one, std::uint64_t now_ms);

  /// Everything has come from there. `is_whole`: and that is everything there was. Otherwise those whom the source wants to ask itself may
  /// have more; where it names itself, anybody.
  void through(const Wanted& one, bool is_whole, const std::vector<NodeKey>& named,
               std::uint64_t now_ms);

  /// A copy of a message, or a revocation, has been given to this node, stored at `stored`. Where that was before the accounts were its
  /// own, who gave it may have missed a deletion, of which this node knows nothing: the other members are to be asked, and those who had the
  /// accounts before, when nothing has come for kComparedAfterMs. Where one of these is in the network no more, he may be there under
  /// another key: then everybody is. True: compared() has changed.
  bool given(const storage::Account& account, storage::Stamp stored, std::uint64_t now_ms);

  /// This one has had these points as well: it is asked about what is given().
  void has_had(const Wanted& one);

  /// Who has had them before this node, and may know what was deleted then.
  [[nodiscard]] std::vector<NodeKey> owners_before(const PointRange& points,
                                                   std::uint64_t now_ms) const;

  /// Somebody has taken along what this node missed: its swarm is asked for all there is.
  void ask_swarm(std::uint64_t now_ms);

  /// Who is to be asked about this node's own copy alone.
  [[nodiscard]] std::vector<Wanted> compared() const;

  /// It has been asked about all of it.
  void compared_with(const Wanted& one, std::uint64_t now_ms);

  /// Of parts of `points`.
  [[nodiscard]] std::vector<OldCopy> old_copies(const PointRange& points) const;

  /// Whether everything that there was of `points` is or was here, up to when they became others' (whole_until_ms()), as far as `asker`
  /// need not know better.
  [[nodiscard]] bool is_whole(const PointRange& points, const NodeKey& asker,
                              std::uint64_t now_ms) const;

  /// Who may have what this node lacks of `points`; itself: it has never known of some of them, and so not of who has them.
  [[nodiscard]] std::vector<NodeKey> lacked_from(const PointRange& points,
                                                 std::uint64_t now_ms) const;

 private:
  bool remember(std::vector<NodeKey>& owners, const NodeKey& key) const;
  void hold(const ServiceNodes* before, bool has_seen_all, std::uint64_t now_ms);
  void gain(const PointRange& points, std::uint64_t now_ms);
  void doubt_all(std::uint64_t now_ms);
  void doubt_now(const PointRange& points, std::uint64_t now_ms);
  void doubt(const PointRange& points, std::uint64_t now_ms);
  void meet_strangers(const ServiceNodes* before);
  void split_wanted();
  void compare_before(const PointRange& points, std::uint64_t until_ms);
  void drop_needless(std::uint64_t now_ms);
  [[nodiscard]] bool is_own(const PointRange& points) const;
  [[nodiscard]] bool is_or_was_owner(const NodeKey& key, const PointRange& points) const;

  HeldLedger kept_;               ///< outlives the process
  Points own_;                    ///< in kept_.network
  std::vector<Wanted> through_;   ///< while anything is wanted
  std::deque<Wanted> strangers_;  ///< of kept_.doubts
};

/// What was stored before that is of the old copy; what was later has come since. 0: there is none of this account.
[[nodiscard]] storage::Stamp old_before(const std::vector<OldCopy>& copies,
                                        const storage::Account& account);

}  // namespace allium::control::internal
