// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a change does to the messages, tombstones, marks and revocations of one account. It says what message_store.hpp
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
  AccountChange(Transaction& transaction, const Account& account, const When& when)
      : transaction_(transaction), account_(account), now_ms_(when.now_ms), asked_(when.asked) {}

  [[nodiscard]] Stored store(Message message, Origin origin, bool replaces);
  [[nodiscard]] std::vector<Hash> remove(const std::vector<Hash>& hashes);
  [[nodiscard]] HashesBySpace remove_before(std::optional<Namespace> space,
                                            std::uint64_t before_ms);
  [[nodiscard]] HashesBySpace remove_all(std::optional<Namespace> space, std::uint64_t before_ms);
  /// Requires: one expiry, or one for each hash.
  [[nodiscard]] ExpiriesChanged change_expiry(const std::vector<Hash>& hashes,
                                              const std::vector<std::uint64_t>& expiries_ms,
                                              ExpiryChange change);
  [[nodiscard]] HashesBySpace shorten_all(std::optional<Namespace> space, std::uint64_t expiry_ms);
  [[nodiscard]] std::size_t revoke(const std::vector<Token>& tokens, std::uint64_t timestamp_ms);
  [[nodiscard]] std::size_t unrevoke(const std::vector<Token>& tokens);

  /// Frees a message without a trace.
  void erase(const Kept& message);

 private:
  struct Revoked {
    Token token{};
    Revocation revocation;
  };

  [[nodiscard]] std::optional<Kept> find(const Hash& hash);

  [[nodiscard]] bool is_live(const Kept& message) const {
    return message.header.expiry_ms > now_ms_;
  }

  [[nodiscard]] std::vector<Kept> list(std::optional<Namespace> space);

  /// Stored again since this change was asked for.
  [[nodiscard]] bool is_newer(const Kept& message) const { return message.header.stored > asked_; }

  [[nodiscard]] bool holds_against(const Removal& removal, Origin origin) const {
    return origin == Origin::replica || asked_ < removal.asked;
  }

  [[nodiscard]] bool is_buried(const Hash& hash, Origin origin);
  [[nodiscard]] std::optional<Bounds> bounds_of(const Hash& hash);
  [[nodiscard]] std::optional<Removal> watermark(std::optional<Namespace> space);
  [[nodiscard]] bool is_removed(const Message& message, Origin origin);
  [[nodiscard]] bool is_outdated(const Message& message, const std::vector<Kept>& others);
  [[nodiscard]] std::vector<Revoked> revocations();
  [[nodiscard]] std::size_t say_of_tokens(const std::vector<Token>& tokens,
                                          std::uint64_t timestamp_ms, bool is_lifted);
  void keep_newest_revocations();
  void put_revocation(const Revoked& revoked);
  void erase_revocation(const Revoked& revoked);

  void take_over(Kept here, const Message& message, const ExpiryHistory& expiry, bool replaces);
  void insert(const Message& message, const ExpiryHistory& expiry);
  /// Writes the header with what its history comes to.
  void set_expiry(Kept message);
  /// The same, or the end of it; `message` has the old expiry, and the new history.
  void expire(const Kept& message);
  void bound(const Hash& hash, const ExpiryHistory& expiry, std::uint64_t until_ms);
  void unbound(const Hash& hash);
  void rewrite(const Kept& message);
  void entomb(const Kept& message);
  void bury(const Hash& hash, std::uint64_t until_ms);
  void unbury(const Hash& hash);
  void raise_watermark(std::optional<Namespace> space, std::uint64_t before_ms);
  [[nodiscard]] ShortenMarks shorten_marks(std::optional<Namespace> space);
  void mark_shortened(std::optional<Namespace> space, std::uint64_t expiry_ms);
  void count_message(bool is_added);

  Transaction& transaction_;
  const Account& account_;
  std::uint64_t now_ms_;
  Stamp asked_;
};

}  // namespace allium::storage::internal
