// SPDX-License-Identifier: Apache-2.0

// The reads of MemoryStore, but for what members missed.

#include <map>
#include <mutex>
#include <utility>

#include "storage/memory_store.hpp"
#include "storage/stored_bytes.hpp"

namespace allium::storage {

Result<Page> MemoryStore::retrieve(const Account& account, Namespace space, const Hash& last_hash,
                                   const PageLimits& limits, std::uint64_t now_ms) const {
  const std::lock_guard lock(mutex_);
  Page page;
  const Mailbox* mailbox = find(account);
  if (mailbox == nullptr) {
    return page;
  }
  std::uint64_t after = 0;
  if (const auto last = mailbox->places.find(last_hash);
      last != mailbox->places.end() && last->second.first == space) {
    after = last->second.second;
  }
  std::size_t bytes = 0;
  for (auto it = mailbox->messages.upper_bound({space, after});
       it != mailbox->messages.end() && it->first.first == space; ++it) {
    const Message& message = it->second;
    if (message.expiry_ms <= now_ms) {
      continue;
    }
    bytes += page_bytes(message.hash.size(), message.data.size());
    const bool is_enough =
        (limits.messages_max > 0 && page.messages.size() == limits.messages_max) ||
        (limits.bytes_max > 0 && bytes > limits.bytes_max && !page.messages.empty());
    if (is_enough) {
      page.more = true;
      break;
    }
    page.messages.push_back(message);
  }
  return page;
}

Result<std::vector<HashExpiry>> MemoryStore::expiries(const Account& account,
                                                      const std::vector<Hash>& hashes,
                                                      std::uint64_t now_ms) const {
  const std::lock_guard lock(mutex_);
  std::vector<HashExpiry> found;
  const Mailbox* mailbox = find(account);
  if (mailbox == nullptr) {
    return found;
  }
  for (const Hash& hash : hashes) {
    if (const Message* message = live(*mailbox, hash, now_ms)) {
      found.push_back({hash, message->expiry_ms});
    }
  }
  return found;
}

Result<StoreEffect> MemoryStore::try_store(const Account& account, Message message, Origin origin,
                                           bool replaces, const When& when) const {
  const std::lock_guard lock(mutex_);
  const Mailbox* mailbox = find(account);
  Mailbox copy = mailbox == nullptr ? Mailbox() : *mailbox;
  return store_now(copy, next_order_, std::move(message), origin, replaces, when).effect;
}

Result<std::vector<Token>> MemoryStore::revoked(const Account& account) const {
  const std::lock_guard lock(mutex_);
  std::vector<Token> tokens;
  if (const Mailbox* mailbox = find(account)) {
    for (const Revocation& revocation : mailbox->revocations) {
      if (!revocation.is_lifted && tokens.size() < kRevokedMax) {
        tokens.push_back(revocation.token);
      }
    }
  }
  return tokens;
}

Result<std::vector<RevokedToken>> MemoryStore::lifted(const Account& account) const {
  const std::lock_guard lock(mutex_);
  std::vector<RevokedToken> tokens;
  if (const Mailbox* mailbox = find(account)) {
    for (const Revocation& one : mailbox->revocations) {
      if (one.is_lifted) {
        tokens.push_back({one.token, one.timestamp_ms, one.asked});
      }
    }
  }
  return tokens;
}

Result<void> MemoryStore::for_each(
    const Scan& scan, std::uint64_t now_ms,
    const std::function<bool(const Account&, const Message&)>& visit) const {
  Mailboxes copy;
  {
    const std::lock_guard lock(mutex_);
    copy = mailboxes_;
  }
  for (const auto& [account, mailbox] : copy) {
    const bool is_passed = scan.after && ByPoint{}(account, scan.after->account);
    if (is_passed || point_of(account) < scan.first || point_of(account) > scan.last) {
      continue;
    }
    auto one = mailbox.messages.begin();
    if (scan.after && account == scan.after->account) {
      const auto place = mailbox.places.find(scan.after->hash);
      one = place == mailbox.places.end() ? one : mailbox.messages.upper_bound(place->second);
    }
    for (; one != mailbox.messages.end(); ++one) {
      if (one->second.expiry_ms <= now_ms) {
        continue;
      }
      Message message = one->second;
      message.life = mailbox.asked.at(message.hash).history.life();
      if (!visit(account, message)) {
        return {};
      }
    }
  }
  return {};
}

Result<void> MemoryStore::for_each_revoked(
    const Scan& scan, const std::function<bool(const Account&, const RevokedToken&)>& visit) const {
  Mailboxes copy;
  {
    const std::lock_guard lock(mutex_);
    copy = mailboxes_;
  }
  for (const auto& [account, mailbox] : copy) {
    if (point_of(account) < scan.first || point_of(account) > scan.last) {
      continue;
    }
    std::map<Token, RevokedToken> revoked;
    for (const Revocation& r : mailbox.revocations) {
      if (!r.is_lifted) {
        revoked[r.token] = {r.token, r.timestamp_ms, r.asked};
      }
    }
    for (const auto& [token, one] : revoked) {
      if (!visit(account, one)) {
        return {};
      }
    }
  }
  return {};
}

StoreStatus MemoryStore::status() const {
  const std::lock_guard lock(mutex_);
  StoreStatus status;
  for (const auto& [account, mailbox] : mailboxes_) {
    status.messages += mailbox.messages.size();
    status.accounts += mailbox.messages.empty() ? 0U : 1U;
  }
  status.bytes_used = bytes_used_;
  status.bytes_limit = bytes_limit_;
  status.is_nearly_full = is_nearly_full(bytes_used_, bytes_limit_);
  status.latest_asked = latest_asked_;
  return status;
}

std::string MemoryStore::id() const {
  return "memory-" + std::to_string(number_);
}

}  // namespace allium::storage
