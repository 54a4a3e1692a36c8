// SPDX-License-Identifier: Apache-2.0
#include "tests/oracle/onion_oracle.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>

#include <openssl/evp.h>

namespace allium::oracle {
namespace {

enum class Direction { encrypt, decrypt };

Block aes(const Block& key, const Block& source, Direction direction) {
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(
      EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  Block target{};
  int written = 0;
  const int encrypting = direction == Direction::encrypt ? 1 : 0;
  if (EVP_CipherInit_ex(context.get(), EVP_aes_128_ecb(), nullptr, key.data(), nullptr,
                        encrypting) != 1 ||
      EVP_CIPHER_CTX_set_padding(context.get(), 0) != 1 ||
      EVP_CipherUpdate(context.get(), target.data(), &written, source.data(), 16) != 1 ||
      written != 16) {
    throw std::runtime_error("OpenSSL refused a block of AES-128");
  }
  return target;
}

bool bit_of(const Block& block, std::size_t index) {
  return (block[index / 8] >> (7 - index % 8) & 1) != 0;
}

// block / 2 as a number whose first byte is the most significant.
Block halved(const Block& block) {
  Block result{};
  for (std::size_t i = 1; i < 128; ++i) {
    if (bit_of(block, i - 1)) {
      result[i / 8] = static_cast<std::uint8_t>(result[i / 8] | 0x80 >> i % 8);
    }
  }
  return result;
}

// block * 2 in the field of CMAC (RFC 4493, section 2.3).
Block doubled(const Block& block) {
  Block result{};
  for (std::size_t i = 0; i < 127; ++i) {
    if (bit_of(block, i + 1)) {
      result[i / 8] = static_cast<std::uint8_t>(result[i / 8] | 0x80 >> i % 8);
    }
  }
  if (bit_of(block, 0)) {
    result[15] ^= 0x87;
  }
  return result;
}

Block next_counter(Block counter) {
  for (std::size_t i = 16; i-- > 0;) {
    if (++counter[i] != 0) {
      break;
    }
  }
  return counter;
}

void append(ByteVector& target, Bytes source) {
  target.insert(target.end(), source.begin(), source.end());
}

void require_whole_blocks(Bytes bytes) {
  if (bytes.size() % 16 != 0) {
    throw std::invalid_argument("whole blocks only");
  }
}

ByteVector exclusive_or(Bytes left, Bytes right) {
  if (left.size() != right.size()) {
    throw std::invalid_argument("strings of one length only");
  }
  ByteVector result(left.size());
  std::transform(left.begin(), left.end(), right.begin(), result.begin(),
                 [](std::uint8_t a, std::uint8_t b) { return static_cast<std::uint8_t>(a ^ b); });
  return result;
}

ByteVector stream_xor(const LayerKeys& keys, const Block& w, Bytes x_r) {
  Block seed = w;
  seed[15] = 0;
  return exclusive_or(x_r, ctr(keys.k_s, seed, x_r.size()));
}

}  // namespace

Block aes_encrypt(const Block& key, const Block& plain) {
  return aes(key, plain, Direction::encrypt);
}

Block aes_decrypt(const Block& key, const Block& cipher) {
  return aes(key, cipher, Direction::decrypt);
}

ByteVector ctr(const Block& key, const Block& iv, std::size_t byte_count) {
  ByteVector stream;
  for (Block counter = iv; stream.size() < byte_count; counter = next_counter(counter)) {
    append(stream, aes_encrypt(key, counter));
  }
  stream.resize(byte_count);
  return stream;
}

Block field_product(const Block& a, const Block& b) {
  // SP 800-38D, algorithm 1.
  Block z{};
  Block v = b;
  for (std::size_t i = 0; i < 128; ++i) {
    if (bit_of(a, i)) {
      z = z ^ v;
    }
    const bool carried = bit_of(v, 127);
    v = halved(v);
    if (carried) {
      v[0] ^= 0xe1;
    }
  }
  return z;
}

Block ghash(const Block& h, Bytes a, Bytes c) {
  require_whole_blocks(a);
  require_whole_blocks(c);
  Block lengths{};
  store_be(lengths.data(), a.size() * 8, 8);
  store_be(lengths.data() + 8, c.size() * 8, 8);
  ByteVector message;
  append(message, a);
  append(message, c);
  append(message, lengths);
  Block y{};
  for (std::size_t i = 0; i < message.size(); i += 16) {
    y = field_product(y ^ load_block(message.data() + i), h);
  }
  return y;
}

Block cbcmac(const Block& key, Bytes message) {
  require_whole_blocks(message);
  Block x{};
  for (std::size_t i = 0; i < message.size(); i += 16) {
    x = aes_encrypt(key, x ^ load_block(message.data() + i));
  }
  return x;
}

Block cmac(const Block& key, Bytes message) {
  Block subkey = doubled(aes_encrypt(key, Block{}));
  ByteVector padded(message.begin(), message.end());
  if (message.empty() || message.size() % 16 != 0) {
    subkey = doubled(subkey);
    padded.push_back(0x80);
    padded.resize((padded.size() + 15) / 16 * 16);
  }
  xor_into(padded.data() + padded.size() - 16, subkey.data(), 16);
  return cbcmac(key, padded);
}

Block derive(const Block& key, std::uint8_t index, std::uint8_t direction,
             std::uint8_t packet_class) {
  return aes_encrypt(key, Block{index, direction, packet_class});
}

LayerKeys layer_keys(const Block& secret, std::uint8_t direction, std::uint8_t packet_class) {
  return LayerKeys{
      derive(secret, 1, direction, packet_class), derive(secret, 2, direction, packet_class),
      derive(secret, 3, direction, packet_class), derive(secret, 4, direction, packet_class),
      derive(secret, 5, direction, packet_class)};
}

Block layer_ctx(std::uint8_t direction, std::uint8_t packet_class, std::uint16_t slot) {
  return Block{direction, packet_class, static_cast<std::uint8_t>(slot >> 8),
               static_cast<std::uint8_t>(slot & 0xff)};
}

Layer encrypt_layer(const LayerKeys& keys, const Block& ctx, const Block& x_l, Bytes x_r) {
  const Block m = ghash(keys.h, ctx, x_r);
  const Block v = x_l ^ m;
  const Block left = aes_encrypt(keys.k_et, v) ^ m;
  const Block w = field_product(left, keys.h_s);
  return Layer{left, stream_xor(keys, w, x_r), v, w};
}

Layer decrypt_layer(const LayerKeys& keys, const Block& ctx, const Block& x_l, Bytes x_r) {
  const Block w = field_product(x_l, keys.h_s);
  const ByteVector right = stream_xor(keys, w, x_r);
  const Block m = ghash(keys.h, ctx, right);
  const Block v = aes_decrypt(keys.k_et, x_l ^ m);
  return Layer{v ^ m, right, v, w};
}

ByteVector header_mask(const LayerKeys& keys, std::uint8_t direction, std::uint8_t packet_class,
                       const Block& w, std::size_t byte_count) {
  Block counter = direction == 0 ? w : Block{0x5a, packet_class};
  counter[15] = 0x80;
  return ctr(keys.k_s, counter, byte_count);
}

ByteVector shift_header(Bytes ahdr, Bytes mask) {
  ByteVector shifted(ahdr.begin() + 32, ahdr.end());
  shifted.resize(ahdr.size());
  return exclusive_or(shifted, mask);
}

Block header_mac(const LayerKeys& keys, const Block& ctx, Bytes ahdr, const Block& after) {
  ByteVector message;
  append(message, ctx);
  append(message, ahdr.first(16));
  append(message, ahdr.subspan(32));
  append(message, after);
  return cbcmac(keys.k_m, message);
}

std::uint64_t replay_tag(const Block& replay_key, const LayerKeys& keys, const Block& t) {
  return load_be(aes_encrypt(replay_key, t ^ keys.h_s).data(), 8);
}

std::uint64_t link_tag(const Block& mac_key, Bytes datagram, std::size_t header_bytes) {
  ByteVector message;
  append(message, datagram.first(8));
  message.resize(16);
  append(message, datagram.subspan(16, header_bytes + 16));
  return load_be(cmac(mac_key, message).data(), 8);
}

ByteVector link_veil(const Block& veil_key, Bytes datagram, std::size_t header_bytes) {
  Block counter{};
  std::copy_n(datagram.begin(), 8, counter.begin());
  return exclusive_or(datagram.subspan(16, header_bytes), ctr(veil_key, counter, header_bytes));
}

ByteVector client_tag(const LayerKeys& keys, std::uint8_t packet_class, std::uint16_t slot,
                      const Block& x_l) {
  ByteVector message;
  append(message, layer_ctx(1, static_cast<std::uint8_t>(packet_class | 0x40), slot));
  append(message, x_l);
  const Block mac = cbcmac(keys.k_m, message);
  return ByteVector(mac.begin(), mac.begin() + 12);
}

}  // namespace allium::oracle
