// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/path_builder.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/internal/client_layer.hpp"

namespace allium::onion {
namespace {

using internal::LayerKeys;

constexpr std::size_t kHeaderBytesMax = kHeaderBlockBytes * kBlocksD;
constexpr std::size_t kSetupShiftBytes = kSetupStreamBytes - 16;  ///< of the stream, over SHDR

void start_link_header(Datagram& datagram, PacketType type, std::uint64_t slot) noexcept {
  datagram.byte_count = type_info(type).total_bytes;
  datagram.bytes[0] = static_cast<std::uint8_t>(kVersion << 4 | static_cast<unsigned>(type));
  datagram.bytes[kSlotOffset] = static_cast<std::uint8_t>(slot);
}

/// Copies T and the zero-padded data into place.
void put_payload(Datagram& datagram, const TypeInfo& info, const Block& t, Bytes data) noexcept {
  store_block(datagram.bytes.data() + info.t_offset, t);
  std::uint8_t* const x_r = datagram.bytes.data() + info.x_r_offset;
  std::copy(data.begin(), data.end(), x_r);
  std::fill(x_r + data.size(), x_r + info.x_r_bytes, std::uint8_t{0});
}

/// Undoes one forward layer in place. Returns W; X_L' is left in `x_l_out`.
Block undo_in_place(const LayerKeys& keys, const Block& ctx, Datagram& datagram,
                    const TypeInfo& info, Block& x_l_out) noexcept {
  std::uint8_t* const t = datagram.bytes.data() + info.t_offset;
  const MutableBytes x_r = MutableBytes(datagram.bytes).subspan(info.x_r_offset, info.x_r_bytes);
  x_l_out = load_block(t);
  const Block w = internal::undo_right(keys, x_l_out, x_r);
  store_block(t, internal::undo_left(keys, ctx, x_l_out, x_r));
  return w;
}

// --- AHDR -----------------------------------------------------------------------------------------

/// One relay of a header that is being built, in order of travel.
struct HeaderHop {
  Block segment{};
  LayerKeys keys;
  Block x_l_out{};  ///< X_L' forward, zero backward: the last block of γ
  std::array<std::uint8_t, kHeaderBytesMax> mask{};  ///< Z

  HeaderHop() = default;
  HeaderHop(const HeaderHop&) = delete;
  HeaderHop& operator=(const HeaderHop&) = delete;
  HeaderHop(HeaderHop&&) = delete;
  HeaderHop& operator=(HeaderHop&&) = delete;

  ~HeaderHop() { wipe(mask.data(), mask.size()); }
};

using Header = std::array<std::uint8_t, kHeaderBytesMax>;

struct HeaderShape {
  PacketClass packet_class;
  std::size_t block_count;  ///< r
  Block mac_ctx;            ///< the first block of γ

  [[nodiscard]] std::size_t bytes() const noexcept { return kHeaderBlockBytes * block_count; }

  [[nodiscard]] std::size_t beta_bytes() const noexcept { return bytes() - kHeaderBlockBytes; }
};

/// φ over the first `link_count` hops, at `target`, 32 bytes a hop: φ_i = (φ_{i-1} ‖ 0^32) ⊕ the last
/// 32i bytes of Z_i.
void make_filler(std::span<const HeaderHop> hops, std::size_t link_count, const HeaderShape& shape,
                 std::uint8_t* target) noexcept {
  std::fill_n(target, kHeaderBlockBytes * link_count, std::uint8_t{0});
  for (std::size_t i = 1; i <= link_count; ++i) {
    const std::size_t filler_bytes = kHeaderBlockBytes * i;
    xor_into(target, hops[i - 1].mask.data() + shape.bytes() - filler_bytes, filler_bytes);
  }
}

/// AHDR of a hop whose β lies behind its first 32 bytes already.
void seal_header(const HeaderHop& hop, const HeaderShape& shape, Header& header) noexcept {
  std::array<std::uint8_t, 48 + kHeaderBytesMax> message;
  std::uint8_t* const beta = header.data() + kHeaderBlockBytes;
  store_block(message.data(), shape.mac_ctx);
  store_block(message.data() + 16, hop.segment);
  std::memcpy(message.data() + 32, beta, shape.beta_bytes());
  store_block(message.data() + 32 + shape.beta_bytes(), hop.x_l_out);
  store_block(header.data(), hop.segment);
  store_block(header.data() + kSegmentBytes,
              crypto_accel::cbcmac(hop.keys.mac, Bytes(message).first(48 + shape.beta_bytes())));
}

/// Makes the header that the hop before `hop` must find: β = first 32(r-1) bytes of AHDR ⊕ Z.
void step_back(const HeaderHop& hop, const HeaderShape& shape, Header& header) noexcept {
  xor_into(header.data(), hop.mask.data(), shape.bytes());
  std::memmove(header.data() + kHeaderBlockBytes, header.data(), shape.beta_bytes());
}

Result<void> check_data_request(PacketClass packet_class, std::size_t hop_count,
                                std::size_t data_bytes, std::size_t data_bytes_max) {
  ALLIUM_CHECK(packet_class == PacketClass::d || packet_class == PacketClass::v);
  if (hop_count < 1 || hop_count > header_blocks(packet_class)) {
    return fail(Errc::out_of_range, "a path of " + std::to_string(hop_count) +
                                        " hops does not fit its class: use 1 to " +
                                        std::to_string(header_blocks(packet_class)));
  }
  if (data_bytes > data_bytes_max) {
    return fail(Errc::out_of_range, std::to_string(data_bytes) +
                                        " bytes do not fit the packet: at most " +
                                        std::to_string(data_bytes_max));
  }
  return {};
}

// --- SHDR -----------------------------------------------------------------------------------------

/// One hop of a setup packet that is being built.
struct SetupLayer {
  std::array<std::uint8_t, kEphBytes> eph{};
  std::array<std::uint8_t, kSetupStreamBytes> stream{};
  LayerKeys keys;
  Block x_l_out{};

  SetupLayer() = default;
  SetupLayer(const SetupLayer&) = delete;
  SetupLayer& operator=(const SetupLayer&) = delete;
  SetupLayer(SetupLayer&&) = delete;
  SetupLayer& operator=(SetupLayer&&) = delete;

  ~SetupLayer() { wipe(stream.data(), stream.size()); }
};

/// A fresh eph, the Diffie-Hellman with the hop's onion key, and the keys from it (section 5).
bool agree(const SetupHop& hop, const SetupRequest& request, const Random& random,
           SetupLayer& layer, SetupHopKeys& kept) noexcept {
  crypto_accel::PrivateKey private_key;
  random(private_key.bytes());
  layer.eph = crypto_accel::x25519_public(private_key);
  layer.eph[31] = static_cast<std::uint8_t>((layer.eph[31] & 0x7F) | (request.hour & 1) << 7);

  Secret<32> shared;
  if (!crypto_accel::x25519(private_key, hop.onion_key, shared.bytes())) {
    return false;
  }
  static constexpr char kSalt[] = "allium1 setup";
  std::array<std::uint8_t, 4 + kEphBytes + 32> info = {'k', 'e', 'y', 's'};
  std::memcpy(info.data() + 4, layer.eph.data(), kEphBytes);
  std::memcpy(info.data() + 4 + kEphBytes, hop.onion_key.data(), hop.onion_key.size());
  std::array<std::uint8_t, sizeof(kSalt) - 1> salt;
  std::memcpy(salt.data(), kSalt, salt.size());
  Secret<64> okm;
  crypto_accel::hkdf_sha256(salt, shared.bytes(), info, okm.bytes());

  Block secret = load_block(okm.data());
  layer.keys.set(secret, Direction::forward, type_info(request.type).packet_class);
  wipe(secret.data(), secret.size());
  Block header_key = load_block(okm.data() + 16);
  crypto_accel::ctr_xor(header_key, Block{}, layer.stream);
  wipe(header_key.data(), header_key.size());
  kept.k_ret.bytes() = load_block(okm.data() + 32);
  kept.k_rec.bytes() = load_block(okm.data() + 48);
  return true;
}

/// eph ‖ γ ‖ rt_enc in front of the `rest` that lies behind them already.
void seal_setup_header(const SetupHop& hop, const SetupLayer& layer, std::size_t depth,
                       const Block& ctx, std::uint8_t* header) noexcept {
  Block rt{};
  rt[0] = static_cast<std::uint8_t>(hop.next.type);
  std::memcpy(rt.data() + 1, hop.next.next.data(), hop.next.next.size());
  rt[7] = static_cast<std::uint8_t>(depth);
  rt[8] = hop.delay_10ms;
  xor_into(rt.data(), layer.stream.data(), rt.size());

  std::array<std::uint8_t, 16 + kEphBytes + 16 + kSetupRestBytes + 16> message;
  std::uint8_t* at = message.data();
  store_block(at, ctx);
  std::memcpy(at += 16, layer.eph.data(), kEphBytes);
  store_block(at += kEphBytes, rt);
  std::memcpy(at += 16, header + kSetupBlockBytes, kSetupRestBytes);
  store_block(at + kSetupRestBytes, layer.x_l_out);
  std::memcpy(header, layer.eph.data(), kEphBytes);
  store_block(header + kEphBytes, crypto_accel::cbcmac(layer.keys.mac, message));
  store_block(header + kEphBytes + 16, rt);
}

using SetupLayers = std::array<SetupLayer, kHopsMax>;

void build_setup_header(const SetupRequest& request, const SetupLayers& layers, const Block& ctx,
                        std::uint8_t* header) noexcept {
  const std::size_t hop_count = request.hops.size();
  // The last hop's rest is spare ‖ φ; the spare has been drawn into place.
  std::uint8_t* const filler =
      header + kSetupBlockBytes + kSetupBlockBytes * (kHopsMax - hop_count);
  std::fill_n(filler, kSetupBlockBytes * (hop_count - 1), std::uint8_t{0});
  for (std::size_t i = 1; i < hop_count; ++i) {
    const std::size_t filler_bytes = kSetupBlockBytes * i;
    xor_into(filler, layers[i - 1].stream.data() + kSetupStreamBytes - filler_bytes, filler_bytes);
  }
  for (std::size_t i = hop_count; i-- > 0;) {
    seal_setup_header(request.hops[i], layers[i], i, ctx, header);
    if (i > 0) {
      xor_into(header, layers[i - 1].stream.data() + 16, kSetupShiftBytes);
      std::memmove(header + kSetupBlockBytes, header, kSetupRestBytes);
    }
  }
}

Result<void> check_setup_request(const SetupRequest& request) {
  if (request.type != PacketType::s0 && request.type != PacketType::s1) {
    return fail(Errc::out_of_range, "a setup packet is of type S0 or S1");
  }
  if (request.hops.empty() || request.hops.size() > kHopsMax) {
    return fail(Errc::out_of_range, "a path has 1 to " + std::to_string(kHopsMax) + " hops, not " +
                                        std::to_string(request.hops.size()));
  }
  if (request.data.size() > type_info(request.type).x_r_bytes) {
    return fail(Errc::out_of_range,
                std::to_string(request.data.size()) + " bytes do not fit a setup packet");
  }
  return {};
}

}  // namespace

NextHop NextHop::to_relay(std::uint32_t relay_id) noexcept {
  NextHop hop;
  hop.type = NextType::relay;
  store_be(hop.next.data(), relay_id, 4);
  return hop;
}

NextHop NextHop::to_service(Service service) noexcept {
  NextHop hop;
  hop.type = NextType::service;
  store_be(hop.next.data(), static_cast<std::uint16_t>(service), 2);
  return hop;
}

Cookie SetupPacket::challenge_mark() const noexcept {
  Cookie mark;
  std::memcpy(mark.data(), datagram.bytes.data() + kLinkHeaderBytes + kEphBytes, mark.size());
  return mark;
}

Result<SetupPacket> build_setup(const SetupRequest& request, const Random& random) {
  if (Result<void> checked = check_setup_request(request); !checked) {
    return tl::unexpected(checked.error());
  }
  const std::size_t hop_count = request.hops.size();
  const TypeInfo& info = type_info(request.type);
  Result<SetupPacket> packet;
  packet->hop_count = hop_count;
  SetupLayers layers;
  for (std::size_t i = 0; i < hop_count; ++i) {
    if (!agree(request.hops[i], request, random, layers[i], packet->hop[i])) {
      return fail(Errc::malformed,
                  "hop " + std::to_string(i + 1) +
                      " publishes an onion key of low order: leave that relay out");
    }
  }
  Datagram& datagram = packet->datagram;
  start_link_header(datagram, request.type, request.slot);
  put_cookie(MutableBytes(datagram.bytes), request.cookie);

  std::uint8_t* const header = datagram.bytes.data() + kLinkHeaderBytes;
  const MutableBytes stack =
      MutableBytes(datagram.bytes).subspan(kLinkHeaderBytes + kSetupHeaderBytes, kReturnStackBytes);
  random(MutableBytes(header + kSetupBlockBytes, kSetupBlockBytes * (kHopsMax - hop_count)));
  random(stack);
  if (request.type == PacketType::s1) {
    random(packet->record);
    std::copy(packet->record.begin(), packet->record.end(), stack.end());
  }
  put_payload(datagram, info, request.t, request.data);
  const Block ctx =
      layer_context(Direction::forward, static_cast<std::uint8_t>(info.packet_class), request.slot);
  for (std::size_t i = hop_count; i-- > 0;) {
    static_cast<void>(undo_in_place(layers[i].keys, ctx, datagram, info, layers[i].x_l_out));
  }
  build_setup_header(request, layers, ctx, header);
  packet->stack_tag = internal::derive(packet->hop[0].k_ret.bytes(), 7, Direction::backward, 0);
  return packet;
}

void put_cookie(MutableBytes datagram, const Cookie& cookie) noexcept {
  ALLIUM_CHECK(datagram.size() == kLargeBytes);
  std::copy(cookie.begin(), cookie.end(), datagram.data() + kLastOffset);
}

Block flow_and_seq(std::uint64_t flow, std::uint64_t seq) noexcept {
  Block t;
  store_be(t.data(), flow, 8);
  store_be(t.data() + 8, seq, 8);
  return t;
}

Result<Datagram> build_data(PacketClass packet_class, std::uint64_t slot,
                            std::span<const HopSession> path, const Block& t, Bytes data,
                            const Random& random) {
  const PacketType type = data_type(packet_class, Direction::forward);
  const TypeInfo& info = type_info(type);
  if (Result<void> checked =
          check_data_request(packet_class, path.size(), data.size(), info.x_r_bytes);
      !checked) {
    return tl::unexpected(checked.error());
  }
  const std::size_t hop_count = path.size();
  const Block ctx =
      layer_context(Direction::forward, static_cast<std::uint8_t>(packet_class), slot);
  const HeaderShape shape{packet_class, header_blocks(packet_class), ctx};
  Result<Datagram> datagram;
  start_link_header(*datagram, type, slot);
  put_payload(*datagram, info, t, data);

  std::array<HeaderHop, kHopsMax> hops;
  for (std::size_t i = hop_count; i-- > 0;) {
    HeaderHop& hop = hops[i];
    hop.segment = path[i].segment_forward;
    hop.keys.set(path[i].secret.bytes(), Direction::forward, packet_class);
    const Block w = undo_in_place(hop.keys, ctx, *datagram, info, hop.x_l_out);
    internal::forward_mask(hop.keys, w, MutableBytes(hop.mask).first(shape.bytes()));
  }

  Header header;
  const std::size_t spare_bytes = kHeaderBlockBytes * (shape.block_count - hop_count);
  random(MutableBytes(header).subspan(kHeaderBlockBytes, spare_bytes));
  make_filler(hops, hop_count - 1, shape, header.data() + kHeaderBlockBytes + spare_bytes);
  for (std::size_t i = hop_count; i-- > 0;) {
    seal_header(hops[i], shape, header);
    if (i > 0) {
      step_back(hops[i - 1], shape, header);
    }
  }
  std::memcpy(datagram->bytes.data() + kLinkHeaderBytes, header.data(), shape.bytes());
  return datagram;
}

Result<ReplyBlock> build_reply_block(PacketClass packet_class, std::span<const HopSession> path,
                                     const Random& random) {
  if (Result<void> checked = check_data_request(packet_class, path.size(), 0, 0); !checked) {
    return tl::unexpected(checked.error());
  }
  const auto class_byte = static_cast<std::uint8_t>(packet_class);
  const HeaderShape shape{packet_class, header_blocks(packet_class),
                          layer_context(Direction::backward, class_byte, 0)};
  const std::size_t relay_count = path.size() - 1;
  std::array<HeaderHop, kHopsMax> relays;  // in order of travel: hops n-1 .. 1
  for (std::size_t i = 0; i < relay_count; ++i) {
    const HopSession& source = path[relay_count - 1 - i];
    relays[i].segment = source.segment_backward;
    relays[i].keys.set(source.secret.bytes(), Direction::backward, packet_class);
    internal::backward_mask(relays[i].keys, packet_class,
                            MutableBytes(relays[i].mask).first(shape.bytes()));
  }

  Result<ReplyBlock> block;
  block->byte_count = reply_block_bytes(packet_class);
  block->arrives_bytes = shape.bytes();
  Header header;
  const std::size_t spare_bytes = kHeaderBlockBytes * (shape.block_count - path.size());
  random(MutableBytes(header).first(kHeaderBlockBytes));
  random(MutableBytes(header).subspan(kHeaderBlockBytes, spare_bytes));
  make_filler(relays, relay_count, shape, header.data() + kHeaderBlockBytes + spare_bytes);
  // The client is the last party: its tail has no MAC, and nothing is left to be shifted in behind it.
  block->arrives = header;
  block->session_tag = load_block(header.data());
  for (std::size_t i = relay_count; i-- > 0;) {
    step_back(relays[i], shape, header);
    seal_header(relays[i], shape, header);
  }

  const HopSession& terminal = path.back();
  const LayerKeys keys(terminal.secret.bytes(), Direction::backward, packet_class);
  std::array<std::uint8_t, 32 + kHeaderBytesMax> message;
  store_block(message.data(), layer_context(Direction::backward, class_byte | 0x80, 0));
  store_block(message.data() + 16, terminal.segment_backward);
  std::memcpy(message.data() + 32, header.data(), shape.bytes());
  store_block(block->bytes.data(), terminal.segment_backward);
  store_block(block->bytes.data() + 16,
              crypto_accel::cbcmac(keys.mac, Bytes(message).first(32 + shape.bytes())));
  std::memcpy(block->bytes.data() + 32, header.data(), shape.bytes());
  return block;
}

}  // namespace allium::onion
