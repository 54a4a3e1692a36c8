// SPDX-License-Identifier: Apache-2.0
#include "dataplane/control_port/messages.hpp"

#include <cstring>
#include <string_view>
#include <utility>

#include "crypto_accel/base/check.hpp"

namespace allium::control_port {
namespace {

// The first byte of a message is the place of its struct in `Message`, from 1 (FORMAT.md).
constexpr std::size_t kTextBytesMax = 256;
constexpr std::size_t kContextBytesMax = 256;
constexpr std::size_t kSequencesMax = onion::kEpochsMax;

class Writer {
 public:
  explicit Writer(std::size_t tag_index) { integer(tag_index + 1, 1); }

  ~Writer() { wipe(bytes_.data(), bytes_.size()); }

  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void integer(std::uint64_t value, std::size_t byte_count) {
    std::array<std::uint8_t, 8> buffer{};
    store_be(buffer.data(), value, byte_count);
    raw({buffer.data(), byte_count});
  }

  // Keys pass through here: the old storage is wiped when it grows.
  void raw(Bytes source) {
    if (bytes_.size() + source.size() > bytes_.capacity()) {
      std::vector<std::uint8_t> larger;
      larger.reserve(2 * (bytes_.size() + source.size()) + 256);
      larger.assign(bytes_.begin(), bytes_.end());
      wipe(bytes_.data(), bytes_.size());
      bytes_.swap(larger);
    }
    bytes_.insert(bytes_.end(), source.begin(), source.end());
  }

  template <std::size_t N>
  void secret(const Secret<N>& source) {
    raw(Bytes(source.bytes()));
  }

  void counted(Bytes source, std::size_t byte_count_max) {
    ALLIUM_CHECK(source.size() <= byte_count_max);
    integer(source.size(), 2);
    raw(source);
  }

  // Texts are for people: a long one is cut, not refused.
  void text(std::string_view source) {
    source = source.substr(0, kTextBytesMax);
    std::array<std::uint8_t, kTextBytesMax> buffer{};
    std::memcpy(buffer.data(), source.data(), source.size());
    counted({buffer.data(), source.size()}, kTextBytesMax);
  }

  void count(std::size_t value, std::size_t value_max) {
    ALLIUM_CHECK(value <= value_max);
    integer(value, 2);
  }

  void endpoint(const onion::Endpoint& endpoint) {
    raw(Bytes(endpoint.address));
    integer(endpoint.port, 2);
  }

  [[nodiscard]] std::vector<std::uint8_t> finish() {
    ALLIUM_CHECK(bytes_.size() <= kMessageBytesMax);
    return std::exchange(bytes_, {});
  }

 private:
  std::vector<std::uint8_t> bytes_;
};

// A cursor that remembers whether anything was missing. After a failure every read gives zero.
class Reader {
 public:
  explicit Reader(Bytes bytes) : rest_(bytes) {}

  [[nodiscard]] std::uint64_t integer(std::size_t byte_count) {
    const Bytes field = take(byte_count);
    return field.empty() ? 0 : load_be(field.data(), byte_count);
  }

  template <typename T>
  void number(T& target, std::size_t byte_count = sizeof(T)) {
    target = static_cast<T>(integer(byte_count));
  }

  void boolean(bool& target) {
    const std::uint64_t value = integer(1);
    good_ = good_ && value <= 1;
    target = value == 1;
  }

  template <std::size_t N>
  void array(std::array<std::uint8_t, N>& target) {
    const Bytes field = take(N);
    if (!field.empty()) {
      std::memcpy(target.data(), field.data(), N);
    }
  }

  template <std::size_t N>
  void secret(Secret<N>& target) {
    array(target.bytes());
  }

  void counted(std::vector<std::uint8_t>& target, std::size_t byte_count_max) {
    const Bytes field = take(count(byte_count_max));
    target.assign(field.begin(), field.end());
  }

  void text(std::string& target) {
    const Bytes field = take(count(kTextBytesMax));
    target.clear();
    for (const std::uint8_t byte : field) {
      target.push_back(static_cast<char>(byte));
    }
  }

  [[nodiscard]] std::size_t count(std::size_t value_max) {
    const std::uint64_t value = integer(2);
    if (value > value_max) {
      good_ = false;
      return 0;
    }
    return value;
  }

  void endpoint(onion::Endpoint& target) {
    array(target.address);
    number(target.port);
  }

  void require(bool condition) { good_ = good_ && condition; }

  [[nodiscard]] bool good() const { return good_; }

  [[nodiscard]] bool finished() const { return good_ && rest_.empty(); }

 private:
  Bytes take(std::size_t byte_count) {
    if (!good_ || byte_count > rest_.size()) {
      good_ = false;
      return {};
    }
    const Bytes field = rest_.first(byte_count);
    rest_ = rest_.subspan(byte_count);
    return field;
  }

  Bytes rest_;
  bool good_ = true;
};

// One write and one read function a message, side by side so that they can be compared.

void write(Writer& out, const Hello& m) {
  out.integer(m.version, 2);
}

void read(Reader& in, Hello& m) {
  in.number(m.version);
}

void write(Writer& out, const Welcome& m) {
  out.integer(m.version, 2);
  out.integer(m.pid, 4);
  out.integer(m.worker_count, 2);
  out.text(m.device);
  out.text(m.kernels);
}

void read(Reader& in, Welcome& m) {
  in.number(m.version);
  in.number(m.pid);
  in.number(m.worker_count);
  in.text(m.device);
  in.text(m.kernels);
}

void write(Writer& out, const Configure& m) {
  out.integer(m.replay_lines, 8);
  out.integer(m.handles_max, 4);
  out.integer(m.handles_per_host, 4);
  out.integer(m.handles_per_site, 4);
  out.integer(m.slot_floor_if_new, 8);
  out.integer(m.first_handle_if_new, 8);
}

void read(Reader& in, Configure& m) {
  in.number(m.replay_lines);
  in.number(m.handles_max);
  in.number(m.handles_per_host);
  in.number(m.handles_per_site);
  in.number(m.slot_floor_if_new);
  in.number(m.first_handle_if_new);
}

void write(Writer& out, const onion::SetupLimits& m) {
  out.integer(m.per_prefix_per_s, 4);
  out.integer(m.per_prefix_burst, 4);
  out.integer(m.per_link_per_s, 4);
  out.integer(m.per_link_burst, 4);
}

void read(Reader& in, onion::SetupLimits& m) {
  in.number(m.per_prefix_per_s);
  in.number(m.per_prefix_burst);
  in.number(m.per_link_per_s);
  in.number(m.per_link_burst);
}

void write(Writer& out, const onion::EpochSecrets& m) {
  out.integer(m.epoch, 8);
  out.secret(m.segment);
  out.secret(m.secret);
  out.secret(m.return_block);
  out.secret(m.replay);
  out.secret(m.cookie);
}

void read(Reader& in, onion::EpochSecrets& m) {
  in.number(m.epoch);
  in.secret(m.segment);
  in.secret(m.secret);
  in.secret(m.return_block);
  in.secret(m.replay);
  in.secret(m.cookie);
}

void write(Writer& out, const onion::HourKey& m) {
  out.integer(m.hour, 8);
  out.secret(m.private_key);
  out.raw(Bytes(m.public_key));
}

void read(Reader& in, onion::HourKey& m) {
  in.number(m.hour);
  in.secret(m.private_key);
  in.array(m.public_key);
}

void write(Writer& out, const SequenceRange& m) {
  out.integer(m.epoch, 8);
  out.integer(m.first, 8);
  out.integer(m.end, 8);
}

void read(Reader& in, SequenceRange& m) {
  in.number(m.epoch);
  in.number(m.first);
  in.number(m.end);
  in.require(m.first <= m.end && m.end <= onion::kSeqMax + 1);
}

void write(Writer& out, const onion::LinkSecrets& m) {
  out.integer(m.epoch, 8);
  out.secret(m.in_mac);
  out.secret(m.in_veil);
  out.secret(m.out_mac);
  out.secret(m.out_veil);
}

void read(Reader& in, onion::LinkSecrets& m) {
  in.number(m.epoch);
  in.secret(m.in_mac);
  in.secret(m.in_veil);
  in.secret(m.out_mac);
  in.secret(m.out_veil);
}

template <typename T>
void write_list(Writer& out, const std::vector<T>& list, std::size_t count_max) {
  out.count(list.size(), count_max);
  for (const T& item : list) {
    write(out, item);
  }
}

template <typename T>
void read_list(Reader& in, std::vector<T>& list, std::size_t count_max) {
  const std::size_t item_count = in.count(count_max);
  list.clear();
  list.reserve(item_count);
  for (std::size_t i = 0; i < item_count && in.good(); ++i) {
    read(in, list.emplace_back());
  }
}

void write(Writer& out, const onion::PeerConfig& m) {
  out.integer(m.id, 4);
  out.endpoint(m.endpoint);
  write_list(out, m.links, onion::kEpochsMax);
}

void read(Reader& in, onion::PeerConfig& m) {
  in.number(m.id);
  in.endpoint(m.endpoint);
  read_list(in, m.links, onion::kEpochsMax);
}

void write(Writer& out, const SnapshotBegin& m) {
  out.integer(m.serial, 8);
  out.integer(m.own_id, 4);
  out.endpoint(m.own_endpoint);
  out.integer(m.cookie_required ? 1 : 0, 1);
  write(out, m.setup_limits);
  out.integer(m.salt_alloc_first, 2);
  write_list(out, m.sequences, kSequencesMax);
  write_list(out, m.epochs, onion::kEpochsMax);
  write_list(out, m.hours, onion::kHoursMax);
  out.integer(m.peer_count, 4);
}

void read(Reader& in, SnapshotBegin& m) {
  in.number(m.serial);
  in.number(m.own_id);
  in.endpoint(m.own_endpoint);
  in.boolean(m.cookie_required);
  read(in, m.setup_limits);
  in.number(m.salt_alloc_first);
  in.require(m.salt_alloc_first < 4096);
  read_list(in, m.sequences, kSequencesMax);
  read_list(in, m.epochs, onion::kEpochsMax);
  read_list(in, m.hours, onion::kHoursMax);
  in.number(m.peer_count);
  in.require(m.peer_count <= onion::kPeersMax);
}

void write(Writer& out, const SnapshotPeers& m) {
  out.integer(m.serial, 8);
  write_list(out, m.peers, kPeersPerChunkMax);
}

void read(Reader& in, SnapshotPeers& m) {
  in.number(m.serial);
  read_list(in, m.peers, kPeersPerChunkMax);
}

void write(Writer& out, const SnapshotCommit& m) {
  out.integer(m.serial, 8);
}

void read(Reader& in, SnapshotCommit& m) {
  in.number(m.serial);
}

void write(Writer& out, const Accepted& m) {
  out.integer(m.serial, 8);
  out.integer(m.accepts_from_ms, 8);
}

void read(Reader& in, Accepted& m) {
  in.number(m.serial);
  in.number(m.accepts_from_ms);
}

void write(Writer& out, const Refused& m) {
  out.integer(m.serial, 8);
  out.text(m.reason);
}

void read(Reader& in, Refused& m) {
  in.number(m.serial);
  in.text(m.reason);
}

void write(Writer&, const CountersRequest&) {}

void read(Reader&, CountersRequest&) {}

template <typename Visitor, typename Value>
void visit_counters(Value& m, Visitor visit) {
  visit(m.at_ms);
  visit(m.uptime_ms);
  visit(m.received);
  visit(m.sent);
  visit(m.forwarded);
  visit(m.delivered);
  visit(m.answers);
  visit(m.challenges);
  visit(m.parked);
  visit(m.not_onion);
  for (auto& value : m.verdicts) {
    visit(value);
  }
  for (auto& row : m.by_type) {
    for (auto& value : row) {
      visit(value);
    }
  }
}

void write(Writer& out, const Counters& m) {
  out.integer(onion::kVerdictCount, 1);
  visit_counters(m, [&](const std::uint64_t& value) { out.integer(value, 8); });
}

void read(Reader& in, Counters& m) {
  in.require(in.integer(1) == onion::kVerdictCount);
  visit_counters(m, [&](std::uint64_t& value) { in.number(value); });
}

void write(Writer& out, const DeliveryRecord& m) {
  out.integer(static_cast<std::uint8_t>(m.type), 1);
  out.raw(Bytes(m.t));
  out.counted(m.data, onion::kDatagramBytesMax);
  out.counted(m.sealed_context, kContextBytesMax);
}

void read(Reader& in, DeliveryRecord& m) {
  const auto type = static_cast<unsigned>(in.integer(1));
  in.require(onion::is_packet_type(type));
  m.type = static_cast<onion::PacketType>(type);
  in.array(m.t);
  in.counted(m.data, onion::kDatagramBytesMax);
  in.counted(m.sealed_context, kContextBytesMax);
}

void write(Writer& out, const Deliveries& m) {
  out.integer(m.lost, 8);
  write_list(out, m.records, kDeliveriesPerMessageMax);
}

void read(Reader& in, Deliveries& m) {
  in.number(m.lost);
  read_list(in, m.records, kDeliveriesPerMessageMax);
}

void write(Writer& out, const ReturnReply& m) {
  out.counted(m.sealed_context, kContextBytesMax);
  out.integer(m.seq, 8);
  out.counted(m.data, onion::kDatagramBytesMax);
}

void read(Reader& in, ReturnReply& m) {
  in.counted(m.sealed_context, kContextBytesMax);
  in.number(m.seq);
  in.counted(m.data, onion::kDatagramBytesMax);
}

void write(Writer& out, const BlockReply& m) {
  out.integer(static_cast<std::uint8_t>(m.packet_class), 1);
  out.counted(m.reply_block, onion::kReplyBlockBytesD);
  out.integer(m.seq, 8);
  out.counted(m.data, onion::kDatagramBytesMax);
}

void read(Reader& in, BlockReply& m) {
  const auto packet_class = static_cast<unsigned>(in.integer(1));
  in.require(packet_class == 1 || packet_class == 2);
  m.packet_class = static_cast<onion::PacketClass>(packet_class);
  in.counted(m.reply_block, onion::kReplyBlockBytesD);
  in.require(m.reply_block.size() == onion::reply_block_bytes(m.packet_class));
  in.number(m.seq);
  in.counted(m.data, onion::kDatagramBytesMax);
}

void write(Writer&, const Shutdown&) {}

void read(Reader&, Shutdown&) {}

Result<Message> broken() {
  return fail(Errc::malformed,
              "control message breaks its layout; are both programs of one version?");
}

template <std::size_t I>
Result<Message> decode_as(Reader& in) {
  Result<Message> message{tl::in_place, std::in_place_index<I>};
  read(in, std::get<I>(*message));
  if (!in.finished()) {
    return broken();
  }
  return message;
}

using Decoder = Result<Message> (*)(Reader&);

template <std::size_t... I>
constexpr auto make_decoders(std::index_sequence<I...>) {
  return std::array<Decoder, sizeof...(I)>{decode_as<I>...};
}

constexpr auto kDecoders = make_decoders(std::make_index_sequence<std::variant_size_v<Message>>());

}  // namespace

std::vector<std::uint8_t> encode(const Message& message) {
  Writer out(message.index());
  std::visit([&](const auto& body) { write(out, body); }, message);
  return out.finish();
}

Result<Message> decode(Bytes bytes) {
  if (bytes.empty() || bytes.size() > kMessageBytesMax) {
    return broken();
  }
  Reader in(bytes);
  const std::uint64_t tag = in.integer(1);
  if (tag < 1 || tag > kDecoders.size()) {
    return broken();
  }
  return kDecoders[tag - 1](in);
}

}  // namespace allium::control_port
