// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/storage/store_under_test.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "crypto_accel/base/bytes.hpp"

namespace allium::storage::testing {

ScratchDirectory::ScratchDirectory() {
  static std::atomic<int> count{0};
  root_ = std::filesystem::temp_directory_path() /
          ("allium-store-" + std::to_string(::getpid()) + "-" + std::to_string(count++));
  std::filesystem::create_directories(root_);
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(root_, ignored);
}

std::unique_ptr<RocksStore> open_store(RocksStoreOptions options) {
  auto opened = RocksStore::open(std::move(options));
  if (!opened) {
    std::fprintf(stderr, "cannot open: %s\n", opened.error().text.c_str());
    std::abort();
  }
  return std::move(*opened);
}

Account account_of(std::uint8_t first, std::uint64_t point) {
  Account account{};
  account[0] = 5;
  account[1] = first;
  account[9] = first;
  store_be(account.data() + 17, point, 8);
  return account;
}

Message message_of(Hash hash, Namespace space, std::uint64_t expiry_ms,
                   std::uint64_t timestamp_ms) {
  std::string data = "data of " + hash;
  return {std::move(hash), space, timestamp_ms, expiry_ms, std::move(data)};
}

Token token_of(std::uint8_t first) {
  Token token{};
  token[0] = first;
  return token;
}

std::vector<Hash> hashes_of(const MessageStore& in, const Account& account, Namespace space,
                            std::uint64_t now_ms) {
  std::vector<Hash> hashes;
  const Page page = in.retrieve(account, space, "", {}, now_ms).value();
  for (const Message& message : page.messages) {
    hashes.push_back(message.hash);
  }
  return hashes;
}

}  // namespace allium::storage::testing
