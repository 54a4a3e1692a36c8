// SPDX-License-Identifier: Apache-2.0

// Whether a branch or an address depends on a secret (the method of Langley's ctgrind, 2010): secrets are marked as
// memory that was never written, and valgrind's memcheck, which follows such bits through every instruction, reports
// each jump and each address that depends on one. At the end the results have to be marked as well, or nothing was
// followed. Valgrind knows AES-NI, PCLMULQDQ and AVX2, not VAES nor AVX-512: those variants have the statistics of
// tests/bench alone.
//
// usage: valgrind --error-exitcode=9 constant_time NAME     an onion kernel, or x25519
//        valgrind --error-exitcode=9 constant_time leaky    a look-up by a secret, which has to be reported

#include <valgrind/memcheck.h>

#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "crypto_accel/onion_batch.hpp"
#include "crypto_accel/x25519_batch.hpp"
#include "tests/unit/crypto_accel/test_bytes.hpp"

namespace allium::crypto_accel {
namespace {

using test::TestRandom;

constexpr std::size_t kDatagramBytes = 1232;
constexpr std::size_t kHeaderOffset = 16;

void make_secret(void* memory, std::size_t byte_count) {
  VALGRIND_MAKE_MEM_UNDEFINED(memory, byte_count);
}

template <typename T>
void make_secret(T& value) {
  make_secret(&value, sizeof value);
}

/// Whether memcheck still knows that what is there depends on a secret.
template <typename T>
bool is_secret(const T& value) {
  std::array<unsigned char, sizeof value> marks{};
  if (VALGRIND_GET_VBITS(&value, marks.data(), marks.size()) != 1) {
    return false;
  }
  for (const unsigned char mark : marks) {
    if (mark != 0) {
      return true;
    }
  }
  return false;
}

struct Packets {
  explicit Packets(TestRandom& random) {
    for (std::size_t lane = 0; lane < kLanesMax; ++lane) {
      bytes[lane].resize(kDatagramBytes);
      random.fill(bytes[lane]);
      make_secret(bytes[lane].data(), bytes[lane].size());
    }
  }

  [[nodiscard]] Lanes<std::uint8_t*> at(std::size_t offset) {
    Lanes<std::uint8_t*> places;
    for (std::size_t lane = 0; lane < kLanesMax; ++lane) {
      places[lane] = bytes[lane].data() + offset;
    }
    return places;
  }

  [[nodiscard]] Lanes<const std::uint8_t*> read_at(std::size_t offset) {
    Lanes<const std::uint8_t*> places;
    for (std::size_t lane = 0; lane < kLanesMax; ++lane) {
      places[lane] = bytes[lane].data() + offset;
    }
    return places;
  }

  Lanes<std::vector<std::uint8_t>> bytes;
};

Block secret_block(TestRandom& random) {
  Block block;
  random.fill(block);
  make_secret(block);
  return block;
}

// A hop of one kind of packet, every step of it.
bool follow_hop(OnionBatch& batch, TestRandom& random, const LayerShape& shape, LaneMask lanes) {
  Packets packets(random);
  const std::size_t t_offset = kHeaderOffset + shape.header_bytes;
  const std::size_t x_r_offset = t_offset + kBlockBytes;
  std::vector<LinkKey> links(kLanesMax);
  std::vector<AesKey> node(3);
  Lanes<const LinkKey*> link{};
  Lanes<const AesKey*> replay{};
  for (AesKey& key : node) {
    batch.expand_key(secret_block(random), key);
  }
  for (std::size_t lane = 0; lane < kLanesMax; ++lane) {
    batch.expand_key(secret_block(random), links[lane].mac);
    batch.expand_key(secret_block(random), links[lane].veil);
    link[lane] = &links[lane];
    replay[lane] = &node[2];
  }
  Lanes<std::uint64_t> tag{};
  Lanes<Block> plain{};
  Lanes<Block> secret{};
  Lanes<Block> ctx{};
  Lanes<Block> x_l_out{};
  Lanes<Block> w{};
  Lanes<Block> mac{};
  batch.link_tag(shape.header_bytes, lanes, link, packets.read_at(0), tag);
  batch.link_veil(shape.header_bytes, lanes, link, packets.at(0));
  batch.decrypt_blocks(node[0], lanes, packets.read_at(kHeaderOffset), plain);
  batch.encrypt_blocks(node[1], lanes, plain, secret);
  batch.derive(shape, lanes, secret);
  batch.replay_tag(lanes, replay, packets.read_at(t_offset), tag);
  batch.layer_left(shape, lanes, ctx, packets.read_at(t_offset), packets.read_at(x_r_offset),
                   x_l_out);
  batch.header_mac(lanes, packets.read_at(kHeaderOffset), shape.header_bytes, mac);
  batch.layer_right(shape, lanes, x_l_out, packets.at(x_r_offset), w);
  batch.header_shift(shape, lanes, w, packets.at(kHeaderOffset));
  const LaneMask half = lanes & 0xffff;
  batch.layer_both(shape, half, packets.at(x_r_offset), w, lanes & ~half, ctx,
                   packets.read_at(t_offset), packets.read_at(x_r_offset), x_l_out, mac);
  batch.clear_traces();
  const auto first = static_cast<std::size_t>(__builtin_ctz(lanes));
  return is_secret(tag[first]) && is_secret(mac[first]) && is_secret(x_l_out[first]) &&
         is_secret(packets.bytes[first][x_r_offset]) &&
         is_secret(packets.bytes[first][kHeaderOffset]);
}

bool follow_onion(const OnionKernel& kernel) {
  constexpr LayerShape kD{0, 1, 128, 1072};
  constexpr LayerShape kV{0, 2, 96, 128};
  constexpr LayerShape kVBackward{1, 2, 96, 128};
  OnionBatch batch(kernel);
  TestRandom random(1);
  bool followed = true;
  for (const LayerShape& shape : {kD, kV, kVBackward}) {
    for (const LaneMask lanes : {~LaneMask{0}, LaneMask{0x80010204}}) {
      followed = follow_hop(batch, random, shape, lanes) && followed;
    }
  }
  return followed;
}

// Points come with packets, so everybody knows them; the scalar is the secret.
bool follow_x25519() {
  const X25519Kernel& kernel = x25519_kernels().front();
  TestRandom random(2);
  PrivateKey scalar;
  random.fill(scalar.bytes());
  make_secret(scalar.bytes());
  std::array<PublicKey, 3> points{};
  random.fill(points[0]);
  points[2] = points[0];
  std::array<SharedSecret, 3> shared{};
  const LaneMask good = kernel.run(scalar, points, shared);
  return kernel.supported() && is_secret(shared[0]) && is_secret(good);
}

// For the test of the test.
bool follow_leak() {
  static const std::array<std::uint8_t, 16> kTable = {3, 1, 4, 1, 5, 9, 2, 6,
                                                      5, 3, 5, 8, 9, 7, 9, 3};
  volatile std::uint8_t secret = 7;
  make_secret(const_cast<std::uint8_t*>(&secret), 1);
  volatile std::uint8_t looked_up = kTable[secret & 15];
  return looked_up != 0;
}

int run(std::string_view name) {
  if (RUNNING_ON_VALGRIND == 0) {
    std::fprintf(stderr, "error: run it by: valgrind --error-exitcode=9 constant_time NAME\n");
    return 2;
  }
  if (name == "leaky") {
    return follow_leak() ? 0 : 1;
  }
  bool followed = false;
  if (name == "x25519") {
    followed = follow_x25519();
  } else {
    for (const OnionKernel& kernel : onion_kernels()) {
      if (kernel.name != name) {
        continue;
      }
      if (!kernel.supported()) {
        std::fprintf(stderr, "SKIPPED: this CPU does not run %s\n", std::string(name).c_str());
        return 77;
      }
      followed = follow_onion(kernel);
    }
  }
  if (!followed) {
    std::fprintf(stderr, "error: no kernel %s, or its results do not depend on its secrets\n",
                 std::string(name).c_str());
    return 1;
  }
  std::printf("%s: followed\n", std::string(name).c_str());
  return 0;
}

}  // namespace
}  // namespace allium::crypto_accel

int main(int argc, char** argv) {
  return allium::crypto_accel::run(argc == 2 ? argv[1] : "");
}
