// SPDX-License-Identifier: Apache-2.0

// The reads of RocksStore. Each sees one snapshot.

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include <rocksdb/snapshot.h>

#include "storage/internal/account_change.hpp"
#include "storage/internal/keys.hpp"
#include "storage/internal/record_codec.hpp"
#include "storage/internal/rocks_status.hpp"
#include "storage/internal/store_state.hpp"
#include "storage/rocks_store.hpp"
#include "storage/stored_bytes.hpp"

namespace allium::storage {
namespace {

using internal::Header;
using internal::Kind;
using internal::Place;

tl::unexpected<Error> damaged(std::string_view what) {
  return fail(Errc::io, "the message store is damaged (" + std::string(what) +
                            "): restore a backup, or start with an empty directory");
}

class Snapshot {
 public:
  explicit Snapshot(std::shared_ptr<rocksdb::DB> database) : database_(std::move(database)) {
    if (database_) {
      snapshot_.emplace(database_.get());
      options_.snapshot = snapshot_->snapshot();
    }
  }

  /// False while the store is being opened again: then there is nothing to read.
  [[nodiscard]] explicit operator bool() const noexcept { return database_ != nullptr; }

  /// nullopt: there is no such key.
  [[nodiscard]] Result<std::optional<std::string>> get(std::string_view key) const {
    std::string value;
    const rocksdb::Status status = database_->Get(options_, rocksdb::Slice(key), &value);
    if (status.IsNotFound()) {
      return std::nullopt;
    }
    if (!status.ok()) {
      return tl::unexpected(internal::error_of(status, "reading"));
    }
    return value;
  }

  template <typename T>
  [[nodiscard]] Result<std::optional<T>> get(std::string_view key,
                                             Result<T> (*decode)(std::string_view)) const {
    auto value = get(key);
    if (!value) {
      return tl::unexpected(std::move(value.error()));
    }
    if (!*value) {
      return std::nullopt;
    }
    return decode(**value).map([](T decoded) { return std::optional<T>(std::move(decoded)); });
  }

  /// A change that is not to be committed.
  [[nodiscard]] internal::Transaction change() const {
    return {*database_, internal::Totals(), options_.snapshot};
  }

  [[nodiscard]] std::unique_ptr<rocksdb::Iterator> iterate() const {
    return std::unique_ptr<rocksdb::Iterator>(database_->NewIterator(options_));
  }

 private:
  std::shared_ptr<rocksdb::DB> database_;
  std::optional<rocksdb::ManagedSnapshot> snapshot_;
  rocksdb::ReadOptions options_;
};

/// At the end of a scan: whether it ended because there was no more.
Result<void> scanned(const rocksdb::Iterator& it) {
  if (!it.status().ok()) {
    return tl::unexpected(internal::error_of(it.status(), "reading"));
  }
  return {};
}

/// What was said of each token of an account.
template <typename Visit>
Result<void> for_each_said_of_tokens(std::shared_ptr<rocksdb::DB> database, const Account& account,
                                     Visit visit) {
  const Snapshot snapshot(std::move(database));
  if (!snapshot) {
    return tl::unexpected(internal::opening_again());
  }
  const std::string prefix = internal::account_key(Kind::revocation, account);
  const auto it = snapshot.iterate();
  for (it->Seek(prefix); it->Valid() && it->key().starts_with(prefix); it->Next()) {
    const auto key = internal::parse_revocation_key(it->key().ToStringView());
    const auto revocation = internal::decode_revocation(it->value().ToStringView());
    if (!key || !revocation) {
      return key ? tl::unexpected(revocation.error()) : damaged("a revocation's key");
    }
    visit(key->token, *revocation);
  }
  return scanned(*it);
}

Result<Message> message_of(const Snapshot& snapshot, const Account& account, const Place& place,
                           Header header) {
  auto data =
      snapshot.get(internal::message_key(Kind::data, account, place), internal::decode_bytes);
  if (!data) {
    return tl::unexpected(std::move(data.error()));
  }
  if (!*data || (*data)->size() != header.data_bytes) {
    return damaged("a message without its data");
  }
  return Message{std::move(header.hash), place.space, header.timestamp_ms, header.expiry_ms,
                 std::move(**data)};
}

/// nullopt: no message of the account has that hash, or none can.
Result<std::optional<Place>> place_of(const Snapshot& snapshot, const Account& account,
                                      const Hash& hash) {
  if (hash.empty() || hash.size() > kHashCharsMax) {
    return std::nullopt;
  }
  return snapshot.get(internal::hash_key(Kind::place, account, hash), internal::decode_place);
}

/// The sequence behind which a page begins.
Result<std::uint64_t> sequence_of(const Snapshot& snapshot, const Account& account, Namespace space,
                                  const Hash& hash) {
  return place_of(snapshot, account, hash).map([space](const std::optional<Place>& place) {
    return place && place->space == space ? place->sequence : 0;
  });
}

/// The least key of a header that is of the scan.
Result<std::string> start_of(const Snapshot& snapshot, const Scan& scan) {
  std::string start = internal::start_of_points(Kind::header, scan.first);
  if (!scan.after) {
    return start;
  }
  const Account& account = scan.after->account;
  return place_of(snapshot, account, scan.after->hash).map([&](const std::optional<Place>& place) {
    return std::max(start, place ? internal::message_key(Kind::header, account,
                                                         {place->space, place->sequence + 1})
                                 : internal::account_key(Kind::header, account));
  });
}

}  // namespace

Result<Page> RocksStore::retrieve(const Account& account, Namespace space, const Hash& last_hash,
                                  const PageLimits& limits, std::uint64_t now_ms) const {
  const Snapshot snapshot(state_->database());
  if (!snapshot) {
    return tl::unexpected(internal::opening_again());
  }
  const auto after = sequence_of(snapshot, account, space, last_hash);
  if (!after) {
    return tl::unexpected(after.error());
  }
  const std::string prefix = internal::space_prefix(Kind::header, account, space);
  Page page;
  std::size_t bytes = 0;
  const auto it = snapshot.iterate();
  for (it->Seek(internal::message_key(Kind::header, account, {space, *after + 1}));
       it->Valid() && it->key().starts_with(prefix); it->Next()) {
    const auto key = internal::parse_message_key(it->key().ToStringView());
    auto header = internal::decode_header(it->value().ToStringView());
    if (!key || !header) {
      return key ? tl::unexpected(std::move(header.error())) : damaged("a message's key");
    }
    if (header->expiry_ms <= now_ms) {
      continue;
    }
    bytes += page_bytes(header->hash.size(), header->data_bytes);
    if ((limits.messages_max > 0 && page.messages.size() == limits.messages_max) ||
        (limits.bytes_max > 0 && bytes > limits.bytes_max && !page.messages.empty())) {
      page.more = true;
      return page;
    }
    auto message = message_of(snapshot, account, key->place, std::move(*header));
    if (!message) {
      return tl::unexpected(std::move(message.error()));
    }
    page.messages.push_back(std::move(*message));
  }
  return scanned(*it).map([&page] { return std::move(page); });
}

Result<std::vector<HashExpiry>> RocksStore::expiries(const Account& account,
                                                     const std::vector<Hash>& hashes,
                                                     std::uint64_t now_ms) const {
  const Snapshot snapshot(state_->database());
  if (!snapshot) {
    return tl::unexpected(internal::opening_again());
  }
  std::vector<HashExpiry> found;
  for (const Hash& hash : hashes) {
    const auto place =
        snapshot.get(internal::hash_key(Kind::place, account, hash), internal::decode_place);
    if (!place) {
      return tl::unexpected(place.error());
    }
    if (!*place) {
      continue;
    }
    const auto header = snapshot.get(internal::message_key(Kind::header, account, **place),
                                     internal::decode_header);
    if (!header || !*header) {
      return header ? damaged("a message without its header") : tl::unexpected(header.error());
    }
    if ((*header)->expiry_ms > now_ms) {
      found.push_back({hash, (*header)->expiry_ms});
    }
  }
  return found;
}

Result<StoreEffect> RocksStore::try_store(const Account& account, Message message, Origin origin,
                                          bool replaces, const When& when) const {
  const Snapshot snapshot(state_->database());
  if (!snapshot) {
    return tl::unexpected(internal::opening_again());
  }
  internal::Transaction change = snapshot.change();
  change.begin_change();
  const Stored stored =
      internal::AccountChange(change, account, when).store(std::move(message), origin, replaces);
  if (auto error = change.end_change(UINT64_MAX)) {
    return tl::unexpected(*std::move(error));
  }
  return stored.effect;
}

Result<std::vector<Token>> RocksStore::revoked(const Account& account) const {
  // By what decides which stay, rising.
  std::set<std::tuple<std::uint64_t, Stamp, Token>> ordered;
  const auto read =
      for_each_said_of_tokens(state_->database(), account,
                              [&ordered](const Token& token, const internal::Revocation& said) {
                                if (!said.is_lifted) {
                                  ordered.emplace(said.timestamp_ms, said.asked, token);
                                }
                              });
  std::vector<Token> tokens;
  for (auto newest = ordered.rbegin(); newest != ordered.rend() && tokens.size() < kRevokedMax;
       ++newest) {
    tokens.push_back(std::get<Token>(*newest));
  }
  return read.map([&tokens] { return std::move(tokens); });
}

Result<std::vector<RevokedToken>> RocksStore::lifted(const Account& account) const {
  std::vector<RevokedToken> tokens;
  const auto read = for_each_said_of_tokens(
      state_->database(), account, [&tokens](const Token& token, const internal::Revocation& said) {
        if (said.is_lifted) {
          tokens.push_back({token, said.timestamp_ms, said.asked});
        }
      });
  return read.map([&tokens] { return std::move(tokens); });
}

Result<std::vector<Missed>> RocksStore::missed(const PeerKey& peer, std::uint64_t after,
                                               std::size_t bytes_max) const {
  const Snapshot snapshot(state_->database());
  if (!snapshot) {
    return tl::unexpected(internal::opening_again());
  }
  const std::string prefix = internal::missed_prefix(peer);
  std::vector<Missed> records;
  std::size_t bytes = 0;
  const auto it = snapshot.iterate();
  for (it->Seek(internal::missed_key(peer, after + 1));
       it->Valid() && it->key().starts_with(prefix); it->Next()) {
    const auto key = internal::parse_missed_key(it->key().ToStringView());
    auto record = internal::decode_bytes(it->value().ToStringView());
    if (!key || !record) {
      return key ? tl::unexpected(std::move(record.error())) : damaged("a missed record's key");
    }
    bytes += record->size();
    if (bytes > bytes_max && !records.empty()) {
      return records;
    }
    records.push_back({key->number, std::move(*record)});
  }
  return scanned(*it).map([&records] { return std::move(records); });
}

Result<std::vector<PeerKey>> RocksStore::peers_with_missed() const {
  const Snapshot snapshot(state_->database());
  if (!snapshot) {
    return tl::unexpected(internal::opening_again());
  }
  const std::string end = internal::end_of_points(Kind::missed, UINT64_MAX);
  std::vector<PeerKey> peers;
  const auto it = snapshot.iterate();
  it->Seek(internal::start_of_points(Kind::missed, 0));
  while (it->Valid() && it->key().compare(end) < 0) {
    const auto key = internal::parse_missed_key(it->key().ToStringView());
    if (!key) {
      return damaged("a missed record's key");
    }
    peers.push_back(key->peer);
    it->Seek(internal::end_of_prefix(internal::missed_prefix(key->peer)));
  }
  return scanned(*it).map([&peers] { return std::move(peers); });
}

Result<void> RocksStore::for_each(
    const Scan& scan, std::uint64_t now_ms,
    const std::function<bool(const Account&, const Message&)>& visit) const {
  const Snapshot snapshot(state_->database());
  if (!snapshot) {
    return tl::unexpected(internal::opening_again());
  }
  const auto start = start_of(snapshot, scan);
  if (!start) {
    return tl::unexpected(start.error());
  }
  const std::string end = internal::end_of_points(Kind::header, scan.last);
  const auto it = snapshot.iterate();
  for (it->Seek(*start); it->Valid() && it->key().compare(end) < 0; it->Next()) {
    const auto key = internal::parse_message_key(it->key().ToStringView());
    auto header = internal::decode_header(it->value().ToStringView());
    if (!key || !header) {
      return key ? tl::unexpected(std::move(header.error())) : damaged("a message's key");
    }
    if (header->expiry_ms <= now_ms) {
      continue;
    }
    std::vector<HistoryStep> life = header->history.life();
    auto message = message_of(snapshot, key->account, key->place, std::move(*header));
    if (!message) {
      return tl::unexpected(message.error());
    }
    message->life = std::move(life);
    if (!visit(key->account, *message)) {
      return {};
    }
  }
  return scanned(*it);
}

Result<void> RocksStore::for_each_revoked(
    const Scan& scan, const std::function<bool(const Account&, const RevokedToken&)>& visit) const {
  const Snapshot snapshot(state_->database());
  if (!snapshot) {
    return tl::unexpected(internal::opening_again());
  }
  const std::string end = internal::end_of_points(Kind::revocation, scan.last);
  const auto it = snapshot.iterate();
  for (it->Seek(internal::start_of_points(Kind::revocation, scan.first));
       it->Valid() && it->key().compare(end) < 0; it->Next()) {
    const auto key = internal::parse_revocation_key(it->key().ToStringView());
    const auto revocation = internal::decode_revocation(it->value().ToStringView());
    if (!key || !revocation) {
      return revocation ? damaged("a revocation's key") : tl::unexpected(revocation.error());
    }
    if (!revocation->is_lifted &&
        !visit(key->account, {key->token, revocation->timestamp_ms, revocation->asked})) {
      return {};
    }
  }
  return scanned(*it);
}

}  // namespace allium::storage
