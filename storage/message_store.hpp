// SPDX-License-Identifier: Apache-2.0
#pragma once

// The store of a swarm's messages. Two implementations: RocksStore on disk, and MemoryStore, the plain twin that
// tests compare it with and that a client's tests can use.
//
//   Units      times are Unix milliseconds, UTC; `now_ms` is the caller's clock, everywhere.
//   Order      of two changes of the same thing (a message, its expiry, a revocation) the one that was asked for later holds, in
//              whatever order they arrive (When): so members of a swarm that are told late end with what the others have.
//   Ownership  values in and out; the store keeps copies.
//   Errors     Errc::full (the size limit; nothing was changed), Errc::io (the disk: the store then refuses all changes
//              until it is opened again, which it does by itself where the disk was full and has room; or one damaged record: only what needs it fails), Errc::out_of_range (a limit
//              below), Errc::unavailable (busy: the queue of changes is full; nothing was changed).
//   Threads    reads: any thread, they see what is committed. Changes: any thread; they are carried out one after the
//              other, many in one synced write, and `done` is called once each, on the store's own thread, after the
//              change is on disk. Only busy and out_of_range may be said at once, on the caller's thread, before the
//              call returns. A `done` must not block and must not wait for another change.
//   Limits     kDataBytesMax a message, kHashCharsMax a hash, kRevokedMax revocations an account.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crypto_accel/base/result.hpp"
#include "storage/account.hpp"

namespace allium::storage {

inline constexpr std::size_t kDataBytesMax = 76'800;
inline constexpr std::size_t kHashCharsMax = 128;
inline constexpr std::size_t kRevokedMax = 50;
/// More are kept, so that it does not matter in which order revocations and their ends arrive.
inline constexpr std::size_t kRevocationsKept = 250;
/// No message lives longer: how long a deletion of something not held here is remembered.
inline constexpr std::uint64_t kLifeMsMax = std::uint64_t{30} * 86'400'000;
/// What retrieve() counts a message as: this, its hash and 4/3 of its data.
inline constexpr std::size_t kMessageOverheadBytes = 100;

using Namespace = std::int16_t;
using Hash = std::string;  ///< 1 to kHashCharsMax characters; unique within an account
using Token = std::array<std::uint8_t, 36>;
using PeerKey = std::array<std::uint8_t, 32>;

/// When something was asked for, alike at all members of a swarm: milliseconds, times kStampsPerMs, and below that whatever sets
/// different commands apart. Below 2^63 until the year 2248.
using Stamp = std::uint64_t;
inline constexpr std::uint64_t kStampsPerMs = std::uint64_t{1} << 20;

/// Something that was asked for of a message.
struct HistoryStep {
  enum class Kind : std::uint8_t { set, shorten, extend, store, remove };

  Stamp asked = 0;
  std::uint64_t expiry_ms = 0;
  Kind kind = Kind::set;
  std::uint64_t timestamp_ms = 0;  ///< of a store; of a removal up to which, that one included

  bool operator==(const HistoryStep&) const = default;
};

inline constexpr std::size_t kHistoryStepsMax = 8;
/// And what those before them came to: of Message::life.
inline constexpr std::size_t kLifeStepsMax = kHistoryStepsMax + 1;

struct Message {
  Hash hash;
  Namespace space = 0;
  std::uint64_t timestamp_ms = 0;
  std::uint64_t expiry_ms = 0;
  std::string data;

  /// What was asked for of it since it has been there, its store first: what a replica tells a member that has not heard of that. Given
  /// by for_each() and taken by store() alone, and empty where it is not known.
  std::vector<HistoryStep> life{};

  bool operator==(const Message&) const = default;
};

[[nodiscard]] constexpr Stamp stamp_of(std::uint64_t ms) noexcept {
  return ms > UINT64_MAX / kStampsPerMs ? UINT64_MAX : ms * kStampsPerMs;
}

/// When a change is carried out, and when a client asked for it. Of changes with one stamp the last to arrive holds.
struct When {
  std::uint64_t now_ms = 0;
  Stamp asked = 0;

  When(std::uint64_t now)  // NOLINT(google-explicit-constructor): most is asked for now
      : When(now, stamp_of(now)) {}

  When(std::uint64_t now, Stamp when_asked) : now_ms(now), asked(when_asked) {}
};

/// Who asks for a message to be kept: a client, or a member of the swarm. Where that one has no word of when a client asked for
/// it (Message::life), the message's timestamp must do, and it does not bring back what was deleted.
enum class Origin : std::uint8_t { client, replica };

enum class StoreEffect : std::uint8_t {
  inserted,
  already,  ///< it was there; a later expiry was taken over
  renewed,  ///< it is there, stored anew: this replica tells of a life that was over before, and of nothing new
  tombstoned,  ///< deleted here since it was asked for, or from a replica: it is not here
  hidden,  ///< the same, but it is there again if something that comes late ended it before: it is kept for a while
  expired,   ///< its time is over, by what was said of it since: it cannot be seen
  outdated,  ///< a newer message is kept in its place: it was not
};

struct Stored {
  StoreEffect effect{};
  std::uint64_t expiry_ms = 0;  ///< the expiry that now holds
  bool is_changed = false;      ///< what can be seen is not as it was
};

enum class ExpiryChange : std::uint8_t { set, shorten, extend };

struct HashExpiry {
  Hash hash;
  std::uint64_t expiry_ms = 0;

  bool operator==(const HashExpiry&) const = default;
};

struct ExpiriesChanged {
  std::vector<HashExpiry> updated;    ///< sorted by hash; with what now holds
  std::vector<HashExpiry> unchanged;  ///< sorted by hash; found, but not asked for, or under 1 %
};

using HashesBySpace = std::map<Namespace, std::vector<Hash>>;  ///< hashes sorted

struct Page {
  std::vector<Message> messages;  ///< oldest insertion first
  bool more = false;
};

struct PageLimits {
  std::size_t messages_max = 0;  ///< 0: no limit
  std::size_t bytes_max = 0;     ///< 0: no limit; at least one message is given all the same
};

/// Hashes are unique within an account alone.
struct MessageId {
  Account account{};
  Hash hash;
};

/// Which messages for_each() visits, and from where on.
struct Scan {
  std::uint64_t first = 0;  ///< of accounts with first <= point_of(account) <= last
  std::uint64_t last = UINT64_MAX;

  /// Those behind this one, as they are visited; where it is not here any more, from the beginning of its account on.
  std::optional<MessageId> after{};
};

struct StoreStatus {
  std::uint64_t messages = 0;
  std::uint64_t accounts = 0;
  std::uint64_t bytes_used = 0;
  std::uint64_t bytes_limit = 0;
  bool is_nearly_full = false;  ///< above 9/10 of the limit
  bool is_broken = false;       ///< after Errc::io
  Stamp latest_asked = 0;       ///< of what changed something, in earlier processes too
};

struct RevokedToken {
  Token token{};
  std::uint64_t timestamp_ms = 0;
  Stamp asked = 0;
};

/// Something a member of the swarm missed; opaque to the store.
struct Missed {
  std::uint64_t number = 0;  ///< rising within a peer
  std::string record;
};

template <typename T>
using Done = std::function<void(Result<T>)>;

class MessageStore {
 public:
  MessageStore() = default;
  MessageStore(const MessageStore&) = delete;
  MessageStore& operator=(const MessageStore&) = delete;
  virtual ~MessageStore() = default;

  // Changes.

  /// `replaces`: one message of the account and namespace is kept (public outbox), the one with the newest timestamp, of equals the
  /// one with the greatest hash, in whatever order they come. One that is stored again keeps its timestamp, but is as new as
  /// the newest that it came with.
  virtual void store(const Account& account, Message message, Origin origin, bool replaces,
                     const When& when, Done<Stored> done) = 0;

  /// Gives the hashes that were there, sorted. All leave a trace, for kLifeMsMax: what was stored before may come late, with a longer
  /// life than the message had here. What cannot be a hash (empty, too long) is passed by.
  virtual void remove(const Account& account, std::vector<Hash> hashes, const When& when,
                      Done<std::vector<Hash>> done) = 0;

  /// Removes the messages of the namespace (none given: of all) with a timestamp <= before_ms; later no
  /// replica brings one with such a timestamp back.
  virtual void remove_before(const Account& account, std::optional<Namespace> space,
                             std::uint64_t before_ms, const When& when,
                             Done<HashesBySpace> done) = 0;

  /// Removes all messages of the namespace (none given: of all) that were stored before this was asked for, whatever their
  /// timestamps, also those that arrive later.
  virtual void remove_all(const Account& account, std::optional<Namespace> space, const When& when,
                          Done<HashesBySpace> done) = 0;

  /// One expiry for all hashes, or one for each. Unknown hashes are left out of the answer. An expiry that has passed
  /// hides the message at once, as its end would. What is said of an unknown hash, and that a life was shortened, is
  /// remembered for a message that comes later and was stored before: it gets no other expiry than if it had come before. A full store
  /// remembers nothing of unknown hashes.
  virtual void change_expiry(const Account& account, std::vector<Hash> hashes,
                             std::vector<std::uint64_t> expiries_ms, ExpiryChange change,
                             const When& when, Done<ExpiriesChanged> done) = 0;

  /// Shortens what lives longer; gives what was shortened.
  virtual void shorten_all(const Account& account, std::optional<Namespace> space,
                           std::uint64_t expiry_ms, const When& when, Done<HashesBySpace> done) = 0;

  /// Of more than kRevokedMax the newest (by timestamp, stamp, token) count. Gives how many were not revoked before.
  virtual void revoke(const Account& account, std::vector<Token> tokens, std::uint64_t timestamp_ms,
                      const When& when, Done<std::size_t> done) = 0;

  /// Gives how many were revoked before. That they are not is remembered for kLifeMsMax, for a
  /// revocation that comes later and was asked for before, or at the same time.
  virtual void unrevoke(const Account& account, std::vector<Token> tokens, const When& when,
                        Done<std::size_t> done) = 0;

  /// Queues records for a peer; gives the number of the last, 0 where there are none.
  virtual void enqueue_missed(const PeerKey& peer, std::vector<std::string> records,
                              Done<std::uint64_t> done) = 0;

  /// Forgets what was handed on: everything up to and including `number`.
  virtual void drop_missed(const PeerKey& peer, std::uint64_t number, Done<std::size_t> done) = 0;

  /// Forgets these alone.
  virtual void erase_missed(const PeerKey& peer, std::vector<std::uint64_t> numbers,
                            Done<std::size_t> done) = 0;

  /// Erases, without a trace, those of these messages that were not stored at `before` or later: of a copy that nobody has kept up to
  /// date. Gives how many.
  virtual void forget(const Account& account, std::vector<Hash> hashes, Stamp before,
                      Done<std::size_t> done) = 0;

  /// Frees what expired before `now_ms`, in bulk; gives how many messages. Nothing visible changes. What was said of them leaves a trace.
  virtual void reclaim(std::uint64_t now_ms, Done<std::size_t> done) = 0;

  // Reads.

  /// After the message `last_hash` ("" or unknown: from the beginning), in order of insertion.
  [[nodiscard]] virtual Result<Page> retrieve(const Account& account, Namespace space,
                                              const Hash& last_hash, const PageLimits& limits,
                                              std::uint64_t now_ms) const = 0;

  /// Of those that are there.
  [[nodiscard]] virtual Result<std::vector<HashExpiry>> expiries(const Account& account,
                                                                 const std::vector<Hash>& hashes,
                                                                 std::uint64_t now_ms) const = 0;

  /// What store() would come to, were there room; nothing is changed.
  [[nodiscard]] virtual Result<StoreEffect> try_store(const Account& account, Message message,
                                                      Origin origin, bool replaces,
                                                      const When& when) const = 0;

  /// Newest first.
  [[nodiscard]] virtual Result<std::vector<Token>> revoked(const Account& account) const = 0;

  /// Those that were taken back, and when that was asked for.
  [[nodiscard]] virtual Result<std::vector<RevokedToken>> lifted(const Account& account) const = 0;

  /// The oldest records queued for `peer` behind number `after`, at most so many bytes (but one at least).
  [[nodiscard]] virtual Result<std::vector<Missed>> missed(const PeerKey& peer, std::uint64_t after,
                                                           std::size_t bytes_max) const = 0;

  [[nodiscard]] virtual Result<std::vector<PeerKey>> peers_with_missed() const = 0;

  /// Calls `visit` for every live message of the scan, by point, account, namespace and order of insertion, on a snapshot, until it
  /// returns false. What is before its place is not read.
  [[nodiscard]] virtual Result<void> for_each(
      const Scan& scan, std::uint64_t now_ms,
      const std::function<bool(const Account&, const Message&)>& visit) const = 0;

  /// Calls `visit` for every token that is revoked, of the accounts of the scan, by point, account and token, until it returns false.
  /// A scan's place is passed by.
  [[nodiscard]] virtual Result<void> for_each_revoked(
      const Scan& scan,
      const std::function<bool(const Account&, const RevokedToken&)>& visit) const = 0;

  [[nodiscard]] virtual StoreStatus status() const = 0;

  /// Of this store alone: one that was made anew, or restored from a backup, has another.
  [[nodiscard]] virtual std::string id() const = 0;
};

}  // namespace allium::storage
