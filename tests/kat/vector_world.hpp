// SPDX-License-Identifier: Apache-2.0
#pragma once

// The relays of a vector file: keys from `network`, state from each case, one datagram at a time.
//
//   Ownership  a World owns its relays; a relay's state lives for one case.
//   Errors     VectorError.
//   Threads    one.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "crypto_accel/kernel_registry.hpp"
#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/link_keys.hpp"
#include "dataplane/onion/relay.hpp"
#include "tests/kat/vector_json.hpp"

namespace allium::kat {

/// The `random` of a step: handed out once, in order.
class Feed {
 public:
  explicit Feed(ByteString bytes) : bytes_(std::move(bytes)) {}

  [[nodiscard]] Random source() noexcept { return {this, fill}; }

  /// Empty where all was drawn and no more; else what is wrong, in words.
  [[nodiscard]] std::string complaint() const;

 private:
  static void fill(void* self, std::uint8_t* target, std::size_t byte_count) noexcept;

  ByteString bytes_;
  std::size_t drawn_ = 0;  ///< asked for, whether there or not
};

struct VectorRelay {
  std::uint32_t id = 0;
  std::string address;
  onion::Endpoint endpoint;

  struct Hour {
    crypto_accel::PrivateKey private_key;
    crypto_accel::PublicKey public_key{};
  };

  std::map<std::uint64_t, Hour> hours;
  std::map<std::uint64_t, onion::EpochSecrets> epochs;
};

class World {
 public:
  /// How datagrams are put into bursts: the one that counts in the last lane, and in the lanes before it
  /// copies of it with a wrong MAC, which must change nothing.
  World(const boost::json::object& network, const crypto_accel::KernelSet& kernels,
        std::size_t lane_count);
  ~World();

  /// The state of a case: relays that it does not name start empty, as at time zero.
  void reset(const boost::json::object& state);

  [[nodiscard]] const crypto_accel::KernelSet& kernels() const noexcept { return kernels_; }

  [[nodiscard]] std::size_t lane_count() const noexcept { return lane_count_; }

  [[nodiscard]] const VectorRelay& relay(std::uint64_t index) const;

  /// Keys of the link from relay to relay, as `from` derives them; nullopt without them.
  [[nodiscard]] const onion::LinkSecrets* link(std::uint64_t from, std::uint64_t to,
                                               std::uint64_t epoch);

  /// Lists of results, as in `expect`.
  boost::json::array receive(std::uint64_t index, std::uint64_t now_ms,
                             const onion::Endpoint& source, const ByteString& datagram, Feed& feed);
  boost::json::array reply_return(std::uint64_t index, std::uint64_t now_ms,
                                  const onion::ReturnContext& context, std::uint64_t seq,
                                  const ByteString& data, Feed& feed);
  boost::json::array reply_block(std::uint64_t index, std::uint64_t now_ms,
                                 onion::PacketClass packet_class, const ByteString& block,
                                 std::uint64_t seq, const ByteString& data, Feed& feed);

 private:
  struct State;
  struct Lane;

  [[nodiscard]] std::unique_ptr<const onion::RelaySnapshot> snapshot(std::uint64_t index,
                                                                     std::uint64_t now_ms);
  [[nodiscard]] boost::json::object forward_result(const onion::Burst& burst,
                                                   std::size_t lane) const;
  [[nodiscard]] boost::json::array results(const onion::Burst& burst, std::size_t lane,
                                           const boost::json::array& deliveries) const;

  crypto_accel::KernelSet kernels_;
  std::size_t lane_count_;
  std::size_t handle_limit_;
  crypto_accel::OnionBatch batch_;
  std::vector<VectorRelay> relays_;
  std::map<std::uint32_t, std::size_t> index_of_id_;
  std::vector<std::unique_ptr<State>> states_;

  struct LinkName {
    std::uint64_t from;
    std::uint64_t to;
    std::uint64_t epoch;
    auto operator<=>(const LinkName&) const = default;
  };

  std::map<LinkName, std::unique_ptr<onion::LinkSecrets>> links_;
};

}  // namespace allium::kat
