// SPDX-License-Identifier: Apache-2.0
#pragma once

// Stores for tests, a directory that goes away, and calls that wait for their `done`.

#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "storage/memory_store.hpp"
#include "storage/rocks_store.hpp"

namespace allium::storage::testing {

inline constexpr std::uint64_t kNow = 1'700'000'000'000;
inline constexpr std::uint64_t kHour = 3'600'000;

class ScratchDirectory {
 public:
  ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory();

  [[nodiscard]] std::string path(const std::string& name) const { return (root_ / name).string(); }

 private:
  std::filesystem::path root_;
};

/// Opens, or ends the test program with the reason.
std::unique_ptr<RocksStore> open_store(RocksStoreOptions options);

[[nodiscard]] Account account_of(std::uint8_t first, std::uint64_t point);
[[nodiscard]] Message message_of(Hash hash, Namespace space = 0,
                                 std::uint64_t expiry_ms = kNow + kHour,
                                 std::uint64_t timestamp_ms = kNow);
[[nodiscard]] Token token_of(std::uint8_t first);

/// The answer of a change: `change` is called with the `done`.
template <typename T, typename Change>
Result<T> answer(Change change) {
  std::promise<Result<T>> promise;
  change([&promise](Result<T> result) { promise.set_value(std::move(result)); });
  return promise.get_future().get();
}

inline Result<Stored> store(MessageStore& to, const Account& account, Message message,
                            Origin origin = Origin::client, bool replaces = false,
                            const When& when = kNow) {
  return answer<Stored>([&](Done<Stored> done) {
    to.store(account, std::move(message), origin, replaces, when, std::move(done));
  });
}

inline Result<std::vector<Hash>> remove(MessageStore& from, const Account& account,
                                        std::vector<Hash> hashes, const When& when = kNow) {
  return answer<std::vector<Hash>>([&](Done<std::vector<Hash>> done) {
    from.remove(account, std::move(hashes), when, std::move(done));
  });
}

inline std::size_t reclaim(MessageStore& in, std::uint64_t now_ms) {
  return answer<std::size_t>([&](Done<std::size_t> done) { in.reclaim(now_ms, std::move(done)); })
      .value();
}

/// The hashes of all live messages of a namespace.
std::vector<Hash> hashes_of(const MessageStore& in, const Account& account, Namespace space = 0,
                            std::uint64_t now_ms = kNow);

}  // namespace allium::storage::testing
