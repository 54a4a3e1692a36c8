// SPDX-License-Identifier: Apache-2.0
#pragma once

// The message store on disk, in RocksDB. FORMAT.md says what is written, README.md how.
//
//   Ownership  owns its directory (no second program can open it), its database and two threads that write. The destructor
//              carries out what is queued, calls every `done`, and then closes.
//   Errors     Errc::full; Errc::io: after a write that failed all changes are refused until the store is opened
//              again, while a single damaged record fails only what needs it. Where the disk was full, the store opens
//              itself again when there is room: reads that come in that moment, and backup(), are Errc::unavailable.
//              Errc::unavailable: the queue is full ("busy"), `done` was called at once on the caller's thread and nothing
//              was changed; Errc::malformed at open(): not a store, or of a format this version does not know.
//   Threads    as message_store.hpp says; backup() from any.
//   Limits     RocksStoreOptions. Memory: kBlockCacheBytes, two write buffers of kWriteBufferBytes, the queue.
//   Cost       a change waits for one fdatasync, which it shares with everything queued meanwhile.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "storage/message_store.hpp"

namespace rocksdb {
class FileSystem;
}  // namespace rocksdb

namespace allium::storage {

inline constexpr std::size_t kBlockCacheBytes = std::size_t{64} << 20;
inline constexpr std::size_t kWriteBufferBytes = std::size_t{64} << 20;

struct RocksStoreOptions {
  std::string directory;  ///< made when missing; its parent must exist
  std::uint64_t bytes_limit = std::uint64_t{10} << 30;
  std::size_t queue_changes_max = 4096;
  std::size_t queue_bytes_max = std::size_t{32} << 20;
  std::size_t batch_changes_max = 256;
  std::size_t batch_bytes_max = std::size_t{4} << 20;
  /// How often a store that had no room on its disk, or no descriptors, looks whether it has them again.
  std::chrono::milliseconds room_interval{5000};
  std::shared_ptr<rocksdb::FileSystem>
      file_system;  ///< none: the machine's; tests lose data through it
};

/// The disk under the store, and, all of one moment, whether the store waits for it.
struct StoreDisk {
  std::optional<std::uint64_t> bytes_free;  ///< nullopt: its file system does not say
  std::uint64_t bytes_wanted = 0;           ///< with less, it is time to make room
  bool is_nearly_full = false;              ///< bytes_free < bytes_wanted
  bool is_broken = false;                   ///< as StoreStatus has it
  bool waits_for_room = false;  ///< is_broken, and goes on by itself when there is bytes_to_open
  bool waits_for_descriptors =
      false;  ///< is_broken, and goes on by itself when files can be opened
  std::uint64_t bytes_to_open = 0;
  std::string problem;  ///< why it could not go on the last time that it tried
};

/// What a backup has in it, as StoreStatus has it.
struct StoreBackup {
  std::uint64_t messages = 0;
  std::uint64_t accounts = 0;
  std::uint64_t bytes_used = 0;
};

class RocksStore final : public MessageStore {
 public:
  /// Opens the store, or makes a new one. A directory that backup() made is opened like any other.
  static Result<std::unique_ptr<RocksStore>> open(RocksStoreOptions options);
  ~RocksStore() override;

  /// Makes `directory`, which must not exist in a directory that does, a copy of everything that was committed when it was asked for:
  /// hard links to the store's files, and a copy of its log. Opened once and on the disk when it returns; nothing is left where it
  /// fails. It waits for no change and no change for it, and a full disk ends it and not the store. Modes are of the process's umask.
  /// Errors: Errc::refused, the directory will not do, such as one on another file system; Errc::full; Errc::unavailable; Errc::io.
  /// Its files share the disk with the store's: what the store frees later stays there as long as the copy does.
  [[nodiscard]] Result<StoreBackup> backup(const std::string& directory);

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
  [[nodiscard]] StoreDisk disk() const;
  [[nodiscard]] std::string id() const override;

 private:
  class State;
  explicit RocksStore(std::unique_ptr<State> state);

  /// Up to where changes may fill the store that are no messages.
  [[nodiscard]] std::uint64_t reserved_limit() const noexcept;

  std::unique_ptr<State> state_;
};

}  // namespace allium::storage
