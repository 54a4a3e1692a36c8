// SPDX-License-Identifier: Apache-2.0
#pragma once

// The message store without a disk: the plainest code that does what message_store.hpp says. Tests compare RocksStore
// with it.
//
//   Ownership  everything is in memory and goes with the object.
//   Errors     Errc::full, Errc::out_of_range.
//   Threads    any, one at a time inside; `done` is called before a change returns, on the caller's thread.

#include <atomic>
#include <compare>
#include <map>
#include <mutex>
#include <optional>

#include "storage/account_marks.hpp"
#include "storage/message_history.hpp"
#include "storage/message_store.hpp"

namespace allium::storage {

class MemoryStore : public MessageStore {
 public:
  explicit MemoryStore(std::uint64_t bytes_limit = std::uint64_t{1} << 40)
      : bytes_limit_(bytes_limit) {}

  void store(const Account& account, Message message, Origin origin, bool replaces,
             const When& when, Done<Stored> done) override;
  void remove(const Account& account, std::vector<Hash> hashes, const When& when,
              Done<std::vector<Hash>> done) override;
  void remove_before(const Account& account, std::optional<Namespace> space,
                     std::uint64_t before_ms, const When& when, Done<HashesBySpace> done) override;
  void remove_all(const Account& account, std::optional<Namespace> space, const When& when,
                  Done<HashesBySpace> done) override;
  void change_expiry(const Account& account, std::vector<Hash> hashes,
                     std::vector<std::uint64_t> expiries_ms, ExpiryChange change, const When& when,
                     Done<ExpiriesChanged> done) override;
  void shorten_all(const Account& account, std::optional<Namespace> space, std::uint64_t expiry_ms,
                   const When& when, Done<HashesBySpace> done) override;
  void revoke(const Account& account, std::vector<Token> tokens, std::uint64_t timestamp_ms,
              const When& when, Done<std::size_t> done) override;
  void unrevoke(const Account& account, std::vector<Token> tokens, const When& when,
                Done<std::size_t> done) override;
  void enqueue_missed(const PeerKey& peer, std::vector<std::string> records,
                      Done<std::uint64_t> done) override;
  void drop_missed(const PeerKey& peer, std::uint64_t number, Done<std::size_t> done) override;
  void erase_missed(const PeerKey& peer, std::vector<std::uint64_t> numbers,
                    Done<std::size_t> done) override;
  void forget(const Account& account, std::vector<Hash> hashes, Stamp before,
              Done<std::size_t> done) override;
  void reclaim(std::uint64_t now_ms, Done<std::size_t> done) override;

  [[nodiscard]] Result<Page> retrieve(const Account& account, Namespace space,
                                      const Hash& last_hash, const PageLimits& limits,
                                      std::uint64_t now_ms) const override;
  [[nodiscard]] Result<std::vector<HashExpiry>> expiries(const Account& account,
                                                         const std::vector<Hash>& hashes,
                                                         std::uint64_t now_ms) const override;
  [[nodiscard]] Result<StoreEffect> try_store(const Account& account, Message message,
                                              Origin origin, bool replaces,
                                              const When& when) const override;
  [[nodiscard]] Result<std::vector<Token>> revoked(const Account& account) const override;
  [[nodiscard]] Result<std::vector<RevokedToken>> lifted(const Account& account) const override;
  [[nodiscard]] Result<std::vector<Missed>> missed(const PeerKey& peer, std::uint64_t after,
                                                   std::size_t bytes_max) const override;
  [[nodiscard]] Result<std::vector<PeerKey>> peers_with_missed() const override;
  [[nodiscard]] Result<void> for_each(
      const Scan& scan, std::uint64_t now_ms,
      const std::function<bool(const Account&, const Message&)>& visit) const override;
  [[nodiscard]] Result<void> for_each_revoked(
      const Scan& scan,
      const std::function<bool(const Account&, const RevokedToken&)>& visit) const override;
  [[nodiscard]] StoreStatus status() const override;
  [[nodiscard]] std::string id() const override;

 private:
  static constexpr const char* kFullText = "the message store has reached its size limit";

  /// By namespace, then by order of insertion.
  using Place = std::pair<Namespace, std::uint64_t>;

  struct Revocation {
    Token token{};
    std::uint64_t timestamp_ms = 0;
    Stamp asked = 0;
    bool is_lifted = false;
  };

  /// What was said of a message that is not here, or will soon not be: for a store or a replica of it that comes later.
  struct Trace {
    MessageHistory history;
    std::uint64_t until_ms = 0;
  };

  struct Asked {
    Stamp stored = 0;
    MessageHistory history;
  };

  /// A store into an outbox, for older ones that come later.
  struct OutboxMark {
    Stamp asked = 0;
    std::pair<std::uint64_t, Hash> rank;  ///< timestamp and hash
  };

  struct Mailbox {
    std::map<Place, Message> messages;
    std::map<Hash, Place> places;
    std::map<Hash, Asked> asked;
    std::map<Hash, Trace> traces;
    std::map<std::optional<Namespace>, RemovalMarks> removed;
    std::map<std::optional<Namespace>, ShortenMarks> shortened;
    std::map<Namespace, std::vector<OutboxMark>> outboxes;  ///< never empty
    std::vector<Revocation> revocations;
  };

  struct ByPoint {
    bool operator()(const Account& left, const Account& right) const noexcept {
      return std::pair(point_of(left), left) < std::pair(point_of(right), right);
    }
  };

  using Mailboxes = std::map<Account, Mailbox, ByPoint>;

  /// Applies a change to a copy of the mailbox, and keeps that where it fits.
  template <typename T, typename Apply>
  Result<T> carry_out(const Account& account, std::uint64_t bytes_allowed, Stamp asked,
                      Apply apply);

  static Stored store_now(Mailbox& mailbox, std::uint64_t order, Message message, Origin origin,
                          bool replaces, When when);
  static HashesBySpace remove_up_to(Mailbox& mailbox, std::optional<Namespace> space,
                                    std::uint64_t time_ms, const When& when);
  static bool take_away(Mailbox& mailbox, const Hash& hash, std::uint64_t up_to_ms,
                        const When& when);
  static std::size_t say_of_tokens(Mailbox& mailbox, const std::vector<Token>& tokens,
                                   const Revocation& said);
  static bool is_replaced(const Mailbox& mailbox, const Message& message, const When& when);
  static void replace_others(Mailbox& mailbox, const Message& message,
                             const MessageHistory& history, const When& when);
  static bool concerns(const Asked& asked, const When& when);
  static std::uint64_t visible_until(const MessageHistory& history, std::uint64_t before_ms,
                                     std::uint64_t now_ms);
  /// Has room for what is said of hashes that are not here.
  [[nodiscard]] bool has_room(const Account& account, const Mailbox& changed) const;
  [[nodiscard]] static std::uint64_t bytes_of(const Mailbox& mailbox);
  [[nodiscard]] std::uint64_t with_reserve() const;
  static void erase(Mailbox& mailbox, const Hash& hash);
  static void erase_as_if_never_there(Mailbox& mailbox, const Hash& hash, std::uint64_t now_ms);
  static void expire(Mailbox& mailbox, const Hash& hash, std::uint64_t now_ms);
  static void show(Mailbox& mailbox, const Hash& hash, std::uint64_t now_ms);
  static void leave_trace(Mailbox& mailbox, const Hash& hash, const MessageHistory& history,
                          std::uint64_t until_ms, std::uint64_t now_ms);
  [[nodiscard]] static MessageHistory trace_of(const Mailbox& mailbox, const Hash& hash,
                                               std::uint64_t now_ms);
  [[nodiscard]] const Mailbox* find(const Account& account) const;
  static const Message* live(const Mailbox& mailbox, const Hash& hash, std::uint64_t now_ms);

  inline static std::atomic<std::uint64_t> made_ = 0;
  const std::uint64_t number_ = ++made_;
  mutable std::mutex mutex_;
  std::uint64_t bytes_limit_;
  std::uint64_t bytes_used_ = 0;
  Stamp latest_asked_ = 0;
  std::uint64_t next_order_ = 1;
  Mailboxes mailboxes_;
  std::map<PeerKey, std::map<std::uint64_t, std::string>> missed_;
};

}  // namespace allium::storage
