// SPDX-License-Identifier: Apache-2.0
#pragma once

// Service nodes in one process, on a network and a clock of the test's own: whole storage RPCs over in-memory stores, who talk
// to each other as over OMQ, with links that can be cut.
//
//   Threads   one; nothing happens but in run().

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/object.hpp>

#include "control/network/ed25519.hpp"
#include "control/service/membership.hpp"
#include "control/service/replica_fetch.hpp"
#include "control/service/storage_rpc.hpp"
#include "control/service/swarm_peers.hpp"
#include "storage/memory_store.hpp"
#include "tests/unit/network/test_network.hpp"

namespace allium::control::test {

inline constexpr std::uint64_t kStartMs = 1'800'000'000'000;

class SwarmWorld;

/// A store whose queue for members may be slow to reach the disk, and that may be full, or refuse all changes.
class SlowQueueStore final : public storage::MemoryStore {
 public:
  using MemoryStore::MemoryStore;

  void store(const storage::Account& account, storage::Message message, storage::Origin origin,
             bool replaces, const storage::When& when,
             storage::Done<storage::Stored> done) override {
    if (fails(done)) {
      return;
    }
    if (is_full || is_full_of_messages) {
      done(fail(Errc::full, "the message store has reached its size limit"));
    } else {
      MemoryStore::store(account, std::move(message), origin, replaces, when, std::move(done));
    }
  }

  void enqueue_missed(const storage::PeerKey& peer, std::vector<std::string> records,
                      storage::Done<std::uint64_t> done) override {
    if (fails(done)) {
      return;
    }
    if (is_full) {
      done(fail(Errc::full, "the message store has reached its size limit"));
    } else if (slow_for == peer) {
      waiting.push_back([this, peer, records = std::move(records), done = std::move(done)] {
        MemoryStore::enqueue_missed(peer, records, done);
      });
    } else {
      MemoryStore::enqueue_missed(peer, std::move(records), std::move(done));
    }
  }

  void remove(const storage::Account& account, std::vector<storage::Hash> hashes,
              const storage::When& when, storage::Done<std::vector<storage::Hash>> done) override {
    if (!fails(done)) {
      MemoryStore::remove(account, std::move(hashes), when, std::move(done));
    }
  }

  void remove_before(const storage::Account& account, std::optional<storage::Namespace> space,
                     std::uint64_t before_ms, const storage::When& when,
                     storage::Done<storage::HashesBySpace> done) override {
    if (!fails(done)) {
      MemoryStore::remove_before(account, space, before_ms, when, std::move(done));
    }
  }

  void remove_all(const storage::Account& account, std::optional<storage::Namespace> space,
                  const storage::When& when, storage::Done<storage::HashesBySpace> done) override {
    if (!fails(done)) {
      MemoryStore::remove_all(account, space, when, std::move(done));
    }
  }

  void change_expiry(const storage::Account& account, std::vector<storage::Hash> hashes,
                     std::vector<std::uint64_t> expiries_ms, storage::ExpiryChange change,
                     const storage::When& when,
                     storage::Done<storage::ExpiriesChanged> done) override {
    if (!fails(done)) {
      MemoryStore::change_expiry(account, std::move(hashes), std::move(expiries_ms), change, when,
                                 std::move(done));
    }
  }

  void shorten_all(const storage::Account& account, std::optional<storage::Namespace> space,
                   std::uint64_t expiry_ms, const storage::When& when,
                   storage::Done<storage::HashesBySpace> done) override {
    if (!fails(done)) {
      MemoryStore::shorten_all(account, space, expiry_ms, when, std::move(done));
    }
  }

  void forget(const storage::Account& account, std::vector<storage::Hash> hashes,
              storage::Stamp before, storage::Done<std::size_t> done) override {
    if (!fails(done)) {
      MemoryStore::forget(account, std::move(hashes), before, std::move(done));
    }
  }

  void revoke(const storage::Account& account, std::vector<storage::Token> tokens,
              std::uint64_t timestamp_ms, const storage::When& when,
              storage::Done<std::size_t> done) override {
    if (!fails(done)) {
      MemoryStore::revoke(account, std::move(tokens), timestamp_ms, when, std::move(done));
    }
  }

  void unrevoke(const storage::Account& account, std::vector<storage::Token> tokens,
                const storage::When& when, storage::Done<std::size_t> done) override {
    if (!fails(done)) {
      MemoryStore::unrevoke(account, std::move(tokens), when, std::move(done));
    }
  }

  void erase_missed(const storage::PeerKey& peer, std::vector<std::uint64_t> numbers,
                    storage::Done<std::size_t> done) override {
    if (!fails(done)) {
      MemoryStore::erase_missed(peer, std::move(numbers), std::move(done));
    }
  }

  [[nodiscard]] Result<std::vector<storage::Token>> revoked(
      const storage::Account& account) const override {
    if (is_unreadable) {
      return fail(Errc::unavailable, "the message store is being opened again");
    }
    return MemoryStore::revoked(account);
  }

  [[nodiscard]] Result<void> for_each(
      const storage::Scan& scan, std::uint64_t now_ms,
      const std::function<bool(const storage::Account&, const storage::Message&)>& visit)
      const override {
    if (is_unreadable) {
      return fail(Errc::unavailable, "the message store is being opened again");
    }
    return MemoryStore::for_each(scan, now_ms, visit);
  }

  [[nodiscard]] storage::StoreStatus status() const override {
    return says.value_or(MemoryStore::status());
  }

  void write_waiting() {
    slow_for.reset();
    for (const auto& write : std::exchange(waiting, {})) {
      write();
    }
  }

  /// What all changes fail with, as those of a full disk do.
  std::optional<Error> failure;
  std::size_t good_changes_left = 0;  ///< before they do
  bool is_full = false;
  bool is_unreadable = false;
  bool is_full_of_messages = false;          ///< with room for queues and deletions still
  std::optional<storage::StoreStatus> says;  ///< of its room
  std::optional<storage::PeerKey> slow_for;
  std::vector<std::function<void()>> waiting;

 private:
  template <typename T>
  [[nodiscard]] bool fails(const storage::Done<T>& done) {
    if (!failure) {
      return false;
    }
    if (good_changes_left > 0) {
      --good_changes_left;
      return false;
    }
    done(tl::unexpected(*failure));
    return true;
  }
};

/// One node with everything behind its endpoints.
class TestNode {
 public:
  TestNode(SwarmWorld& world, std::uint8_t number);
  ~TestNode();

  [[nodiscard]] const NodeKey& key() const noexcept { return identity.public_key(); }

  /// What an endpoint does with a command of the node with this X25519 key.
  void serve(const NodeKey& from, const std::string& command, const PeerParts& parts,
             std::function<void(PeerParts)> reply);

  /// A new process on the same store.
  void restart();

  /// A new process on a new disk.
  void restart_empty();

  IdentitySecret identity;
  Membership membership;
  bool is_up = true;
  std::uint64_t clock_behind_ms = 0;
  bool is_of_our_kind = true;          ///< false: answers as the peers' software does
  std::set<std::string> served;        ///< commands that came
  std::set<std::string> silent_on;     ///< commands that it does not answer
  std::uint64_t late_takes_ms = 0;     ///< its reply to sn.allium_late
  std::vector<std::string> monitored;  ///< data of the messages that whoever monitors is told of
  std::optional<PeerParts> lie;  ///< what it answers to a client's commands, and does not do them

  [[nodiscard]] SlowQueueStore& store() noexcept { return *store_; }

  [[nodiscard]] SwarmPeers& swarm() noexcept { return *swarm_; }

  [[nodiscard]] StorageRpc& rpc() noexcept { return *rpc_; }

  [[nodiscard]] ReplicaFetch& fetch() noexcept { return *fetch_; }

  std::string held;  ///< on its disk

 private:
  class Transport;

  SwarmWorld& world_;
  test::FixedRandom random_;
  std::unique_ptr<SlowQueueStore> store_ = std::make_unique<SlowQueueStore>();
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<SwarmPeers> swarm_;
  std::unique_ptr<ReplicaFetch> fetch_;
  std::unique_ptr<StorageRpc> rpc_;
};

class SwarmWorld {
 public:
  /// All of them in one swarm.
  explicit SwarmWorld(std::size_t node_count);

  [[nodiscard]] TestNode& node(std::size_t i) { return *nodes_[i]; }

  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }

  /// Which node is in which swarm, from now on; everybody knows at once, but for `late`.
  void assign(const std::vector<SwarmId>& swarms, const std::set<std::size_t>& late = {});

  /// Now this node knows as well.
  void tell(std::size_t node);

  /// As a process starts, when it has read of the network.
  void start(std::size_t node);

  void add_node();

  /// What `node` answers.
  Answer call(std::size_t node, std::string_view method, const boost::json::object& params,
              Format format = Format::json, RpcSource source = RpcSource::client);

  /// Everything that is due until then happens.
  void run(std::uint64_t duration_ms);

  void at(std::uint64_t time_ms, std::function<void()> what);

  [[nodiscard]] TestNode* find(const NodeKey& key);

  std::uint64_t now_ms = kStartMs;

  /// How long the last call() took.
  std::uint64_t last_call_ms = 0;

 private:
  std::vector<std::unique_ptr<TestNode>> nodes_;
  std::shared_ptr<const ServiceNodes> network_;
  std::multimap<std::uint64_t, std::function<void()>> due_;
  std::uint64_t height_ = 0;
};

/// An account, and what its owner sends.
class TestAccount {
 public:
  TestAccount(std::uint8_t prefix, std::uint8_t number);

  [[nodiscard]] const storage::Account& account() const noexcept { return account_; }

  [[nodiscard]] std::string hex() const;

  [[nodiscard]] const IdentitySecret& key() const noexcept { return key_; }

  /// pubkey, signature over `text`, and pubkey_ed25519 where it is needed, with `params`.
  [[nodiscard]] boost::json::object signed_params(std::string_view text,
                                                  boost::json::object params) const;

  [[nodiscard]] boost::json::object store(std::string_view data, std::uint64_t now_ms,
                                          int space = 0, std::uint64_t ttl_ms = 3'600'000) const;
  [[nodiscard]] boost::json::object retrieve(std::uint64_t now_ms, int space = 0) const;
  [[nodiscard]] boost::json::object remove(const std::vector<std::string>& hashes) const;

 private:
  IdentitySecret key_;
  storage::Account account_{};
};

/// As bt has it.
[[nodiscard]] std::int64_t stamp(std::uint64_t ms);

/// What the answer says of a member.
[[nodiscard]] const boost::json::object& member(const Answer& answer, const TestNode& node);

/// Of those that came, what hands on clients' commands.
[[nodiscard]] std::vector<std::string> commands_to(const TestNode& node);

/// The data of a retrieve's messages.
[[nodiscard]] std::vector<std::string> data_in(const Answer& answer);

/// What `node` has of the account's namespace 0.
[[nodiscard]] std::vector<std::string> sorted_data(SwarmWorld& world, std::size_t node,
                                                   const TestAccount& account);

}  // namespace allium::control::test
