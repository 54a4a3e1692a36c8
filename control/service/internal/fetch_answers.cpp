// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/fetch_answers.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/namespaces.hpp"
#include "storage/message_history.hpp"

namespace allium::control::internal {

namespace json = boost::json;

namespace {

std::string list_of(const std::vector<NodeKey>& keys) {
  json::array list;
  for (const NodeKey& key : keys) {
    list.emplace_back(text_of(key));
  }
  return serialise_bt(list);
}

}  // namespace

void FetchAnswers::answer(const ServiceNode& node, const FetchRequest& asked, const Reply& reply) {
  if (asked.kind == "p") {
    probe(asked.scan, reply);
  } else if (asked.kind == "o") {
    old_copy(node, asked, reply);
  } else if (asked.kind == "r") {
    revocations(node, asked.scan, reply);
  } else {
    messages(node, asked.scan, reply);
  }
}

bool FetchAnswers::is_whole_for(const ServiceNode& asker, const storage::Scan& scan) const {
  std::vector<NodeKey> holders = holders_.may_owe(now_ms_());
  std::erase(holders, asker.ed25519);
  return holders.empty() && held_.is_whole({scan.first, scan.last}, asker.ed25519, now_ms_());
}

std::vector<NodeKey> FetchAnswers::lacked_from(const PointRange& points) const {
  std::vector<NodeKey> keys = held_.lacked_from(points, now_ms_());
  for (const NodeKey& key : holders_.may_owe(now_ms_())) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      keys.push_back(key);
    }
  }
  return keys;
}

void FetchAnswers::probe(const storage::Scan& scan, const Reply& reply) {
  bool has_any = held_.has_had({scan.first, scan.last});
  if (!has_any) {
    const Result<void> read =
        store_.for_each(scan, now_ms_(), [&has_any](const auto&, const auto&) {
          has_any = true;
          return false;
        });
    if (!read) {
      reply({"503", "ask again"});
      return;
    }
  }
  reply({has_any ? kFetchWhole : kFetchNothing, "", ""});
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
  const PointRange points{scan.first, scan.last};
  const bool is_whole = is_whole_for(node, scan);
  reply({is_whole ? kFetchWhole : kFetchInPart, page.messages(), page.next(),
         list_of(is_whole ? std::vector<NodeKey>() : lacked_from(points)),
         list_of(held_.owners_before(points, now_ms_()))});
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
  const std::uint64_t now_ms = now_ms_();
  // That something is not here says nothing: it may never have come. What was deleted has left a trace, also where it was stored again.
  json::array gone;
  json::array renewed;
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
    if (*effect == storage::StoreEffect::renewed) {
      renewed.emplace_back(i);
    } else if (*effect != storage::StoreEffect::inserted &&
               *effect != storage::StoreEffect::already) {
      gone.emplace_back(i);
    }
  }
  json::array lifted;
  std::map<storage::Account, std::vector<storage::RevokedToken>> taken_back;
  for (std::size_t i = 0; i < revoked.size(); ++i) {
    const auto& [account, one] = revoked[i];
    if (!is_askers(account)) {
      continue;
    }
    const auto [of, is_new] = taken_back.try_emplace(account);
    if (is_new) {
      auto tokens = store_.lifted(account);
      if (!tokens) {
        reply({"503", "ask again"});
        return;
      }
      of->second = *std::move(tokens);
    }
    const bool is_lifted =
        std::any_of(of->second.begin(), of->second.end(), [&one = one](const auto& back) {
          return back.token == one.token && back.asked > one.asked;
        });
    if (is_lifted) {
      lifted.emplace_back(i);
    }
  }
  reply({is_whole_for(node, asked.scan) ? kFetchWhole : kFetchInPart, serialise_bt(gone),
         serialise_bt(lifted), serialise_bt(renewed)});
}

}  // namespace allium::control::internal
