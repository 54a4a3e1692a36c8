// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/storage/losing_file_system.hpp"

#include <filesystem>
#include <utility>

namespace allium::storage::testing {
namespace {

using rocksdb::IOStatus;

bool is_log(const std::string& name) {
  return name.ends_with(".log");
}

IOStatus no_power() {
  return IOStatus::IOError("no power");
}

IOStatus no_room() {
  return IOStatus::NoSpace("the disk is full");
}

class LosingFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  LosingFile(std::unique_ptr<rocksdb::FSWritableFile> file, std::string name,
             LosingFileSystem& system)
      : FSWritableFileOwnerWrapper(std::move(file)), name_(std::move(name)), system_(system) {}

  IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                  rocksdb::IODebugContext* debug) override {
    const auto fate = system_.fate_of_append(name_);
    if (fate == LosingFileSystem::Fate::refused) {
      return no_power();
    }
    if (fate == LosingFileSystem::Fate::has_no_room) {
      return no_room();
    }
    const bool is_torn = fate == LosingFileSystem::Fate::torn;
    const std::size_t bytes = is_torn ? system_.prefix_of(data.size()) : data.size();
    IOStatus status = target()->Append(rocksdb::Slice(data.data(), bytes), options, debug);
    if (status.ok()) {
      system_.appended(name_, bytes);
    }
    return is_torn ? no_room() : status;
  }

  IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                  const rocksdb::DataVerificationInfo&, rocksdb::IODebugContext* debug) override {
    return Append(data, options, debug);
  }

  // Nothing here survives the machine, so a sync is the counting of it: that is what makes these tests quick.
  IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return system_.synced(name_) ? IOStatus::OK() : no_power();
  }

  IOStatus Fsync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    return Sync(options, debug);
  }

  IOStatus RangeSync(std::uint64_t, std::uint64_t, const rocksdb::IOOptions&,
                     rocksdb::IODebugContext*) override {
    return IOStatus::OK();
  }

 private:
  std::string name_;
  LosingFileSystem& system_;
};

}  // namespace

LosingFileSystem::LosingFileSystem(std::uint64_t seed)
    : FileSystemWrapper(rocksdb::FileSystem::Default()), random_(seed) {}

void LosingFileSystem::cut_power_at(std::uint64_t append) {
  const std::lock_guard lock(mutex_);
  cut_at_ = log_appends_ + append;
}

void LosingFileSystem::fill_disk_at(std::uint64_t append) {
  const std::lock_guard lock(mutex_);
  full_at_ = log_appends_ + append;
}

void LosingFileSystem::make_room() {
  const std::lock_guard lock(mutex_);
  full_at_ = UINT64_MAX;
  is_full_ = false;
}

void LosingFileSystem::set_bytes_free(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  bytes_free_ = bytes;
}

void LosingFileSystem::restore_power(Unsynced unsynced) {
  const std::lock_guard lock(mutex_);
  for (auto& [name, file] : files_) {
    const std::uint64_t lost = file.bytes - file.bytes_synced;
    if (lost == 0 || !std::filesystem::exists(name)) {
      continue;
    }
    file.bytes = file.bytes_synced + (unsynced == Unsynced::torn ? below(lost + 1) : 0);
    std::filesystem::resize_file(name, file.bytes);
    file.bytes_synced = file.bytes;
  }
  has_power_ = true;
  cut_at_ = UINT64_MAX;
}

std::uint64_t LosingFileSystem::log_syncs() const {
  const std::lock_guard lock(mutex_);
  return log_syncs_;
}

bool LosingFileSystem::has_power() const {
  const std::lock_guard lock(mutex_);
  return has_power_;
}

IOStatus LosingFileSystem::NewWritableFile(const std::string& name,
                                           const rocksdb::FileOptions& options,
                                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                                           rocksdb::IODebugContext* debug) {
  if (!has_power()) {
    return no_power();
  }
  std::unique_ptr<rocksdb::FSWritableFile> real;
  IOStatus status = target()->NewWritableFile(name, options, &real, debug);
  if (status.ok()) {
    const std::lock_guard lock(mutex_);
    files_[name] = {};
    *file = std::make_unique<LosingFile>(std::move(real), name, *this);
  }
  return status;
}

IOStatus LosingFileSystem::RenameFile(const std::string& source, const std::string& target_name,
                                      const rocksdb::IOOptions& options,
                                      rocksdb::IODebugContext* debug) {
  if (!has_power()) {
    return no_power();
  }
  IOStatus status = target()->RenameFile(source, target_name, options, debug);
  const std::lock_guard lock(mutex_);
  if (auto moved = files_.extract(source); status.ok() && !moved.empty()) {
    files_[target_name] = moved.mapped();
  }
  return status;
}

IOStatus LosingFileSystem::DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                                      rocksdb::IODebugContext* debug) {
  return has_power() ? target()->DeleteFile(name, options, debug) : no_power();
}

IOStatus LosingFileSystem::GetFreeSpace(const std::string& path, const rocksdb::IOOptions& options,
                                        std::uint64_t* bytes, rocksdb::IODebugContext* debug) {
  {
    const std::lock_guard lock(mutex_);
    if (is_full_ || bytes_free_) {
      *bytes = is_full_ ? 0 : *bytes_free_;
      return IOStatus::OK();
    }
  }
  return target()->GetFreeSpace(path, options, bytes, debug);
}

LosingFileSystem::Fate LosingFileSystem::fate_of_append(const std::string& name) {
  const std::lock_guard lock(mutex_);
  if (is_log(name)) {
    ++log_appends_;
    if (log_appends_ > cut_at_) {
      has_power_ = false;
    }
    if (log_appends_ > full_at_ && !std::exchange(is_full_, true)) {
      return Fate::torn;
    }
  }
  if (!has_power_) {
    return Fate::refused;
  }
  return is_full_ ? Fate::has_no_room : Fate::written;
}

std::size_t LosingFileSystem::prefix_of(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  return below(bytes + 1);
}

void LosingFileSystem::appended(const std::string& name, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  files_[name].bytes += bytes;
}

bool LosingFileSystem::synced(const std::string& name) {
  if (is_log(name) && on_log_sync_) {
    on_log_sync_();
  }
  const std::lock_guard lock(mutex_);
  if (!has_power_) {
    return false;
  }
  log_syncs_ += is_log(name) ? 1U : 0U;
  if (!is_log(name) || !lies_about_logs_) {
    files_[name].bytes_synced = files_[name].bytes;
  }
  return true;
}

}  // namespace allium::storage::testing
