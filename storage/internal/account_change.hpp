// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a change does to the messages, traces, marks and revocations of one account. It says what message_store.hpp
// says, in records.
//
//   Ownership  borrows the transaction.
//   Errors     marked in the transaction, which takes the change back; the values given are then of no meaning.
//   Threads    the writer's.

#include <optional>
#include <vector>

#include "storage/internal/transaction.hpp"

namespace allium::storage::internal {

struct Kept {
  Place place;
  Header header;
};

class AccountChange {
 public:
  /// `bytes_limit`: of the store. Beyond it nothing is remembered of hashes that are not here.
  AccountChange(Transaction& transaction, const Account& account, const When& when,
                std::uint64_t bytes_limit = UINT64_MAX)
      : transaction_(transaction),
        account_(account),
        now_ms_(when.now_ms),
        asked_(when.asked),
        bytes_limit_(bytes_limit) {
    transaction.totals().latest_asked = std::max(transaction.totals().latest_asked, when.asked);
  }

  [[nodiscard]] Stored store(Message message, Origin origin, bool replaces);
  [[nodiscard]] std::vector<Hash> remove(const std::vector<Hash>& hashes);
  [[nodiscard]] HashesBySpace remove_before(std::optional<Namespace> space,
                                            std::uint64_t before_ms);
  [[nodiscard]] HashesBySpace remove_all(std::optional<Namespace> space);
  /// Requires: one expiry, or one for each hash.
  [[nodiscard]] ExpiriesChanged change_expiry(const std::vector<Hash>& hashes,
                                              const std::vector<std::uint64_t>& expiries_ms,
                                              ExpiryChange change);
  [[nodiscard]] HashesBySpace shorten_all(std::optional<Namespace> space, std::uint64_t expiry_ms);
  [[nodiscard]] std::size_t revoke(const std::vector<Token>& tokens, std::uint64_t timestamp_ms);
  [[nodiscard]] std::size_t unrevoke(const std::vector<Token>& tokens);

  [[nodiscard]] std::size_t forget(const std::vector<Hash>& hashes, Stamp before);

  /// Frees a message whose time is over. What a client said of it but to keep it stays, for stores from before that come late.
  void free(const Kept& message);

  /// A record of Kind::removal_marks, Kind::shorten_marks or Kind::outbox_marks was made, or erased.
  void count_mark(bool is_added);

 private:
  struct Revoked {
    Token token{};
    Revocation revocation;
  };

  [[nodiscard]] const Mailbox& mailbox();
  void set_mailbox(const Mailbox& mailbox);
  [[nodiscard]] std::optional<Kept> find(const Hash& hash);

  [[nodiscard]] bool is_live(const Kept& message) const {
    return message.header.expiry_ms > now_ms_;
  }

  [[nodiscard]] std::vector<Kept> list(std::optional<Namespace> space);

  /// Stored again since this change was asked for.
  [[nodiscard]] bool is_newer(const Kept& message) const { return message.header.stored > asked_; }

  /// A change of all that was asked for now says something of it.
  [[nodiscard]] bool concerns(const Kept& message) const {
    return !is_newer(message) || message.header.history.begins_before(asked_);
  }

  [[nodiscard]] bool has_room() const { return transaction_.totals().bytes_used < bytes_limit_; }

  [[nodiscard]] std::optional<Trace> trace_of(const Hash& hash);
  /// What is known of a message that is not here.
  [[nodiscard]] MessageHistory history_of(const Hash& hash);
  [[nodiscard]] RemovalMarks removal_marks(std::optional<Namespace> space);
  [[nodiscard]] ShortenMarks shorten_marks(std::optional<Namespace> space);
  template <typename MarksOf>
  void mark_all(Kind kind, std::optional<Namespace> space, std::uint64_t time_ms,
                Result<MarksOf> (*decode)(std::string_view));

  /// `stored_anew`: when the life began that it has here; UINT64_MAX: it is not here.
  [[nodiscard]] bool is_replaced(const Message& message, Stamp stored_anew);
  /// At the time of this change, as far as is known.
  [[nodiscard]] bool was_there(const Hash& hash);
  void replace_others(const Message& message, const MessageHistory& history);
  [[nodiscard]] std::vector<OutboxMark> outbox_marks(Namespace space);
  void mark_outbox(Namespace space, const OutboxMark& mark);

  [[nodiscard]] std::vector<Revoked> revocations();
  [[nodiscard]] std::size_t say_of_tokens(const std::vector<Token>& tokens,
                                          std::uint64_t timestamp_ms, bool is_lifted);
  void keep_newest_revocations();
  void put_revocation(const Revoked& revoked);
  void erase_revocation(const Revoked& revoked);

  [[nodiscard]] std::uint64_t visible_until(const MessageHistory& history,
                                            std::uint64_t before_ms) const;
  /// Of a message whose time is over.
  [[nodiscard]] Stored keep_hidden(const std::optional<Kept>& here, const Message& message,
                                   const MessageHistory& history, Origin origin);
  void insert(const Message& message, const MessageHistory& history);
  /// Writes the header with what its history comes to.
  void set_expiry(Kept message);
  /// The same; `message` has the old expiry, and the new history.
  void expire(const Kept& message);
  void leave_trace(const Hash& hash, const MessageHistory& history, std::uint64_t until_ms);
  void erase_trace(const Hash& hash);
  /// Without a trace.
  void erase(const Kept& message);
  void erase_as_if_never_there(const Kept& message);
  /// Whether a message that was visible is not any more.
  bool take_away(Kept message, std::uint64_t up_to_ms = UINT64_MAX);
  [[nodiscard]] HashesBySpace remove_up_to(std::optional<Namespace> space, std::uint64_t time_ms);
  void count_message(bool is_added);

  Transaction& transaction_;
  const Account& account_;
  std::uint64_t now_ms_;
  Stamp asked_;
  std::uint64_t bytes_limit_;
  std::optional<Mailbox> mailbox_;  ///< as it is in the transaction, once it was asked for
};

}  // namespace allium::storage::internal
