// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who has been asked already what was deleted of this node's old copy, and has given all it had, while others still give theirs: he is asked
// about what comes from there, too, before it is stored. It may have been deleted while it was not the giver's, who has not asked him yet.
//
//   Units      Unix milliseconds.
//   Ownership  borrows what it is made with.
//   Errors     who does not answer is asked about all of it once more when he does, as one who never was (HeldPoints::again()).
//   Threads    the service thread.
//   Limits     kOldCopyPageMax messages a request, one request at a time.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "control/service/internal/held_points.hpp"
#include "control/service/missed_records.hpp"
#include "control/service/replica_fetch.hpp"

namespace allium::control::internal {

class Witnesses {
 public:
  using Messages = std::vector<OwnedMessage>;

  struct Checked {
    Messages good;         ///< of which no witness has a trace of their having been deleted
    bool has_old = false;  ///< among them what others may have deleted
  };

  /// nullopt: the store cannot be read now.
  using Done = std::function<void(std::optional<Checked> checked)>;

  Witnesses(const FetchSurroundings& around, HeldPoints& held) : around_(around), held_(held) {}

  /// Everything has come from there.
  void add(const Wanted& asked);

  void clear() { witnesses_.clear(); }

  /// About what this source has given.
  void ask_about(const Wanted& source, Messages given, Done done);

 private:
  struct Page {
    Wanted source;
    Messages given;
    std::vector<std::size_t> doubtful;  ///< places in `given`, rising
    std::vector<std::size_t> gone;
    std::vector<Wanted> left;  ///< witnesses
    std::size_t asked = 0;     ///< of `doubtful`, the first of them in `left`
    Done done;
  };

  [[nodiscard]] std::optional<std::vector<std::size_t>> doubtful_of(const Wanted& source,
                                                                    const Messages& given) const;
  void ask_next(const std::shared_ptr<Page>& page);
  void answered(const std::shared_ptr<Page>& page, std::size_t count,
                const Result<PeerParts>& reply);
  void next_witness(Page& page);

  const FetchSurroundings& around_;
  HeldPoints& held_;
  std::vector<Wanted> witnesses_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control::internal
