// SPDX-License-Identifier: Apache-2.0
#include "storage/memory_store.hpp"

#include <algorithm>
#include <set>

#include "storage/stored_bytes.hpp"

namespace allium::storage {
namespace {

constexpr const char* kFullText = "the message store has reached its size limit";

bool can_be_a_hash(const Hash& hash) {
  return !hash.empty() && hash.size() <= kHashCharsMax;
}

bool is_in(const std::optional<Namespace>& wanted, Namespace space) {
  return !wanted || *wanted == space;
}

}  // namespace

std::uint64_t MemoryStore::bytes_of(const Mailbox& mailbox) {
  std::uint64_t bytes = mailbox.removed_before.size() * kWatermarkBytes +
                        mailbox.revocations.size() * kRevocationBytes;
  for (const auto& [place, message] : mailbox.messages) {
    bytes += message_bytes(message.hash.size(), message.data.size());
  }
  for (const auto& [hash, until_ms] : mailbox.tombstones) {
    bytes += tombstone_bytes(hash.size());
  }
  for (const auto& [hash, bounds] : mailbox.bounds) {
    bytes += bounds_bytes(hash.size());
  }
  return bytes;
}

std::uint64_t MemoryStore::with_reserve() const {
  return bytes_limit_ + reserve_of(bytes_limit_);
}

template <typename T, typename Apply>
Result<T> MemoryStore::carry_out(const Account& account, std::uint64_t bytes_allowed, Apply apply) {
  const std::lock_guard lock(mutex_);
  Mailbox& mailbox = mailboxes_[account];
  Mailbox changed = mailbox;
  const std::uint64_t order_before = next_order_;
  T value = apply(changed);
  const std::uint64_t bytes = bytes_used_ - bytes_of(mailbox) + bytes_of(changed);
  if (bytes > bytes_used_ && bytes > bytes_allowed) {
    next_order_ = order_before;
    return fail(Errc::full, kFullText);
  }
  bytes_used_ = bytes;
  mailbox = std::move(changed);
  return value;
}

const MemoryStore::Mailbox* MemoryStore::find(const Account& account) const {
  const auto found = mailboxes_.find(account);
  return found == mailboxes_.end() ? nullptr : &found->second;
}

const Message* MemoryStore::live(const Mailbox& mailbox, const Hash& hash, std::uint64_t now_ms) {
  const auto place = mailbox.places.find(hash);
  if (place == mailbox.places.end()) {
    return nullptr;
  }
  const Message& message = mailbox.messages.at(place->second);
  return message.expiry_ms > now_ms ? &message : nullptr;
}

void MemoryStore::erase(Mailbox& mailbox, const Hash& hash) {
  const auto place = mailbox.places.find(hash);
  if (place != mailbox.places.end()) {
    mailbox.messages.erase(place->second);
    mailbox.places.erase(place);
  }
}

void MemoryStore::entomb(Mailbox& mailbox, const Hash& hash, std::uint64_t now_ms) {
  const Message* message = live(mailbox, hash, now_ms);
  const std::uint64_t until_ms = message == nullptr ? now_ms + kLifeMsMax : message->expiry_ms;
  erase(mailbox, hash);
  mailbox.tombstones[hash] = std::max(mailbox.tombstones[hash], until_ms);
}

void MemoryStore::forget_old_bounds(Mailbox& mailbox, const Hash& hash, std::uint64_t now_ms) {
  const auto found = mailbox.bounds.find(hash);
  if (found != mailbox.bounds.end() && found->second.until_ms <= now_ms) {
    mailbox.bounds.erase(found);
  }
}

void MemoryStore::bound(Mailbox& mailbox, const Hash& hash, std::uint64_t expiry_ms,
                        ExpiryChange change, std::uint64_t until_ms) {
  Bounds& bounds = mailbox.bounds[hash];
  switch (change) {
    case ExpiryChange::shorten:
      bounds.cap_ms = std::min(bounds.cap_ms, expiry_ms);
      bounds.floor_ms = std::min(bounds.floor_ms, expiry_ms);
      break;
    case ExpiryChange::extend:
      bounds.floor_ms = std::max(bounds.floor_ms, expiry_ms);
      bounds.cap_ms = std::max(bounds.cap_ms, expiry_ms);
      break;
    case ExpiryChange::set:
      bounds.floor_ms = expiry_ms;
      bounds.cap_ms = expiry_ms;
      break;
  }
  bounds.until_ms = std::max(bounds.until_ms, until_ms);
}

void MemoryStore::expire_at(Mailbox& mailbox, const Hash& hash, std::uint64_t expiry_ms,
                            ExpiryChange change, std::uint64_t now_ms) {
  if (expiry_ms <= now_ms) {
    entomb(mailbox, hash, now_ms);
    return;
  }
  Message& message = mailbox.messages.at(mailbox.places.at(hash));
  const auto bounds = mailbox.bounds.find(hash);
  const bool is_bounded = bounds != mailbox.bounds.end() && bounds->second.until_ms > now_ms;
  if (expiry_ms < message.expiry_ms || is_bounded) {
    forget_old_bounds(mailbox, hash, now_ms);
    bound(mailbox, hash, expiry_ms, change, std::max(message.expiry_ms, expiry_ms));
  }
  message.expiry_ms = expiry_ms;
}

/// 0: there is none.
std::uint64_t MemoryStore::watermark(const Mailbox& mailbox, std::optional<Namespace> space,
                                     std::uint64_t now_ms) {
  const auto mark = mailbox.removed_before.find(space);
  return mark != mailbox.removed_before.end() && end_of_watermark(mark->second) > now_ms
             ? mark->second
             : 0;
}

bool MemoryStore::is_outdated(const Mailbox& mailbox, const Message& message,
                              std::uint64_t now_ms) {
  const std::uint64_t mark_ms = watermark(mailbox, message.space, now_ms);
  return std::any_of(mailbox.messages.begin(), mailbox.messages.end(), [&](const auto& one) {
    const Message& other = one.second;
    return other.space == message.space && other.hash != message.hash && other.expiry_ms > now_ms &&
           std::pair(std::max(other.timestamp_ms, mark_ms), other.hash) >
               std::pair(message.timestamp_ms, message.hash);
  });
}

Stored MemoryStore::store_now(Mailbox& mailbox, Message message, Origin origin, bool replaces,
                              std::uint64_t now_ms) {
  if (origin == Origin::replica) {
    const auto found = mailbox.bounds.find(message.hash);
    if (found != mailbox.bounds.end() && found->second.until_ms > now_ms) {
      message.expiry_ms =
          std::clamp(message.expiry_ms, found->second.floor_ms, found->second.cap_ms);
    }
    if (message.expiry_ms <= now_ms) {
      return Stored{StoreEffect::expired, message.expiry_ms};
    }
    const auto tombstone = mailbox.tombstones.find(message.hash);
    const bool is_buried = tombstone != mailbox.tombstones.end() && tombstone->second > now_ms;
    const auto is_removed = [&](const std::optional<Namespace>& space) {
      const auto before = mailbox.removed_before.find(space);
      return before != mailbox.removed_before.end() && message.timestamp_ms <= before->second &&
             end_of_watermark(before->second) > now_ms;
    };
    const bool is_here = live(mailbox, message.hash, now_ms) != nullptr;
    if (is_buried || (!is_here && (is_removed(message.space) || is_removed(std::nullopt)))) {
      return Stored{StoreEffect::tombstoned, message.expiry_ms};
    }
  }
  const Message* here = live(mailbox, message.hash, now_ms);
  if (origin == Origin::client) {
    mailbox.tombstones.erase(message.hash);
    mailbox.bounds.erase(message.hash);
  }
  if (replaces && is_outdated(mailbox, message, now_ms)) {
    return Stored{StoreEffect::outdated, message.expiry_ms};
  }
  std::vector<Hash> replaced;
  for (const auto& [place, other] : mailbox.messages) {
    if (replaces && place.first == message.space && other.hash != message.hash) {
      replaced.push_back(other.hash);
    }
  }
  for (const Hash& hash : replaced) {
    erase(mailbox, hash);
  }
  if (here != nullptr) {
    Message& kept = mailbox.messages.at(mailbox.places.at(message.hash));
    kept.expiry_ms = std::max(kept.expiry_ms, message.expiry_ms);
    if (replaces && message.timestamp_ms > kept.timestamp_ms) {
      std::uint64_t& mark = mailbox.removed_before[message.space];
      mark = std::max(mark, message.timestamp_ms);
    }
    return Stored{StoreEffect::already, kept.expiry_ms};
  }
  erase(mailbox, message.hash);
  const Place place(message.space, next_order_++);
  mailbox.places[message.hash] = place;
  const std::uint64_t expiry_ms = message.expiry_ms;
  mailbox.messages.emplace(place, std::move(message));
  return Stored{StoreEffect::inserted, expiry_ms};
}

void MemoryStore::store(const Account& account, Message message, Origin origin, bool replaces,
                        std::uint64_t now_ms, Done<Stored> done) {
  if (message.data.size() > kDataBytesMax || !can_be_a_hash(message.hash)) {
    done(fail(Errc::out_of_range, "a message is longer than the store keeps them"));
    return;
  }
  done(carry_out<Stored>(account, bytes_limit_, [&](Mailbox& mailbox) {
    return store_now(mailbox, std::move(message), origin, replaces, now_ms);
  }));
}

void MemoryStore::remove(const Account& account, std::vector<Hash> hashes, std::uint64_t now_ms,
                         Done<std::vector<Hash>> done) {
  done(carry_out<std::vector<Hash>>(account, with_reserve(), [&](Mailbox& mailbox) {
    std::set<Hash> removed;
    for (const Hash& hash : hashes) {
      if (live(mailbox, hash, now_ms) != nullptr) {
        removed.insert(hash);
      }
      if (can_be_a_hash(hash)) {
        entomb(mailbox, hash, now_ms);
      }
    }
    return std::vector<Hash>(removed.begin(), removed.end());
  }));
}

HashesBySpace MemoryStore::remove_where(Mailbox& mailbox, std::optional<Namespace> space,
                                        std::uint64_t before_ms, std::uint64_t now_ms, bool all) {
  HashesBySpace removed;
  for (const auto& [place, message] : mailbox.messages) {
    if (is_in(space, place.first) && message.expiry_ms > now_ms &&
        (all || message.timestamp_ms <= before_ms)) {
      removed[place.first].push_back(message.hash);
    }
  }
  for (auto& [removed_space, hashes] : removed) {
    std::sort(hashes.begin(), hashes.end());
    for (const Hash& hash : hashes) {
      entomb(mailbox, hash, now_ms);
    }
  }
  std::uint64_t& mark = mailbox.removed_before[space];
  mark = std::max(mark, before_ms);
  return removed;
}

void MemoryStore::remove_before(const Account& account, std::optional<Namespace> space,
                                std::uint64_t before_ms, std::uint64_t now_ms,
                                Done<HashesBySpace> done) {
  done(carry_out<HashesBySpace>(account, with_reserve(), [&](Mailbox& mailbox) {
    return remove_where(mailbox, space, before_ms, now_ms, false);
  }));
}

void MemoryStore::remove_all(const Account& account, std::optional<Namespace> space,
                             std::uint64_t asked_ms, std::uint64_t now_ms,
                             Done<HashesBySpace> done) {
  done(carry_out<HashesBySpace>(account, with_reserve(), [&](Mailbox& mailbox) {
    return remove_where(mailbox, space, asked_ms, now_ms, true);
  }));
}

void MemoryStore::change_expiry(const Account& account, std::vector<Hash> hashes,
                                std::vector<std::uint64_t> expiries_ms, ExpiryChange change,
                                std::uint64_t now_ms, Done<ExpiriesChanged> done) {
  if (expiries_ms.size() != 1 && expiries_ms.size() != hashes.size()) {
    done(fail(Errc::out_of_range, "neither one expiry nor one for each message"));
    return;
  }
  done(carry_out<ExpiriesChanged>(account, with_reserve(), [&](Mailbox& mailbox) {
    std::map<Hash, std::uint64_t> updated;
    std::map<Hash, std::uint64_t> unchanged;
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      const Message* message = live(mailbox, hashes[i], now_ms);
      const std::uint64_t expiry_ms = expiries_ms[expiries_ms.size() == 1 ? 0 : i];
      if (message == nullptr) {
        if (can_be_a_hash(hashes[i])) {
          forget_old_bounds(mailbox, hashes[i], now_ms);
          bound(mailbox, hashes[i], expiry_ms, change, now_ms + kLifeMsMax);
        }
        continue;
      }
      const std::uint64_t left_ms = message->expiry_ms - now_ms;
      const bool is_asked = change == ExpiryChange::set ||
                            (change == ExpiryChange::shorten ? expiry_ms < message->expiry_ms
                                                             : expiry_ms > message->expiry_ms &&
                                                                   expiry_ms - message->expiry_ms >=
                                                                       least_extension_ms(left_ms));
      if (!is_asked) {
        unchanged.emplace(hashes[i], message->expiry_ms);
        continue;
      }
      updated[hashes[i]] = expiry_ms;
      expire_at(mailbox, hashes[i], expiry_ms, change, now_ms);
    }
    ExpiriesChanged changed;
    for (const auto& [hash, expiry_ms] : updated) {
      changed.updated.push_back({hash, expiry_ms});
      unchanged.erase(hash);
    }
    for (const auto& [hash, expiry_ms] : unchanged) {
      changed.unchanged.push_back({hash, expiry_ms});
    }
    return changed;
  }));
}

void MemoryStore::shorten_all(const Account& account, std::optional<Namespace> space,
                              std::uint64_t expiry_ms, std::uint64_t now_ms,
                              Done<HashesBySpace> done) {
  done(carry_out<HashesBySpace>(account, with_reserve(), [&](Mailbox& mailbox) {
    HashesBySpace shortened;
    for (const auto& [place, message] : mailbox.messages) {
      if (is_in(space, place.first) && message.expiry_ms > std::max(now_ms, expiry_ms)) {
        shortened[place.first].push_back(message.hash);
      }
    }
    for (auto& [shortened_space, hashes] : shortened) {
      std::sort(hashes.begin(), hashes.end());
      for (const Hash& hash : hashes) {
        expire_at(mailbox, hash, expiry_ms, ExpiryChange::shorten, now_ms);
      }
    }
    return shortened;
  }));
}

void MemoryStore::revoke(const Account& account, std::vector<Token> tokens,
                         std::uint64_t timestamp_ms, Done<std::size_t> done) {
  done(carry_out<std::size_t>(account, with_reserve(), [&](Mailbox& mailbox) {
    std::size_t count = 0;
    std::vector<Revocation>& revocations = mailbox.revocations;
    for (const Token& token : tokens) {
      const auto known = std::find_if(revocations.begin(), revocations.end(),
                                      [&token](const Revocation& r) { return r.token == token; });
      if (known != revocations.end()) {
        known->timestamp_ms = std::max(known->timestamp_ms, timestamp_ms);
        continue;
      }
      revocations.push_back({token, timestamp_ms, next_order_++});
      ++count;
    }
    std::sort(revocations.begin(), revocations.end(), [](const Revocation& a, const Revocation& b) {
      return std::pair(a.timestamp_ms, a.order) > std::pair(b.timestamp_ms, b.order);
    });
    revocations.resize(std::min(revocations.size(), kRevokedMax));
    return count;
  }));
}

void MemoryStore::unrevoke(const Account& account, std::vector<Token> tokens,
                           Done<std::size_t> done) {
  done(carry_out<std::size_t>(account, UINT64_MAX, [&](Mailbox& mailbox) {
    return std::erase_if(mailbox.revocations, [&tokens](const Revocation& r) {
      return std::find(tokens.begin(), tokens.end(), r.token) != tokens.end();
    });
  }));
}

void MemoryStore::enqueue_missed(const PeerKey& peer, std::vector<std::string> records,
                                 Done<std::uint64_t> done) {
  Result<std::uint64_t> last = 0;
  {
    const std::lock_guard lock(mutex_);
    std::uint64_t bytes = bytes_used_;
    for (const std::string& record : records) {
      bytes += kMissedBytes + record.size();
    }
    if (!records.empty() && bytes > with_reserve()) {
      last = fail(Errc::full, kFullText);
      records.clear();
      bytes = bytes_used_;
    }
    for (std::string& record : records) {
      last = next_order_++;
      missed_[peer].emplace(*last, std::move(record));
    }
    bytes_used_ = bytes;
  }
  done(std::move(last));
}

void MemoryStore::drop_missed(const PeerKey& peer, std::uint64_t number, Done<std::size_t> done) {
  std::size_t count = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto queue = missed_.find(peer);
    if (queue != missed_.end()) {
      count = std::erase_if(queue->second, [&](const auto& record) {
        bytes_used_ -= record.first <= number ? kMissedBytes + record.second.size() : 0;
        return record.first <= number;
      });
      if (queue->second.empty()) {
        missed_.erase(queue);
      }
    }
  }
  done(count);
}

void MemoryStore::erase_missed(const PeerKey& peer, std::vector<std::uint64_t> numbers,
                               Done<std::size_t> done) {
  std::size_t count = 0;
  {
    const std::lock_guard lock(mutex_);
    for (const std::uint64_t number : numbers) {
      const auto queue = missed_.find(peer);
      const auto record =
          queue == missed_.end() ? decltype(queue->second.end()){} : queue->second.find(number);
      if (queue == missed_.end() || record == queue->second.end()) {
        continue;
      }
      bytes_used_ -= kMissedBytes + record->second.size();
      queue->second.erase(record);
      ++count;
      if (queue->second.empty()) {
        missed_.erase(queue);
      }
    }
  }
  done(count);
}

void MemoryStore::reclaim(std::uint64_t now_ms, Done<std::size_t> done) {
  std::size_t count = 0;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [account, mailbox] : mailboxes_) {
      bytes_used_ -= bytes_of(mailbox);
      std::vector<Hash> expired;
      for (const auto& [place, message] : mailbox.messages) {
        if (message.expiry_ms <= now_ms) {
          expired.push_back(message.hash);
        }
      }
      for (const Hash& hash : expired) {
        erase(mailbox, hash);
      }
      count += expired.size();
      std::erase_if(mailbox.tombstones, [now_ms](const auto& t) { return t.second <= now_ms; });
      std::erase_if(mailbox.bounds,
                    [now_ms](const auto& b) { return b.second.until_ms <= now_ms; });
      std::erase_if(mailbox.removed_before,
                    [now_ms](const auto& mark) { return end_of_watermark(mark.second) <= now_ms; });
      bytes_used_ += bytes_of(mailbox);
    }
    std::erase_if(mailboxes_, [](const auto& one) {
      const Mailbox& mailbox = one.second;
      return mailbox.messages.empty() && mailbox.tombstones.empty() && mailbox.bounds.empty() &&
             mailbox.removed_before.empty() && mailbox.revocations.empty();
    });
  }
  done(count);
}

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

Result<std::vector<Token>> MemoryStore::revoked(const Account& account) const {
  const std::lock_guard lock(mutex_);
  std::vector<Token> tokens;
  if (const Mailbox* mailbox = find(account)) {
    for (const Revocation& revocation : mailbox->revocations) {
      tokens.push_back(revocation.token);
    }
  }
  return tokens;
}

Result<std::vector<Missed>> MemoryStore::missed(const PeerKey& peer, std::uint64_t after,
                                                std::size_t bytes_max) const {
  const std::lock_guard lock(mutex_);
  std::vector<Missed> records;
  const auto queue = missed_.find(peer);
  if (queue == missed_.end()) {
    return records;
  }
  std::size_t bytes = 0;
  for (auto it = queue->second.upper_bound(after); it != queue->second.end(); ++it) {
    bytes += it->second.size();
    if (bytes > bytes_max && !records.empty()) {
      break;
    }
    records.push_back({it->first, it->second});
  }
  return records;
}

Result<std::vector<PeerKey>> MemoryStore::peers_with_missed() const {
  const std::lock_guard lock(mutex_);
  std::vector<PeerKey> peers;
  for (const auto& [peer, queue] : missed_) {
    peers.push_back(peer);
  }
  return peers;
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
      if (one->second.expiry_ms > now_ms && !visit(account, one->second)) {
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
  return status;
}

std::string MemoryStore::id() const {
  return "memory-" + std::to_string(number_);
}

}  // namespace allium::storage
