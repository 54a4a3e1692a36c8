// SPDX-License-Identifier: Apache-2.0
#include "dataplane/engine/frame.hpp"

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/onion/wire_format.hpp"

namespace allium::dataplane {
namespace {

constexpr std::uint64_t kEtherTypeV4 = 0x0800;
constexpr std::uint64_t kEtherTypeV6 = 0x86dd;
constexpr std::uint8_t kProtocolUdp = 17;
constexpr std::uint8_t kHopLimit = 64;
constexpr std::uint64_t kIpV4VersionAndSize = 0x4500;
constexpr std::uint64_t kIpV6Version = 0x60000000;
constexpr std::uint64_t kDoNotFragment = 0x4000;  // identification 0 stands before it
constexpr std::size_t kIpV4Bytes = 20;
constexpr std::size_t kIpV6Bytes = 40;

bool is_own_address(const PortIdentity& identity, const onion::Endpoint& target) noexcept {
  return std::any_of(identity.addresses.begin(), identity.addresses.end(), [&](const auto& own) {
    return same_block(own.data(), target.address.data());
  });
}

// Nobody sends from port 0, from the whole of a network or to it, or from inside the machine; an answer to such
// a source would go to somebody who did not ask.
bool can_be_source(const onion::Endpoint& source) noexcept {
  if (source.port == 0) {
    return false;
  }
  if (source.is_v4()) {
    const std::uint8_t first = source.v4()[0];
    return first != 0 && first != 127 && first < 224;
  }
  // ff00::/8, :: and ::1
  return source.address[0] != 0xff &&
         (load_be(source.address.data(), 8) != 0 || load_be(source.address.data() + 8, 8) > 1);
}

// `udp` is what the IP header says the datagram is. `parsed` has the source's address.
inline bool parse_udp(Bytes udp, const PortIdentity& identity, const onion::Endpoint& target,
                      ParsedFrame& parsed) noexcept {
  if (udp.size() < kUdpBytes) {
    return false;
  }
  const std::size_t udp_bytes = load_be(udp.data() + 4, 2);
  if (load_be(udp.data() + 2, 2) != identity.onion_port || udp_bytes < kUdpBytes ||
      udp_bytes > udp.size() || !is_own_address(identity, target)) {
    return false;
  }
  parsed.payload_bytes = udp_bytes - kUdpBytes;
  parsed.source.port = static_cast<std::uint16_t>(load_be(udp.data(), 2));
  return can_be_source(parsed.source);
}

inline bool parse_v4(Bytes packet, const PortIdentity& identity, ParsedFrame& parsed) noexcept {
  if (packet.size() < kIpV4Bytes || packet[0] >> 4 != 4) {
    return false;
  }
  const std::size_t header_bytes = (packet[0] & 15U) * std::size_t{4};
  const std::size_t total_bytes = load_be(packet.data() + 2, 2);
  const bool is_fragment = (load_be(packet.data() + 6, 2) & 0x3fff) != 0;
  if (header_bytes < kIpV4Bytes || total_bytes < header_bytes || total_bytes > packet.size() ||
      packet[9] != kProtocolUdp || is_fragment) {
    return false;
  }
  parsed.payload_offset = kEthernetBytes + header_bytes + kUdpBytes;
  parsed.source = onion::Endpoint::from_v4(packet.data() + 12, 0);
  return parse_udp(packet.subspan(header_bytes, total_bytes - header_bytes), identity,
                   onion::Endpoint::from_v4(packet.data() + 16, 0), parsed);
}

inline bool parse_v6(Bytes packet, const PortIdentity& identity, ParsedFrame& parsed) noexcept {
  if (packet.size() < kIpV6Bytes || packet[0] >> 4 != 6) {
    return false;
  }
  const std::size_t payload_bytes = load_be(packet.data() + 4, 2);
  if (packet[6] != kProtocolUdp || payload_bytes > packet.size() - kIpV6Bytes) {
    return false;
  }
  parsed.payload_offset = kEthernetBytes + kIpV6Bytes + kUdpBytes;
  parsed.source = onion::Endpoint::from_v6(packet.data() + 8, 0);
  // An IPv4 address has no place in an IPv6 header.
  return !parsed.source.is_v4() &&
         parse_udp(packet.subspan(kIpV6Bytes, payload_bytes), identity,
                   onion::Endpoint::from_v6(packet.data() + 24, 0), parsed);
}

// Carries come in again at the low end. As often as they can come: how often they do is a coin toss that a loop's branch
// would lose. Of less than 2^36.
std::uint64_t to_16_bits(std::uint64_t sum) noexcept {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  return (sum & 0xffff) + (sum >> 16);
}

// The sum of four signed numbers.
std::int32_t sum_of(__m128i numbers) noexcept {
  numbers = _mm_add_epi32(numbers, _mm_unpackhi_epi64(numbers, numbers));
  return _mm_cvtsi128_si32(_mm_add_epi32(numbers, _mm_shuffle_epi32(numbers, 0x55)));
}

constexpr std::size_t kWideBytes = 64;

// Words as they lie, each less 2^15, as signed numbers, two to a 32-bit sum: so whole registers are added.
__attribute__((target("avx2"))) std::int32_t sum_wide(const std::uint8_t* bytes,
                                                      const std::uint8_t* end) noexcept {
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i bias = _mm256_set1_epi16(-0x8000);
  __m256i first = _mm256_setzero_si256();
  __m256i second = _mm256_setzero_si256();
  for (; bytes != end; bytes += kWideBytes) {
    const auto* at = reinterpret_cast<const __m256i*>(bytes);
    const __m256i low = _mm256_xor_si256(_mm256_loadu_si256(at), bias);
    const __m256i high = _mm256_xor_si256(_mm256_loadu_si256(at + 1), bias);
    first = _mm256_add_epi32(first, _mm256_madd_epi16(low, ones));
    second = _mm256_add_epi32(second, _mm256_madd_epi16(high, ones));
  }
  first = _mm256_add_epi32(first, second);
  return sum_of(_mm_add_epi32(_mm256_castsi256_si128(first), _mm256_extracti128_si256(first, 1)));
}

// The ones' complement sum of RFC 1071 over big-endian words; an odd last byte counts as a high byte. The sum
// does not depend on the order of bytes but for an exchange at its end (RFC 1071, 2.B). Below 2^17.
std::uint64_t word_sum(const std::uint8_t* bytes, std::size_t byte_count) noexcept {
  constexpr std::size_t kRegisterBytes = 16;
  static_assert(onion::kDatagramBytesMax * std::size_t{0x8000} <= 0x7fffffff);
  const __m128i ones = _mm_set1_epi16(1);
  const __m128i bias = _mm_set1_epi16(-0x8000);
  std::size_t i = 0;
  std::int64_t total = 0;
  if (__builtin_cpu_supports("avx2") != 0) {
    i = byte_count / kWideBytes * kWideBytes;
    total = sum_wide(bytes, bytes + i);
  }
  if (i + kRegisterBytes <= byte_count) {
    __m128i sums = _mm_setzero_si128();
    for (; i + kRegisterBytes <= byte_count; i += kRegisterBytes) {
      const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + i));
      sums = _mm_add_epi32(sums, _mm_madd_epi16(_mm_xor_si128(words, bias), ones));
    }
    total += sum_of(sums);
  }
  total += static_cast<std::int64_t>(i / 2) * 0x8000;
  for (; i + 2 <= byte_count; i += 2) {
    std::uint16_t word = 0;
    std::memcpy(&word, bytes + i, sizeof word);
    total += word;
  }
  std::uint64_t sum = to_16_bits(static_cast<std::uint64_t>(total));
  sum = (sum & 0xff) << 8 | sum >> 8;
  return i < byte_count ? sum + (std::uint64_t{bytes[i]} << 8) : sum;
}

std::uint16_t folded(std::uint64_t sum) noexcept {
  return static_cast<std::uint16_t>(~to_16_bits(sum));
}

}  // namespace

bool parse_frame(Bytes frame, const PortIdentity& identity, ParsedFrame& parsed) noexcept {
  if (frame.size() < kEthernetBytes ||
      load_be(identity.mac.data(), 4) != load_be(frame.data(), 4) ||
      load_be(identity.mac.data() + 4, 2) != load_be(frame.data() + 4, 2)) {
    return false;
  }
  const Bytes packet = frame.subspan(kEthernetBytes);
  switch (load_be(frame.data() + 12, 2)) {
    case kEtherTypeV4:
      return parse_v4(packet, identity, parsed);
    case kEtherTypeV6:
      return parse_v6(packet, identity, parsed);
    default:
      return false;
  }
}

std::size_t write_headers(const FramePlaces& places, std::uint8_t* payload,
                          std::size_t payload_bytes) noexcept {
  const bool is_v4 = onion::Endpoint::is_v4(places.target_address);
  const std::size_t udp_bytes = kUdpBytes + payload_bytes;
  std::uint8_t* udp = payload - kUdpBytes;
  std::uint8_t* ip = udp - (is_v4 ? kIpV4Bytes : kIpV6Bytes);
  // Sums are made of the values, not of the bytes written: reading wide what was just written narrow stalls.
  std::uint64_t address_sum = 0;
  if (is_v4) {
    const std::uint64_t source = load_be(places.source_address.data() + 12, 4);
    const std::uint64_t target = load_be(places.target_address.data() + 12, 4);
    address_sum = source + target;
    const std::uint64_t first = kIpV4VersionAndSize << 16 | (kIpV4Bytes + udp_bytes);
    const std::uint64_t third = std::uint64_t{kHopLimit} << 24 | std::uint64_t{kProtocolUdp} << 16;
    const std::uint16_t checksum = folded(first + kDoNotFragment + third + address_sum);
    store_be(ip, first << 32 | kDoNotFragment, 8);
    store_be(ip + 8, (third | checksum) << 32 | source, 8);
    store_be(ip + 16, target, 4);
  } else {
    store_be(
        ip, kIpV6Version << 32 | udp_bytes << 16 | std::uint64_t{kProtocolUdp} << 8 | kHopLimit, 8);
    std::memcpy(ip + 8, places.source_address.data(), 16);
    std::memcpy(ip + 24, places.target_address.data(), 16);
    address_sum =
        word_sum(places.source_address.data(), 16) + word_sum(places.target_address.data(), 16);
  }
  const std::uint64_t ports = std::uint64_t{places.source_port} << 16 | places.target_port;
  // The pseudo header has the length once more (RFC 768; RFC 8200, 8.1).
  const std::uint16_t sum =
      folded(address_sum + kProtocolUdp + 2 * udp_bytes + ports + word_sum(payload, payload_bytes));
  const std::uint16_t checksum = sum == 0 ? 0xffff : sum;  // 0 would say "no checksum"
  store_be(udp, ports << 32 | udp_bytes << 16 | checksum, 8);
  std::uint8_t* ethernet = ip - kEthernetBytes;
  std::memcpy(ethernet, places.target_mac.data(), 6);
  std::memcpy(ethernet + 6, places.source_mac.data(), 6);
  store_be(ethernet + 12, is_v4 ? kEtherTypeV4 : kEtherTypeV6, 2);
  return headers_bytes(is_v4);
}

}  // namespace allium::dataplane
