// SPDX-License-Identifier: Apache-2.0

// A copy of a store in use: RocksDB's checkpoint, and what an operator can do wrong with one.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/utilities/checkpoint.h>

#include "storage/internal/disk_room.hpp"
#include "storage/internal/keys.hpp"
#include "storage/internal/no_log.hpp"
#include "storage/internal/record_codec.hpp"
#include "storage/internal/rocks_status.hpp"
#include "storage/internal/store_state.hpp"
#include "storage/rocks_store.hpp"

namespace allium::storage {
namespace {

namespace fs = std::filesystem;

/// Where RocksDB makes a checkpoint before it gives it its name. It empties what it finds there.
fs::path draft_of(const fs::path& directory) {
  return directory.string() + ".tmp";
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::symlink_status(path, error).type() != fs::file_type::not_found;
}

/// Whether a path that exists is `folder` or in it.
bool is_within(const fs::path& path, const fs::path& folder) {
  std::error_code error;
  const fs::path to = fs::relative(path, folder, error);
  return !error && !to.empty() && *to.begin() != "..";
}

Result<void> check_names(const fs::path& directory, const fs::path& store) {
  std::error_code error;
  const fs::path parent = directory.parent_path();
  if (!fs::is_directory(parent, error)) {
    const std::string why = error ? error.message() : "no directory";
    return fail(Errc::refused,
                parent.string() + ": " + why + "; a backup is made in a directory that is there");
  }
  if (is_within(parent, store)) {
    return fail(Errc::refused, directory.string() + ": is within the store, " + store.string() +
                                   "; a backup has to be beside it");
  }
  if (is_there(directory)) {
    return fail(Errc::refused,
                directory.string() + ": is there already; a backup is made under a new name");
  }
  if (const fs::path draft = draft_of(directory); is_there(draft)) {
    return fail(Errc::refused, draft.string() +
                                   ": is there already, perhaps of a backup that broke off; remove "
                                   "it, or choose another name");
  }
  return {};
}

/// Tries what a checkpoint does. Neither the numbers of file systems nor the bits of a mode say whether it works: there are mounts
/// of one file system at two places, read-only ones, quotas.
Result<void> check_links(const fs::path& directory, const fs::path& store) {
  const fs::path trial = draft_of(directory);
  if (link((store / "CURRENT").c_str(), trial.c_str()) == 0) {
    unlink(trial.c_str());
    return {};
  }
  const std::string parent = directory.parent_path().string();
  if (errno == EXDEV) {
    return fail(Errc::refused,
                parent + ": is on another file system, or another mount, than the store " +
                    store.string() + "; make the backup beside the store, then copy it from there");
  }
  return fail(Errc::io,
              parent + ": " + std::strerror(errno) +
                  "; a backup is made by the user of the store, of hard links to its files");
}

Result<void> check_room(const fs::path& store, rocksdb::Env* env) {
  const auto free = internal::bytes_free(env, store);
  const std::uint64_t wanted = internal::bytes_to_back_up(store);
  if (free && *free < wanted) {
    return fail(Errc::full, store.string() + ": " + std::to_string(*free >> 20) +
                                " MiB are free where a backup takes " +
                                std::to_string(wanted >> 20) + "; make room on the disk");
  }
  return {};
}

/// A rename is there after a power cut when its directory is.
Result<void> sync_directory(const fs::path& directory) {
  const int descriptor = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool is_synced = descriptor >= 0 && fsync(descriptor) == 0;
  const int error = errno;
  if (descriptor >= 0) {
    close(descriptor);
  }
  if (!is_synced) {
    return fail(Errc::io, directory.string() + ": " + std::strerror(error));
  }
  return {};
}

/// Opens the copy as it is, and reads what is in it. `sequence`: up to where it has to have everything.
Result<StoreBackup> look_into(const std::string& directory, rocksdb::Env* env,
                              rocksdb::SequenceNumber sequence) {
  rocksdb::Options options;
  options.env = env == nullptr ? rocksdb::Env::Default() : env;
  options.info_log = std::make_shared<internal::NoLog>();
  options.max_open_files = 16;
  options.skip_stats_update_on_db_open = true;
  rocksdb::DB* opened = nullptr;
  rocksdb::Status status = rocksdb::DB::OpenForReadOnly(options, directory, &opened);
  const std::unique_ptr<rocksdb::DB> copy(opened);
  if (status.ok() && copy->GetLatestSequenceNumber() < sequence) {
    status = rocksdb::Status::Corruption("it ends before the store does");
  }
  std::string format;
  if (status.ok()) {
    status = copy->Get(rocksdb::ReadOptions(), rocksdb::Slice(internal::kFormatKey), &format);
  }
  std::string record;
  if (status.ok()) {
    status = copy->Get(rocksdb::ReadOptions(), rocksdb::Slice(internal::kTotalsKey), &record);
  }
  const bool is_empty = status.IsNotFound() && !format.empty();  // nothing was ever stored
  if (!status.ok() && !is_empty) {
    return fail(Errc::io, "the copy in " + directory + " does not open: " + status.ToString() +
                              "; it is removed: see to the disk, then try again");
  }
  const Result<internal::Totals> totals =
      is_empty ? internal::Totals() : internal::decode_totals(record);
  if (!totals) {
    return tl::unexpected(totals.error());
  }
  return StoreBackup{totals->messages, totals->accounts, totals->bytes_used};
}

}  // namespace

Result<StoreBackup> RocksStore::backup(const std::string& directory) {
  const auto database = state_->database();
  if (!database) {
    return tl::unexpected(internal::opening_again());
  }
  const fs::path store = state_->options().directory;
  std::error_code error;
  const fs::path named = fs::absolute(directory, error).lexically_normal();
  // RocksDB takes no slash behind the name.
  const fs::path target = named.has_filename() ? named : named.parent_path();
  rocksdb::Env* const env = database->GetEnv();
  const auto checked =
      check_names(target, store).and_then([&] { return check_room(store, env); }).and_then([&] {
        return check_links(target, store);
      });
  if (!checked) {
    return tl::unexpected(checked.error());
  }
  const rocksdb::SequenceNumber sequence = database->GetLatestSequenceNumber();
  rocksdb::Checkpoint* made = nullptr;
  rocksdb::Status status = rocksdb::Checkpoint::Create(database.get(), &made);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  if (status.ok()) {
    // With the log and not flushed: a flush that finds no room would break the store.
    status = checkpoint->CreateCheckpoint(target, UINT64_MAX);
  }
  if (!status.ok()) {
    return tl::unexpected(internal::error_of(status, "backing up to " + target.string()));
  }
  auto found = look_into(target, env, sequence);
  if (found) {
    if (auto synced = sync_directory(target.parent_path()); !synced) {
      found = tl::unexpected(synced.error());
    }
  }
  if (!found) {
    std::error_code ignored;
    fs::remove_all(target, ignored);  // it is not to be taken for a backup
  }
  return found;
}

}  // namespace allium::storage
