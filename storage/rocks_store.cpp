// SPDX-License-Identifier: Apache-2.0
#include "storage/rocks_store.hpp"

#include <filesystem>
#include <utility>

#include <rocksdb/cache.h>
#include <rocksdb/file_system.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>

#include "storage/internal/account_change.hpp"
#include "storage/internal/disk_room.hpp"
#include "storage/internal/missed_queue.hpp"
#include "storage/internal/no_log.hpp"
#include "storage/internal/reclaim.hpp"
#include "storage/internal/rocks_status.hpp"
#include "storage/internal/store_state.hpp"
#include "storage/stored_bytes.hpp"

namespace allium::storage {
namespace {

using internal::AccountChange;
using internal::Change;
using internal::OpenedDatabase;
using internal::Totals;
using internal::Transaction;

/// Or RocksDB looks for room by itself every five seconds, beside our writer, and until it finds it merges no tables.
class NoRecovery final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason /*reason*/, rocksdb::Status /*error*/,
                            bool* is_automatic) override {
    *is_automatic = false;
  }
};

rocksdb::Options rocks_options(rocksdb::Env* env) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kBlockCacheBytes);
  table.cache_index_and_filter_blocks = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  // A message is about a kilobyte, and those of an account, which are read together, lie together.
  table.block_size = std::size_t{16} << 10;

  rocksdb::Options options;
  options.env = env == nullptr ? rocksdb::Env::Default() : env;
  options.create_if_missing = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  // A fourth of it takes 1.3 times the CPU a store: tables are merged as often as it fills.
  options.write_buffer_size = kWriteBufferBytes;
  options.max_write_buffer_number = 2;
  // Most of what a store asks for is not there: no place, no trace.
  options.memtable_whole_key_filtering = true;
  options.memtable_prefix_bloom_size_ratio = 0.05;
  // A batch is in order of its keys (transaction.hpp): the place of one is looked for from where the one before of its kind went.
  // A hint for each account would be found faster still, but takes 300 bytes of the memtable for an account that stores one message.
  options.memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(1));
  options.max_background_jobs = 2;
  options.max_open_files = 256;
  options.bytes_per_sync = std::uint64_t{1} << 20;
  // Messages are ciphertext: nothing to gain.
  options.compression = rocksdb::kNoCompression;
  // Each batch is synced before the next begins; so what a log ends with after a power cut was never acknowledged.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  // What was removed leaves the disk within days, even if nothing else is written over it.
  options.ttl = std::uint64_t{24} * 3600;
  options.periodic_compaction_seconds = std::uint64_t{7} * 24 * 3600;
  // A database that could not write stays so until it is opened again (store_state.hpp).
  options.max_bgerror_resume_count = 0;
  options.listeners.push_back(std::make_shared<NoRecovery>());
  options.info_log = std::make_shared<internal::NoLog>();
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  return options;
}

Result<void> make_format(rocksdb::DB& database, const std::string& directory) {
  const std::unique_ptr<rocksdb::Iterator> it(database.NewIterator(rocksdb::ReadOptions()));
  it->SeekToFirst();
  if (it->Valid()) {
    return fail(Errc::malformed, directory +
                                     " holds another program's database, not a message "
                                     "store: choose another directory");
  }
  if (!it->status().ok()) {
    return tl::unexpected(internal::error_of(it->status(), "opening " + directory));
  }
  rocksdb::WriteOptions synced;
  synced.sync = true;
  const rocksdb::Status status = database.Put(synced, rocksdb::Slice(internal::kFormatKey),
                                              internal::encode_format(internal::kFormatVersion));
  if (!status.ok()) {
    return tl::unexpected(internal::error_of(status, "making " + directory));
  }
  return {};
}

Result<void> check_format(rocksdb::DB& database, const std::string& directory) {
  std::string value;
  const rocksdb::Status status =
      database.Get(rocksdb::ReadOptions(), rocksdb::Slice(internal::kFormatKey), &value);
  if (status.IsNotFound()) {
    return make_format(database, directory);
  }
  if (!status.ok()) {
    return tl::unexpected(internal::error_of(status, "opening " + directory));
  }
  const auto version = internal::decode_format(value);
  if (!version) {
    return tl::unexpected(version.error());
  }
  if (*version != internal::kFormatVersion) {
    return fail(Errc::malformed, "the message store in " + directory + " has format " +
                                     std::to_string(*version) + ", this version knows format " +
                                     std::to_string(internal::kFormatVersion) +
                                     ": run the version that wrote it");
  }
  return {};
}

Result<Totals> read_totals(rocksdb::DB& database) {
  std::string value;
  const rocksdb::Status status =
      database.Get(rocksdb::ReadOptions(), rocksdb::Slice(internal::kTotalsKey), &value);
  if (status.IsNotFound()) {
    return Totals{};
  }
  if (!status.ok()) {
    return tl::unexpected(internal::error_of(status, "opening"));
  }
  return internal::decode_totals(value);
}

Result<OpenedDatabase> open_database(const std::string& directory, rocksdb::Env* env) {
  const auto free = internal::bytes_free(env, directory);
  if (const std::uint64_t wanted = internal::bytes_to_open(directory); free && *free < wanted) {
    return fail(Errc::full, directory + ": the disk is full; make room for " +
                                std::to_string(wanted >> 20) + " MiB and start again");
  }
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(rocks_options(env), directory, &opened);
  std::unique_ptr<rocksdb::DB> database(opened);
  if (!status.ok()) {
    return tl::unexpected(internal::error_of(status, "opening " + directory));
  }
  if (auto checked = check_format(*database, directory); !checked) {
    return tl::unexpected(std::move(checked.error()));
  }
  const auto totals = read_totals(*database);
  if (!totals) {
    return tl::unexpected(totals.error());
  }
  return OpenedDatabase{std::move(database), *totals};
}

/// A change as a function, and whom to tell.
template <typename T, typename Apply>
class FunctionChange final : public Change {
 public:
  FunctionChange(std::size_t bytes, std::uint64_t bytes_allowed, Apply apply, Done<T> done)
      : bytes_(bytes),
        bytes_allowed_(bytes_allowed),
        apply_(std::move(apply)),
        done_(std::move(done)) {}

  [[nodiscard]] std::size_t bytes() const override { return bytes_; }

  [[nodiscard]] std::uint64_t bytes_allowed() const override { return bytes_allowed_; }

  void apply(Transaction& transaction) override { value_ = apply_(transaction); }

  bool finish(std::optional<Error> error) override {
    if (error) {
      done_(tl::unexpected(std::move(*error)));
    } else {
      done_(std::move(value_));
    }
    return true;
  }

 private:
  std::size_t bytes_;
  std::uint64_t bytes_allowed_;
  Apply apply_;
  Done<T> done_;
  T value_{};
};

constexpr std::size_t kChangeBytes = 256;  // its own size in the queue, about

template <typename T, typename Apply>
std::unique_ptr<Change> change_of(std::size_t bytes, std::uint64_t bytes_allowed, Apply apply,
                                  Done<T> done) {
  return std::make_unique<FunctionChange<T, Apply>>(kChangeBytes + bytes, bytes_allowed,
                                                    std::move(apply), std::move(done));
}

/// Beyond the limit by the reserve: deletions and the like.
std::uint64_t allowed_with_reserve(const RocksStoreOptions& options) {
  return options.bytes_limit + reserve_of(options.bytes_limit);
}

template <typename Strings>
std::size_t bytes_of(const Strings& strings) {
  std::size_t bytes = 0;
  for (const auto& string : strings) {
    bytes += string.size() + sizeof(string);
  }
  return bytes;
}

/// Frees messages in pieces.
class PiecewiseChange final : public Change {
 public:
  using Piece = std::function<internal::ReclaimedPiece(Transaction&, std::string from)>;

  PiecewiseChange(Piece free, Done<std::size_t> done)
      : free_(std::move(free)), done_(std::move(done)) {}

  // Of a piece, so that a batch does not hold many of them.
  [[nodiscard]] std::size_t bytes() const override { return kChangeBytes * 2048; }

  [[nodiscard]] std::uint64_t bytes_allowed() const override { return UINT64_MAX; }

  void apply(Transaction& transaction) override { piece_ = free_(transaction, piece_.next); }

  bool finish(std::optional<Error> error) override {
    if (error) {
      done_(tl::unexpected(std::move(*error)));
      return true;
    }
    messages_ += piece_.messages;
    if (!piece_.next.empty()) {
      return false;
    }
    done_(messages_);
    return true;
  }

 private:
  Piece free_;
  Done<std::size_t> done_;
  internal::ReclaimedPiece piece_;
  std::size_t messages_ = 0;
};

}  // namespace

RocksStore::RocksStore(std::unique_ptr<State> state) : state_(std::move(state)) {}

RocksStore::~RocksStore() = default;

Result<std::unique_ptr<RocksStore>> RocksStore::open(RocksStoreOptions options) {
  std::error_code error;
  std::filesystem::create_directories(options.directory, error);
  std::unique_ptr<rocksdb::Env> env;
  if (options.file_system != nullptr) {
    env = rocksdb::NewCompositeEnv(options.file_system);
  }
  auto opened = open_database(options.directory, env.get());
  if (!opened) {
    return tl::unexpected(std::move(opened.error()));
  }
  auto open_again = [directory = options.directory, env = env.get()] {
    return open_database(directory, env);
  };
  auto state =
      std::make_unique<State>(options, std::move(env), *std::move(opened), std::move(open_again));
  return std::unique_ptr<RocksStore>(new RocksStore(std::move(state)));
}

void RocksStore::store(const Account& account, Message message, Origin origin, bool replaces,
                       const When& when, Done<Stored> done) {
  if (message.data.size() > kDataBytesMax || message.hash.empty() ||
      message.hash.size() > kHashCharsMax) {
    done(fail(Errc::out_of_range, "a message is longer than the store keeps them"));
    return;
  }
  const std::size_t bytes = message.data.size() + message.hash.size();
  auto apply = [account, message = std::move(message), origin, replaces,
                when](Transaction& transaction) mutable {
    return AccountChange(transaction, account, when).store(std::move(message), origin, replaces);
  };
  state_->submit(
      change_of<Stored>(bytes, state_->options().bytes_limit, std::move(apply), std::move(done)));
}

void RocksStore::remove(const Account& account, std::vector<Hash> hashes, const When& when,
                        Done<std::vector<Hash>> done) {
  const std::size_t bytes = bytes_of(hashes);
  auto apply = [account, hashes = std::move(hashes), when,
                limit = state_->options().bytes_limit](Transaction& transaction) {
    return AccountChange(transaction, account, when, limit).remove(hashes);
  };
  state_->submit(change_of<std::vector<Hash>>(bytes, allowed_with_reserve(state_->options()),
                                              std::move(apply), std::move(done)));
}

void RocksStore::remove_before(const Account& account, std::optional<Namespace> space,
                               std::uint64_t before_ms, const When& when,
                               Done<HashesBySpace> done) {
  auto apply = [account, space, before_ms, when](Transaction& transaction) {
    return AccountChange(transaction, account, when).remove_before(space, before_ms);
  };
  state_->submit(change_of<HashesBySpace>(0, allowed_with_reserve(state_->options()),
                                          std::move(apply), std::move(done)));
}

void RocksStore::remove_all(const Account& account, std::optional<Namespace> space,
                            const When& when, Done<HashesBySpace> done) {
  auto apply = [account, space, when](Transaction& transaction) {
    return AccountChange(transaction, account, when).remove_all(space);
  };
  state_->submit(change_of<HashesBySpace>(0, allowed_with_reserve(state_->options()),
                                          std::move(apply), std::move(done)));
}

void RocksStore::change_expiry(const Account& account, std::vector<Hash> hashes,
                               std::vector<std::uint64_t> expiries_ms, ExpiryChange change,
                               const When& when, Done<ExpiriesChanged> done) {
  if (expiries_ms.size() != 1 && expiries_ms.size() != hashes.size()) {
    done(fail(Errc::out_of_range, "neither one expiry nor one for each message"));
    return;
  }
  const std::size_t bytes = bytes_of(hashes) + 8 * expiries_ms.size();
  auto apply = [account, hashes = std::move(hashes), expiries_ms = std::move(expiries_ms), change,
                when, limit = state_->options().bytes_limit](Transaction& transaction) {
    return AccountChange(transaction, account, when, limit)
        .change_expiry(hashes, expiries_ms, change);
  };
  state_->submit(change_of<ExpiriesChanged>(bytes, allowed_with_reserve(state_->options()),
                                            std::move(apply), std::move(done)));
}

void RocksStore::shorten_all(const Account& account, std::optional<Namespace> space,
                             std::uint64_t expiry_ms, const When& when, Done<HashesBySpace> done) {
  auto apply = [account, space, expiry_ms, when](Transaction& transaction) {
    return AccountChange(transaction, account, when).shorten_all(space, expiry_ms);
  };
  state_->submit(change_of<HashesBySpace>(0, allowed_with_reserve(state_->options()),
                                          std::move(apply), std::move(done)));
}

void RocksStore::revoke(const Account& account, std::vector<Token> tokens,
                        std::uint64_t timestamp_ms, const When& when, Done<std::size_t> done) {
  const std::size_t bytes = tokens.size() * sizeof(Token);
  auto apply = [account, tokens = std::move(tokens), timestamp_ms, when](Transaction& transaction) {
    return AccountChange(transaction, account, when).revoke(tokens, timestamp_ms);
  };
  state_->submit(change_of<std::size_t>(bytes, allowed_with_reserve(state_->options()),
                                        std::move(apply), std::move(done)));
}

void RocksStore::unrevoke(const Account& account, std::vector<Token> tokens, const When& when,
                          Done<std::size_t> done) {
  const std::size_t bytes = tokens.size() * sizeof(Token);
  auto apply = [account, tokens = std::move(tokens), when](Transaction& transaction) {
    return AccountChange(transaction, account, when).unrevoke(tokens);
  };
  state_->submit(change_of<std::size_t>(bytes, UINT64_MAX, std::move(apply), std::move(done)));
}

void RocksStore::enqueue_missed(const PeerKey& peer, std::vector<std::string> records,
                                Done<std::uint64_t> done) {
  const std::size_t bytes = bytes_of(records);
  auto apply = [peer, records = std::move(records)](Transaction& transaction) {
    return internal::enqueue_missed(transaction, peer, records);
  };
  state_->submit(change_of<std::uint64_t>(bytes, allowed_with_reserve(state_->options()),
                                          std::move(apply), std::move(done)));
}

void RocksStore::drop_missed(const PeerKey& peer, std::uint64_t number, Done<std::size_t> done) {
  auto apply = [peer, number](Transaction& transaction) {
    return internal::drop_missed(transaction, peer, number);
  };
  state_->submit(change_of<std::size_t>(0, UINT64_MAX, std::move(apply), std::move(done)));
}

void RocksStore::erase_missed(const PeerKey& peer, std::vector<std::uint64_t> numbers,
                              Done<std::size_t> done) {
  const std::size_t bytes = numbers.size() * sizeof(std::uint64_t);
  auto apply = [peer, numbers = std::move(numbers)](Transaction& transaction) {
    return internal::erase_missed(transaction, peer, numbers);
  };
  state_->submit(change_of<std::size_t>(bytes, UINT64_MAX, std::move(apply), std::move(done)));
}

void RocksStore::forget(const Account& account, std::vector<Hash> hashes, Stamp before,
                        Done<std::size_t> done) {
  const std::size_t bytes = bytes_of(hashes);
  auto apply = [account, hashes = std::move(hashes), before](Transaction& transaction) {
    return AccountChange(transaction, account, 0).forget(hashes, before);
  };
  state_->submit(change_of<std::size_t>(bytes, UINT64_MAX, std::move(apply), std::move(done)));
}

void RocksStore::reclaim(std::uint64_t now_ms, Done<std::size_t> done) {
  state_->submit(std::make_unique<PiecewiseChange>(
      [now_ms](Transaction& transaction, std::string from) {
        return internal::reclaim_piece(transaction, now_ms, std::move(from));
      },
      std::move(done)));
}

StoreStatus RocksStore::status() const {
  return state_->status();
}

StoreDisk RocksStore::disk() const {
  return state_->disk();
}

std::string RocksStore::id() const {
  return state_->id();
}

}  // namespace allium::storage
