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
                        mailbox.shortened.size() * kShortenMarksBytes +
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
    mailbox.asked.erase(hash);
  }
}

void MemoryStore::raise(Removal& removal, std::uint64_t time_ms, Stamp asked) {
  removal.time_ms = std::max(removal.time_ms, time_ms);
  removal.asked = std::max(removal.asked, asked);
}

void MemoryStore::entomb(Mailbox& mailbox, const Hash& hash, const When& when) {
  const Message* message = live(mailbox, hash, when.now_ms);
  const std::uint64_t until_ms = message == nullptr ? when.now_ms + kLifeMsMax : message->expiry_ms;
  erase(mailbox, hash);
  raise(mailbox.tombstones[hash], until_ms, when.asked);
}

ExpiryHistory MemoryStore::bounds_of(const Mailbox& mailbox, const Hash& hash,
                                     std::uint64_t now_ms) {
  const auto found = mailbox.bounds.find(hash);
  return found != mailbox.bounds.end() && found->second.until_ms > now_ms ? found->second.expiry
                                                                          : ExpiryHistory();
}

void MemoryStore::bound(Mailbox& mailbox, const Hash& hash, const ExpiryHistory& expiry,
                        std::uint64_t until_ms, std::uint64_t now_ms) {
  Bounds& bounds = mailbox.bounds[hash];
  bounds = {expiry, std::max(bounds.until_ms > now_ms ? bounds.until_ms : 0, until_ms)};
}

/// To what its history says now; gives that.
std::uint64_t MemoryStore::expire(Mailbox& mailbox, const Hash& hash, const When& when) {
  const ExpiryHistory& expiry = mailbox.asked.at(hash).expiry;
  const std::uint64_t expiry_ms = expiry.expiry_ms();
  if (expiry_ms <= when.now_ms) {
    entomb(mailbox, hash, when);
    return expiry_ms;
  }
  Message& message = mailbox.messages.at(mailbox.places.at(hash));
  const auto bounds = mailbox.bounds.find(hash);
  const bool is_bounded = bounds != mailbox.bounds.end() && bounds->second.until_ms > when.now_ms;
  if (expiry_ms < message.expiry_ms || is_bounded) {
    bound(mailbox, hash, expiry, std::max(message.expiry_ms, expiry_ms), when.now_ms);
  }
  message.expiry_ms = expiry_ms;
  return expiry_ms;
}

/// 0: there is none.
std::uint64_t MemoryStore::watermark(const Mailbox& mailbox, std::optional<Namespace> space,
                                     std::uint64_t now_ms) {
  const auto mark = mailbox.removed_before.find(space);
  return mark != mailbox.removed_before.end() && end_of_watermark(mark->second.time_ms) > now_ms
             ? mark->second.time_ms
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

/// `order`: of the message, where it is not here yet.
Stored MemoryStore::store_now(Mailbox& mailbox, std::uint64_t order, Message message, Origin origin,
                              bool replaces, When when) {
  const std::uint64_t now_ms = when.now_ms;
  const bool is_replica = origin == Origin::replica;
  if (is_replica) {
    when.asked = stamp_of(std::min(message.timestamp_ms, now_ms));
  }
  const auto is_older = [&](Stamp than) { return is_replica || when.asked < than; };
  const Message* here = live(mailbox, message.hash, now_ms);
  const ExpiryHistory bounds = bounds_of(mailbox, message.hash, now_ms);
  ExpiryHistory expiry = here != nullptr ? mailbox.asked.at(message.hash).expiry : bounds;
  expiry.add(ExpiryHistory::Kind::store, message.expiry_ms,
             is_replica ? kReplicaStamp : when.asked);
  for (const auto& [space, marks] : mailbox.shortened) {
    if (is_in(space, message.space) && marks.end_ms() > now_ms) {
      marks.tell(expiry, when.asked);
    }
  }
  message.expiry_ms = expiry.expiry_ms();
  if (message.expiry_ms <= now_ms) {
    return Stored{StoreEffect::expired, message.expiry_ms};
  }
  const auto tombstone = mailbox.tombstones.find(message.hash);
  const bool is_buried = tombstone != mailbox.tombstones.end() &&
                         tombstone->second.time_ms > now_ms && is_older(tombstone->second.asked);
  const auto is_removed = [&](const std::optional<Namespace>& space) {
    const auto mark = mailbox.removed_before.find(space);
    return mark != mailbox.removed_before.end() && message.timestamp_ms <= mark->second.time_ms &&
           end_of_watermark(mark->second.time_ms) > now_ms && is_older(mark->second.asked);
  };
  if (is_buried || (here == nullptr && (is_removed(message.space) || is_removed(std::nullopt)))) {
    return Stored{StoreEffect::tombstoned, message.expiry_ms};
  }
  if (!is_replica) {
    mailbox.tombstones.erase(message.hash);
    if (bounds.latest() <= when.asked) {
      mailbox.bounds.erase(message.hash);
    }
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
    kept.expiry_ms = message.expiry_ms;
    Asked& asked = mailbox.asked.at(message.hash);
    asked.expiry = expiry;
    asked.stored = std::max(asked.stored, when.asked);
    if (replaces && message.timestamp_ms > kept.timestamp_ms) {
      raise(mailbox.removed_before[message.space], message.timestamp_ms, when.asked);
    }
    return Stored{StoreEffect::already, kept.expiry_ms};
  }
  erase(mailbox, message.hash);
  const Place place(message.space, order);
  mailbox.places[message.hash] = place;
  mailbox.asked[message.hash] = {when.asked, expiry};
  const std::uint64_t expiry_ms = message.expiry_ms;
  mailbox.messages.emplace(place, std::move(message));
  return Stored{StoreEffect::inserted, expiry_ms};
}

void MemoryStore::store(const Account& account, Message message, Origin origin, bool replaces,
                        const When& when, Done<Stored> done) {
  if (message.data.size() > kDataBytesMax || !can_be_a_hash(message.hash)) {
    done(fail(Errc::out_of_range, "a message is longer than the store keeps them"));
    return;
  }
  done(carry_out<Stored>(account, bytes_limit_, [&](Mailbox& mailbox) {
    const Stored stored =
        store_now(mailbox, next_order_, std::move(message), origin, replaces, when);
    next_order_ += stored.effect == StoreEffect::inserted ? 1U : 0U;
    return stored;
  }));
}

void MemoryStore::remove(const Account& account, std::vector<Hash> hashes, const When& when,
                         Done<std::vector<Hash>> done) {
  done(carry_out<std::vector<Hash>>(account, with_reserve(), [&](Mailbox& mailbox) {
    std::set<Hash> removed;
    for (const Hash& hash : hashes) {
      const bool is_live = live(mailbox, hash, when.now_ms) != nullptr;
      const bool is_newer = is_live && mailbox.asked.at(hash).stored > when.asked;
      if (is_live && !is_newer) {
        removed.insert(hash);
      }
      if (can_be_a_hash(hash) && !is_newer) {
        entomb(mailbox, hash, when);
      }
    }
    return std::vector<Hash>(removed.begin(), removed.end());
  }));
}

HashesBySpace MemoryStore::remove_where(Mailbox& mailbox, std::optional<Namespace> space,
                                        std::uint64_t before_ms, const When& when, bool all) {
  HashesBySpace removed;
  for (const auto& [place, message] : mailbox.messages) {
    if (is_in(space, place.first) && message.expiry_ms > when.now_ms &&
        mailbox.asked.at(message.hash).stored <= when.asked &&
        (all || message.timestamp_ms <= before_ms)) {
      removed[place.first].push_back(message.hash);
    }
  }
  for (auto& [removed_space, hashes] : removed) {
    std::sort(hashes.begin(), hashes.end());
    for (const Hash& hash : hashes) {
      entomb(mailbox, hash, when);
    }
  }
  raise(mailbox.removed_before[space], before_ms, when.asked);
  return removed;
}

void MemoryStore::remove_before(const Account& account, std::optional<Namespace> space,
                                std::uint64_t before_ms, const When& when,
                                Done<HashesBySpace> done) {
  done(carry_out<HashesBySpace>(account, with_reserve(), [&](Mailbox& mailbox) {
    return remove_where(mailbox, space, before_ms, when, false);
  }));
}

void MemoryStore::remove_all(const Account& account, std::optional<Namespace> space,
                             std::uint64_t before_ms, const When& when, Done<HashesBySpace> done) {
  done(carry_out<HashesBySpace>(account, with_reserve(), [&](Mailbox& mailbox) {
    return remove_where(mailbox, space, before_ms, when, true);
  }));
}

void MemoryStore::change_expiry(const Account& account, std::vector<Hash> hashes,
                                std::vector<std::uint64_t> expiries_ms, ExpiryChange change,
                                const When& when, Done<ExpiriesChanged> done) {
  if (expiries_ms.size() != 1 && expiries_ms.size() != hashes.size()) {
    done(fail(Errc::out_of_range, "neither one expiry nor one for each message"));
    return;
  }
  const std::uint64_t now_ms = when.now_ms;
  done(carry_out<ExpiriesChanged>(account, with_reserve(), [&](Mailbox& mailbox) {
    std::map<Hash, std::uint64_t> updated;
    std::map<Hash, std::uint64_t> unchanged;
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      const Message* message = live(mailbox, hashes[i], now_ms);
      const std::uint64_t expiry_ms = expiries_ms[expiries_ms.size() == 1 ? 0 : i];
      if (message == nullptr) {
        if (can_be_a_hash(hashes[i])) {
          ExpiryHistory expiry = bounds_of(mailbox, hashes[i], now_ms);
          expiry.add(change, expiry_ms, when.asked);
          bound(mailbox, hashes[i], expiry, now_ms + kLifeMsMax, now_ms);
        }
        continue;
      }
      const std::uint64_t held_ms = message->expiry_ms;
      const bool is_meant =
          change == ExpiryChange::set ||
          (change == ExpiryChange::shorten
               ? expiry_ms < held_ms
               : is_worth_extending(held_ms, expiry_ms, when.asked / kStampsPerMs));
      ExpiryHistory& expiry = mailbox.asked.at(hashes[i]).expiry;
      expiry.add(change, expiry_ms, when.asked);
      if (!is_meant && expiry.expiry_ms() == held_ms) {
        unchanged.emplace(hashes[i], held_ms);
        continue;
      }
      updated[hashes[i]] = expire(mailbox, hashes[i], when);
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
                              std::uint64_t expiry_ms, const When& when, Done<HashesBySpace> done) {
  done(carry_out<HashesBySpace>(account, with_reserve(), [&](Mailbox& mailbox) {
    HashesBySpace shortened;
    std::vector<Hash> concerned;
    for (const auto& [place, message] : mailbox.messages) {
      Asked& asked = mailbox.asked.at(message.hash);
      const bool is_older = asked.stored <= when.asked || asked.expiry.begins_before(when.asked);
      if (!is_in(space, place.first) || message.expiry_ms <= when.now_ms || !is_older) {
        continue;
      }
      asked.expiry.add(ExpiryChange::shorten, expiry_ms, when.asked);
      if (asked.expiry.expiry_ms() < message.expiry_ms) {
        shortened[place.first].push_back(message.hash);
        concerned.push_back(message.hash);
      }
    }
    for (const Hash& hash : concerned) {
      expire(mailbox, hash, when);
    }
    mailbox.shortened[space].add({when.asked, expiry_ms});
    for (auto& [shortened_space, hashes] : shortened) {
      std::sort(hashes.begin(), hashes.end());
    }
    return shortened;
  }));
}

std::size_t MemoryStore::say_of_tokens(Mailbox& mailbox, const std::vector<Token>& tokens,
                                       const Revocation& said) {
  std::size_t count = 0;
  std::vector<Revocation>& all = mailbox.revocations;
  for (const Token& token : tokens) {
    auto known = std::find_if(all.begin(), all.end(),
                              [&token](const Revocation& r) { return r.token == token; });
    if (known != all.end() && known->asked > said.asked) {
      continue;
    }
    const bool was_revoked = known != all.end() && !known->is_lifted;
    count += was_revoked == said.is_lifted ? 1U : 0U;
    if (known == all.end()) {
      known = all.insert(all.end(), Revocation{token});
    }
    const bool is_again = was_revoked && !said.is_lifted;
    *known = {token,
              is_again ? std::max(known->timestamp_ms, said.timestamp_ms) : said.timestamp_ms,
              is_again ? known->order : next_order_++, said.asked, said.is_lifted};
  }
  // Newest first; those that are revoked, then those that are not any more.
  std::sort(all.begin(), all.end(), [](const Revocation& a, const Revocation& b) {
    if (a.is_lifted != b.is_lifted) {
      return b.is_lifted;
    }
    const auto age = [](const Revocation& of) { return of.is_lifted ? of.asked : of.timestamp_ms; };
    return std::pair(age(a), a.order) > std::pair(age(b), b.order);
  });
  std::size_t revoked = 0;
  std::size_t lifted = 0;
  std::erase_if(
      all, [&](const Revocation& r) { return ++(r.is_lifted ? lifted : revoked) > kRevokedMax; });
  return count;
}

void MemoryStore::revoke(const Account& account, std::vector<Token> tokens,
                         std::uint64_t timestamp_ms, const When& when, Done<std::size_t> done) {
  done(carry_out<std::size_t>(account, with_reserve(), [&](Mailbox& mailbox) {
    return say_of_tokens(mailbox, tokens, {{}, timestamp_ms, 0, when.asked, false});
  }));
}

void MemoryStore::unrevoke(const Account& account, std::vector<Token> tokens, const When& when,
                           Done<std::size_t> done) {
  done(carry_out<std::size_t>(account, UINT64_MAX, [&](Mailbox& mailbox) {
    return say_of_tokens(mailbox, tokens, {{}, 0, 0, when.asked, true});
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

void MemoryStore::forget(std::uint64_t first, std::uint64_t last, Stamp before,
                         Done<std::size_t> done) {
  std::size_t count = 0;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [account, mailbox] : mailboxes_) {
      if (point_of(account) < first || point_of(account) > last) {
        continue;
      }
      bytes_used_ -= bytes_of(mailbox);
      std::vector<Hash> old;
      for (const auto& [hash, asked] : mailbox.asked) {
        if (asked.stored < before) {
          old.push_back(hash);
        }
      }
      for (const Hash& hash : old) {
        erase(mailbox, hash);
      }
      count += old.size();
      std::erase_if(mailbox.revocations,
                    [before](const Revocation& r) { return r.asked < before; });
      bytes_used_ += bytes_of(mailbox);
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
      std::erase_if(mailbox.tombstones,
                    [now_ms](const auto& t) { return t.second.time_ms <= now_ms; });
      std::erase_if(mailbox.bounds,
                    [now_ms](const auto& b) { return b.second.until_ms <= now_ms; });
      std::erase_if(mailbox.removed_before, [now_ms](const auto& mark) {
        return end_of_watermark(mark.second.time_ms) <= now_ms;
      });
      std::erase_if(mailbox.shortened,
                    [now_ms](const auto& marks) { return marks.second.end_ms() <= now_ms; });
      std::erase_if(mailbox.revocations, [now_ms](const Revocation& r) {
        return r.is_lifted && end_of_lifted(r.asked) <= now_ms;
      });
      bytes_used_ += bytes_of(mailbox);
    }
    std::erase_if(mailboxes_, [](const auto& one) {
      const Mailbox& mailbox = one.second;
      return mailbox.messages.empty() && mailbox.tombstones.empty() && mailbox.bounds.empty() &&
             mailbox.removed_before.empty() && mailbox.shortened.empty() &&
             mailbox.revocations.empty();
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
      if (!revocation.is_lifted) {
        tokens.push_back(revocation.token);
      }
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
  return status;
}

std::string MemoryStore::id() const {
  return "memory-" + std::to_string(number_);
}

}  // namespace allium::storage
