// SPDX-License-Identifier: Apache-2.0

// Stores and removes as fast as it can until it is killed, and says on its output what was acknowledged.
//
// usage: store_crash_child DIRECTORY PREFIX
//   "S <hash>" stored, "Q <hash>" about to be removed, "R <hash>" removed

#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>

#include "storage/rocks_store.hpp"

namespace {

using allium::storage::Hash;
using allium::storage::Origin;

constexpr std::uint64_t kNow = 1'700'000'000'000;
constexpr int kOpenMax = 100;

void say(const std::string& line) {
  if (::write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    ::_exit(3);
  }
}

class Window {
 public:
  void enter() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_ < kOpenMax; });
    ++open_;
  }

  void leave() {
    {
      const std::lock_guard lock(mutex_);
      --open_;
    }
    changed_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int open_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    return 2;
  }
  allium::storage::RocksStoreOptions options;
  options.directory = argv[1];
  auto opened = allium::storage::RocksStore::open(options);
  if (!opened) {
    std::fprintf(stderr, "%s\n", opened.error().text.c_str());
    return 1;
  }
  allium::storage::RocksStore& store = **opened;
  const allium::storage::Account account{5};
  Window window;
  for (int i = 0;; ++i) {
    const Hash hash = std::string(argv[2]) + "-" + std::to_string(i);
    window.enter();
    store.store(account, {hash, 0, kNow, kNow + 3'600'000, std::string(3000, 'd')}, Origin::client,
                false, kNow, [&window, hash](const auto& stored) {
                  if (stored) {
                    say("S " + hash + "\n");
                  }
                  window.leave();
                });
    if (i % 3 != 0) {
      continue;
    }
    window.enter();
    say("Q " + hash + "\n");
    store.remove(account, {hash}, kNow, [&window, hash](const auto& removed) {
      if (removed) {
        say("R " + hash + "\n");
      }
      window.leave();
    });
  }
}
