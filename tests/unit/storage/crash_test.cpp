// SPDX-License-Identifier: Apache-2.0

// What was acknowledged is there after a kill, a power cut and a full disk; what was removed does not come back.

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <mutex>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>

#include "tests/unit/storage/losing_file_system.hpp"
#include "tests/unit/storage/store_under_test.hpp"

extern char** environ;

namespace allium::storage::testing {
namespace {

/// What the store has acknowledged so far.
struct Acknowledged {
  std::set<Hash> stored;
  std::set<Hash> remove_asked;
  std::set<Hash> removed;
};

/// How many acknowledgements the store broke.
std::size_t broken_promises(RocksStore& in, const Account& account, const Acknowledged& known) {
  const std::vector<Hash> listed = hashes_of(in, account);
  const std::set<Hash> held(listed.begin(), listed.end());
  std::size_t broken = 0;
  for (const Hash& hash : known.stored) {
    broken += !known.remove_asked.contains(hash) && !held.contains(hash) ? 1U : 0U;
  }
  for (const Hash& hash : known.removed) {
    broken += held.contains(hash) ? 1U : 0U;
  }
  if (!known.removed.empty()) {
    const auto back = store(in, account, message_of(*known.removed.rbegin()), Origin::replica);
    broken += back && back->effect != StoreEffect::tombstoned ? 1U : 0U;
  }
  return broken;
}

class Child {
 public:
  Child(const std::string& directory, const std::string& prefix) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    std::string program = ALLIUM_CRASH_CHILD;
    std::string directory_argument = directory;
    std::string prefix_argument = prefix;
    std::array<char*, 4> arguments{program.data(), directory_argument.data(),
                                   prefix_argument.data(), nullptr};
    EXPECT_EQ(::posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments.data(), environ),
              0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    output_ = ends[0];
  }

  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  ~Child() { ::close(output_); }

  /// Reads so many bytes of its output, kills it, and gives everything it said.
  std::string kill_after(std::size_t bytes) {
    std::string said;
    while (said.size() < bytes && read_into(said)) {
    }
    ::kill(pid_, SIGKILL);
    while (read_into(said)) {
    }
    int status = 0;
    ::waitpid(pid_, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself";
    return said;
  }

 private:
  bool read_into(std::string& said) const {
    std::array<char, 65536> buffer{};
    const ssize_t count = ::read(output_, buffer.data(), buffer.size());
    said.append(buffer.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
    return count > 0;
  }

  pid_t pid_ = 0;
  int output_ = -1;
};

void learn(Acknowledged& known, const std::string& said) {
  std::istringstream lines(said.substr(0, said.rfind('\n') + 1));
  std::string kind;
  Hash hash;
  while (lines >> kind >> hash) {
    (kind == "S" ? known.stored : kind == "Q" ? known.remove_asked : known.removed).insert(hash);
  }
}

TEST(StoreCrash, LosesNothingWhenItsProcessIsKilled) {
  const ScratchDirectory scratch;
  const Account account{5};
  std::mt19937_64 random(20);
  Acknowledged known;
  for (int round = 0; round < 20; ++round) {
    Child child(scratch.path("store"), std::to_string(round));
    learn(known, child.kill_after(1 + random() % 6000));
    RocksStoreOptions options;
    options.directory = scratch.path("store");
    const auto in = open_store(options);
    ASSERT_EQ(broken_promises(*in, account, known), 0U) << "round " << round;
  }
  EXPECT_GT(known.stored.size(), 100U);
  EXPECT_GT(known.removed.size(), 20U);
}

/// Many stores and some removals at once, until a write fails or all are done.
void work(RocksStore& in, const Account& account, const std::string& prefix, Acknowledged& known) {
  std::mutex mutex;
  std::promise<void> all_done;
  const int count = 60;
  std::atomic<int> open{2 * count};
  const auto leave = [&] {
    if (--open == 0) {
      all_done.set_value();
    }
  };
  for (int i = 0; i < count; ++i) {
    const Hash hash = prefix + "-" + std::to_string(i);
    in.store(account, message_of(hash), Origin::client, false, kNow,
             [&, hash](const Result<Stored>& stored) {
               const std::lock_guard lock(mutex);
               if (stored) {
                 known.stored.insert(hash);
               }
               leave();
             });
    if (i % 3 != 0) {
      leave();
      continue;
    }
    {
      const std::lock_guard lock(mutex);
      known.remove_asked.insert(hash);
    }
    in.remove(account, {hash}, kNow, [&, hash](const Result<std::vector<Hash>>& removed) {
      const std::lock_guard lock(mutex);
      if (removed) {
        known.removed.insert(hash);
      }
      leave();
    });
  }
  all_done.get_future().wait();
  // The last `done` may still hold it.
  const std::lock_guard lock(mutex);
}

struct PowerCuts {
  std::size_t cuts = 0;
  std::size_t broken = 0;
  Acknowledged known;
};

PowerCuts cut_power_often(LosingFileSystem::Unsynced unsynced, bool is_synced) {
  const ScratchDirectory scratch;
  const Account account = account_of(1, 7);
  const auto system = std::make_shared<LosingFileSystem>(3);
  if (!is_synced) {
    system->lie_about_logs();
  }
  RocksStoreOptions options;
  options.directory = scratch.path("store");
  options.file_system = system;
  options.batch_changes_max = 5;
  std::mt19937_64 random(4);
  PowerCuts seen;
  for (int round = 0; round < 30; ++round) {
    {
      const auto in = open_store(options);
      seen.broken += broken_promises(*in, account, seen.known);
      system->cut_power_at(1 + random() % 12);
      work(*in, account, std::to_string(round), seen.known);
      seen.cuts += in->status().is_broken ? 1U : 0U;
    }
    system->restore_power(unsynced);
  }
  seen.broken += broken_promises(*open_store(options), account, seen.known);
  return seen;
}

TEST(StoreCrash, LosesNothingInAPowerCutThatDropsWhatIsNotSynced) {
  const PowerCuts seen = cut_power_often(LosingFileSystem::Unsynced::lost, true);

  EXPECT_EQ(seen.broken, 0U);
  EXPECT_EQ(seen.cuts, 30U);
  EXPECT_GT(seen.known.stored.size(), 100U);
}

TEST(StoreCrash, LosesNothingInAPowerCutThatTearsWrites) {
  const PowerCuts seen = cut_power_often(LosingFileSystem::Unsynced::torn, true);

  EXPECT_EQ(seen.broken, 0U);
  EXPECT_EQ(seen.cuts, 30U);
  EXPECT_GT(seen.known.removed.size(), 20U);
}

TEST(StoreCrash, WouldBeSeenToLoseWithoutSyncs) {
  EXPECT_GT(cut_power_often(LosingFileSystem::Unsynced::lost, false).broken, 0U);
}

TEST(StoreCrash, RefusesChangesWhenTheDiskIsFullAndLosesNothing) {
  const ScratchDirectory scratch;
  const Account account = account_of(1, 7);
  const auto system = std::make_shared<LosingFileSystem>(5);
  RocksStoreOptions options;
  options.directory = scratch.path("store");
  options.file_system = system;
  options.batch_changes_max = 5;
  std::mt19937_64 random(6);
  Acknowledged known;
  int refusals = 0;
  for (int round = 0; round < 20; ++round) {
    const auto in = open_store(options);
    ASSERT_EQ(broken_promises(*in, account, known), 0U) << "round " << round;
    system->fill_disk_at(1 + random() % 10);
    work(*in, account, std::to_string(round), known);
    if (in->status().is_broken) {
      ++refusals;
      const auto refused = store(*in, account, message_of("more"));
      ASSERT_FALSE(refused.has_value());
      EXPECT_EQ(refused.error().code, Errc::io);
      EXPECT_EQ(broken_promises(*in, account, known), 0U) << "reads go on";
    }
    system->make_room();
  }
  EXPECT_EQ(refusals, 20);
}

/// Whether it keeps a message again, within a minute.
bool takes_stores_again(RocksStore& in, const Account& account, const Hash& hash,
                        Acknowledged& known) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (std::chrono::steady_clock::now() < end) {
    if (store(in, account, message_of(hash))) {
      known.stored.insert(hash);
      return true;
    }
  }
  return false;
}

/// Reads all the time, as clients do, until it ends.
class Reader {
 public:
  Reader(const RocksStore& in, const Account& account)
      : thread_([this, &in, account](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            const auto page = in.retrieve(account, 0, "", {}, kNow);
            failures_ += !page && page.error().code != Errc::unavailable ? 1U : 0U;
          }
        }) {}

  /// Reads that failed otherwise than with "try again".
  std::size_t stop() {
    thread_.request_stop();
    thread_.join();
    return failures_;
  }

 private:
  std::size_t failures_ = 0;
  std::jthread thread_;
};

// Again and again, and each time what was acknowledged before, between and after stands a power cut as well.
TEST(StoreCrash, GoesOnByItselfWhenAFullDiskHasRoomAgain) {
  const ScratchDirectory scratch;
  const Account account = account_of(1, 7);
  const auto system = std::make_shared<LosingFileSystem>(7);
  RocksStoreOptions options;
  options.directory = scratch.path("store");
  options.file_system = system;
  options.batch_changes_max = 5;
  options.room_interval = std::chrono::milliseconds(1);
  std::mt19937_64 random(8);
  Acknowledged known;
  for (int round = 0; round < 12; ++round) {
    const std::string name = std::to_string(round);
    {
      const auto in = open_store(options);
      Reader reader(*in, account);
      for (const std::string part : {"a", "b"}) {
        system->fill_disk_at(1 + random() % 10);
        work(*in, account, name + part, known);
        ASSERT_TRUE(in->status().is_broken);
        const StoreDisk disk = in->disk();
        EXPECT_TRUE(disk.is_broken && disk.waits_for_room) << "at once";
        ASSERT_EQ(store(*in, account, message_of("more")).error().code, Errc::io);
        ASSERT_EQ(broken_promises(*in, account, known), 0U) << "reads go on";

        system->make_room();
        ASSERT_TRUE(takes_stores_again(*in, account, name + part + "-after", known));
        EXPECT_FALSE(in->status().is_broken || in->disk().is_broken);
        ASSERT_EQ(broken_promises(*in, account, known), 0U);
      }
      EXPECT_EQ(reader.stop(), 0U);
      system->cut_power_at(1 + random() % 12);
      work(*in, account, name + "c", known);
    }
    system->restore_power(LosingFileSystem::Unsynced::torn);
    ASSERT_EQ(broken_promises(*open_store(options), account, known), 0U) << "round " << round;
  }
}

#ifdef __SANITIZE_ADDRESS__
constexpr const char* kNeedsDescriptors =
    "UBSan looks at memory through a pipe, and takes objects for broken without";
#else
constexpr const char* kNeedsDescriptors = nullptr;
#endif

/// As long as it lives, this process can open no file whose descriptor would be `first` or more.
class NoDescriptors {
 public:
  explicit NoDescriptors(rlim_t first = 0) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit few = before_;
    few.rlim_cur = first;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  }

  ~NoDescriptors() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }

  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

/// Stores more than a write buffer has room for, so that RocksDB needs a new log. Whether all were kept.
bool fill_write_buffer(RocksStore& in, const Account& account, Acknowledged& known) {
  const std::string data(kDataBytesMax, 'd');
  for (std::size_t i = 0; i <= kWriteBufferBytes / kDataBytesMax; ++i) {
    Message message = message_of(std::to_string(i));
    const Hash hash = message.hash;
    message.data = data;
    if (!store(in, account, std::move(message))) {
      return false;
    }
    known.stored.insert(hash);
  }
  return true;
}

TEST(StoreCrash, GoesOnByItselfWhenThereAreDescriptorsAgain) {
  if (kNeedsDescriptors != nullptr) {
    GTEST_SKIP() << kNeedsDescriptors;
  }
  const ScratchDirectory scratch;
  const Account account = account_of(1, 7);
  RocksStoreOptions options;
  options.directory = scratch.path("store");
  options.file_system = std::make_shared<LosingFileSystem>(11);  // its syncs are quick
  options.room_interval = std::chrono::milliseconds(1);
  Acknowledged known;
  {
    const auto in = open_store(options);
    {
      const NoDescriptors none;
      ASSERT_FALSE(fill_write_buffer(*in, account, known));
      ASSERT_TRUE(in->status().is_broken);
      EXPECT_TRUE(in->disk().is_broken && in->disk().waits_for_descriptors);
      EXPECT_FALSE(in->disk().waits_for_room);
      const auto refused = store(*in, account, message_of("more"));
      ASSERT_EQ(refused.error().code, Errc::io);
      EXPECT_NE(refused.error().text.find("descriptors"), std::string::npos)
          << refused.error().text;
      EXPECT_EQ(broken_promises(*in, account, known), 0U) << "reads go on";
    }
    ASSERT_TRUE(takes_stores_again(*in, account, "after", known));
    EXPECT_FALSE(in->status().is_broken);
    EXPECT_FALSE(in->disk().waits_for_descriptors);
    EXPECT_EQ(broken_promises(*in, account, known), 0U);
  }
  EXPECT_EQ(broken_promises(*open_store(options), account, known), 0U);
}

// However far it came, it says so and has done no harm.
TEST(StoreCrash, IsOpenedWithTooFewDescriptorsOrSaysSo) {
  if (kNeedsDescriptors != nullptr) {
    GTEST_SKIP() << kNeedsDescriptors;
  }
  const ScratchDirectory scratch;
  const Account account = account_of(1, 7);
  RocksStoreOptions options;
  options.directory = scratch.path("store");
  options.file_system = std::make_shared<LosingFileSystem>(12);
  Acknowledged known;
  const int first = ::dup(STDERR_FILENO);
  ASSERT_GE(first, 0);
  ::close(first);
  std::size_t refusals = 0;
  bool is_open = false;
  for (rlim_t count = 0; count < 64 && !is_open; ++count) {
    {
      const NoDescriptors few(static_cast<rlim_t>(first) + count);
      const auto opened = RocksStore::open(options);
      is_open = opened.has_value();
      refusals += is_open ? 0U : 1U;
      if (!is_open) {
        EXPECT_NE(opened.error().text.find("open files"), std::string::npos) << opened.error().text;
      }
    }
    const auto in = open_store(options);
    ASSERT_EQ(broken_promises(*in, account, known), 0U) << count;
    const std::string hash = std::to_string(count);
    ASSERT_TRUE(store(*in, account, message_of(hash)));
    known.stored.insert(hash);
  }
  EXPECT_GT(refusals, 8U);
  EXPECT_TRUE(is_open);
}

// A disk that fails is not one that is full: a person has to look.
TEST(StoreCrash, StaysBrokenWhenTheDiskFailedOtherwise) {
  const ScratchDirectory scratch;
  const Account account = account_of(1, 7);
  const auto system = std::make_shared<LosingFileSystem>(9);
  RocksStoreOptions options;
  options.directory = scratch.path("store");
  options.file_system = system;
  options.batch_changes_max = 5;
  options.room_interval = std::chrono::milliseconds(1);
  const auto in = open_store(options);
  Acknowledged known;
  system->cut_power_at(1);
  work(*in, account, "a", known);
  ASSERT_TRUE(in->status().is_broken);

  system->restore_power(LosingFileSystem::Unsynced::torn);
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(store(*in, account, message_of("b")).error().code, Errc::io);
  }
  EXPECT_TRUE(in->status().is_broken && in->disk().is_broken);
  EXPECT_FALSE(in->disk().waits_for_room || in->disk().waits_for_descriptors);
}

}  // namespace
}  // namespace allium::storage::testing
