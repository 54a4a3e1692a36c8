// SPDX-License-Identifier: Apache-2.0
#pragma once

// Of which accounts (by their points on the ring) this node's store has everything, what it lacks of the others, and whom it is to ask for
// that. It goes by the networks that the node has seen, one after the other, and outlives the process as a text.
//
//   Units      Unix milliseconds.
//   Ownership  values; shares the last network.
//   Errors     a text that is damaged, or of another store: nothing is known.
//   Threads    the service thread.
//   Limits     what has been wanted for storage::kLifeMsMax is wanted no longer: it has expired.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "control/network/service_nodes.hpp"
#include "control/network/swarm_map.hpp"

namespace allium::control::internal {

/// For how long a member that has not been heard of may have what all others lack.
inline constexpr std::uint64_t kSourceSilentMs = 3'600'000;
/// For how long those who had them last are waited for before others are asked.
inline constexpr std::uint64_t kNearerFirstMs = 60'000;

/// Ranges that do not run across the end of the ring.
using Points = std::vector<PointRange>;

[[nodiscard]] Points without(Points points, const Points& taken);

/// What one member is to be asked for.
struct Wanted {
  NodeKey source{};
  PointRange points;
  std::uint64_t since_ms = 0;
  /// 0: it had them until this node got them; otherwise others have had them since, the more of them the farther. It may have what was
  /// deleted with these.
  std::uint32_t distance = 0;
  /// From when on this node has all the same what the others know to be there: another one has given it.
  std::uint64_t covered_ms = UINT64_MAX;

  bool operator==(const Wanted&) const = default;
};

class HeldPoints {
 public:
  /// `text` is what text() gave, of the same store.
  HeldPoints(std::string_view text, const std::string& store);

  [[nodiscard]] std::string text(const std::string& store) const;

  /// The network is `now`, and this node is `own`.
  void update(std::shared_ptr<const ServiceNodes> now, const NodeKey& own, std::uint64_t now_ms);

  /// Of points that are this node's own.
  [[nodiscard]] std::vector<Wanted> wanted() const;

  /// Not before those who are nearer.
  [[nodiscard]] bool is_for_later(const Wanted& one, std::uint64_t now_ms) const;

  /// The source has answered.
  void heard(const Wanted& one, std::uint64_t now_ms);

  /// Everything has come from there. `is_whole`: and that is everything there was. Otherwise those whom the source wants to ask itself may
  /// have more.
  void through(const Wanted& one, bool is_whole, const std::vector<NodeKey>& named,
               std::uint64_t now_ms);

  /// What is here from before `points` were others' for a time has been compared with what these had in the end.
  void compared(const PointRange& points);

  /// Parts of `points` of which this node has a copy from before others had them, and when these got them.
  struct Copy {
    PointRange points;
    std::uint64_t until_ms = 0;

    bool operator==(const Copy&) const = default;
  };

  [[nodiscard]] std::vector<Copy> old_copies(const PointRange& points) const;

  /// Whether everything that there was of `points` is or was here, up to when they became others' (whole_until_ms()), as far as `asker`
  /// need not know better.
  [[nodiscard]] bool is_whole(const PointRange& points, const NodeKey& asker,
                              std::uint64_t now_ms) const;

  /// 0: they have never been this node's.
  [[nodiscard]] std::uint64_t whole_until_ms(std::uint64_t point) const;

  /// Who may have what this node lacks of `points`.
  [[nodiscard]] std::vector<NodeKey> lacked_from(const PointRange& points,
                                                 std::uint64_t now_ms) const;

 private:
  void want_all(const ServiceNodes& now, std::uint64_t now_ms);
  [[nodiscard]] static bool is_of_another_store(std::string_view text, const std::string& store);
  void lose(const PointRange& points, std::uint64_t now_ms);
  void gain(const PointRange& points, std::uint64_t now_ms);
  void split_wanted();
  void compare_before(const PointRange& points, std::uint64_t until_ms);
  void drop_needless(std::uint64_t now_ms);
  [[nodiscard]] bool is_own(const PointRange& points) const;
  bool read(std::string_view text, const std::string& store);

  std::shared_ptr<const ServiceNodes> network_;  ///< the last; null: none
  NodeKey own_key_{};
  Points own_;                   ///< in it
  std::vector<Wanted> wanted_;   ///< also of what is others' now
  std::vector<Copy> copies_;     ///< of what was others' since, or is
  std::vector<Wanted> through_;  ///< while anything is wanted
  bool is_old_store_ = false;    ///< may be: the store is not the one that the text was about
};

}  // namespace allium::control::internal
