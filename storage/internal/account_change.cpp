// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/account_change.hpp"

#include <algorithm>
#include <tuple>

#include "storage/stored_bytes.hpp"

namespace allium::storage::internal {
namespace {

bool can_be_a_hash(const Hash& hash) {
  return !hash.empty() && hash.size() <= kHashCharsMax;
}

void sort_hashes(HashesBySpace& by_space) {
  for (auto& [space, hashes] : by_space) {
    std::sort(hashes.begin(), hashes.end());
  }
}

std::vector<HashExpiry> listed(const std::map<Hash, std::uint64_t>& expiries) {
  std::vector<HashExpiry> list;
  list.reserve(expiries.size());
  for (const auto& [hash, expiry_ms] : expiries) {
    list.push_back({hash, expiry_ms});
  }
  return list;
}

bool is_asked(ExpiryChange change, std::uint64_t expiry_ms, std::uint64_t held_ms, Stamp asked) {
  switch (change) {
    case ExpiryChange::shorten:
      return expiry_ms < held_ms;
    case ExpiryChange::extend:
      return is_worth_extending(held_ms, expiry_ms, asked / kStampsPerMs);
    case ExpiryChange::set:
      break;
  }
  return true;
}

}  // namespace

// Messages.

std::optional<Kept> AccountChange::find(const Hash& hash) {
  const auto place = transaction_.get(hash_key(Kind::place, account_, hash), decode_place);
  if (!place) {
    return std::nullopt;
  }
  auto header = transaction_.get(message_key(Kind::header, account_, *place), decode_header);
  if (!header) {
    transaction_.mark({Errc::io, "a message of the store has lost its header: restore a backup"});
    return std::nullopt;
  }
  return Kept{*place, std::move(*header)};
}

std::vector<Kept> AccountChange::list(std::optional<Namespace> space) {
  const std::string prefix =
      space ? space_prefix(Kind::header, account_, *space) : account_key(Kind::header, account_);
  std::vector<Kept> messages;
  for (const auto& [key, value] : transaction_.scan(prefix)) {
    const auto parsed = parse_message_key(key);
    auto header = transaction_.decoded(decode_header(value));
    if (!parsed || !header) {
      transaction_.mark({Errc::io, "a key of the message store is damaged: restore a backup"});
      return {};
    }
    messages.push_back({parsed->place, std::move(*header)});
  }
  return messages;
}

void AccountChange::count_message(bool is_added) {
  const std::string key = account_key(Kind::mailbox, account_);
  const std::uint64_t count = transaction_.get(key, decode_number).value_or(0);
  Totals& totals = transaction_.totals();
  if (is_added) {
    ++totals.messages;
    totals.accounts += count == 0 ? 1U : 0U;
    transaction_.put(key, encode_number(count + 1));
    return;
  }
  --totals.messages;
  if (count > 1) {
    transaction_.put(key, encode_number(count - 1));
  } else {
    --totals.accounts;
    transaction_.erase(key);
  }
}

void AccountChange::insert(const Message& message, const ExpiryHistory& expiry) {
  const Place place{message.space, transaction_.totals().next_sequence++};
  const Header header{message.timestamp_ms,
                      message.expiry_ms,
                      asked_,
                      expiry,
                      static_cast<std::uint32_t>(message.data.size()),
                      message.hash};
  const std::string key = message_key(Kind::header, account_, place);
  transaction_.put(key, encode_header(header));
  transaction_.put(message_key(Kind::data, account_, place), encode_bytes(message.data));
  transaction_.put(hash_key(Kind::place, account_, message.hash), encode_place(place));
  transaction_.put(expiry_key(message.expiry_ms, key), encode_bytes({}));
  transaction_.totals().bytes_used += message_bytes(message.hash.size(), message.data.size());
  count_message(true);
}

void AccountChange::erase(const Kept& message) {
  const std::string key = message_key(Kind::header, account_, message.place);
  transaction_.erase(key);
  transaction_.erase(message_key(Kind::data, account_, message.place));
  transaction_.erase(hash_key(Kind::place, account_, message.header.hash));
  transaction_.erase(expiry_key(message.header.expiry_ms, key));
  transaction_.totals().bytes_used -=
      message_bytes(message.header.hash.size(), message.header.data_bytes);
  count_message(false);
}

void AccountChange::rewrite(const Kept& message) {
  transaction_.put(message_key(Kind::header, account_, message.place),
                   encode_header(message.header));
}

void AccountChange::set_expiry(Kept message) {
  const std::uint64_t expiry_ms = message.header.expiry.expiry_ms();
  if (message.header.expiry_ms != expiry_ms) {
    const std::string key = message_key(Kind::header, account_, message.place);
    transaction_.erase(expiry_key(message.header.expiry_ms, key));
    transaction_.put(expiry_key(expiry_ms, key), encode_bytes({}));
    message.header.expiry_ms = expiry_ms;
  }
  rewrite(message);
}

void AccountChange::take_over(Kept here, const Message& message, const ExpiryHistory& expiry,
                              bool replaces) {
  if (replaces && message.timestamp_ms > here.header.timestamp_ms) {
    // What is older than this second store must not replace it when it comes late.
    raise_watermark(message.space, message.timestamp_ms);
  }
  here.header.stored = std::max(here.header.stored, asked_);
  here.header.expiry = expiry;
  set_expiry(std::move(here));
}

Stored AccountChange::store(Message message, Origin origin, bool replaces) {
  const bool is_replica = origin == Origin::replica;
  if (is_replica) {
    asked_ = stamp_of(std::min(message.timestamp_ms, now_ms_));
  }
  const std::optional<Kept> here = find(message.hash);
  const bool is_here = here && is_live(*here);
  const ExpiryHistory bounds = bounds_of(message.hash).value_or(Bounds{}).expiry;
  ExpiryHistory expiry = is_here ? here->header.expiry : bounds;
  expiry.add(ExpiryHistory::Kind::store, message.expiry_ms, is_replica ? kReplicaStamp : asked_);
  shorten_marks(message.space).tell(expiry, asked_);
  shorten_marks(std::nullopt).tell(expiry, asked_);
  message.expiry_ms = expiry.expiry_ms();
  if (message.expiry_ms <= now_ms_) {
    return {StoreEffect::expired, message.expiry_ms};
  }
  if (is_buried(message.hash, origin) || (!is_here && is_removed(message, origin))) {
    return {StoreEffect::tombstoned, message.expiry_ms};
  }
  std::vector<Kept> others = replaces ? list(message.space) : std::vector<Kept>();
  std::erase_if(others, [&](const Kept& other) { return other.header.hash == message.hash; });
  if (!is_replica) {
    unbury(message.hash);
    if (bounds.latest() <= asked_) {
      unbound(message.hash);
    }
  }
  if (is_outdated(message, others)) {
    return {StoreEffect::outdated, message.expiry_ms};
  }
  for (const Kept& other : others) {
    erase(other);
  }
  if (is_here) {
    take_over(*here, message, expiry, replaces);
    return {StoreEffect::already, message.expiry_ms};
  }
  if (here) {
    erase(*here);
  }
  insert(message, expiry);
  return {StoreEffect::inserted, message.expiry_ms};
}

// Removal.

bool AccountChange::is_buried(const Hash& hash, Origin origin) {
  const auto tombstone =
      transaction_.get(hash_key(Kind::tombstone, account_, hash), decode_removal);
  return tombstone && tombstone->time_ms > now_ms_ && holds_against(*tombstone, origin);
}

std::optional<Removal> AccountChange::watermark(std::optional<Namespace> space) {
  const auto mark = transaction_.get(mark_key(Kind::watermark, account_, space), decode_removal);
  return mark && end_of_watermark(mark->time_ms) > now_ms_ ? mark : std::nullopt;
}

bool AccountChange::is_removed(const Message& message, Origin origin) {
  const auto is_before = [&](std::optional<Namespace> space) {
    const auto mark = watermark(space);
    return mark && message.timestamp_ms <= mark->time_ms && holds_against(*mark, origin);
  };
  return is_before(message.space) || is_before(std::nullopt);
}

bool AccountChange::is_outdated(const Message& message, const std::vector<Kept>& others) {
  return std::any_of(others.begin(), others.end(), [&](const Kept& other) {
    const std::uint64_t newest_ms =
        std::max(other.header.timestamp_ms, watermark(message.space).value_or(Removal{}).time_ms);
    return is_live(other) &&
           std::pair(newest_ms, other.header.hash) > std::pair(message.timestamp_ms, message.hash);
  });
}

void AccountChange::bury(const Hash& hash, std::uint64_t until_ms) {
  const std::string key = hash_key(Kind::tombstone, account_, hash);
  const auto old = transaction_.get(key, decode_removal);
  if (old && old->time_ms >= until_ms && old->asked >= asked_) {
    return;
  }
  if (old) {
    transaction_.erase(expiry_key(old->time_ms, key));
    until_ms = std::max(until_ms, old->time_ms);
  } else {
    transaction_.totals().bytes_used += tombstone_bytes(hash.size());
  }
  const Removal tombstone{until_ms, std::max(asked_, old.value_or(Removal{}).asked)};
  transaction_.put(key, encode_removal(tombstone));
  transaction_.put(expiry_key(until_ms, key), encode_bytes({}));
}

void AccountChange::unbury(const Hash& hash) {
  const std::string key = hash_key(Kind::tombstone, account_, hash);
  if (const auto tombstone = transaction_.get(key, decode_removal)) {
    transaction_.erase(key);
    transaction_.erase(expiry_key(tombstone->time_ms, key));
    transaction_.totals().bytes_used -= tombstone_bytes(hash.size());
  }
}

void AccountChange::entomb(const Kept& message) {
  erase(message);
  bury(message.header.hash, message.header.expiry_ms);
}

void AccountChange::raise_watermark(std::optional<Namespace> space, std::uint64_t before_ms) {
  const std::string key = mark_key(Kind::watermark, account_, space);
  const auto old = transaction_.get(key, decode_removal);
  if (old && old->time_ms >= before_ms && old->asked >= asked_) {
    return;
  }
  if (old) {
    transaction_.erase(expiry_key(end_of_watermark(old->time_ms), key));
    before_ms = std::max(before_ms, old->time_ms);
  } else {
    transaction_.totals().bytes_used += kWatermarkBytes;
  }
  const Removal mark{before_ms, std::max(asked_, old.value_or(Removal{}).asked)};
  transaction_.put(key, encode_removal(mark));
  transaction_.put(expiry_key(end_of_watermark(before_ms), key), encode_bytes({}));
}

std::vector<Hash> AccountChange::remove(const std::vector<Hash>& hashes) {
  std::vector<Hash> removed;
  for (const Hash& hash : hashes) {
    if (!can_be_a_hash(hash)) {
      continue;
    }
    const std::optional<Kept> here = find(hash);
    if (here && is_live(*here)) {
      if (!is_newer(*here)) {
        removed.push_back(hash);
        entomb(*here);
      }
      continue;
    }
    if (here) {
      erase(*here);
    }
    bury(hash, now_ms_ + kLifeMsMax);
  }
  std::sort(removed.begin(), removed.end());
  return removed;
}

HashesBySpace AccountChange::remove_before(std::optional<Namespace> space,
                                           std::uint64_t before_ms) {
  HashesBySpace removed;
  for (const Kept& message : list(space)) {
    if (is_live(message) && !is_newer(message) && message.header.timestamp_ms <= before_ms) {
      removed[message.place.space].push_back(message.header.hash);
      entomb(message);
    }
  }
  raise_watermark(space, before_ms);
  sort_hashes(removed);
  return removed;
}

HashesBySpace AccountChange::remove_all(std::optional<Namespace> space, std::uint64_t before_ms) {
  HashesBySpace removed;
  for (const Kept& message : list(space)) {
    if (is_live(message) && !is_newer(message)) {
      removed[message.place.space].push_back(message.header.hash);
      entomb(message);
    }
  }
  raise_watermark(space, before_ms);
  sort_hashes(removed);
  return removed;
}

// Expiry.

std::optional<Bounds> AccountChange::bounds_of(const Hash& hash) {
  const auto bounds = transaction_.get(hash_key(Kind::bounds, account_, hash), decode_bounds);
  return bounds && bounds->until_ms > now_ms_ ? bounds : std::nullopt;
}

void AccountChange::bound(const Hash& hash, const ExpiryHistory& expiry, std::uint64_t until_ms) {
  const Bounds bounds{expiry, std::max(until_ms, bounds_of(hash).value_or(Bounds{}).until_ms)};
  unbound(hash);
  const std::string key = hash_key(Kind::bounds, account_, hash);
  transaction_.put(key, encode_bounds(bounds));
  transaction_.put(expiry_key(bounds.until_ms, key), encode_bytes({}));
  transaction_.totals().bytes_used += bounds_bytes(hash.size());
}

void AccountChange::unbound(const Hash& hash) {
  const std::string key = hash_key(Kind::bounds, account_, hash);
  if (const auto bounds = transaction_.get(key, decode_bounds)) {
    transaction_.erase(key);
    transaction_.erase(expiry_key(bounds->until_ms, key));
    transaction_.totals().bytes_used -= bounds_bytes(hash.size());
  }
}

void AccountChange::expire(const Kept& message) {
  const std::uint64_t held_ms = message.header.expiry_ms;
  const std::uint64_t expiry_ms = message.header.expiry.expiry_ms();
  if (expiry_ms <= now_ms_) {
    entomb(message);
    return;
  }
  // A replica that is still on its way says the old expiry. Only what was made shorter can be undone by it.
  if (expiry_ms < held_ms || bounds_of(message.header.hash)) {
    bound(message.header.hash, message.header.expiry, std::max(held_ms, expiry_ms));
  }
  set_expiry(message);
}

ExpiriesChanged AccountChange::change_expiry(const std::vector<Hash>& hashes,
                                             const std::vector<std::uint64_t>& expiries_ms,
                                             ExpiryChange change) {
  std::map<Hash, std::uint64_t> updated;
  std::map<Hash, std::uint64_t> unchanged;
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    std::optional<Kept> here = find(hashes[i]);
    const std::uint64_t expiry_ms = expiries_ms[expiries_ms.size() == 1 ? 0 : i];
    if (!here || !is_live(*here)) {
      // Perhaps it is still on its way here, from a member that could not reach us.
      if (can_be_a_hash(hashes[i])) {
        ExpiryHistory expiry = bounds_of(hashes[i]).value_or(Bounds{}).expiry;
        expiry.add(change, expiry_ms, asked_);
        bound(hashes[i], expiry, now_ms_ + kLifeMsMax);
      }
      continue;
    }
    const std::uint64_t held_ms = here->header.expiry_ms;
    // It counts even if it changes nothing now: something may come later that was asked for before.
    here->header.expiry.add(change, expiry_ms, asked_);
    if (!is_asked(change, expiry_ms, held_ms, asked_) &&
        here->header.expiry.expiry_ms() == held_ms) {
      unchanged.emplace(hashes[i], held_ms);
      rewrite(*here);
      continue;
    }
    updated[hashes[i]] = here->header.expiry.expiry_ms();
    expire(*here);
  }
  for (const auto& [hash, expiry_ms] : updated) {
    unchanged.erase(hash);
  }
  return {listed(updated), listed(unchanged)};
}

HashesBySpace AccountChange::shorten_all(std::optional<Namespace> space, std::uint64_t expiry_ms) {
  HashesBySpace shortened;
  for (Kept& message : list(space)) {
    Header& header = message.header;
    if (!is_live(message) || (is_newer(message) && !header.expiry.begins_before(asked_))) {
      continue;
    }
    header.expiry.add(ExpiryChange::shorten, expiry_ms, asked_);
    if (header.expiry.expiry_ms() < header.expiry_ms) {
      shortened[message.place.space].push_back(header.hash);
      expire(message);
    } else {
      rewrite(message);
    }
  }
  mark_shortened(space, expiry_ms);
  sort_hashes(shortened);
  return shortened;
}

ShortenMarks AccountChange::shorten_marks(std::optional<Namespace> space) {
  const auto marks =
      transaction_.get(mark_key(Kind::shorten_marks, account_, space), decode_shorten_marks);
  return marks && marks->end_ms() > now_ms_ ? *marks : ShortenMarks();
}

void AccountChange::mark_shortened(std::optional<Namespace> space, std::uint64_t expiry_ms) {
  const std::string key = mark_key(Kind::shorten_marks, account_, space);
  const auto old = transaction_.get(key, decode_shorten_marks);
  if (old) {
    transaction_.erase(expiry_key(old->end_ms(), key));
  } else {
    transaction_.totals().bytes_used += kShortenMarksBytes;
  }
  ShortenMarks marks = old.value_or(ShortenMarks());
  marks.add({asked_, expiry_ms});
  transaction_.put(key, encode_shorten_marks(marks));
  transaction_.put(expiry_key(marks.end_ms(), key), encode_bytes({}));
}

// Revocations.

std::vector<AccountChange::Revoked> AccountChange::revocations() {
  std::vector<Revoked> found;
  for (const auto& [key, value] : transaction_.scan(account_key(Kind::revocation, account_))) {
    const auto parsed = parse_revocation_key(key);
    const auto revocation = transaction_.decoded(decode_revocation(value));
    if (!parsed || !revocation) {
      transaction_.mark({Errc::io, "a revocation of the store is damaged: restore a backup"});
      return {};
    }
    found.push_back({parsed->token, *revocation});
  }
  return found;
}

void AccountChange::put_revocation(const Revoked& revoked) {
  const std::string key = revocation_key(account_, revoked.token);
  transaction_.put(key, encode_revocation(revoked.revocation));
  if (revoked.revocation.is_lifted) {
    transaction_.put(expiry_key(end_of_lifted(revoked.revocation.asked), key), encode_bytes({}));
  }
  transaction_.totals().bytes_used += kRevocationBytes;
}

void AccountChange::erase_revocation(const Revoked& revoked) {
  const std::string key = revocation_key(account_, revoked.token);
  transaction_.erase(key);
  if (revoked.revocation.is_lifted) {
    transaction_.erase(expiry_key(end_of_lifted(revoked.revocation.asked), key));
  }
  transaction_.totals().bytes_used -= kRevocationBytes;
}

void AccountChange::keep_newest_revocations() {
  std::vector<Revoked> all = revocations();
  std::sort(all.begin(), all.end(), [](const Revoked& left, const Revoked& right) {
    const auto age = [](const Revocation& of) {
      return std::tuple(of.is_lifted, of.is_lifted ? of.asked : of.timestamp_ms, of.order);
    };
    return age(left.revocation) > age(right.revocation);
  });
  std::size_t kept[2] = {0, 0};
  for (const Revoked& revoked : all) {
    if (++kept[revoked.revocation.is_lifted ? 1 : 0] > kRevokedMax) {
      erase_revocation(revoked);
    }
  }
}

std::size_t AccountChange::say_of_tokens(const std::vector<Token>& tokens,
                                         std::uint64_t timestamp_ms, bool is_lifted) {
  std::size_t count = 0;
  for (const Token& token : tokens) {
    Revoked said{token, {timestamp_ms, 0, asked_, is_lifted}};
    const auto known = transaction_.get(revocation_key(account_, token), decode_revocation);
    if (known && known->asked > asked_) {
      continue;
    }
    if (known) {
      erase_revocation({token, *known});
    }
    const bool was_revoked = known && !known->is_lifted;
    if (was_revoked && !is_lifted) {
      said.revocation.timestamp_ms = std::max(timestamp_ms, known->timestamp_ms);
      said.revocation.order = known->order;
    } else {
      said.revocation.order = transaction_.totals().next_sequence++;
    }
    count += was_revoked == is_lifted ? 1U : 0U;
    put_revocation(said);
  }
  keep_newest_revocations();
  return count;
}

std::size_t AccountChange::revoke(const std::vector<Token>& tokens, std::uint64_t timestamp_ms) {
  return say_of_tokens(tokens, timestamp_ms, false);
}

std::size_t AccountChange::unrevoke(const std::vector<Token>& tokens) {
  return say_of_tokens(tokens, 0, true);
}

}  // namespace allium::storage::internal
