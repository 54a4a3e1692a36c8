// SPDX-License-Identifier: Apache-2.0

// What only the store on disk does: reopening, batches, backup, format.

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <random>
#include <thread>

#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include "storage/internal/keys.hpp"
#include "storage/internal/record_codec.hpp"
#include "tests/unit/storage/losing_file_system.hpp"
#include "tests/unit/storage/store_under_test.hpp"

namespace allium::storage::testing {
namespace {

class RocksStoreTest : public ::testing::Test {
 protected:
  RocksStoreTest() { options_.directory = scratch_.path("store"); }

  /// As the store has them, so that nothing is compressed.
  static rocksdb::Options plain() {
    rocksdb::Options options;
    options.compression = rocksdb::kNoCompression;
    return options;
  }

  /// Writes into the closed store behind its back.
  void overwrite(std::string_view key, std::string_view value) {
    rocksdb::DB* opened = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open(plain(), options_.directory, &opened).ok());
    const std::unique_ptr<rocksdb::DB> database(opened);
    ASSERT_TRUE(
        database->Put(rocksdb::WriteOptions(), rocksdb::Slice(key), rocksdb::Slice(value)).ok());
  }

  /// Of the closed store, by kind.
  std::map<int, int> count_records() {
    rocksdb::DB* opened = nullptr;
    EXPECT_TRUE(rocksdb::DB::Open(plain(), options_.directory, &opened).ok());
    const std::unique_ptr<rocksdb::DB> database(opened);
    const std::unique_ptr<rocksdb::Iterator> one(database->NewIterator(rocksdb::ReadOptions()));
    std::map<int, int> counts;
    for (one->SeekToFirst(); one->Valid(); one->Next()) {
      ++counts[one->key()[0]];
    }
    return counts;
  }

  ScratchDirectory scratch_;
  RocksStoreOptions options_;
  Account account_ = account_of(1, 7);
};

TEST_F(RocksStoreTest, KeepsEverythingWhenOpenedAgain) {
  const PeerKey peer{9};
  StoreStatus before;
  {
    const auto in = open_store(options_);
    store(*in, account_, message_of("b")).value();
    store(*in, account_, message_of("a")).value();
    store(*in, account_, message_of("c")).value();
    remove(*in, account_, {"c"}).value();
    answer<std::size_t>([&](Done<std::size_t> done) {
      in->revoke(account_, {token_of(1)}, kNow, kNow, std::move(done));
    }).value();
    answer<std::uint64_t>([&](Done<std::uint64_t> done) {
      in->enqueue_missed(peer, {"one", "two"}, std::move(done));
    }).value();
    before = in->status();
  }

  const auto in = open_store(options_);
  EXPECT_EQ(hashes_of(*in, account_), (std::vector<Hash>{"b", "a"}));
  EXPECT_EQ(store(*in, account_, message_of("c"), Origin::replica)->effect,
            StoreEffect::tombstoned);
  EXPECT_EQ(in->revoked(account_)->size(), 1U);
  EXPECT_EQ(in->missed(peer, 0, 1000)->size(), 2U);
  EXPECT_EQ(in->status().messages, before.messages);
  EXPECT_EQ(in->status().accounts, before.accounts);
  EXPECT_EQ(in->status().bytes_used, before.bytes_used);
  store(*in, account_, message_of("d")).value();
  EXPECT_EQ(hashes_of(*in, account_), (std::vector<Hash>{"b", "a", "d"}));
}

TEST_F(RocksStoreTest, IsOpenedByOneOnly) {
  const auto in = open_store(options_);

  const auto second = RocksStore::open(options_);

  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Errc::io);
}

TEST_F(RocksStoreTest, SyncsOnceForEverythingThatWaits) {
  auto system = std::make_shared<LosingFileSystem>(1);
  options_.file_system = system;
  auto in = open_store(options_);
  // The first sync waits until all are queued.
  std::promise<void> all_queued;
  const std::shared_future<void> may_go(all_queued.get_future());
  system->on_log_sync([may_go] { may_go.wait(); });
  const std::uint64_t syncs_before = system->log_syncs();
  std::atomic<int> acknowledged{0};
  for (int i = 0; i < 1000; ++i) {
    in->store(account_, message_of(std::to_string(i)), Origin::client, false, kNow,
              [&](const Result<Stored>& stored) { acknowledged += stored.has_value() ? 1 : 0; });
  }
  EXPECT_EQ(acknowledged, 0) << "acknowledged before the sync";
  all_queued.set_value();
  const StoreStatus status = (store(*in, account_, message_of("last")).value(), in->status());

  EXPECT_EQ(acknowledged, 1000);
  EXPECT_EQ(status.messages, 1001U);
  EXPECT_LT(system->log_syncs() - syncs_before, 100U);
  in.reset();
}

TEST_F(RocksStoreTest, KnowsTheLatestStampWhenOpenedAgain) {
  const Stamp later = stamp_of(kNow + 1'900) + 5;
  {
    const auto in = open_store(options_);
    EXPECT_EQ(in->status().latest_asked, 0U);
    ASSERT_TRUE(store(*in, account_, message_of("one"), Origin::client, false, When(kNow, later)));
    ASSERT_TRUE(store(*in, account_, message_of("two"), Origin::client, false, kNow + 1));
    EXPECT_EQ(in->status().latest_asked, later);
  }
  EXPECT_EQ(open_store(options_)->status().latest_asked, later);
}

// One batch is on its way to the disk, and the next one is applied behind it: as there is room for one in the queue, each was applied when
// the second one after it is taken.
TEST_F(RocksStoreTest, SeesWhatIsOnItsWayToTheDisk) {
  auto system = std::make_shared<LosingFileSystem>(1);
  options_.file_system = system;
  options_.queue_changes_max = 1;
  auto in = open_store(options_);
  ASSERT_TRUE(store(*in, account_, message_of("before")));
  std::promise<void> synced;
  const std::shared_future<void> may_go(synced.get_future());
  std::promise<void> begun;
  system->on_log_sync([&, is_first = std::make_shared<std::atomic<bool>>(true)] {
    if (is_first->exchange(false)) {
      begun.set_value();
      may_go.wait();
    }
  });
  std::atomic<int> answers{0};
  const auto insist = [&](auto change) {
    for (bool is_busy = true; is_busy;) {
      is_busy = false;
      change([&](const auto& result) {
        if (!result && result.error().code == Errc::unavailable) {
          is_busy = true;  // said at once
        } else {
          ++answers;
        }
      });
    }
  };
  const auto put = [&](const char* hash, std::uint64_t now_ms) {
    insist([&](auto done) {
      in->store(account_, message_of(hash), Origin::client, false, now_ms, std::move(done));
    });
  };
  put("on its way", kNow);
  begun.get_future().wait();
  put("behind", kNow);
  HashesBySpace removed;
  insist([&](auto done) {
    in->remove_all(account_, std::nullopt, kNow + 1,
                   [&removed, done](Result<HashesBySpace> result) {
                     removed = result ? *result : removed;
                     done(result);
                   });
  });
  Stored again;
  insist([&](auto done) {
    in->store(account_, message_of("on its way"), Origin::client, false, kNow + 2,
              [&again, done](Result<Stored> result) {
                again = result ? *result : again;
                done(result);
              });
  });
  put("last but one", kNow + 2);
  put("last", kNow + 2);
  EXPECT_EQ(answers, 0);
  synced.set_value();
  in.reset();

  EXPECT_EQ(answers, 6);
  EXPECT_EQ(removed, (HashesBySpace{{0, {"before", "behind", "on its way"}}}));
  EXPECT_EQ(again.effect, StoreEffect::inserted);
  const auto after = open_store(options_);
  EXPECT_EQ(hashes_of(*after, account_), (std::vector<Hash>{"on its way", "last but one", "last"}));
  EXPECT_EQ(after->status().messages, 3U);
}

// The disk is full again and again, while one batch is written and the next one is applied behind it.
TEST_F(RocksStoreTest, KeepsWhatItAcknowledgedAndNothingElseWhereWritesFail) {
  auto system = std::make_shared<LosingFileSystem>(1);
  options_.file_system = system;
  options_.room_interval = std::chrono::milliseconds(1);
  options_.batch_changes_max = 2;
  auto in = open_store(options_);
  std::mt19937 random(7);
  std::vector<Hash> acknowledged;
  std::size_t refused = 0;
  for (int round = 0; round < 20; ++round) {
    system->fill_disk_at(random() % 6);
    std::vector<std::pair<Hash, std::future<bool>>> answers;
    for (int i = 0; i < 20; ++i) {
      const Hash hash = std::to_string(round) + "." + std::to_string(i);
      auto answer = std::make_shared<std::promise<bool>>();
      answers.emplace_back(hash, answer->get_future());
      in->store(account_, message_of(hash), Origin::client, false, kNow,
                [answer](const Result<Stored>& result) { answer->set_value(result.has_value()); });
    }
    for (auto& [hash, answer] : answers) {
      if (answer.get()) {
        acknowledged.push_back(hash);
      } else {
        ++refused;
      }
    }
    system->make_room();
    while (in->status().is_broken) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  EXPECT_GT(acknowledged.size(), 20U);
  EXPECT_GT(refused, 20U);
  EXPECT_EQ(hashes_of(*in, account_), acknowledged);
  EXPECT_EQ(in->status().messages, acknowledged.size());
  in.reset();
  const auto after = open_store(options_);
  EXPECT_EQ(hashes_of(*after, account_), acknowledged);
  EXPECT_EQ(after->status().messages, acknowledged.size());
}

TEST_F(RocksStoreTest, SaysBusyWhenTheQueueIsFull) {
  auto system = std::make_shared<LosingFileSystem>(1);
  options_.file_system = system;
  options_.queue_changes_max = 10;
  auto in = open_store(options_);
  std::promise<void> all_queued;
  const std::shared_future<void> may_go(all_queued.get_future());
  system->on_log_sync([may_go] { may_go.wait(); });
  std::atomic<int> busy{0};
  std::atomic<int> stored{0};
  for (int i = 0; i < 1000; ++i) {
    in->store(account_, message_of(std::to_string(i)), Origin::client, false, kNow,
              [&](const Result<Stored>& result) {
                stored += result.has_value() ? 1 : 0;
                busy += !result && result.error().code == Errc::unavailable ? 1 : 0;
              });
  }
  all_queued.set_value();
  in.reset();

  EXPECT_EQ(stored + busy, 1000);
  EXPECT_GE(stored, 10);
  EXPECT_GT(busy, 0);
  EXPECT_EQ(hashes_of(*open_store(options_), account_).size(), static_cast<std::size_t>(stored));
}

TEST_F(RocksStoreTest, FinishesWhatIsQueuedBeforeItCloses) {
  auto in = open_store(options_);
  int acknowledged = 0;
  for (int i = 0; i < 500; ++i) {
    in->store(account_, message_of(std::to_string(i)), Origin::client, false, kNow,
              [&](const Result<Stored>& stored) { acknowledged += stored.has_value() ? 1 : 0; });
  }
  in.reset();

  EXPECT_EQ(acknowledged, 500);
}

TEST_F(RocksStoreTest, ReclaimsInPieces) {
  options_.queue_changes_max = 10'000;
  const auto in = open_store(options_);
  for (int i = 0; i < 5000; ++i) {
    const std::uint64_t expiry_ms = kNow + (i % 2 == 0 ? 1U : kHour);
    in->store(account_, message_of(std::to_string(i), 0, expiry_ms), Origin::client, false, kNow,
              [](const Result<Stored>& stored) { EXPECT_TRUE(stored.has_value()); });
  }

  EXPECT_EQ(reclaim(*in, kNow + 1), 2500U);
  EXPECT_EQ(in->status().messages, 2500U);
  EXPECT_EQ(reclaim(*in, kNow + 1), 0U);
}

// Which would end the process on a full disk (internal/no_log.hpp).
TEST_F(RocksStoreTest, HasNoLogOfRocksDBs) {
  store(*open_store(options_), account_, message_of("one")).value();
  const auto in = open_store(options_);
  for (const auto& file : std::filesystem::directory_iterator(options_.directory)) {
    EXPECT_EQ(file.path().filename().string().rfind("LOG", 0), std::string::npos) << file.path();
  }
}

TEST_F(RocksStoreTest, BacksUpWhatCanBeOpenedAsAStore) {
  store(*open_store(options_), account_, message_of("in a table")).value();
  const auto in = open_store(options_);
  store(*in, account_, message_of("in the log")).value();
  RocksStoreOptions copy = options_;
  copy.directory = scratch_.path("backup");

  const auto made = in->backup(copy.directory + "/");
  store(*in, account_, message_of("later")).value();
  remove(*in, account_, {"in the log"}).value();

  ASSERT_TRUE(made.has_value()) << made.error().text;
  EXPECT_EQ(made->messages, 2U);
  EXPECT_EQ(made->accounts, 1U);
  EXPECT_GT(made->bytes_used, 0U);
  int tables = 0;
  for (const auto& file : std::filesystem::directory_iterator(copy.directory)) {
    const bool is_table = file.path().extension() == ".sst";
    const bool is_log = file.path().extension() == ".log";
    tables += is_table ? 1 : 0;
    if (is_table || is_log) {
      EXPECT_EQ(file.hard_link_count(), is_table ? 2U : 1U) << file.path();
    }
    EXPECT_EQ(file.path().filename().string().rfind("LOG", 0), std::string::npos)
        << "a trace of having looked into it: " << file.path();
  }
  EXPECT_GT(tables, 0);
  EXPECT_FALSE(std::filesystem::exists(copy.directory + ".tmp"));
  const auto restored = open_store(copy);
  EXPECT_EQ(hashes_of(*restored, account_), (std::vector<Hash>{"in a table", "in the log"}));
  EXPECT_NE(restored->id(), in->id());
}

TEST_F(RocksStoreTest, BacksUpAnEmptyStore) {
  const auto made = open_store(options_)->backup(scratch_.path("backup"));
  ASSERT_TRUE(made.has_value()) << made.error().text;
  EXPECT_EQ(made->messages, 0U);
}

TEST_F(RocksStoreTest, BacksUpAllThatWasAcknowledgedWhileItGoesOn) {
  constexpr int kBefore = 200;
  const auto in = open_store(options_);
  std::atomic<int> acknowledged = 0;
  std::atomic<bool> is_over = false;
  std::thread writer([&] {
    for (int i = 0; !is_over; ++i) {
      store(*in, account_, message_of(std::to_string(i))).value();
      acknowledged = i + 1;
    }
  });
  while (acknowledged < kBefore) {
    std::this_thread::yield();
  }
  RocksStoreOptions copy = options_;
  copy.directory = scratch_.path("backup");

  const int before = acknowledged;
  const auto made = in->backup(copy.directory);
  const int after = acknowledged;
  is_over = true;
  writer.join();

  ASSERT_TRUE(made.has_value()) << made.error().text;
  EXPECT_GE(made->messages, static_cast<std::uint64_t>(before));
  EXPECT_LE(made->messages, static_cast<std::uint64_t>(after) + 1);
  EXPECT_EQ(open_store(copy)->status().messages, made->messages);
}

TEST_F(RocksStoreTest, SaysWhyADirectoryWillNotDoForABackup) {
  const auto in = open_store(options_);
  std::filesystem::create_directory(scratch_.path("there"));
  std::filesystem::create_directory(scratch_.path("half.tmp"));
  std::ofstream(scratch_.path("half.tmp/of somebody")) << "kept";
  std::ofstream(scratch_.path("file")) << "kept";
  std::filesystem::create_symlink(scratch_.path("nowhere"), scratch_.path("dangling"));

  struct Case {
    std::string name;
    std::string reason;
  };

  for (const Case& tried : {Case{"there", "/there: is there already"},
                            {"file", "/file: is there already"},
                            {"dangling", "/dangling: is there already"},
                            {"half", "/half.tmp: is there already"},
                            {"none/backup", "/none: No such file or directory"},
                            {"file/backup", "/file: no directory"},
                            {"store/backup", "/store/backup: is within the store"},
                            {"there/../store/backup", "/store/backup: is within the store"}}) {
    const auto made = in->backup(scratch_.path(tried.name));
    ASSERT_FALSE(made.has_value()) << tried.name;
    EXPECT_EQ(made.error().code, Errc::refused) << tried.name;
    EXPECT_NE(made.error().text.find(tried.reason), std::string::npos) << made.error().text;
    EXPECT_EQ(made.error().text.find('\n'), std::string::npos) << made.error().text;
  }
  EXPECT_TRUE(std::filesystem::exists(scratch_.path("half.tmp/of somebody")));
  EXPECT_TRUE(std::filesystem::is_empty(scratch_.path("there")));
}

TEST_F(RocksStoreTest, BacksUpOntoItsOwnFileSystemOnly) {
  struct stat here {};

  struct stat there {};

  std::string other = "/dev/shm/allium-backup-XXXXXX";
  if (mkdtemp(other.data()) == nullptr || stat(other.c_str(), &there) != 0 ||
      stat(scratch_.path("").c_str(), &here) != 0 || here.st_dev == there.st_dev) {
    std::filesystem::remove(other);
    GTEST_SKIP() << "this machine has no second file system that may be written to";
  }
  const auto made = open_store(options_)->backup(other + "/backup");
  EXPECT_TRUE(std::filesystem::is_empty(other));
  std::filesystem::remove_all(other);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, Errc::refused);
  EXPECT_NE(made.error().text.find("then copy it from there"), std::string::npos)
      << made.error().text;
}

TEST_F(RocksStoreTest, ADiskThatIsTooFullForABackupEndsThatAlone) {
  const auto disk = std::make_shared<LosingFileSystem>(1);
  options_.file_system = disk;
  const auto in = open_store(options_);
  store(*in, account_, message_of("a")).value();
  const auto nothing_is_left = [this] {
    return !std::filesystem::exists(scratch_.path("backup")) &&
           !std::filesystem::exists(scratch_.path("backup.tmp"));
  };

  disk->set_bytes_free(std::uint64_t{20} << 20);
  const auto early = in->backup(scratch_.path("backup"));
  ASSERT_FALSE(early.has_value());
  EXPECT_EQ(early.error().code, Errc::full);
  EXPECT_NE(early.error().text.find("20 MiB are free where a backup takes 64"), std::string::npos)
      << early.error().text;
  EXPECT_TRUE(nothing_is_left());

  disk->set_bytes_free(std::uint64_t{1} << 30);
  disk->fill_disk_at(0);
  const auto late = in->backup(scratch_.path("backup"));
  disk->make_room();
  ASSERT_FALSE(late.has_value());
  EXPECT_NE(late.error().text.find("make room on the disk"), std::string::npos)
      << late.error().text;
  EXPECT_TRUE(nothing_is_left());
  EXPECT_FALSE(in->status().is_broken);
  EXPECT_TRUE(store(*in, account_, message_of("b")).has_value());
  EXPECT_TRUE(in->backup(scratch_.path("backup")).has_value());
}

/// Takes what is written, and keeps nothing.
class HollowFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  using rocksdb::FSWritableFileOwnerWrapper::FSWritableFileOwnerWrapper;

  rocksdb::IOStatus Append(const rocksdb::Slice& /*data*/, const rocksdb::IOOptions& /*options*/,
                           rocksdb::IODebugContext* /*debug*/) override {
    return rocksdb::IOStatus::OK();
  }

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo& /*check*/,
                           rocksdb::IODebugContext* debug) override {
    return Append(data, options, debug);
  }
};

/// The logs of copies are hollow.
class HollowCopies final : public rocksdb::FileSystemWrapper {
 public:
  HollowCopies() : rocksdb::FileSystemWrapper(rocksdb::FileSystem::Default()) {}

  [[nodiscard]] const char* Name() const override { return "HollowCopies"; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    const rocksdb::IOStatus status = target()->NewWritableFile(name, options, file, debug);
    const bool is_copied_log = name.find(".tmp/") != std::string::npos &&
                               std::filesystem::path(name).extension() == ".log";
    if (status.ok() && is_copied_log) {
      *file = std::make_unique<HollowFile>(std::move(*file));
    }
    return status;
  }
};

TEST_F(RocksStoreTest, LeavesNoBackupThatDoesNotHoldEverything) {
  options_.file_system = std::make_shared<HollowCopies>();
  const auto in = open_store(options_);
  store(*in, account_, message_of("a")).value();

  const auto made = in->backup(scratch_.path("backup"));

  ASSERT_FALSE(made.has_value());
  EXPECT_NE(made.error().text.find("it ends before the store does"), std::string::npos)
      << made.error().text;
  EXPECT_FALSE(std::filesystem::exists(scratch_.path("backup")));
}

TEST_F(RocksStoreTest, RefusesAFormatItDoesNotKnow) {
  open_store(options_).reset();
  overwrite(internal::kFormatKey, internal::encode_format(2));

  const auto opened = RocksStore::open(options_);

  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, Errc::malformed);
  EXPECT_NE(opened.error().text.find("has format 2"), std::string::npos) << opened.error().text;
}

TEST_F(RocksStoreTest, RefusesAnotherProgramsDatabase) {
  rocksdb::DB* opened = nullptr;
  rocksdb::Options create = plain();
  create.create_if_missing = true;
  ASSERT_TRUE(rocksdb::DB::Open(create, options_.directory, &opened).ok());
  delete opened;
  overwrite("their", "value");

  const auto store = RocksStore::open(options_);

  ASSERT_FALSE(store.has_value());
  EXPECT_EQ(store.error().code, Errc::malformed);
}

TEST_F(RocksStoreTest, SaysThatItsDiskIsNearlyFullBeforeItIs) {
  const auto system = std::make_shared<LosingFileSystem>(1);
  options_.file_system = system;
  options_.bytes_limit = std::uint64_t{10} << 30;
  const auto in = open_store(options_);

  system->set_bytes_free(std::uint64_t{10} << 30);
  EXPECT_FALSE(in->disk().is_nearly_full);
  EXPECT_EQ(in->disk().bytes_free, std::uint64_t{10} << 30);
  EXPECT_GE(in->disk().bytes_wanted, options_.bytes_limit / 10);
  system->set_bytes_free(std::uint64_t{1} << 30);
  EXPECT_TRUE(in->disk().is_nearly_full) << "it may grow by ten times as much";
  EXPECT_FALSE(in->disk().waits_for_room);
  EXPECT_FALSE(in->status().is_broken);
}

TEST_F(RocksStoreTest, WantsRoomForItsLogAlsoWhereItMayHardlyGrow) {
  const auto system = std::make_shared<LosingFileSystem>(1);
  options_.file_system = system;
  options_.bytes_limit = 1 << 20;
  const auto in = open_store(options_);

  system->set_bytes_free(std::uint64_t{512} << 20);
  EXPECT_FALSE(in->disk().is_nearly_full);
  system->set_bytes_free(std::uint64_t{100} << 20);
  EXPECT_TRUE(in->disk().is_nearly_full);
}

TEST_F(RocksStoreTest, IsNotOpenedOnAFullDisk) {
  const auto system = std::make_shared<LosingFileSystem>(1);
  options_.file_system = system;
  system->set_bytes_free(std::uint64_t{20} << 20);

  const auto opened = RocksStore::open(options_);
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, Errc::full);
  EXPECT_NE(opened.error().text.find("make room for 32 MiB"), std::string::npos)
      << opened.error().text;
}

TEST_F(RocksStoreTest, SaysSoWhenARecordIsDamagedAndGoesOnWithTheRest) {
  {
    const auto in = open_store(options_);
    store(*in, account_, message_of("a")).value();
  }
  overwrite(internal::message_key(internal::Kind::header, account_, {0, 1}), "rubbish");

  const auto in = open_store(options_);
  EXPECT_EQ(in->retrieve(account_, 0, "", {}, kNow).error().code, Errc::io);
  EXPECT_EQ(store(*in, account_, message_of("a")).error().code, Errc::io);
  EXPECT_EQ(in->expiries(account_, {"a"}, kNow).error().code, Errc::io);
  EXPECT_FALSE(in->status().is_broken);
  EXPECT_TRUE(store(*in, account_of(2, 9), message_of("a")).has_value());
  EXPECT_EQ(reclaim(*in, kNow + kHour), 1U);
}

TEST_F(RocksStoreTest, LeavesNoRecordOfAnAccountWhenAllOfItIsOver) {
  constexpr int kMeta = 2;
  const auto end_ms = kNow + kLifeMsMax + 1;
  {
    const auto in = open_store(options_);
    store(*in, account_, message_of("kept", -1), Origin::client, true).value();
    answer<HashesBySpace>([&](Done<HashesBySpace> done) {
      in->shorten_all(account_, std::nullopt, kNow + 5, kNow, std::move(done));
    }).value();
    answer<HashesBySpace>([&](Done<HashesBySpace> done) {
      in->remove_before(account_, 3, kNow - 5, kNow, std::move(done));
    }).value();
    store(*in, account_, message_of("short", 0)).value();
    remove(*in, account_, {"nothing"}).value();
    reclaim(*in, kNow + kHour);
    EXPECT_EQ(in->status().messages, 0U);
  }
  const auto mailbox = static_cast<int>(internal::Kind::mailbox);
  EXPECT_EQ(count_records()[mailbox], 1) << "it has marks";
  reclaim(*open_store(options_), end_ms);
  EXPECT_EQ(count_records(), (std::map<int, int>{{0, kMeta}}));
}

}  // namespace
}  // namespace allium::storage::testing
