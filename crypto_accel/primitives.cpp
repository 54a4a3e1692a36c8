// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/primitives.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>

// SHA256_Init and what goes with it: see Hmac.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <sodium.h>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/base/secret.hpp"
#include "crypto_accel/kernels/ipsec_mb_manager.hpp"

namespace allium::crypto_accel {
namespace {

constexpr std::size_t kHashBytes = SHA256_DIGEST_LENGTH;

using HashBlock = std::array<std::uint8_t, kHashBytes>;

constexpr std::size_t kSpillBytes = 4096;  // below a caller, that frames of OpenSSL reach

MbManager& manager() noexcept {
  return manager_of_thread();
}

struct Schedules {
  MbSchedule encrypt;
  MbSchedule decrypt;
};

void expand(const Block& key, Schedules& schedules) noexcept {
  manager().expand(key.data(), schedules.encrypt.bytes.data(), schedules.decrypt.bytes.data());
}

void check_whole_blocks(Bytes message) noexcept {
  ALLIUM_CHECK(message.size() % kBlockBytes == 0);
}

// CMAC jobs refuse null pointers, even to nothing.
const std::uint8_t* not_null(Bytes bytes) noexcept {
  return bytes.empty() ? kZeroBlock.data() : bytes.data();
}

void add_to_counter(Block& counter, std::uint64_t block_count) noexcept {
  std::uint64_t carry = block_count;
  for (std::size_t i = kBlockBytes; i-- > 0;) {
    carry += counter[i];
    counter[i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
}

void ctr_without_carry(const MbSchedule& schedule, const Block& counter,
                       MutableBytes target) noexcept {
  IMB_JOB job{};
  job.cipher_mode = IMB_CIPHER_CNTR;
  job.cipher_direction = IMB_DIR_ENCRYPT;
  job.hash_alg = IMB_AUTH_NULL;
  job.chain_order = IMB_ORDER_CIPHER_HASH;
  job.enc_keys = schedule.bytes.data();
  job.dec_keys = schedule.bytes.data();
  job.key_len_in_bytes = IMB_KEY_128_BYTES;
  job.iv = counter.data();
  job.iv_len_in_bytes = kBlockBytes;
  job.src = target.data();
  job.dst = target.data();
  job.msg_len_to_cipher_in_bytes = target.size();
  const std::uint32_t done = IMB_SUBMIT_CIPHER_BURST_NOCHECK(
      manager().get(), &job, 1, IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT, IMB_KEY_128_BYTES);
  ALLIUM_CHECK(done == 1);
}

void absorb(const gcm_key_data& key, Bytes blocks, Block& state) noexcept {
  if (!blocks.empty()) {
    IMB_GHASH(manager().get(), &key, blocks.data(), blocks.size(), state.data(), kBlockBytes);
  }
}

// HMAC-SHA256 (RFC 2104) under one key: the hashes of both pads are kept, so a text costs its own blocks and one more.
// OpenSSL's SHA-256 takes the CPU's instructions for it, where libsodium's is plain C: five times the time. By its old
// functions, which do nothing but hash; those that replace them allocate.
class Hmac {
 public:
  explicit Hmac(Bytes key) noexcept {
    Wiped<std::array<std::uint8_t, SHA256_CBLOCK>> pad;
    if (key.size() > pad.value.size()) {
      SHA256(key.data(), key.size(), pad.value.data());
    } else {
      std::copy(key.begin(), key.end(), pad.value.begin());
    }
    begin(inner_.value, pad.value, 0x36);
    begin(outer_.value, pad.value, 0x36 ^ 0x5c);
  }

  void mac(std::initializer_list<Bytes> text, HashBlock& mac) const noexcept {
    Wiped<SHA256_CTX> hash;
    hash.value = inner_.value;
    for (const Bytes part : text) {
      SHA256_Update(&hash.value, part.data(), part.size());
    }
    SHA256_Final(mac.data(), &hash.value);
    hash.value = outer_.value;
    SHA256_Update(&hash.value, mac.data(), mac.size());
    SHA256_Final(mac.data(), &hash.value);
  }

 private:
  static void begin(SHA256_CTX& hash, std::array<std::uint8_t, SHA256_CBLOCK>& pad,
                    std::uint8_t change) noexcept {
    for (std::uint8_t& byte : pad) {
      byte ^= change;
    }
    SHA256_Init(&hash);
    SHA256_Update(&hash, pad.data(), pad.size());
  }

  Wiped<SHA256_CTX> inner_;
  Wiped<SHA256_CTX> outer_;
};

}  // namespace

Block aes_encrypt(const Block& key, const Block& plain) noexcept {
  Wiped<Schedules> schedules;
  expand(key, schedules.value);
  Block cipher;
  manager().encrypt_block(schedules.value.encrypt.bytes.data(), plain.data(), kZeroBlock.data(),
                          cipher.data());
  return cipher;
}

Block aes_decrypt(const Block& key, const Block& cipher) noexcept {
  Wiped<Schedules> schedules;
  expand(key, schedules.value);
  Block plain;
  manager().ecb(IMB_DIR_DECRYPT, schedules.value.decrypt.bytes.data(), cipher.data(), plain.data(),
                kBlockBytes);
  return plain;
}

void ctr_xor(const Block& key, const Block& iv, MutableBytes target) noexcept {
  Wiped<Schedules> schedules;
  expand(key, schedules.value);
  Block counter = iv;
  // ipsec-mb counts in the last 4 bytes only: each piece ends where they would wrap.
  while (!target.empty()) {
    const std::uint64_t blocks_left = (std::uint64_t{1} << 32) - load_be(counter.data() + 12, 4);
    const std::size_t piece_bytes = std::min<std::size_t>(target.size(), blocks_left * kBlockBytes);
    ctr_without_carry(schedules.value.encrypt, counter, target.first(piece_bytes));
    add_to_counter(counter, blocks_left);
    target = target.subspan(piece_bytes);
  }
}

Block ghash(const Block& h, Bytes a, Bytes c) noexcept {
  check_whole_blocks(a);
  check_whole_blocks(c);
  Block lengths;
  store_be(lengths.data(), 8 * a.size(), 8);
  store_be(lengths.data() + 8, 8 * c.size(), 8);
  Wiped<gcm_key_data> key;
  IMB_GHASH_PRE(manager().get(), h.data(), &key.value);
  Block state{};
  absorb(key.value, a, state);
  absorb(key.value, c, state);
  absorb(key.value, lengths, state);
  return state;
}

Block field_product(const Block& a, const Block& b) noexcept {
  Wiped<gcm_key_data> key;
  IMB_GHASH_PRE(manager().get(), b.data(), &key.value);
  Block product{};
  absorb(key.value, a, product);
  return product;
}

Block cbcmac(const Block& key, Bytes message) noexcept {
  check_whole_blocks(message);
  ALLIUM_CHECK(!message.empty());
  Wiped<Schedules> schedules;
  expand(key, schedules.value);
  Block mac;
  manager().queue_cmac(schedules.value.encrypt.bytes.data(), kZeroBlock.data(), kZeroBlock.data(),
                       message.data(), message.size(), mac.data());
  manager().drain();
  return mac;
}

Block cmac(const Block& key, Bytes message) noexcept {
  struct alignas(16) Subkeys {
    Block one;
    Block two;
  };

  Wiped<Schedules> schedules;
  Wiped<Subkeys> subkeys;
  expand(key, schedules.value);
  manager().cmac_subkeys(schedules.value.encrypt.bytes.data(), subkeys.value.one.data(),
                         subkeys.value.two.data());
  Block mac;
  manager().queue_cmac(schedules.value.encrypt.bytes.data(), subkeys.value.one.data(),
                       subkeys.value.two.data(), not_null(message), message.size(), mac.data());
  manager().drain();
  return mac;
}

void hkdf_sha256(Bytes salt, Bytes input, Bytes info, MutableBytes target) noexcept {
  ALLIUM_CHECK(target.size() <= 255 * kHashBytes);
  Wiped<HashBlock> secret;
  Wiped<HashBlock> block;
  Hmac(salt).mac({input}, secret.value);
  const Hmac expansion(secret.value);
  Bytes previous;
  for (std::uint8_t index = 1; !target.empty(); ++index) {
    expansion.mac({previous, info, Bytes(&index, 1)}, block.value);
    const std::size_t taken = std::min(target.size(), kHashBytes);
    std::memcpy(target.data(), block.value.data(), taken);
    target = target.subspan(taken);
    previous = block.value;
  }
  // Where the CPU has no instructions for it, OpenSSL's SHA-256 leaves its schedule, and so the pad of a key, on the stack.
  sodium_stackzero(kSpillBytes);
}

void gcm_seal(const Block& key, std::span<const std::uint8_t, kGcmNonceBytes> nonce, Bytes aad,
              MutableBytes text, std::span<std::uint8_t, kGcmTagBytes> tag) noexcept {
  Wiped<gcm_key_data> schedule;
  Wiped<gcm_context_data> context;
  IMB_AES128_GCM_PRE(manager().get(), key.data(), &schedule.value);
  IMB_AES128_GCM_ENC(manager().get(), &schedule.value, &context.value, text.data(), text.data(),
                     text.size(), nonce.data(), aad.data(), aad.size(), tag.data(), kGcmTagBytes);
}

bool gcm_open(const Block& key, std::span<const std::uint8_t, kGcmNonceBytes> nonce, Bytes aad,
              MutableBytes text, std::span<const std::uint8_t, kGcmTagBytes> tag) noexcept {
  Wiped<gcm_key_data> schedule;
  Wiped<gcm_context_data> context;
  Wiped<Block> expected;
  IMB_AES128_GCM_PRE(manager().get(), key.data(), &schedule.value);
  IMB_AES128_GCM_DEC(manager().get(), &schedule.value, &context.value, text.data(), text.data(),
                     text.size(), nonce.data(), aad.data(), aad.size(), expected.value.data(),
                     kGcmTagBytes);
  const bool good = equal(expected.value.data(), tag.data(), kGcmTagBytes);
  if (!good) {
    wipe(text.data(), text.size());
  }
  return good;
}

bool x25519(const PrivateKey& scalar, const PublicKey& point, SharedSecret& shared) noexcept {
  if (crypto_scalarmult(shared.data(), scalar.data(), point.data()) == 0) {
    return true;
  }
  shared.fill(0);
  return false;
}

PublicKey x25519_public(const PrivateKey& scalar) noexcept {
  PublicKey point;
  const int failed = crypto_scalarmult_base(point.data(), scalar.data());
  ALLIUM_CHECK(failed == 0);
  return point;
}

std::uint32_t relay_id(const PublicKey& identity) noexcept {
  std::array<std::uint8_t, crypto_hash_sha256_BYTES> hash{};
  crypto_hash_sha256(hash.data(), identity.data(), identity.size());
  return static_cast<std::uint32_t>(load_be(hash.data(), 4));
}

}  // namespace allium::crypto_accel
