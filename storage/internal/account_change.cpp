// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/account_change.hpp"

#include <algorithm>

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

bool is_asked(ExpiryChange change, std::uint64_t expiry_ms, std::uint64_t held_ms) {
  switch (change) {
    case ExpiryChange::shorten:
      return expiry_ms < held_ms;
    case ExpiryChange::extend:
      return expiry_ms > held_ms;
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

void AccountChange::insert(const Message& message) {
  const Place place{message.space, transaction_.totals().next_sequence++};
  const Header header{message.timestamp_ms, message.expiry_ms,
                      static_cast<std::uint32_t>(message.data.size()), message.hash};
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

void AccountChange::set_expiry(Kept message, std::uint64_t expiry_ms) {
  if (message.header.expiry_ms == expiry_ms) {
    return;
  }
  const std::string key = message_key(Kind::header, account_, message.place);
  transaction_.erase(expiry_key(message.header.expiry_ms, key));
  transaction_.put(expiry_key(expiry_ms, key), encode_bytes({}));
  message.header.expiry_ms = expiry_ms;
  rewrite(message);
}

std::uint64_t AccountChange::take_over(Kept here, const Message& message, bool replaces) {
  if (replaces && message.timestamp_ms > here.header.timestamp_ms) {
    // What is older than this second store must not replace it when it comes late.
    raise_watermark(message.space, message.timestamp_ms);
  }
  const std::uint64_t expiry_ms = std::max(here.header.expiry_ms, message.expiry_ms);
  set_expiry(std::move(here), expiry_ms);
  return expiry_ms;
}

Stored AccountChange::store(Message message, Origin origin, bool replaces) {
  const bool is_replica = origin == Origin::replica;
  if (const auto bounds = is_replica ? bounds_of(message.hash) : std::nullopt) {
    message.expiry_ms = std::clamp(message.expiry_ms, bounds->floor_ms, bounds->cap_ms);
  }
  if (is_replica && message.expiry_ms <= now_ms_) {
    return {StoreEffect::expired, message.expiry_ms};
  }
  const std::optional<Kept> here = find(message.hash);
  const bool is_here = here && is_live(*here);
  if (is_replica && (is_buried(message.hash) || (!is_here && is_removed(message)))) {
    return {StoreEffect::tombstoned, message.expiry_ms};
  }
  std::vector<Kept> others = replaces ? list(message.space) : std::vector<Kept>();
  std::erase_if(others, [&](const Kept& other) { return other.header.hash == message.hash; });
  if (!is_replica) {
    unbury(message.hash);
    unbound(message.hash);
  }
  if (is_outdated(message, others)) {
    return {StoreEffect::outdated, message.expiry_ms};
  }
  for (const Kept& other : others) {
    erase(other);
  }
  if (is_here) {
    return {StoreEffect::already, take_over(*here, message, replaces)};
  }
  if (here) {
    erase(*here);
  }
  insert(message);
  return {StoreEffect::inserted, message.expiry_ms};
}

// Removal.

bool AccountChange::is_buried(const Hash& hash) {
  return transaction_.get(hash_key(Kind::tombstone, account_, hash), decode_number).value_or(0) >
         now_ms_;
}

std::optional<std::uint64_t> AccountChange::watermark(std::optional<Namespace> space) {
  const auto mark = transaction_.get(watermark_key(account_, space), decode_number);
  return mark && end_of_watermark(*mark) > now_ms_ ? mark : std::nullopt;
}

bool AccountChange::is_removed(const Message& message) {
  const auto is_before = [&](std::optional<Namespace> space) {
    const auto mark = watermark(space);
    return mark && message.timestamp_ms <= *mark;
  };
  return is_before(message.space) || is_before(std::nullopt);
}

bool AccountChange::is_outdated(const Message& message, const std::vector<Kept>& others) {
  return std::any_of(others.begin(), others.end(), [&](const Kept& other) {
    const std::uint64_t newest_ms =
        std::max(other.header.timestamp_ms, watermark(message.space).value_or(0));
    return is_live(other) &&
           std::pair(newest_ms, other.header.hash) > std::pair(message.timestamp_ms, message.hash);
  });
}

void AccountChange::bury(const Hash& hash, std::uint64_t until_ms) {
  const std::string key = hash_key(Kind::tombstone, account_, hash);
  const auto old_ms = transaction_.get(key, decode_number);
  if (old_ms && *old_ms >= until_ms) {
    return;
  }
  if (old_ms) {
    transaction_.erase(expiry_key(*old_ms, key));
  } else {
    transaction_.totals().bytes_used += tombstone_bytes(hash.size());
  }
  transaction_.put(key, encode_number(until_ms));
  transaction_.put(expiry_key(until_ms, key), encode_bytes({}));
}

void AccountChange::unbury(const Hash& hash) {
  const std::string key = hash_key(Kind::tombstone, account_, hash);
  if (const auto until_ms = transaction_.get(key, decode_number)) {
    transaction_.erase(key);
    transaction_.erase(expiry_key(*until_ms, key));
    transaction_.totals().bytes_used -= tombstone_bytes(hash.size());
  }
}

void AccountChange::entomb(const Kept& message) {
  erase(message);
  bury(message.header.hash, message.header.expiry_ms);
}

void AccountChange::raise_watermark(std::optional<Namespace> space, std::uint64_t before_ms) {
  const std::string key = watermark_key(account_, space);
  const auto old_ms = transaction_.get(key, decode_number);
  if (old_ms && *old_ms >= before_ms) {
    return;
  }
  if (old_ms) {
    transaction_.erase(expiry_key(end_of_watermark(*old_ms), key));
  } else {
    transaction_.totals().bytes_used += kWatermarkBytes;
  }
  transaction_.put(key, encode_number(before_ms));
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
      removed.push_back(hash);
      entomb(*here);
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
    if (is_live(message) && message.header.timestamp_ms <= before_ms) {
      removed[message.place.space].push_back(message.header.hash);
      entomb(message);
    }
  }
  raise_watermark(space, before_ms);
  sort_hashes(removed);
  return removed;
}

HashesBySpace AccountChange::remove_all(std::optional<Namespace> space, std::uint64_t asked_ms) {
  HashesBySpace removed;
  for (const Kept& message : list(space)) {
    if (is_live(message)) {
      removed[message.place.space].push_back(message.header.hash);
      entomb(message);
    }
  }
  raise_watermark(space, asked_ms);
  sort_hashes(removed);
  return removed;
}

// Expiry.

std::optional<Bounds> AccountChange::bounds_of(const Hash& hash) {
  const auto bounds = transaction_.get(hash_key(Kind::bounds, account_, hash), decode_bounds);
  return bounds && bounds->until_ms > now_ms_ ? bounds : std::nullopt;
}

void AccountChange::bound(const Hash& hash, std::uint64_t expiry_ms, ExpiryChange change,
                          std::uint64_t until_ms) {
  Bounds bounds = bounds_of(hash).value_or(Bounds{});
  unbound(hash);
  if (change != ExpiryChange::extend) {
    bounds.cap_ms = std::min(bounds.cap_ms, expiry_ms);
    bounds.floor_ms = std::min(bounds.floor_ms, expiry_ms);
  }
  if (change != ExpiryChange::shorten) {
    bounds.floor_ms = std::max(bounds.floor_ms, expiry_ms);
    bounds.cap_ms = std::max(bounds.cap_ms, expiry_ms);
  }
  bounds.until_ms = std::max(bounds.until_ms, until_ms);
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

void AccountChange::expire_at(const Kept& message, std::uint64_t expiry_ms, ExpiryChange change) {
  const std::uint64_t held_ms = message.header.expiry_ms;
  if (expiry_ms <= now_ms_) {
    entomb(message);
    return;
  }
  // A replica that is still on its way says the old expiry. Only what was made shorter can be undone by it.
  if (expiry_ms < held_ms || bounds_of(message.header.hash)) {
    bound(message.header.hash, expiry_ms, change, std::max(held_ms, expiry_ms));
  }
  set_expiry(message, expiry_ms);
}

ExpiriesChanged AccountChange::change_expiry(const std::vector<Hash>& hashes,
                                             const std::vector<std::uint64_t>& expiries_ms,
                                             ExpiryChange change) {
  std::map<Hash, std::uint64_t> updated;
  std::map<Hash, std::uint64_t> unchanged;
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    const std::optional<Kept> here = find(hashes[i]);
    const std::uint64_t expiry_ms = expiries_ms[expiries_ms.size() == 1 ? 0 : i];
    if (!here || !is_live(*here)) {
      // Perhaps it is still on its way here, from a member that could not reach us.
      if (can_be_a_hash(hashes[i])) {
        bound(hashes[i], expiry_ms, change, now_ms_ + kLifeMsMax);
      }
      continue;
    }
    if (!is_asked(change, expiry_ms, here->header.expiry_ms)) {
      unchanged.emplace(hashes[i], here->header.expiry_ms);
      continue;
    }
    updated[hashes[i]] = expiry_ms;
    expire_at(*here, expiry_ms, change);
  }
  for (const auto& [hash, expiry_ms] : updated) {
    unchanged.erase(hash);
  }
  return {listed(updated), listed(unchanged)};
}

HashesBySpace AccountChange::shorten_all(std::optional<Namespace> space, std::uint64_t expiry_ms) {
  HashesBySpace shortened;
  for (const Kept& message : list(space)) {
    if (message.header.expiry_ms > std::max(now_ms_, expiry_ms)) {
      shortened[message.place.space].push_back(message.header.hash);
      expire_at(message, expiry_ms, ExpiryChange::shorten);
    }
  }
  sort_hashes(shortened);
  return shortened;
}

// Revocations.

std::vector<AccountChange::Revoked> AccountChange::revocations() {
  std::vector<Revoked> found;
  for (const auto& [key, value] : transaction_.scan(account_key(Kind::revocation, account_))) {
    const auto token = parse_revocation_key(key);
    const auto revocation = transaction_.decoded(decode_revocation(value));
    if (!token || !revocation) {
      transaction_.mark({Errc::io, "a revocation of the store is damaged: restore a backup"});
      return {};
    }
    found.push_back({*token, *revocation});
  }
  return found;
}

std::size_t AccountChange::revoke(const std::vector<Token>& tokens, std::uint64_t timestamp_ms) {
  std::map<Token, Revocation> all;
  for (const Revoked& revoked : revocations()) {
    all.emplace(revoked.token, revoked.revocation);
  }
  const std::size_t count_before = all.size();
  for (const Token& token : tokens) {
    const auto [known, is_new] = all.try_emplace(token);
    if (is_new) {
      known->second.order = transaction_.totals().next_sequence++;
    }
    known->second.timestamp_ms = std::max(known->second.timestamp_ms, timestamp_ms);
  }
  std::vector<Revoked> newest;
  for (const auto& [token, revocation] : all) {
    newest.push_back({token, revocation});
  }
  std::sort(newest.begin(), newest.end(), [](const Revoked& a, const Revoked& b) {
    return std::pair(a.revocation.timestamp_ms, a.revocation.order) >
           std::pair(b.revocation.timestamp_ms, b.revocation.order);
  });
  for (std::size_t i = 0; i < newest.size(); ++i) {
    const std::string key = revocation_key(account_, newest[i].token);
    if (i < kRevokedMax) {
      transaction_.put(key, encode_revocation(newest[i].revocation));
    } else {
      transaction_.erase(key);
    }
  }
  transaction_.totals().bytes_used += std::min(newest.size(), kRevokedMax) * kRevocationBytes;
  transaction_.totals().bytes_used -= count_before * kRevocationBytes;
  return all.size() - count_before;
}

std::size_t AccountChange::unrevoke(const std::vector<Token>& tokens) {
  std::size_t count = 0;
  for (const Token& token : tokens) {
    const std::string key = revocation_key(account_, token);
    if (transaction_.get(key)) {
      transaction_.erase(key);
      transaction_.totals().bytes_used -= kRevocationBytes;
      ++count;
    }
  }
  return count;
}

}  // namespace allium::storage::internal
