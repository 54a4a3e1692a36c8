// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/group_commit.hpp"

#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <semaphore>
#include <system_error>
#include <utility>

#include "storage/rocks_store.hpp"

namespace allium::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kNowMs = 1'800'000'000'000;
constexpr std::size_t kInFlightMax = 4096;  // the store's queue

/// A directory that goes when this goes.
class TemporaryDirectory {
 public:
  static Result<std::unique_ptr<TemporaryDirectory>> make(const std::string& parent) {
    std::string path = parent + "/allium-bench-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) {
      return fail(Errc::io, path + ": " + std::generic_category().message(errno) +
                                "; set TMPDIR to a directory that can be written");
    }
    return std::unique_ptr<TemporaryDirectory>(new TemporaryDirectory(std::move(path)));
  }

  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

bool is_in_memory(const std::string& path) {
  struct statfs about {};

  return statfs(path.c_str(), &about) == 0 &&
         (about.f_type == TMPFS_MAGIC || about.f_type == RAMFS_MAGIC);
}

/// Stores made one after the other, `in_flight` of them waiting for their sync at a time.
class Writer {
 public:
  Writer(std::unique_ptr<storage::MessageStore> store, std::size_t size, const Random& random)
      : random_(random), data_(size, '\0'), store_(std::move(store)) {}

  /// Stores a second in one round.
  Result<double> round(std::size_t in_flight) {
    slots_.release(static_cast<std::ptrdiff_t>(in_flight));
    const Clock::time_point begin = Clock::now();
    std::size_t count = 0;
    for (; count < kCommitStoresMax && Clock::now() - begin < kCommitRoundTime; ++count) {
      slots_.acquire();
      store_one();
    }
    for (std::size_t i = 0; i < in_flight; ++i) {
      slots_.acquire();
    }
    if (failures_ > 0) {
      return fail(Errc::io, "the store refused a message; is the disk full?");
    }
    return static_cast<double>(count) / std::chrono::duration<double>(Clock::now() - begin).count();
  }

 private:
  void store_one() {
    storage::Account account;
    random_(account);
    store_->store(account, {std::to_string(++number_), 0, kNowMs, kNowMs + 3'600'000, data_},
                  storage::Origin::client, false, kNowMs,
                  [this](const Result<storage::Stored>& stored) {
                    failures_ += stored ? 0U : 1U;
                    slots_.release();
                  });
  }

  const Random& random_;
  std::string data_;
  std::uint64_t number_ = 0;
  std::atomic<std::size_t> failures_ = 0;
  std::counting_semaphore<kInFlightMax> slots_{0};
  std::unique_ptr<storage::MessageStore> store_;  // goes first: its thread uses the others
};

}  // namespace

Result<GroupCommit> measure_group_commit(const std::string& parent, std::size_t size,
                                         std::size_t in_flight, const Random& random) {
  const auto directory = TemporaryDirectory::make(parent);
  if (!directory) {
    return tl::unexpected(directory.error());
  }
  storage::RocksStoreOptions options;
  options.directory = (*directory)->path() + "/store";
  auto store = storage::RocksStore::open(std::move(options));
  if (!store) {
    return tl::unexpected(store.error());
  }
  Writer writer(*std::move(store), size, random);
  GroupCommit result;
  result.in_flight = in_flight;
  result.in_memory = is_in_memory((*directory)->path());
  for (int i = 0; i < kCommitRounds; ++i) {
    const Result<double> single = writer.round(1);
    const Result<double> grouped = writer.round(in_flight);
    if (!single || !grouped) {
      return tl::unexpected(single ? grouped.error() : single.error());
    }
    result.single_per_s += *single / kCommitRounds;
    result.grouped_per_s += *grouped / kCommitRounds;
  }
  return result;
}

}  // namespace allium::bench
