// SPDX-License-Identifier: Apache-2.0
#include "storage/memory_store.hpp"

#include <algorithm>
#include <tuple>

#include "storage/stored_bytes.hpp"

namespace allium::storage {
namespace {

bool can_be_a_hash(const Hash& hash) {
  return !hash.empty() && hash.size() <= kHashCharsMax;
}

bool is_in(const std::optional<Namespace>& wanted, Namespace space) {
  return !wanted || *wanted == space;
}

}  // namespace

std::uint64_t MemoryStore::bytes_of(const Mailbox& mailbox) {
  std::uint64_t bytes = (mailbox.removed.size() + mailbox.shortened.size()) * kMarksBytes +
                        mailbox.outboxes.size() * kOutboxMarkBytes +
                        mailbox.revocations.size() * kRevocationBytes;
  for (const auto& [place, message] : mailbox.messages) {
    bytes += message_bytes(message.hash.size(), message.data.size());
  }
  for (const auto& [hash, trace] : mailbox.traces) {
    bytes += trace_bytes(hash.size(), trace.history.steps().size());
  }
  return bytes;
}

std::uint64_t MemoryStore::with_reserve() const {
  return bytes_limit_ + reserve_of(bytes_limit_);
}

template <typename T, typename Apply>
Result<T> MemoryStore::carry_out(const Account& account, std::uint64_t bytes_allowed, Stamp asked,
                                 Apply apply) {
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
  latest_asked_ = std::max(latest_asked_, asked);
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

void MemoryStore::erase_as_if_never_there(Mailbox& mailbox, const Hash& hash,
                                          std::uint64_t now_ms) {
  erase(mailbox, hash);
  if (trace_of(mailbox, hash, now_ms).expiry_ms() > 0) {
    mailbox.traces.erase(hash);
  }
}

bool MemoryStore::has_room(const Account& account, const Mailbox& changed) const {
  const Mailbox* before = find(account);
  return bytes_used_ - (before == nullptr ? 0 : bytes_of(*before)) + bytes_of(changed) <
         bytes_limit_;
}

MessageHistory MemoryStore::trace_of(const Mailbox& mailbox, const Hash& hash,
                                     std::uint64_t now_ms) {
  const auto found = mailbox.traces.find(hash);
  return found != mailbox.traces.end() && found->second.until_ms > now_ms ? found->second.history
                                                                          : MessageHistory();
}

void MemoryStore::leave_trace(Mailbox& mailbox, const Hash& hash, const MessageHistory& history,
                              std::uint64_t until_ms, std::uint64_t now_ms) {
  Trace& trace = mailbox.traces[hash];
  trace = {history, std::max(trace.until_ms > now_ms ? trace.until_ms : 0, until_ms)};
}

std::uint64_t MemoryStore::visible_until(const MessageHistory& history, std::uint64_t before_ms,
                                         std::uint64_t now_ms) {
  const std::uint64_t expiry_ms = history.expiry_ms();
  return expiry_ms > now_ms ? expiry_ms : std::min(before_ms, now_ms);
}

/// To what its history says now.
void MemoryStore::expire(Mailbox& mailbox, const Hash& hash, std::uint64_t now_ms) {
  const MessageHistory& history = mailbox.asked.at(hash).history;
  const std::uint64_t expiry_ms = history.expiry_ms();
  Message& message = mailbox.messages.at(mailbox.places.at(hash));
  const auto trace = mailbox.traces.find(hash);
  const bool has_trace = trace != mailbox.traces.end() && trace->second.until_ms > now_ms;
  if (expiry_ms < message.expiry_ms || has_trace) {
    leave_trace(mailbox, hash, history, std::max(message.expiry_ms, expiry_ms), now_ms);
  }
  show(mailbox, hash, now_ms);
}

/// As its history says.
void MemoryStore::show(Mailbox& mailbox, const Hash& hash, std::uint64_t now_ms) {
  const MessageHistory& history = mailbox.asked.at(hash).history;
  Message& message = mailbox.messages.at(mailbox.places.at(hash));
  message.expiry_ms = visible_until(history, message.expiry_ms, now_ms);
  message.timestamp_ms = history.timestamp_ms();
}

bool MemoryStore::is_replaced(const Mailbox& mailbox, const Message& message, const When& when) {
  const auto outbox = mailbox.outboxes.find(message.space);
  // That it has been stored anew since then makes no difference.
  const bool is_here = live(mailbox, message.hash, when.now_ms) != nullptr;
  const Stamp stored_anew = is_here ? mailbox.asked.at(message.hash).history.began() : UINT64_MAX;
  if (outbox == mailbox.outboxes.end() ||
      end_of_lateness(outbox->second.back().asked) <= when.now_ms) {
    return false;
  }
  return std::any_of(outbox->second.begin(), outbox->second.end(), [&](const OutboxMark& mark) {
    const Hash& hash = mark.rank.second;
    if (hash == message.hash || mark.rank < std::pair(message.timestamp_ms, message.hash)) {
      return false;
    }
    if (mark.asked > when.asked) {
      return mark.asked < stored_anew;
    }
    const auto known = mailbox.asked.find(hash);
    return known != mailbox.asked.end()
               ? known->second.history.was_there(when.asked)
               : trace_of(mailbox, hash, when.now_ms).was_there(when.asked);
  });
}

void MemoryStore::replace_others(Mailbox& mailbox, const Message& message,
                                 const MessageHistory& history, const When& when) {
  std::vector<OutboxMark>& marks = mailbox.outboxes[message.space];
  const bool is_over = !marks.empty() && end_of_lateness(marks.back().asked) <= when.now_ms;
  const OutboxMark mark{when.asked, {message.timestamp_ms, message.hash}};
  std::vector<Hash> replaced;
  for (const auto& [place, other] : mailbox.messages) {
    std::pair<std::uint64_t, Hash> rank(other.timestamp_ms, other.hash);
    for (const OutboxMark& one : marks) {
      if (!is_over && one.rank.second == other.hash) {
        rank.first = std::max(rank.first, one.rank.first);
      }
    }
    const Stamp stored = mailbox.asked.at(other.hash).stored;
    if (place.first == message.space && other.hash != message.hash && rank < mark.rank &&
        (stored <= when.asked || history.was_there(stored))) {
      replaced.push_back(other.hash);
    }
  }
  for (const Hash& hash : replaced) {
    erase_as_if_never_there(mailbox, hash, when.now_ms);
  }
  const auto is_covered = [](const OutboxMark& one, const OutboxMark& by) {
    return one.asked <= by.asked && one.rank <= by.rank;
  };
  const auto same_hash = [](const OutboxMark& one, const OutboxMark& other) {
    return one.rank.second == other.rank.second;
  };
  for (const OutboxMark& other : marks) {
    if (same_hash(mark, other) && is_covered(mark, other)) {
      return;
    }
  }
  std::erase_if(marks, [&](const OutboxMark& other) {
    return same_hash(mark, other) && is_covered(other, mark);
  });
  marks.push_back(mark);
  std::stable_sort(marks.begin(), marks.end(),
                   [](const OutboxMark& a, const OutboxMark& b) { return a.asked < b.asked; });
  if (marks.size() > 4) {
    std::size_t leaves = 0;
    for (std::size_t i = marks.size(); i-- > 0;) {
      for (std::size_t k = 0; k < marks.size(); ++k) {
        leaves = i != k && is_covered(marks[i], marks[k]) ? i : leaves;
      }
    }
    marks.erase(marks.begin() + static_cast<std::ptrdiff_t>(leaves));
  }
}

Stored MemoryStore::store_now(Mailbox& mailbox, std::uint64_t order, Message message, Origin origin,
                              bool replaces, When when) {
  const std::uint64_t now_ms = when.now_ms;
  const bool is_replica = origin == Origin::replica;
  if (is_replica) {
    when.asked = first_stored(message, now_ms);
  }
  const bool is_kept = mailbox.places.contains(message.hash);
  const bool is_here = live(mailbox, message.hash, now_ms) != nullptr;
  const MessageHistory trace = trace_of(mailbox, message.hash, now_ms);
  MessageHistory history = is_kept ? mailbox.asked.at(message.hash).history : trace;
  if (is_replica) {
    history.add_replica(message);
  } else {
    history.add_store(message.expiry_ms, when.asked, message.timestamp_ms);
  }
  for (const std::optional<Namespace> space :
       {std::optional(message.space), std::optional<Namespace>()}) {
    const auto shortened = mailbox.shortened.find(space);
    if (shortened != mailbox.shortened.end() && shortened->second.end_ms() > now_ms) {
      tell(shortened->second, history, when.asked);
    }
    const auto removed = mailbox.removed.find(space);
    if (removed != mailbox.removed.end() && removed->second.end_ms() > now_ms) {
      tell(removed->second, history, when.asked, origin, message.timestamp_ms);
    }
  }
  if (is_replica) {
    when.asked = last_stored(message, now_ms);
  }
  const bool is_renewed =
      is_here && is_replica && history.began_after(message, mailbox.asked.at(message.hash).history);
  message.life.clear();
  const std::uint64_t expiry_ms = history.expiry_ms();
  if (replaces && is_replaced(mailbox, message, when)) {
    return Stored{StoreEffect::outdated, std::max(expiry_ms, message.expiry_ms)};
  }
  if (replaces) {
    replace_others(mailbox, message, history, when);
  }
  if (expiry_ms == 0 && !history.may_come_back()) {
    if (is_kept || (!is_replica && history != trace)) {
      erase(mailbox, message.hash);
      leave_trace(mailbox, message.hash, history, now_ms + kLifeMsMax, now_ms);
    }
    return Stored{StoreEffect::tombstoned, message.expiry_ms, is_here};
  }
  const bool is_over = expiry_ms <= now_ms;
  if (!is_replica && !is_over) {
    if (trace != MessageHistory() && trace.latest() <= when.asked) {
      mailbox.traces.erase(message.hash);
    }
  }
  const StoreEffect effect = expiry_ms == 0 ? StoreEffect::hidden
                             : is_over      ? StoreEffect::expired
                             : is_renewed   ? StoreEffect::renewed
                             : is_here      ? StoreEffect::already
                                            : StoreEffect::inserted;
  Stored stored{effect, expiry_ms == 0 ? message.expiry_ms : expiry_ms,
                effect == StoreEffect::inserted};
  if (is_here || (is_over && is_kept)) {
    const Message& kept = mailbox.messages.at(mailbox.places.at(message.hash));
    const auto seen = [&kept] { return std::pair(kept.expiry_ms, kept.timestamp_ms); };
    const auto before = seen();
    Asked& asked = mailbox.asked.at(message.hash);
    asked = {std::max(asked.stored, when.asked), history};
    show(mailbox, message.hash, now_ms);
    stored.is_changed = is_here && seen() != before;
    return stored;
  }
  if (is_over && is_replica && message.expiry_ms <= now_ms) {
    return stored;
  }
  erase(mailbox, message.hash);
  const Place place(message.space, order);
  mailbox.places[message.hash] = place;
  mailbox.asked[message.hash] = {when.asked, history};
  message.expiry_ms = visible_until(history, message.expiry_ms, now_ms);
  message.timestamp_ms = history.timestamp_ms();
  mailbox.messages.emplace(place, std::move(message));
  return stored;
}

void MemoryStore::store(const Account& account, Message message, Origin origin, bool replaces,
                        const When& when, Done<Stored> done) {
  if (message.data.size() > kDataBytesMax || !can_be_a_hash(message.hash)) {
    done(fail(Errc::out_of_range, "a message is longer than the store keeps them"));
    return;
  }
  const Hash hash = message.hash;
  done(carry_out<Stored>(account, bytes_limit_, when.asked, [&](Mailbox& mailbox) {
    const Stored stored =
        store_now(mailbox, next_order_, std::move(message), origin, replaces, when);
    const auto place = mailbox.places.find(hash);
    next_order_ += place != mailbox.places.end() && place->second.second == next_order_ ? 1U : 0U;
    return stored;
  }));
}

bool MemoryStore::concerns(const Asked& asked, const When& when) {
  return asked.stored <= when.asked || asked.history.begins_before(when.asked);
}

/// Whether a message that was visible is not any more.
bool MemoryStore::take_away(Mailbox& mailbox, const Hash& hash, std::uint64_t up_to_ms,
                            const When& when) {
  const bool was_live = live(mailbox, hash, when.now_ms) != nullptr;
  const std::uint64_t until_ms =
      std::max(mailbox.messages.at(mailbox.places.at(hash)).expiry_ms, when.now_ms + kLifeMsMax);
  mailbox.asked.at(hash).history.add_removal(when.asked, up_to_ms);
  const MessageHistory history = mailbox.asked.at(hash).history;
  if (history.expiry_ms() > 0 || history.may_come_back()) {
    expire(mailbox, hash, when.now_ms);
    return was_live && live(mailbox, hash, when.now_ms) == nullptr;
  }
  erase(mailbox, hash);
  leave_trace(mailbox, hash, history, until_ms, when.now_ms);
  return was_live;
}

void MemoryStore::remove(const Account& account, std::vector<Hash> hashes, const When& when,
                         Done<std::vector<Hash>> done) {
  done(carry_out<std::vector<Hash>>(account, with_reserve(), when.asked, [&](Mailbox& mailbox) {
    std::vector<Hash> removed;
    for (const Hash& hash : hashes) {
      if (mailbox.places.contains(hash)) {
        if (take_away(mailbox, hash, UINT64_MAX, when)) {
          removed.push_back(hash);
        }
      } else if (can_be_a_hash(hash) && has_room(account, mailbox)) {
        MessageHistory history = trace_of(mailbox, hash, when.now_ms);
        history.add_removal(when.asked);
        leave_trace(mailbox, hash, history, when.now_ms + kLifeMsMax, when.now_ms);
      }
    }
    std::sort(removed.begin(), removed.end());
    return removed;
  }));
}

HashesBySpace MemoryStore::remove_up_to(Mailbox& mailbox, std::optional<Namespace> space,
                                        std::uint64_t time_ms, const When& when) {
  std::vector<std::pair<Namespace, Hash>> concerned;
  for (const auto& [place, message] : mailbox.messages) {
    const Asked& asked = mailbox.asked.at(message.hash);
    const bool is_meant =
        message.timestamp_ms <= time_ms || asked.history.was_stored(when.asked, time_ms);
    if (is_in(space, place.first) && is_meant && concerns(asked, when)) {
      concerned.emplace_back(place.first, message.hash);
    }
  }
  HashesBySpace removed;
  for (const auto& [in, hash] : concerned) {
    if (take_away(mailbox, hash, time_ms, when)) {
      removed[in].push_back(hash);
    }
  }
  for (auto& [in, hashes] : removed) {
    std::sort(hashes.begin(), hashes.end());
  }
  mailbox.removed[space].add({when.asked, time_ms});
  return removed;
}

void MemoryStore::remove_before(const Account& account, std::optional<Namespace> space,
                                std::uint64_t before_ms, const When& when,
                                Done<HashesBySpace> done) {
  done(carry_out<HashesBySpace>(account, with_reserve(), when.asked, [&](Mailbox& mailbox) {
    return remove_up_to(mailbox, space, before_ms, when);
  }));
}

void MemoryStore::remove_all(const Account& account, std::optional<Namespace> space,
                             const When& when, Done<HashesBySpace> done) {
  done(carry_out<HashesBySpace>(account, with_reserve(), when.asked, [&](Mailbox& mailbox) {
    return remove_up_to(mailbox, space, UINT64_MAX, when);
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
  done(carry_out<ExpiriesChanged>(account, with_reserve(), when.asked, [&](Mailbox& mailbox) {
    std::map<Hash, std::uint64_t> updated;
    std::map<Hash, std::uint64_t> unchanged;
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      const Message* message = live(mailbox, hashes[i], now_ms);
      const std::uint64_t expiry_ms = expiries_ms[expiries_ms.size() == 1 ? 0 : i];
      if (!mailbox.places.contains(hashes[i])) {
        if (can_be_a_hash(hashes[i]) && has_room(account, mailbox)) {
          MessageHistory history = trace_of(mailbox, hashes[i], now_ms);
          history.add(change, expiry_ms, when.asked);
          leave_trace(mailbox, hashes[i], history, now_ms + kLifeMsMax, now_ms);
        }
        continue;
      }
      const std::uint64_t held_ms = message == nullptr ? 0 : message->expiry_ms;
      const bool is_meant =
          message != nullptr &&
          (change == ExpiryChange::set ||
           (change == ExpiryChange::shorten
                ? expiry_ms < held_ms
                : is_worth_extending(held_ms, expiry_ms, when.asked / kStampsPerMs)));
      MessageHistory& history = mailbox.asked.at(hashes[i]).history;
      history.add(change, expiry_ms, when.asked);
      const std::uint64_t now_held_ms = history.expiry_ms();
      if (is_meant || (message != nullptr ? now_held_ms != held_ms : now_held_ms > now_ms)) {
        updated[hashes[i]] = now_held_ms;
        expire(mailbox, hashes[i], now_ms);
      } else {
        show(mailbox, hashes[i], now_ms);
        if (held_ms > 0) {
          unchanged.emplace(hashes[i], held_ms);
        }
      }
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
  done(carry_out<HashesBySpace>(account, with_reserve(), when.asked, [&](Mailbox& mailbox) {
    HashesBySpace shortened;
    std::vector<Hash> concerned;
    std::vector<Hash> changed;
    for (const auto& [place, message] : mailbox.messages) {
      Asked& asked = mailbox.asked.at(message.hash);
      if (!is_in(space, place.first) || !concerns(asked, when)) {
        continue;
      }
      asked.history.add(ExpiryChange::shorten, expiry_ms, when.asked);
      const bool is_live = message.expiry_ms > when.now_ms;
      const bool is_shortened = is_live && asked.history.expiry_ms() < message.expiry_ms;
      if (is_shortened) {
        shortened[place.first].push_back(message.hash);
      }
      if (is_shortened || (!is_live && asked.history.expiry_ms() > when.now_ms)) {
        concerned.push_back(message.hash);
      } else {
        changed.push_back(message.hash);
      }
    }
    for (const Hash& hash : changed) {
      show(mailbox, hash, when.now_ms);
    }
    for (const Hash& hash : concerned) {
      expire(mailbox, hash, when.now_ms);
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
    const auto rank = [](const Revocation& of) { return std::pair(of.asked, of.is_lifted); };
    if (known != all.end() && rank(*known) > rank(said)) {
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
              said.asked, said.is_lifted};
  }
  // Newest first; those that are revoked, then those that are not any more.
  std::sort(all.begin(), all.end(), [](const Revocation& a, const Revocation& b) {
    if (a.is_lifted != b.is_lifted) {
      return b.is_lifted;
    }
    const auto age = [](const Revocation& of) { return of.is_lifted ? of.asked : of.timestamp_ms; };
    return std::tuple(age(a), a.asked, a.token) > std::tuple(age(b), b.asked, b.token);
  });
  std::size_t revoked = 0;
  std::size_t lifted = 0;
  std::erase_if(all, [&](const Revocation& r) {
    return ++(r.is_lifted ? lifted : revoked) > kRevocationsKept;
  });
  return count;
}

void MemoryStore::revoke(const Account& account, std::vector<Token> tokens,
                         std::uint64_t timestamp_ms, const When& when, Done<std::size_t> done) {
  done(carry_out<std::size_t>(account, with_reserve(), when.asked, [&](Mailbox& mailbox) {
    return say_of_tokens(mailbox, tokens, {{}, timestamp_ms, when.asked, false});
  }));
}

void MemoryStore::unrevoke(const Account& account, std::vector<Token> tokens, const When& when,
                           Done<std::size_t> done) {
  done(carry_out<std::size_t>(account, UINT64_MAX, when.asked, [&](Mailbox& mailbox) {
    return say_of_tokens(mailbox, tokens, {{}, 0, when.asked, true});
  }));
}

void MemoryStore::forget(const Account& account, std::vector<Hash> hashes, Stamp before,
                         Done<std::size_t> done) {
  done(carry_out<std::size_t>(account, UINT64_MAX, 0, [&](Mailbox& mailbox) {
    std::size_t count = 0;
    for (const Hash& hash : hashes) {
      const auto asked = mailbox.asked.find(hash);
      if (asked != mailbox.asked.end() && asked->second.stored < before) {
        erase_as_if_never_there(mailbox, hash, 0);
        ++count;
      }
    }
    return count;
  }));
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
        const MessageHistory history = mailbox.asked.at(hash).history;
        erase(mailbox, hash);
        const std::uint64_t until_ms = end_of_lateness(history.latest_but_stores());
        if (until_ms > now_ms) {
          leave_trace(mailbox, hash, history, until_ms, now_ms);
        }
      }
      count += expired.size();
      std::erase_if(mailbox.traces,
                    [now_ms](const auto& b) { return b.second.until_ms <= now_ms; });
      const auto is_over = [now_ms](const auto& marks) { return marks.second.end_ms() <= now_ms; };
      std::erase_if(mailbox.removed, is_over);
      std::erase_if(mailbox.shortened, is_over);
      std::erase_if(mailbox.outboxes, [now_ms](const auto& outbox) {
        return end_of_lateness(outbox.second.back().asked) <= now_ms;
      });
      std::erase_if(mailbox.revocations, [now_ms](const Revocation& r) {
        return r.is_lifted && end_of_lateness(r.asked) <= now_ms;
      });
      bytes_used_ += bytes_of(mailbox);
    }
    std::erase_if(mailboxes_, [](const auto& one) {
      const Mailbox& mailbox = one.second;
      return mailbox.messages.empty() && mailbox.traces.empty() && mailbox.removed.empty() &&
             mailbox.shortened.empty() && mailbox.outboxes.empty() && mailbox.revocations.empty();
    });
  }
  done(count);
}

}  // namespace allium::storage
