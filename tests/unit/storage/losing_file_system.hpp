// SPDX-License-Identifier: Apache-2.0
#pragma once

// A file system that counts syncs, that can run out of space, and that loses what was not synced when its power is cut.
//
//   Threads    any.
//   Limits     names are never lost, only bytes: a file that was made, renamed or deleted before the cut stays so.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>

#include <rocksdb/file_system.h>

namespace allium::storage::testing {

class LosingFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  explicit LosingFileSystem(std::uint64_t seed);

  [[nodiscard]] const char* Name() const override { return "LosingFileSystem"; }

  /// The power fails at the so many-th append to a log from now on.
  void cut_power_at(std::uint64_t append);
  /// The disk is full from the so many-th append to a log from now on, of which a part is written, until make_room().
  void fill_disk_at(std::uint64_t append);
  void make_room();
  /// What the file system says that it has left, while the disk is not full.
  void set_bytes_free(std::uint64_t bytes);

  /// Syncs of logs say that all is well, and do nothing.
  void lie_about_logs() { lies_about_logs_ = true; }

  /// Called in every sync of a log.
  void on_log_sync(std::function<void()> call) { on_log_sync_ = std::move(call); }

  /// After the power was cut and everything was closed: what was not synced is gone, or (`keeps_prefix`) all but a
  /// random prefix of it. Then there is power again.
  enum class Unsynced : std::uint8_t { lost, torn };
  void restore_power(Unsynced unsynced);

  [[nodiscard]] std::uint64_t log_syncs() const;
  [[nodiscard]] bool has_power() const;

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& source, const std::string& target,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus GetFreeSpace(const std::string& path, const rocksdb::IOOptions& options,
                                 std::uint64_t* bytes, rocksdb::IODebugContext* debug) override;

  // For the files.

  enum class Fate : std::uint8_t { written, torn, has_no_room, refused };
  [[nodiscard]] Fate fate_of_append(const std::string& name);
  [[nodiscard]] std::size_t prefix_of(std::size_t bytes);
  void appended(const std::string& name, std::size_t bytes);
  [[nodiscard]] bool synced(const std::string& name);

 private:
  struct File {
    std::uint64_t bytes = 0;
    std::uint64_t bytes_synced = 0;
  };

  [[nodiscard]] std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

  mutable std::mutex mutex_;
  std::mt19937_64 random_;
  std::map<std::string, File> files_;
  std::function<void()> on_log_sync_;
  std::uint64_t log_appends_ = 0;
  std::uint64_t log_syncs_ = 0;
  std::uint64_t cut_at_ = UINT64_MAX;
  std::uint64_t full_at_ = UINT64_MAX;
  bool is_full_ = false;
  std::optional<std::uint64_t> bytes_free_;
  bool has_power_ = true;
  bool lies_about_logs_ = false;
};

}  // namespace allium::storage::testing
