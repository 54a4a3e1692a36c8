// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/backward_open.hpp"

#include <cstring>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/internal/client_layer.hpp"
#include "dataplane/onion/time_index.hpp"

namespace allium::onion {
namespace {

using internal::LayerKeys;

constexpr std::size_t kDataBytesMax = type_info(PacketType::db).x_r_bytes;

constexpr PacketType backward_type(PacketClass packet_class) noexcept {
  return packet_class == PacketClass::r ? PacketType::r
                                        : data_type(packet_class, Direction::backward);
}

Block client_tag(const LayerKeys& keys, PacketClass packet_class, std::uint64_t slot,
                 const Block& x_l) noexcept {
  const auto class_byte = static_cast<std::uint8_t>(packet_class);
  std::array<std::uint8_t, 32> message;
  store_block(message.data(), layer_context(Direction::backward, class_byte | 0x40, slot));
  store_block(message.data() + 16, x_l);
  return crypto_accel::cbcmac(keys.mac, message);
}

/// The depth-first search of section 8. One object a packet; wiped when it goes.
class StampSearch {
 public:
  StampSearch(PacketClass packet_class, std::uint64_t stamp,
              std::span<const Secret<16>* const> secrets, const std::uint8_t* tag) noexcept
      : packet_class_(packet_class), stamp_(stamp), hop_count_(secrets.size()), tag_(tag) {
    for (std::size_t i = 0; i < hop_count_; ++i) {
      keys_[i].set(secrets[i]->bytes(), Direction::backward, packet_class);
    }
  }

  ~StampSearch() {
    wipe(right_.data(), sizeof(right_));
    wipe(t_.data(), t_.size());
  }

  StampSearch(const StampSearch&) = delete;
  StampSearch& operator=(const StampSearch&) = delete;

  /// True where the zero bits hold under some choice of stamps for hops `index`..n-1.
  bool run(std::size_t index, const Block& x_l, Bytes x_r) noexcept {
    if (index == hop_count_) {
      t_ = x_l;
      constexpr std::array<std::uint8_t, 8> kZero{};
      return equal(x_l.data(), kZero.data(), kZero.size());
    }
    // X_R and W do not depend on the stamp: undone once for all choices.
    const MutableBytes undone = MutableBytes(right_[index]).first(x_r.size());
    std::memcpy(undone.data(), x_r.data(), x_r.size());
    static_cast<void>(internal::undo_right(keys_[index], x_l, undone));
    const std::uint64_t near = index == 0 ? stamp_ : slot_[index - 1];
    // The terminal's layer is under its own stamp, and that is known by the time we are there.
    const std::size_t choice_count = index + 1 == hop_count_ ? 1 : 3;
    const std::array<std::uint64_t, 3> choices = {near, near - 1, near + 1};
    for (std::size_t choice = 0; choice < choice_count; ++choice) {
      if (run_choice(index, choices[choice], x_l, undone)) {
        return true;
      }
    }
    return false;
  }

  [[nodiscard]] bool tag_held() const noexcept { return tag_held_; }

  void release(BackwardPacket& packet) const noexcept {
    packet.seq = load_be(t_.data() + 8, 8);
    packet.hop_count = hop_count_;
    packet.slot = slot_;
    std::memcpy(packet.data.data(), right_[hop_count_ - 1].data(), packet.data_bytes);
  }

 private:
  bool run_choice(std::size_t index, std::uint64_t slot, const Block& x_l, Bytes undone) noexcept {
    slot_[index] = slot;
    const Block ctx =
        layer_context(Direction::backward, static_cast<std::uint8_t>(packet_class_), slot);
    const Block left = internal::undo_left(keys_[index], ctx, x_l, undone);
    if (index == 0) {
      const Block expected = client_tag(keys_[0], packet_class_, stamp_, left);
      if (!equal(expected.data(), tag_, kLastBytes)) {
        return false;
      }
      tag_held_ = true;
    }
    return run(index + 1, left, undone);
  }

  PacketClass packet_class_;
  std::uint64_t stamp_;
  std::size_t hop_count_;
  const std::uint8_t* tag_;
  bool tag_held_ = false;
  Block t_{};
  std::array<std::uint64_t, kHopsMax> slot_{};
  std::array<LayerKeys, kHopsMax> keys_;
  std::array<std::array<std::uint8_t, kDataBytesMax>, kHopsMax> right_;
};

}  // namespace

std::string_view backward_refusal_name(BackwardRefusal refusal) noexcept {
  switch (refusal) {
    case BackwardRefusal::malformed:
      return "malformed";
    case BackwardRefusal::slot:
      return "slot";
    case BackwardRefusal::client_tag:
      return "client_tag";
    case BackwardRefusal::zero:
      return "zero";
  }
  return "unknown";
}

std::optional<BackwardEnvelope> read_backward_envelope(Bytes datagram) noexcept {
  if (datagram.size() < kChallengeBytes || datagram[0] >> 4 != kVersion) {
    return std::nullopt;
  }
  BackwardEnvelope envelope;
  envelope.type = static_cast<PacketType>(datagram[0] & 15);
  switch (envelope.type) {
    case PacketType::db:
    case PacketType::vb:
    case PacketType::r:
      if (datagram.size() != type_info(envelope.type).total_bytes) {
        return std::nullopt;
      }
      envelope.look_up = load_block(datagram.data() + kLinkHeaderBytes);
      return envelope;
    case PacketType::c:
      if (datagram.size() != kChallengeBytes) {
        return std::nullopt;
      }
      std::memcpy(envelope.look_up.data(), datagram.data() + kLastOffset, kLastBytes);
      return envelope;
    case PacketType::df:
    case PacketType::vf:
    case PacketType::s0:
    case PacketType::s1:
      break;
  }
  return std::nullopt;
}

std::array<std::uint8_t, kLastBytes> challenge_cookie(Bytes datagram) noexcept {
  ALLIUM_CHECK(datagram.size() == kChallengeBytes);
  std::array<std::uint8_t, kLastBytes> cookie;
  std::memcpy(cookie.data(), datagram.data() + kLinkHeaderBytes, kLastBytes);
  return cookie;
}

tl::expected<BackwardPacket, BackwardRefusal> open_backward(
    PacketClass packet_class, std::uint64_t now_ms, std::span<const Secret<16>* const> secrets,
    Bytes datagram) noexcept {
  ALLIUM_CHECK(!secrets.empty() && secrets.size() <= kHopsMax);
  ALLIUM_CHECK(packet_class == PacketClass::d || packet_class == PacketClass::v ||
               packet_class == PacketClass::r);
  const PacketType type = backward_type(packet_class);
  const TypeInfo& info = type_info(type);
  if (datagram.size() != info.total_bytes || datagram[0] >> 4 != kVersion ||
      static_cast<PacketType>(datagram[0] & 15) != type) {
    return tl::unexpected(BackwardRefusal::malformed);
  }
  const std::optional<std::uint64_t> stamp = slot_near(slot_of(now_ms), datagram[kSlotOffset]);
  if (!stamp) {
    return tl::unexpected(BackwardRefusal::slot);
  }
  StampSearch search(packet_class, *stamp, secrets, datagram.data() + kLastOffset);
  const Block x_l = load_block(datagram.data() + info.t_offset);
  if (!search.run(0, x_l, datagram.subspan(info.x_r_offset))) {
    return tl::unexpected(search.tag_held() ? BackwardRefusal::zero : BackwardRefusal::client_tag);
  }
  tl::expected<BackwardPacket, BackwardRefusal> packet;
  packet->data_bytes = info.x_r_bytes;
  search.release(*packet);
  return packet;
}

}  // namespace allium::onion
