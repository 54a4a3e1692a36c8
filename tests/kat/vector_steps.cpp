// SPDX-License-Identifier: Apache-2.0
#include "tests/kat/vector_steps.hpp"

#include <algorithm>
#include <array>

#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/backward_open.hpp"
#include "dataplane/onion/internal/client_layer.hpp"
#include "dataplane/onion/internal/segment.hpp"
#include "dataplane/onion/path_builder.hpp"
#include "dataplane/onion/path_record.hpp"

namespace allium::kat {
namespace {

namespace json = boost::json;
using onion::Direction;
using onion::PacketClass;
using onion::PacketType;

constexpr std::size_t kBytesMax = std::size_t{1} << 20;

json::object out(Bytes bytes) {
  return {{"out", to_hex(bytes)}};
}

template <typename T>
T value_of(Result<T> result) {
  if (!result) {
    throw VectorError(result.error().text);
  }
  return std::move(*result);
}

Block block_of(const json::object& step, std::string_view name) {
  return array_of<kBlockBytes>(step, name);
}

std::uint8_t byte_of(const json::object& step, std::string_view name) {
  const std::uint64_t number = number_field(step, name);
  if (number > UINT8_MAX) {
    throw VectorError(std::string(name) + " is out of range");
  }
  return static_cast<std::uint8_t>(number);
}

PacketClass class_of(const json::object& step) {
  const std::uint64_t number = number_field(step, "class");
  if (number != 1 && number != 2 && number != 5) {
    throw VectorError("`class` is not 1, 2 or 5");
  }
  return static_cast<PacketClass>(number);
}

PacketClass data_class_of(const json::object& step) {
  const PacketClass packet_class = class_of(step);
  if (packet_class == PacketClass::r) {
    throw VectorError("`class` is not 1 or 2");
  }
  return packet_class;
}

// ---- relays ----

json::value run_relay(World& world, const json::object& step, Feed& feed) {
  const json::array& source = array_field(step, "src");
  if (source.size() != 2) {
    throw VectorError("`src` is not an address and a port");
  }
  const std::uint64_t index = number_field(step, "relay");
  static_cast<void>(world.relay(index));
  return world.receive(index, time_ms_field(step, "time"),
                       parse_endpoint(as_text(source[0]), as_number(source[1])),
                       bytes_field(step, "in"), feed);
}

onion::ReturnContext return_of(const json::object& fields) {
  onion::ReturnContext context;
  context.previous_type = static_cast<onion::NextType>(byte_of(fields, "prev_type"));
  context.previous = array_of<6>(fields, "prev");
  context.k_ret = block_of(fields, "k_ret");
  context.depth = byte_of(fields, "depth");
  const ByteString live = bytes_field(fields, "live");
  if (live.size() > context.live.size() || live.size() != std::size_t{48} * context.depth) {
    throw VectorError("`live` has not 48 bytes for each of `depth`");
  }
  std::copy(live.begin(), live.end(), context.live.begin());
  return context;
}

json::value run_reply_return(World& world, const json::object& step, Feed& feed) {
  const std::uint64_t index = number_field(step, "relay");
  static_cast<void>(world.relay(index));
  return world.reply_return(index, time_ms_field(step, "time"),
                            return_of(object_field(step, "return")),
                            hex_number(text_field(step, "seq")), bytes_field(step, "data"), feed);
}

json::value run_reply_block(World& world, const json::object& step, Feed& feed) {
  const std::uint64_t index = number_field(step, "relay");
  static_cast<void>(world.relay(index));
  return world.reply_block(index, time_ms_field(step, "time"), data_class_of(step),
                           bytes_field(step, "rb"), hex_number(text_field(step, "seq")),
                           bytes_field(step, "data"), feed);
}

json::value run_link_keys(World& world, const json::object& step, Feed&) {
  const onion::LinkSecrets* link =
      world.link(number_field(step, "from"), number_field(step, "to"), number_field(step, "epoch"));
  if (link == nullptr) {
    throw VectorError("a relay of the link has no onion key of that hour");
  }
  return json::object{{"K_mac", to_hex(link->out_mac.bytes())},
                      {"K_veil", to_hex(link->out_veil.bytes())}};
}

// ---- clients ----

std::vector<onion::SetupHop> setup_hops_of(const json::object& step) {
  const json::array& delays = array_field(step, "delays");
  std::vector<onion::SetupHop> hops;
  for (const json::value& value : array_field(step, "hops")) {
    const json::object& fields = as_object(value);
    onion::SetupHop& hop = hops.emplace_back();
    hop.onion_key = array_of<32>(fields, "pub");
    hop.next.type = static_cast<onion::NextType>(byte_of(fields, "next_type"));
    hop.next.next = array_of<6>(fields, "next");
    const std::size_t index = hops.size() - 1;
    hop.delay_10ms =
        index < delays.size() ? static_cast<std::uint8_t>(as_number(delays[index])) : 0;
  }
  return hops;
}

json::value run_client_setup(World&, const json::object& step, Feed& feed) {
  const std::vector<onion::SetupHop> hops = setup_hops_of(step);
  const ByteString data = bytes_field(step, "data");
  onion::SetupRequest request;
  request.type = static_cast<PacketType>(byte_of(step, "type"));
  request.slot = number_field(step, "slot");
  request.hour = number_field(step, "hour");
  request.hops = hops;
  request.t = block_of(step, "T");
  request.data = data;
  request.cookie = array_of<12>(step, "cookie");
  const onion::SetupPacket packet = value_of(onion::build_setup(request, feed.source()));
  const bool has_record = request.type == PacketType::s1;
  return json::object{{"out", to_hex(packet.datagram.view())},
                      {"rec0", has_record ? to_hex(packet.record) : std::string()}};
}

json::value run_client_open_rec(World&, const json::object& step, Feed&) {
  std::vector<onion::SetupHopKeys> keys;
  for (const json::value& key : array_field(step, "k_rec")) {
    keys.emplace_back().k_rec.bytes() = to_array<16>(from_hex(as_text(key)), "k_rec");
  }
  if (keys.empty() || keys.size() > onion::kHopsMax) {
    throw VectorError("`k_rec` has no hops, or too many");
  }
  const std::optional<onion::PathSession> opened =
      onion::open_record(keys, array_of<onion::kRecordBytes>(step, "rec0"),
                         array_of<onion::kRecordBytes>(step, "rec"));
  json::array hops;
  for (const onion::HopSession& hop :
       opened ? opened->hops() : std::span<const onion::HopSession>()) {
    hops.emplace_back(json::object{{"FS_f", to_hex(hop.segment_forward)},
                                   {"FS_b", to_hex(hop.segment_backward)},
                                   {"s", to_hex(hop.secret.bytes())}});
  }
  return json::object{{"ok", opened.has_value()}, {"hops", std::move(hops)}};
}

std::vector<onion::HopSession> path_of(const json::object& step) {
  std::vector<onion::HopSession> path;
  for (const json::value& value : array_field(step, "path")) {
    const json::object& fields = as_object(value);
    onion::HopSession& hop = path.emplace_back();
    hop.segment_forward = fields.contains("FS_f") ? block_of(fields, "FS_f") : Block{};
    hop.segment_backward = fields.contains("FS_b") ? block_of(fields, "FS_b") : Block{};
    hop.secret.bytes() = block_of(fields, "s");
  }
  return path;
}

json::value run_client_data(World&, const json::object& step, Feed& feed) {
  const std::vector<onion::HopSession> path = path_of(step);
  return out(
      value_of(onion::build_data(data_class_of(step), number_field(step, "slot"), path,
                                 block_of(step, "T"), bytes_field(step, "data"), feed.source()))
          .view());
}

json::value run_client_reply_block(World&, const json::object& step, Feed& feed) {
  const std::vector<onion::HopSession> path = path_of(step);
  const onion::ReplyBlock block =
      value_of(onion::build_reply_block(data_class_of(step), path, feed.source()));
  return json::object{{"rb", to_hex(block.view())}, {"arrives", to_hex(block.arrives_view())}};
}

json::value run_client_open(World&, const json::object& step, Feed&) {
  std::vector<Secret<16>> secrets;
  for (const json::value& secret : array_field(step, "secrets")) {
    secrets.emplace_back().bytes() = to_array<16>(from_hex(as_text(secret)), "secrets");
  }
  if (secrets.empty() || secrets.size() > onion::kHopsMax) {
    throw VectorError("`secrets` has no hops, or too many");
  }
  std::vector<const Secret<16>*> pointers;
  for (const Secret<16>& secret : secrets) {
    pointers.push_back(&secret);
  }
  const auto opened = onion::open_backward(class_of(step), time_ms_field(step, "time"), pointers,
                                           bytes_field(step, "in"));
  if (!opened) {
    return json::object{{"ok", false}, {"reason", backward_refusal_name(opened.error())}};
  }
  std::array<std::uint8_t, 8> seq{};
  store_be(seq.data(), opened->seq, seq.size());
  json::array slots;
  for (std::size_t hop = 0; hop < opened->hop_count; ++hop) {
    slots.emplace_back(opened->slot[hop]);
  }
  return json::object{{"ok", true},
                      {"seq", to_hex(seq)},
                      {"data", to_hex(opened->view())},
                      {"slots", std::move(slots)}};
}

// ---- primitives ----

json::value run_ghash(World&, const json::object& step, Feed&) {
  return out(
      crypto_accel::ghash(block_of(step, "H"), bytes_field(step, "A"), bytes_field(step, "C")));
}

json::value run_gmul(World&, const json::object& step, Feed&) {
  return out(crypto_accel::field_product(block_of(step, "x"), block_of(step, "h")));
}

json::value run_cbcmac(World&, const json::object& step, Feed&) {
  return out(crypto_accel::cbcmac(block_of(step, "key"), bytes_field(step, "msg")));
}

json::value run_cmac(World&, const json::object& step, Feed&) {
  return out(crypto_accel::cmac(block_of(step, "key"), bytes_field(step, "msg")));
}

json::value run_ctr(World&, const json::object& step, Feed&) {
  const std::uint64_t byte_count = number_field(step, "n");
  if (byte_count > kBytesMax) {
    throw VectorError("`n` is out of range");
  }
  ByteString stream(byte_count);
  crypto_accel::ctr_xor(block_of(step, "key"), block_of(step, "iv"), stream);
  return out(stream);
}

json::value run_derive(World&, const json::object& step, Feed&) {
  return out(onion::internal::derive(block_of(step, "key"), byte_of(step, "j"),
                                     static_cast<Direction>(byte_of(step, "dir")),
                                     byte_of(step, "class")));
}

onion::internal::Segment segment_of(const json::object& step) {
  onion::internal::Segment segment;
  segment.exp = static_cast<std::uint16_t>(number_field(step, "exp"));
  segment.salt = array_of<7>(step, "salt");
  return segment;
}

json::value run_fs_seal(World&, const json::object& step, Feed&) {
  onion::RelaySnapshot::Epoch epoch{};
  epoch.segment_raw = block_of(step, "A");
  onion::internal::Segment segment = segment_of(step);
  const std::uint8_t type = byte_of(step, "type");
  segment.next.type = static_cast<onion::NextType>(type & ~onion::kBackwardBit);
  segment.next.bytes = array_of<6>(step, "next");
  const bool is_backward = (type & onion::kBackwardBit) != 0;
  return out(onion::internal::seal_segment(
      epoch, is_backward ? Direction::backward : Direction::forward, segment));
}

json::value run_fs_secret(World&, const json::object& step, Feed&) {
  return out(crypto_accel::aes_encrypt(block_of(step, "B"),
                                       onion::internal::secret_input(onion::internal::plain_segment(
                                           onion::Direction::forward, segment_of(step)))));
}

json::value run_setup_keys(World&, const json::object& step, Feed&) {
  const std::string_view salt = "allium1 setup";
  ByteString info = {'k', 'e', 'y', 's'};
  for (const std::string_view name : {"eph", "pub"}) {
    const ByteString part = bytes_field(step, name);
    info.insert(info.end(), part.begin(), part.end());
  }
  std::array<std::uint8_t, 64> okm{};
  crypto_accel::hkdf_sha256(ByteString(salt.begin(), salt.end()), bytes_field(step, "ss"), info,
                            okm);
  return out(okm);
}

json::value run_x25519(World& world, const json::object& step, Feed&) {
  const crypto_accel::PrivateKey scalar(
      std::span<const std::uint8_t, 32>(array_of<32>(step, "priv")));
  const std::size_t lane_count = world.lane_count();
  const std::vector<crypto_accel::PublicKey> points(lane_count, array_of<32>(step, "u"));
  std::vector<crypto_accel::SharedSecret> shared(lane_count);
  const crypto_accel::LaneMask sound = world.kernels().x25519->run(scalar, points, shared);
  const bool is_sound = (sound >> (lane_count - 1) & 1) != 0;
  return out(is_sound ? Bytes(shared.back()) : Bytes());
}

json::value run_cookie(World&, const json::object& step, Feed&) {
  std::array<std::uint8_t, 32> text{};
  const auto address = array_of<16>(step, "addr");
  std::copy(address.begin(), address.end(), text.begin());
  store_be(text.data() + 16, number_field(step, "port"), 2);
  const Block mac = crypto_accel::cmac(block_of(step, "C"), text);
  return out(Bytes(mac).first(12));
}

struct Layer {
  explicit Layer(const json::object& step)
      : ctx(block_of(step, "ctx")),
        x_l(block_of(step, "xl")),
        x_r(bytes_field(step, "xr")),
        direction(static_cast<Direction>(byte_of(step, "dir"))),
        keys(block_of(step, "s"), direction, static_cast<PacketClass>(ctx[1])) {
    if (x_r.size() % kBlockBytes != 0 || x_r.size() > 1072) {
      throw VectorError("`xr` is not whole blocks, or too long");
    }
  }

  [[nodiscard]] json::object result(const Block& v, const Block& w) const {
    return {{"xl", to_hex(x_l)}, {"xr", to_hex(x_r)}, {"V", to_hex(v)}, {"W", to_hex(w)}};
  }

  Block ctx;
  Block x_l;
  ByteString x_r;
  Direction direction;
  onion::internal::LayerKeys keys;
};

// By the kernel, in every lane; the last one is compared.
json::value run_uiv_enc(World& world, const json::object& step, Feed&) {
  Layer layer(step);
  const Block v = layer.x_l ^ crypto_accel::ghash(layer.keys.hash, layer.ctx, layer.x_r);
  const std::size_t lane_count = world.lane_count();
  const crypto_accel::LaneMask lanes = crypto_accel::first_lanes(lane_count);
  const crypto_accel::LayerShape shape{static_cast<std::uint8_t>(layer.direction), layer.ctx[1], 0,
                                       static_cast<std::uint16_t>(layer.x_r.size())};
  std::vector<ByteString> rights(lane_count, layer.x_r);
  onion::Lanes<Block> secret{};
  onion::Lanes<Block> ctx{};
  onion::Lanes<Block> x_l_out{};
  onion::Lanes<Block> w{};
  onion::Lanes<const std::uint8_t*> left{};
  onion::Lanes<const std::uint8_t*> read{};
  onion::Lanes<std::uint8_t*> write{};
  for (std::size_t lane = 0; lane < lane_count; ++lane) {
    secret[lane] = block_of(step, "s");
    ctx[lane] = layer.ctx;
    left[lane] = layer.x_l.data();
    read[lane] = rights[lane].data();
    write[lane] = rights[lane].data();
  }
  crypto_accel::OnionBatch batch(*world.kernels().onion);
  batch.derive(shape, lanes, secret);
  batch.layer_left(shape, lanes, ctx, left, read, x_l_out);
  batch.layer_right(shape, lanes, x_l_out, write, w);
  layer.x_l = x_l_out[lane_count - 1];
  layer.x_r = rights.back();
  return layer.result(v, w[lane_count - 1]);
}

json::value run_uiv_dec(World&, const json::object& step, Feed&) {
  Layer layer(step);
  const Block x_l_out = layer.x_l;
  const Block w = onion::internal::undo_right(layer.keys, x_l_out, layer.x_r);
  layer.x_l = onion::internal::undo_left(layer.keys, layer.ctx, x_l_out, layer.x_r);
  const Block v = layer.x_l ^ crypto_accel::ghash(layer.keys.hash, layer.ctx, layer.x_r);
  return layer.result(v, w);
}

struct Operation {
  std::string_view name;
  json::value (*run)(World&, const json::object&, Feed&);
};

constexpr std::array<Operation, 22> kOperations = {{
    {"relay", run_relay},
    {"terminal_reply_return", run_reply_return},
    {"terminal_reply_block", run_reply_block},
    {"client_setup", run_client_setup},
    {"client_open_rec", run_client_open_rec},
    {"client_data", run_client_data},
    {"client_reply_block", run_client_reply_block},
    {"client_open", run_client_open},
    {"link_keys", run_link_keys},
    {"ghash", run_ghash},
    {"gmul", run_gmul},
    {"cbcmac", run_cbcmac},
    {"cmac", run_cmac},
    {"ctr", run_ctr},
    {"derive", run_derive},
    {"fs_seal", run_fs_seal},
    {"fs_secret", run_fs_secret},
    {"setup_keys", run_setup_keys},
    {"x25519", run_x25519},
    {"cookie", run_cookie},
    {"uiv_enc", run_uiv_enc},
    {"uiv_dec", run_uiv_dec},
}};

}  // namespace

json::value run_step(World& world, const json::object& step, Feed& feed) {
  const std::string name = text_field(step, "op");
  const auto* found = std::find_if(kOperations.begin(), kOperations.end(),
                                   [&](const Operation& op) { return op.name == name; });
  if (found == kOperations.end()) {
    throw VectorError("there is no operation \"" + name + "\"");
  }
  return found->run(world, step, feed);
}

}  // namespace allium::kat
