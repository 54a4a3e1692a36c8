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

/// Of each message the latest that say something about others. One that a later one of another message makes needless still tells that what
/// was stored before it was replaced; it is the first to go.
std::vector<OutboxMark> with_outbox_mark(std::vector<OutboxMark> marks, const OutboxMark& mark) {
  const auto is_covered = [](const OutboxMark& one, const OutboxMark& by) {
    return &one != &by && one.asked <= by.asked &&
           std::pair(one.timestamp_ms, one.hash) <= std::pair(by.timestamp_ms, by.hash);
  };
  const auto is_needless = [&](const OutboxMark& one, const OutboxMark& by) {
    return one.hash == by.hash && is_covered(one, by);
  };
  if (std::any_of(marks.begin(), marks.end(),
                  [&](const OutboxMark& other) { return is_needless(mark, other); })) {
    return marks;
  }
  std::erase_if(marks, [&](const OutboxMark& other) { return is_needless(other, mark); });
  const auto is_before = [](Stamp stamp, const OutboxMark& other) { return stamp < other.asked; };
  marks.insert(std::upper_bound(marks.begin(), marks.end(), mark.asked, is_before), mark);
  if (marks.size() > kOutboxMarksMax) {
    const auto covered = std::find_if(marks.begin(), marks.end(), [&](const OutboxMark& one) {
      return std::any_of(marks.begin(), marks.end(),
                         [&](const OutboxMark& by) { return is_covered(one, by); });
    });
    marks.erase(covered == marks.end() ? marks.begin() : covered);
  }
  return marks;
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

const Mailbox& AccountChange::mailbox() {
  if (!mailbox_) {
    const std::string key = account_key(Kind::mailbox, account_);
    mailbox_ = transaction_.get(key, decode_mailbox).value_or(Mailbox{});
  }
  return *mailbox_;
}

void AccountChange::set_mailbox(const Mailbox& mailbox) {
  const std::string key = account_key(Kind::mailbox, account_);
  if (mailbox == Mailbox{}) {
    transaction_.erase(key);
  } else {
    transaction_.put(key, encode_mailbox(mailbox));
  }
  mailbox_ = mailbox;
}

void AccountChange::count_message(bool is_added) {
  Mailbox changed = mailbox();
  Totals& totals = transaction_.totals();
  if (is_added) {
    ++totals.messages;
    totals.accounts += changed.messages++ == 0 ? 1U : 0U;
  } else {
    --totals.messages;
    changed.messages -= changed.messages > 0 ? 1U : 0U;
    totals.accounts -= changed.messages == 0 ? 1U : 0U;
  }
  set_mailbox(changed);
}

void AccountChange::count_mark(bool is_added) {
  Mailbox changed = mailbox();
  changed.marks += is_added ? 1U : 0U;
  changed.marks -= !is_added && changed.marks > 0 ? 1U : 0U;
  set_mailbox(changed);
}

void AccountChange::insert(const Message& message, const MessageHistory& history) {
  const Place place{message.space, transaction_.totals().next_sequence++};
  const Header header{history.timestamp_ms(),
                      visible_until(history, message.expiry_ms),
                      asked_,
                      history,
                      static_cast<std::uint32_t>(message.data.size()),
                      message.hash};
  const std::string key = message_key(Kind::header, account_, place);
  transaction_.put(key, encode_header(header));
  transaction_.put(message_key(Kind::data, account_, place), encode_bytes(message.data));
  transaction_.put(hash_key(Kind::place, account_, message.hash), encode_place(place));
  transaction_.put(expiry_key(header.expiry_ms, key), encode_bytes({}));
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

// The trace of one that is there says that it is. Who stores it again would get its old timestamp and life.
void AccountChange::erase_as_if_never_there(const Kept& message) {
  erase(message);
  if (history_of(message.header.hash).expiry_ms() > 0) {
    erase_trace(message.header.hash);
  }
}

void AccountChange::free(const Kept& message) {
  erase(message);
  const std::uint64_t until_ms = end_of_lateness(message.header.history.latest_but_stores());
  if (until_ms > now_ms_) {
    leave_trace(message.header.hash, message.header.history, until_ms);
  }
}

// What is over is not erased at once: something that was asked for before it was over may still come.
std::uint64_t AccountChange::visible_until(const MessageHistory& history,
                                           std::uint64_t before_ms) const {
  const std::uint64_t expiry_ms = history.expiry_ms();
  return expiry_ms > now_ms_ ? expiry_ms : std::min(before_ms, now_ms_);
}

void AccountChange::set_expiry(Kept message) {
  const std::uint64_t expiry_ms = visible_until(message.header.history, message.header.expiry_ms);
  const std::string key = message_key(Kind::header, account_, message.place);
  message.header.timestamp_ms = message.header.history.timestamp_ms();
  if (message.header.expiry_ms != expiry_ms) {
    transaction_.erase(expiry_key(message.header.expiry_ms, key));
    transaction_.put(expiry_key(expiry_ms, key), encode_bytes({}));
    message.header.expiry_ms = expiry_ms;
  }
  transaction_.put(key, encode_header(message.header));
}

Stored AccountChange::store(Message message, Origin origin, bool replaces) {
  const bool is_replica = origin == Origin::replica;
  if (is_replica) {
    asked_ = first_stored(message, now_ms_);
  }
  const std::optional<Kept> here = find(message.hash);
  const bool is_here = here && is_live(*here);
  const std::optional<Trace> trace = trace_of(message.hash);
  MessageHistory history = here ? here->header.history : trace.value_or(Trace{}).history;
  if (is_replica) {
    history.add_replica(message);
  } else {
    history.add_store(message.expiry_ms, asked_, message.timestamp_ms);
  }
  for (const std::optional<Namespace> space :
       {std::optional(message.space), std::optional<Namespace>()}) {
    tell(shorten_marks(space), history, asked_);
    tell(removal_marks(space), history, asked_, origin, message.timestamp_ms);
  }
  if (is_replica) {
    asked_ = last_stored(message, now_ms_);
  }
  const std::uint64_t expiry_ms = history.expiry_ms();
  if (replaces && is_replaced(message, is_here ? here->header.history.began() : UINT64_MAX)) {
    return {StoreEffect::outdated, std::max(expiry_ms, message.expiry_ms)};
  }
  if (replaces) {
    replace_others(message, history);
  }
  if (expiry_ms <= now_ms_) {
    return keep_hidden(here, message, history, origin);
  }
  if (!is_replica && trace && trace->history.latest() <= asked_) {
    erase_trace(message.hash);
  }
  if (is_here) {
    Kept kept = *here;
    kept.header.stored = std::max(kept.header.stored, asked_);
    kept.header.history = history;
    set_expiry(std::move(kept));
    const bool is_renewed = is_replica && history.began_after(message, here->header.history);
    return {is_renewed ? StoreEffect::renewed : StoreEffect::already, expiry_ms,
            std::pair(expiry_ms, history.timestamp_ms()) !=
                std::pair(here->header.expiry_ms, here->header.timestamp_ms)};
  }
  if (here) {
    erase(*here);
  }
  insert(message, history);
  return {StoreEffect::inserted, expiry_ms, true};
}

Stored AccountChange::keep_hidden(const std::optional<Kept>& here, const Message& message,
                                  const MessageHistory& history, Origin origin) {
  const std::uint64_t expiry_ms = history.expiry_ms();
  const bool was_live = here && is_live(*here);
  if (expiry_ms == 0 && !history.may_come_back()) {
    // For stores of it that are still on their way.
    if (here) {
      erase(*here);
    }
    if (here || (origin == Origin::client && history != history_of(message.hash))) {
      leave_trace(message.hash, history, now_ms_ + kLifeMsMax);
    }
    return {StoreEffect::tombstoned, message.expiry_ms, was_live};
  }
  if (here) {
    Kept kept = *here;
    kept.header.stored = std::max(kept.header.stored, asked_);
    kept.header.history = history;
    set_expiry(std::move(kept));
  } else if (origin == Origin::client || message.expiry_ms > now_ms_) {
    insert(message, history);
  }
  return expiry_ms == 0 ? Stored{StoreEffect::hidden, message.expiry_ms, was_live}
                        : Stored{StoreEffect::expired, expiry_ms, was_live};
}

// Public outboxes: of all that was stored the newest is kept. A message is kept out by one that was there when it was asked for,
// and by one that was stored after it, be that one deleted since or not; that a message has been stored anew since then makes no difference to
// what was asked for before.

bool AccountChange::is_replaced(const Message& message, Stamp stored_anew) {
  const auto is_newer_than_it = [&message](std::uint64_t timestamp_ms, const Hash& hash) {
    return hash != message.hash &&
           std::pair(timestamp_ms, hash) > std::pair(message.timestamp_ms, message.hash);
  };
  const std::vector<OutboxMark> marks = outbox_marks(message.space);
  return std::any_of(marks.begin(), marks.end(), [&](const OutboxMark& mark) {
    return is_newer_than_it(mark.timestamp_ms, mark.hash) &&
           ((mark.asked > asked_ && mark.asked < stored_anew) ||
            (mark.asked <= asked_ && was_there(mark.hash)));
  });
}

bool AccountChange::was_there(const Hash& hash) {
  const std::optional<Kept> here = find(hash);
  if (here) {
    return here->header.history.was_there(asked_);
  }
  return history_of(hash).was_there(asked_);
}

void AccountChange::replace_others(const Message& message, const MessageHistory& history) {
  const std::vector<OutboxMark> marks = outbox_marks(message.space);
  const auto newest_ms = [&marks](const Header& header) {
    std::uint64_t timestamp_ms = header.timestamp_ms;
    for (const OutboxMark& mark : marks) {
      timestamp_ms =
          mark.hash == header.hash ? std::max(timestamp_ms, mark.timestamp_ms) : timestamp_ms;
    }
    return timestamp_ms;
  };
  for (const Kept& other : list(message.space)) {
    const bool is_older =
        other.header.hash != message.hash && std::pair(newest_ms(other.header), other.header.hash) <
                                                 std::pair(message.timestamp_ms, message.hash);
    if (is_older && (other.header.stored <= asked_ || history.was_there(other.header.stored))) {
      erase_as_if_never_there(other);
    }
  }
  mark_outbox(message.space, {asked_, message.timestamp_ms, message.hash});
}

std::vector<OutboxMark> AccountChange::outbox_marks(Namespace space) {
  if (mailbox().marks == 0) {
    return {};
  }
  auto marks = transaction_.get(mark_key(Kind::outbox_marks, account_, space), decode_outbox_marks);
  return marks && end_of_lateness(marks->back().asked) > now_ms_ ? *std::move(marks)
                                                                 : std::vector<OutboxMark>();
}

void AccountChange::mark_outbox(Namespace space, const OutboxMark& mark) {
  const std::string key = mark_key(Kind::outbox_marks, account_, space);
  const auto old = transaction_.get(key, decode_outbox_marks);
  if (old) {
    transaction_.erase(expiry_key(end_of_lateness(old->back().asked), key));
  } else {
    transaction_.totals().bytes_used += kOutboxMarkBytes;
    count_mark(true);
  }
  const std::vector<OutboxMark> marks =
      with_outbox_mark(old.value_or(std::vector<OutboxMark>()), mark);
  transaction_.put(key, encode_outbox_marks(marks));
  transaction_.put(expiry_key(end_of_lateness(marks.back().asked), key), encode_bytes({}));
}

// Removal.

MessageHistory AccountChange::history_of(const Hash& hash) {
  return trace_of(hash).value_or(Trace{}).history;
}

RemovalMarks AccountChange::removal_marks(std::optional<Namespace> space) {
  if (mailbox().marks == 0) {
    return {};
  }
  const auto marks =
      transaction_.get(mark_key(Kind::removal_marks, account_, space), decode_removal_marks);
  return marks && marks->end_ms() > now_ms_ ? *marks : RemovalMarks();
}

ShortenMarks AccountChange::shorten_marks(std::optional<Namespace> space) {
  if (mailbox().marks == 0) {
    return {};
  }
  const auto marks =
      transaction_.get(mark_key(Kind::shorten_marks, account_, space), decode_shorten_marks);
  return marks && marks->end_ms() > now_ms_ ? *marks : ShortenMarks();
}

template <typename MarksOf>
void AccountChange::mark_all(Kind kind, std::optional<Namespace> space, std::uint64_t time_ms,
                             Result<MarksOf> (*decode)(std::string_view)) {
  const std::string key = mark_key(kind, account_, space);
  const auto old = transaction_.get(key, decode);
  if (old) {
    transaction_.erase(expiry_key(old->end_ms(), key));
  } else {
    transaction_.totals().bytes_used += kMarksBytes;
    count_mark(true);
  }
  MarksOf marks = old.value_or(MarksOf());
  marks.add({asked_, time_ms});
  transaction_.put(key, encode_marks(marks.marks()));
  transaction_.put(expiry_key(marks.end_ms(), key), encode_bytes({}));
}

bool AccountChange::take_away(Kept message, std::uint64_t up_to_ms) {
  Header& header = message.header;
  const bool was_live = is_live(message);
  header.history.add_removal(asked_, up_to_ms);
  if (header.history.expiry_ms() > 0 || header.history.may_come_back()) {
    // It was stored again since this was asked for, or may have been after something that has not come yet.
    expire(message);
    return was_live && header.history.expiry_ms() <= now_ms_;
  }
  erase(message);
  // Not until its expiry: of longer lives that it was given before, this member may hear late.
  leave_trace(header.hash, header.history, std::max(header.expiry_ms, now_ms_ + kLifeMsMax));
  return was_live;
}

std::vector<Hash> AccountChange::remove(const std::vector<Hash>& hashes) {
  std::vector<Hash> removed;
  for (const Hash& hash : hashes) {
    if (!can_be_a_hash(hash)) {
      continue;
    }
    std::optional<Kept> here = find(hash);
    if (here) {
      if (take_away(*std::move(here))) {
        removed.push_back(hash);
      }
    } else if (has_room()) {
      MessageHistory history = history_of(hash);
      history.add_removal(asked_);
      leave_trace(hash, history, now_ms_ + kLifeMsMax);
    }
  }
  std::sort(removed.begin(), removed.end());
  return removed;
}

std::size_t AccountChange::forget(const std::vector<Hash>& hashes, Stamp before) {
  std::size_t count = 0;
  for (const Hash& hash : hashes) {
    const std::optional<Kept> here = can_be_a_hash(hash) ? find(hash) : std::nullopt;
    if (here && here->header.stored < before) {
      erase_as_if_never_there(*here);
      ++count;
    }
  }
  return count;
}

HashesBySpace AccountChange::remove_up_to(std::optional<Namespace> space, std::uint64_t time_ms) {
  HashesBySpace removed;
  for (const Kept& message : list(space)) {
    // Also where it was stored again since with a later timestamp: what ended before that has another life.
    const bool is_meant = message.header.timestamp_ms <= time_ms ||
                          message.header.history.was_stored(asked_, time_ms);
    if (is_meant && concerns(message) && take_away(message, time_ms)) {
      removed[message.place.space].push_back(message.header.hash);
    }
  }
  mark_all(Kind::removal_marks, space, time_ms, decode_removal_marks);
  sort_hashes(removed);
  return removed;
}

HashesBySpace AccountChange::remove_before(std::optional<Namespace> space,
                                           std::uint64_t before_ms) {
  return remove_up_to(space, before_ms);
}

HashesBySpace AccountChange::remove_all(std::optional<Namespace> space) {
  return remove_up_to(space, UINT64_MAX);
}

// Expiry.

std::optional<Trace> AccountChange::trace_of(const Hash& hash) {
  const auto trace = transaction_.get(hash_key(Kind::trace, account_, hash), decode_trace);
  return trace && trace->until_ms > now_ms_ ? trace : std::nullopt;
}

void AccountChange::leave_trace(const Hash& hash, const MessageHistory& history,
                                std::uint64_t until_ms) {
  const Trace trace{history, std::max(until_ms, trace_of(hash).value_or(Trace{}).until_ms)};
  erase_trace(hash);
  const std::string key = hash_key(Kind::trace, account_, hash);
  transaction_.put(key, encode_trace(trace));
  transaction_.put(expiry_key(trace.until_ms, key), encode_bytes({}));
  transaction_.totals().bytes_used += trace_bytes(hash.size(), history.steps().size());
}

void AccountChange::erase_trace(const Hash& hash) {
  const std::string key = hash_key(Kind::trace, account_, hash);
  if (const auto trace = transaction_.get(key, decode_trace)) {
    transaction_.erase(key);
    transaction_.erase(expiry_key(trace->until_ms, key));
    transaction_.totals().bytes_used -= trace_bytes(hash.size(), trace->history.steps().size());
  }
}

void AccountChange::expire(const Kept& message) {
  const std::uint64_t held_ms = message.header.expiry_ms;
  const std::uint64_t expiry_ms = message.header.history.expiry_ms();
  // A replica that is still on its way says the old expiry. Only what was made shorter can be undone by it.
  if (expiry_ms < held_ms || trace_of(message.header.hash)) {
    leave_trace(message.header.hash, message.header.history, std::max(held_ms, expiry_ms));
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
    if (!here) {
      // Perhaps it is still on its way here, from a member that could not reach us.
      if (can_be_a_hash(hashes[i]) && has_room()) {
        MessageHistory history = history_of(hashes[i]);
        history.add(change, expiry_ms, asked_);
        leave_trace(hashes[i], history, now_ms_ + kLifeMsMax);
      }
      continue;
    }
    const bool was_live = is_live(*here);
    const std::uint64_t held_ms = here->header.expiry_ms;
    // It counts even if it changes nothing now: something may come later that was asked for before.
    here->header.history.add(change, expiry_ms, asked_);
    const std::uint64_t now_held_ms = here->header.history.expiry_ms();
    const bool is_meant = was_live && is_asked(change, expiry_ms, held_ms, asked_);
    if (is_meant || (was_live ? now_held_ms != held_ms : now_held_ms > now_ms_)) {
      updated[hashes[i]] = now_held_ms;
      expire(*here);
    } else {
      set_expiry(*here);
      if (was_live) {
        unchanged.emplace(hashes[i], held_ms);
      }
    }
  }
  for (const auto& [hash, expiry_ms] : updated) {
    unchanged.erase(hash);
  }
  return {listed(updated), listed(unchanged)};
}

HashesBySpace AccountChange::shorten_all(std::optional<Namespace> space, std::uint64_t expiry_ms) {
  HashesBySpace shortened;
  for (Kept& message : list(space)) {
    if (!concerns(message)) {
      continue;
    }
    Header& header = message.header;
    header.history.add(ExpiryChange::shorten, expiry_ms, asked_);
    const bool is_shortened = is_live(message) && header.history.expiry_ms() < header.expiry_ms;
    if (is_shortened) {
      shortened[message.place.space].push_back(header.hash);
    }
    // It is there again where it ended so early that it was stored anew.
    if (is_shortened || (!is_live(message) && header.history.expiry_ms() > now_ms_)) {
      expire(message);
    } else {
      set_expiry(message);
    }
  }
  mark_all(Kind::shorten_marks, space, expiry_ms, decode_shorten_marks);
  sort_hashes(shortened);
  return shortened;
}

}  // namespace allium::storage::internal
