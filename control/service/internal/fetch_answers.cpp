// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/fetch_answers.hpp"

#include <algorithm>

#include <boost/json/array.hpp>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/namespaces.hpp"
#include "storage/message_history.hpp"

namespace allium::control::internal {

namespace json = boost::json;

void FetchAnswers::answer(const ServiceNode& node, const FetchRequest& asked, const Reply& reply) {
  if (asked.kind == "o") {
    old_copy(node, asked, reply);
  } else if (asked.kind == "r") {
    revocations(node, asked.scan, reply);
  } else {
    messages(node, asked.scan, reply);
  }
}

bool FetchAnswers::is_whole_for(const ServiceNode& asker, const storage::Scan& scan) const {
  return held_.is_whole({scan.first, scan.last}, asker.ed25519, now_ms_());
}

void FetchAnswers::messages(const ServiceNode& node, const storage::Scan& scan,
                            const Reply& reply) {
  FetchedPage page(membership_, node.swarm);
  const Result<void> read = store_.for_each(
      scan, now_ms_(), [&page](const storage::Account& account, const storage::Message& message) {
        return page.visit(account, message);
      });
  if (!read) {
    reply({"503", "ask again"});
    return;
  }
  served_ += page.size();
  PeerParts parts = {kFetchWhole, page.messages(), page.next()};
  if (!is_whole_for(node, scan)) {
    json::array keys;
    for (const NodeKey& key : held_.lacked_from({scan.first, scan.last}, now_ms_())) {
      keys.emplace_back(text_of(key));
    }
    parts.front() = kFetchInPart;
    parts.push_back(serialise_bt(keys));
  }
  reply(std::move(parts));
}

void FetchAnswers::revocations(const ServiceNode& node, const storage::Scan& scan,
                               const Reply& reply) {
  RevokedPage page(scan.after);
  const auto visit = [&](const storage::Account& account, const storage::RevokedToken& one) {
    return page.visit({account, one}, membership_.swarm_of(account) == node.swarm);
  };
  if (!store_.for_each_revoked(scan, visit)) {
    reply({"503", "ask again"});
    return;
  }
  json::array list;
  for (const OwnedRevocation& one : page.revoked) {
    list.emplace_back(revoked_entry(one));
  }
  reply({is_whole_for(node, scan) ? kFetchWhole : kFetchInPart, serialise_bt(list),
         page.last ? std::string(text_of(*page.last)) : std::string()});
}

void FetchAnswers::old_copy(const ServiceNode& node, const FetchRequest& asked,
                            const Reply& reply) {
  const auto messages = parse_pushed(asked.old_messages);
  const std::vector<OwnedRevocation> revoked = parse_revoked(asked.old_revocations);
  // A page of revocations ends where an account ends.
  if (!messages || messages->size() > kOldCopyPageMax ||
      revoked.size() > kFetchRevokedMax + storage::kRevokedMax) {
    reply({"400", messages ? "more than a page" : messages.error().text});
    return;
  }
  const auto is_askers = [&](const storage::Account& account) {
    const std::uint64_t point = storage::point_of(account);
    return asked.scan.first <= point && point <= asked.scan.last &&
           membership_.swarm_of(account) == node.swarm;
  };
  const bool is_whole = is_whole_for(node, asked.scan);
  // What has been stored since it was others' this node need not know.
  const auto is_known = [&](const storage::Account& account, storage::Stamp stored) {
    const std::uint64_t until_ms = held_.whole_until_ms(storage::point_of(account));
    return is_whole && until_ms > kClocksApartMs &&
           stored < storage::stamp_of(until_ms - kClocksApartMs);
  };
  const std::uint64_t now_ms = now_ms_();
  json::array gone;
  json::array absent;
  for (std::size_t i = 0; i < messages->size(); ++i) {
    const auto& [account, message] = (*messages)[i];
    if (!is_askers(account)) {
      continue;
    }
    const auto effect = store_.try_store(account, message, storage::Origin::replica,
                                         is_public_outbox(message.space), now_ms);
    if (!effect) {
      reply({"503", "ask again"});
      return;
    }
    const bool is_absent = *effect == storage::StoreEffect::inserted;
    const bool is_here = *effect == storage::StoreEffect::already;
    if (!is_absent && !is_here) {
      gone.emplace_back(i);
    } else if (is_absent && is_known(account, storage::last_stored(message, now_ms))) {
      absent.emplace_back(i);
    }
  }
  json::array lifted;
  for (std::size_t i = 0; i < revoked.size(); ++i) {
    const auto& [account, one] = revoked[i];
    if (!is_askers(account)) {
      continue;
    }
    const auto tokens = store_.revoked(account);
    if (!tokens) {
      reply({"503", "ask again"});
      return;
    }
    if (std::find(tokens->begin(), tokens->end(), one.token) == tokens->end() &&
        is_known(account, one.asked)) {
      lifted.emplace_back(i);
    }
  }
  reply({is_whole ? kFetchWhole : kFetchInPart, serialise_bt(gone), serialise_bt(lifted),
         serialise_bt(absent)});
}

}  // namespace allium::control::internal
