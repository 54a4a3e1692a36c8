// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/group_commit.hpp"

#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <semaphore>
#include <system_error>
#include <utility>
#include <vector>

#include "storage/rocks_store.hpp"
#include "tools/bench/statistics.hpp"

namespace allium::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kNowMs = 1'800'000'000'000;
constexpr std::size_t kAccounts = 64;
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

/// Chains of stores: each goes on with its next one as soon as its last is on disk, on the store's thread, so that all chains are in
/// the queue when the next batch is taken.
class Writer {
 public:
  Writer(std::unique_ptr<storage::MessageStore> store, std::size_t size, const Random& random)
      : data_(size, '\0'), store_(std::move(store)) {
    for (storage::Account& account : accounts_) {
      random(account);
    }
  }

  /// Stores a second in one round of `in_flight` chains.
  Result<double> round(std::size_t in_flight) {
    count_ = 0;
    const Clock::time_point begin = Clock::now();
    end_ = begin + kCommitRoundTime;
    for (std::size_t i = 0; i < in_flight; ++i) {
      store_one();
    }
    for (std::size_t i = 0; i < in_flight; ++i) {
      ended_.acquire();
    }
    if (failures_ > 0) {
      return fail(Errc::io, "the store refused a message; is the disk full?");
    }
    return static_cast<double>(count_) /
           std::chrono::duration<double>(Clock::now() - begin).count();
  }

 private:
  void store_one() {
    const std::uint64_t number = ++number_;
    store_->store(accounts_[number % kAccounts],
                  {std::to_string(number), 0, kNowMs, kNowMs + 3'600'000, data_},
                  storage::Origin::client, false, kNowMs,
                  [this](const Result<storage::Stored>& stored) { go_on(stored.has_value()); });
  }

  void go_on(bool is_stored) {
    failures_ += is_stored ? 0U : 1U;
    if (++count_ < kCommitStoresMax && is_stored && Clock::now() < end_) {
      store_one();
    } else {
      ended_.release();
    }
  }

  std::array<storage::Account, kAccounts> accounts_{};
  std::string data_;
  Clock::time_point end_;
  // The first stores of a round come from the caller's thread, all others from the store's.
  std::atomic<std::uint64_t> number_ = 0;
  std::atomic<std::size_t> count_ = 0;
  std::atomic<std::size_t> failures_ = 0;
  std::counting_semaphore<kInFlightMax> ended_{0};
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
  std::vector<double> singles;
  std::vector<double> groups;
  std::vector<double> ratios;
  for (int i = 0; i < kCommitRounds; ++i) {
    const Result<double> single = writer.round(1);
    const Result<double> grouped = writer.round(in_flight);
    if (!single || !grouped) {
      return tl::unexpected(single ? grouped.error() : single.error());
    }
    singles.push_back(*single);
    groups.push_back(*grouped);
    ratios.push_back(*grouped / *single);
  }
  result.single_per_s = median(std::move(singles));
  result.grouped_per_s = median(std::move(groups));
  result.ratio = median(std::move(ratios));
  return result;
}

}  // namespace allium::bench
