// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/witnesses.hpp"

#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "control/service/bt.hpp"
#include "control/service/internal/callbacks.hpp"
#include "control/service/internal/fetch_format.hpp"
#include "control/service/namespaces.hpp"
#include "control/service/swarm_peers.hpp"
#include "storage/message_history.hpp"

namespace allium::control::internal {
namespace json = boost::json;

void Witnesses::add(const Wanted& asked) {
  std::erase_if(witnesses_, [&asked](const Wanted& one) {
    return one.source == asked.source && one.points == asked.points;
  });
  witnesses_.push_back(asked);
}

/// Those that are not here, and older than what others may have deleted.
std::optional<std::vector<std::size_t>> Witnesses::doubtful_of(const Wanted& source,
                                                               const Messages& given) const {
  std::vector<std::size_t> doubtful;
  const std::vector<HeldPoints::Copy> copies = held_.old_copies(source.points);
  const std::uint64_t now_ms = around_.now_ms();
  for (std::size_t i = 0; !copies.empty() && i < given.size(); ++i) {
    const auto& [account, message] = given[i];
    if (storage::last_stored(message, now_ms) >= old_before(copies, account)) {
      continue;
    }
    const auto effect = around_.store.try_store(account, message, storage::Origin::replica,
                                                is_public_outbox(message.space), now_ms);
    if (!effect) {
      return std::nullopt;
    }
    if (*effect == storage::StoreEffect::inserted) {
      doubtful.push_back(i);
    }
  }
  return doubtful;
}

void Witnesses::ask_about(const Wanted& source, Messages given, Done done) {
  auto page = std::make_shared<Page>();
  auto doubtful = doubtful_of(source, given);
  if (!doubtful) {
    done(std::nullopt);
    return;
  }
  page->source = source;
  page->given = std::move(given);
  page->doubtful = *std::move(doubtful);
  page->done = std::move(done);
  for (const Wanted& one : witnesses_) {
    if (!common_points(one.points, source.points).empty() && one.source != source.source) {
      page->left.push_back(one);
    }
  }
  ask_next(page);
}

void Witnesses::next_witness(Page& page) {
  page.left.erase(page.left.begin());
  page.asked = 0;
  std::erase_if(page.doubtful, [&page](std::size_t place) {
    return std::find(page.gone.begin(), page.gone.end(), place) != page.gone.end();
  });
}

void Witnesses::ask_next(const std::shared_ptr<Page>& page) {
  while (!page->left.empty() && (page->asked == page->doubtful.size() ||
                                 around_.membership.find(page->left.front().source) == nullptr)) {
    next_witness(*page);
  }
  if (page->left.empty()) {
    Checked checked;
    checked.has_old = !page->doubtful.empty();
    for (std::size_t i = 0; i < page->given.size(); ++i) {
      if (std::find(page->gone.begin(), page->gone.end(), i) == page->gone.end()) {
        checked.good.push_back(std::move(page->given[i]));
      }
    }
    page->done(std::move(checked));
    return;
  }
  Messages asked;
  while (asked.size() < kOldCopyPageMax && page->asked + asked.size() < page->doubtful.size()) {
    asked.push_back(page->given[page->doubtful[page->asked + asked.size()]]);
    asked.back().second.data.clear();
  }
  const json::object request{{"g", around_.membership.height()},
                             {"f", point_text(page->source.points.first)},
                             {"t", point_text(page->source.points.last)},
                             {"k", "o"},
                             {"m", serialise_replicas(asked)},
                             {"r", serialise_bt(json::array())}};
  around_.transport.request(
      *around_.membership.find(page->left.front().source), "sn.allium_fetch",
      {serialise_bt(request)}, kSwarmTimeoutMs,
      while_alive(is_alive_, [this, page, count = asked.size()](const Result<PeerParts>& reply) {
        answered(page, count, reply);
      }));
}

void Witnesses::answered(const std::shared_ptr<Page>& page, std::size_t count,
                         const Result<PeerParts>& reply) {
  if (!reply || !is_fetch_page(*reply)) {
    std::erase(witnesses_, page->left.front());
    held_.again(page->left.front());
    next_witness(*page);
  } else {
    for (const std::size_t place : places_in((*reply)[1], count)) {
      page->gone.push_back(page->doubtful[page->asked + place]);
    }
    page->asked += count;
  }
  ask_next(page);
}

}  // namespace allium::control::internal
