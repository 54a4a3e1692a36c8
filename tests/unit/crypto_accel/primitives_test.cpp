// SPDX-License-Identifier: Apache-2.0

// The primitives against published answers, and on random inputs against OpenSSL and the oracle.

#include "crypto_accel/primitives.hpp"

#include <algorithm>
#include <memory>
#include <thread>

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "tests/oracle/onion_oracle.hpp"
#include "tests/unit/crypto_accel/guarded_buffer.hpp"
#include "tests/unit/crypto_accel/test_bytes.hpp"

namespace allium::crypto_accel {
namespace {

using test::ByteVector;
using test::hex;
using test::hex_array;
using test::hex_block;
using test::TestRandom;

using GcmNonce = std::array<std::uint8_t, kGcmNonceBytes>;
using GcmTag = std::array<std::uint8_t, kGcmTagBytes>;

constexpr std::string_view kNistKey = "2b7e151628aed2a6abf7158809cf4f3c";
constexpr std::string_view kNistText =
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

TEST(Aes, GivesTheAnswerOfFips197) {
  const Block key = hex_block("000102030405060708090a0b0c0d0e0f");
  const Block plain = hex_block("00112233445566778899aabbccddeeff");
  const Block cipher = hex_block("69c4e0d86a7b0430d8cdb78070b4c55a");
  EXPECT_EQ(aes_encrypt(key, plain), cipher);
  EXPECT_EQ(aes_decrypt(key, cipher), plain);
}

TEST(Aes, EqualsOpenSslOnRandomBlocks) {
  TestRandom random(21);
  for (int i = 0; i < 500; ++i) {
    const Block key = random.block();
    const Block block = random.block();
    EXPECT_EQ(aes_encrypt(key, block), oracle::aes_encrypt(key, block));
    EXPECT_EQ(aes_decrypt(key, block), oracle::aes_decrypt(key, block));
  }
}

// SP 800-38A, F.5.1.
TEST(Ctr, GivesTheAnswerOfSp80038a) {
  ByteVector text = hex(kNistText);
  ctr_xor(hex_block(kNistKey), hex_block("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"), text);
  EXPECT_EQ(text, hex("874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
                      "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"));
}

TEST(Ctr, CarriesThroughTheWholeCounter) {
  TestRandom random(22);
  const Block key = random.block();
  const std::string_view counters[] = {
      "ffffffffffffffffffffffffffffffff", "fffffffffffffffffffffffffffffffd",
      "000102030405060708090a0bffffffff", "000102030405060708090a0bfffffffe",
      "0001020304050607fffffffffffffffe", "00010203040506ff00000000fffffffc",
      "00010203040506070809ffffffffff00", "000000000000000000000000000000ff"};
  for (const std::string_view counter : counters) {
    for (std::size_t byte_count = 0; byte_count <= 130; ++byte_count) {
      ByteVector stream(byte_count, 0);
      ctr_xor(key, hex_block(counter), stream);
      EXPECT_EQ(stream, oracle::ctr(key, hex_block(counter), byte_count))
          << counter << ' ' << byte_count;
    }
  }
}

TEST(Ctr, EqualsOpenSslOnRandomTextsAndStaysInsideThem) {
  TestRandom random(23);
  test::GuardedBuffer buffer;
  for (int i = 0; i < 300; ++i) {
    const Block key = random.block();
    const Block iv = random.block();
    const ByteVector text = random.bytes(random.word() % 1300);
    ByteVector expected = oracle::ctr(key, iv, text.size());
    xor_into(expected.data(), text.data(), text.size());
    const auto edge = i % 2 == 0 ? test::Placement::Edge::front : test::Placement::Edge::back;
    std::uint8_t* placed = buffer.place({edge, 0}, text);

    ctr_xor(key, iv, MutableBytes(placed, text.size()));

    EXPECT_EQ(ByteVector(placed, placed + text.size()), expected);
  }
}

TEST(Ghash, GivesTheAnswerOfTheGcmSpecification) {
  const Block h = hex_block("66e94bd4ef8a2c3b884cfa59ca342b2e");
  EXPECT_EQ(ghash(h, {}, hex("0388dace60b6a392f328c2b971b2fe78")),
            hex_block("f38cbb1ad69223dcc3457ae5b6b0f885"));
}

TEST(Ghash, EqualsTheOracleOnRandomBlocks) {
  TestRandom random(24);
  for (int i = 0; i < 60; ++i) {
    const Block h = random.block();
    const ByteVector a = random.bytes(std::size_t{16} * (random.word() % 4));
    const ByteVector c = random.bytes(std::size_t{16} * (random.word() % 70));
    EXPECT_EQ(ghash(h, a, c), oracle::ghash(h, a, c));
  }
}

TEST(FieldProduct, HasOneAndIsCommutativeAndEqualsTheOracle) {
  TestRandom random(25);
  const Block one{0x80};
  for (int i = 0; i < 100; ++i) {
    const Block a = random.block();
    const Block b = random.block();
    EXPECT_EQ(field_product(a, one), a);
    EXPECT_EQ(field_product(one, a), a);
    EXPECT_EQ(field_product(a, b), field_product(b, a));
    EXPECT_EQ(field_product(a, b), oracle::field_product(a, b));
  }
}

TEST(CbcMac, EqualsTheOracleOnRandomMessages) {
  TestRandom random(26);
  for (std::size_t blocks = 1; blocks < 60; ++blocks) {
    const Block key = random.block();
    const ByteVector message = random.bytes(16 * blocks);
    EXPECT_EQ(cbcmac(key, message), oracle::cbcmac(key, message));
  }
}

TEST(Cmac, GivesTheAnswersOfRfc4493) {
  const Block key = hex_block(kNistKey);
  const ByteVector text = hex(kNistText);
  EXPECT_EQ(cmac(key, {}), hex_block("bb1d6929e95937287fa37d129b756746"));
  EXPECT_EQ(cmac(key, Bytes(text).first(16)), hex_block("070a16b46b4d4144f79bdd9dd04a287c"));
  EXPECT_EQ(cmac(key, Bytes(text).first(40)), hex_block("dfa66747de9ae63030ca32611497c827"));
  EXPECT_EQ(cmac(key, text), hex_block("51f0bebf7e3b9d92fc49741779363cfe"));
}

TEST(Cmac, EqualsTheOracleOnEveryLength) {
  TestRandom random(27);
  for (std::size_t byte_count = 0; byte_count < 200; ++byte_count) {
    const Block key = random.block();
    const ByteVector message = random.bytes(byte_count);
    EXPECT_EQ(cmac(key, message), oracle::cmac(key, message)) << byte_count;
  }
}

ByteVector counting(std::uint8_t first, std::size_t byte_count) {
  ByteVector bytes(byte_count);
  for (std::size_t i = 0; i < byte_count; ++i) {
    bytes[i] = static_cast<std::uint8_t>(first + i);
  }
  return bytes;
}

ByteVector hkdf(Bytes salt, Bytes input, Bytes info, std::size_t byte_count) {
  ByteVector target(byte_count);
  hkdf_sha256(salt, input, info, target);
  return target;
}

// RFC 5869, A.1 to A.3.
TEST(Hkdf, GivesTheAnswersOfRfc5869) {
  const ByteVector input(22, 0x0b);
  EXPECT_EQ(hkdf(counting(0, 13), input, counting(0xf0, 10), 42),
            hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                "34007208d5b887185865"));
  EXPECT_EQ(hkdf(counting(0x60, 80), counting(0, 80), counting(0xb0, 80), 82),
            hex("b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
                "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
                "cc30c58179ec3e87c14c01d5c1f3434f1d87"));
  EXPECT_EQ(hkdf({}, input, {}, 42),
            hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
                "9d201395faa4b61a96c8"));
}

TEST(Hkdf, GivesALongAnswerWhoseStartIsTheShortOne) {
  const ByteVector long_answer = hkdf({}, counting(1, 32), counting(2, 5), std::size_t{255} * 32);
  for (const std::size_t byte_count : {0U, 1U, 31U, 32U, 33U, 64U, 8159U}) {
    const ByteVector answer = hkdf({}, counting(1, 32), counting(2, 5), byte_count);
    EXPECT_TRUE(std::equal(answer.begin(), answer.end(), long_answer.begin())) << byte_count;
  }
}

struct Sealed {
  ByteVector text;
  GcmTag tag;
};

Sealed seal(const Block& key, const GcmNonce& nonce, Bytes aad, Bytes text) {
  Sealed sealed{ByteVector(text.begin(), text.end()), {}};
  gcm_seal(key, nonce, aad, sealed.text, sealed.tag);
  return sealed;
}

Sealed seal_by_openssl(const Block& key, const GcmNonce& nonce, Bytes aad, Bytes text) {
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(
      EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  Sealed sealed{ByteVector(text.size()), {}};
  int written = 0;
  bool good =
      EVP_EncryptInit_ex(context.get(), EVP_aes_128_gcm(), nullptr, key.data(), nonce.data()) == 1;
  if (!aad.empty()) {
    good = good && EVP_EncryptUpdate(context.get(), nullptr, &written, aad.data(),
                                     static_cast<int>(aad.size())) == 1;
  }
  if (!text.empty()) {
    good = good && EVP_EncryptUpdate(context.get(), sealed.text.data(), &written, text.data(),
                                     static_cast<int>(text.size())) == 1;
  }
  Block rest{};
  good = good && EVP_EncryptFinal_ex(context.get(), rest.data(), &written) == 1;
  good = good && EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kGcmTagBytes,
                                     sealed.tag.data()) == 1;
  EXPECT_TRUE(good);
  return sealed;
}

// Test cases 1, 2 and 4 of the GCM specification (McGrew, Viega), tags cut.
TEST(Gcm, GivesTheAnswersOfItsSpecification) {
  EXPECT_EQ(seal(Block{}, GcmNonce{}, {}, {}).tag, hex_array<12>("58e2fccefa7e3061367f1d57"));

  const Sealed zeros = seal(Block{}, GcmNonce{}, {}, Block{});
  EXPECT_EQ(zeros.text, hex("0388dace60b6a392f328c2b971b2fe78"));
  EXPECT_EQ(zeros.tag, hex_array<12>("ab6e47d42cec13bdf53a67b2"));

  const Sealed long_text =
      seal(hex_block("feffe9928665731c6d6a8f9467308308"), hex_array<12>("cafebabefacedbaddecaf888"),
           hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
           hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c9595680953"
               "2fcf0e2449a6b525b16aedf5aa0de657ba637b39"));
  EXPECT_EQ(long_text.text,
            hex("42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c"
                "7d8f6a5aac84aa051ba30b396a0aac973d58e091"));
  EXPECT_EQ(long_text.tag, hex_array<12>("5bc94fbc3221a5db94fae95a"));
}

TEST(Gcm, EqualsOpenSslAndOpensWhatItSealed) {
  TestRandom random(28);
  for (int i = 0; i < 300; ++i) {
    const Block key = random.block();
    const auto nonce = random.array<kGcmNonceBytes>();
    const ByteVector aad = random.bytes(random.word() % 200);
    const ByteVector text = random.bytes(random.word() % 300);

    Sealed sealed = seal(key, nonce, aad, text);
    const Sealed expected = seal_by_openssl(key, nonce, aad, text);

    EXPECT_EQ(sealed.text, expected.text);
    EXPECT_EQ(sealed.tag, expected.tag);
    EXPECT_TRUE(gcm_open(key, nonce, aad, sealed.text, sealed.tag));
    EXPECT_EQ(sealed.text, text);
  }
}

TEST(Gcm, RefusesEveryFlippedBitAndZeroesTheText) {
  TestRandom random(29);
  const Block key = random.block();
  const auto nonce = random.array<kGcmNonceBytes>();
  const ByteVector aad = random.bytes(48);
  const ByteVector text = random.bytes(24);
  const Sealed sealed = seal(key, nonce, aad, text);
  const auto refuses = [&](Sealed changed, const ByteVector& changed_aad) {
    const bool opened = gcm_open(key, nonce, changed_aad, changed.text, changed.tag);
    return !opened && changed.text == ByteVector(text.size(), 0);
  };
  const auto flip = [](auto& bytes, std::size_t bit) {
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ 1 << bit % 8);
  };
  for (std::size_t bit = 0; bit < 8 * kGcmTagBytes; ++bit) {
    Sealed changed = sealed;
    flip(changed.tag, bit);
    EXPECT_TRUE(refuses(changed, aad)) << bit;
  }
  for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
    Sealed changed = sealed;
    flip(changed.text, bit);
    EXPECT_TRUE(refuses(changed, aad)) << bit;
  }
  for (std::size_t bit = 0; bit < 8 * aad.size(); ++bit) {
    ByteVector changed = aad;
    flip(changed, bit);
    EXPECT_TRUE(refuses(sealed, changed)) << bit;
  }
}

TEST(X25519, RefusesThePointZeroAndZeroesTheSecret) {
  TestRandom random(30);
  const auto bytes = random.array<32>();
  const PrivateKey scalar{std::span<const std::uint8_t, 32>(bytes)};
  SharedSecret shared{};
  shared.fill(0xa5);
  EXPECT_FALSE(x25519(scalar, PublicKey{}, shared));
  EXPECT_EQ(shared, SharedSecret{});
}

TEST(X25519, AgreesOnBothSides) {
  TestRandom random(31);
  for (int i = 0; i < 20; ++i) {
    const auto left_bytes = random.array<32>();
    const auto right_bytes = random.array<32>();
    const PrivateKey left{std::span<const std::uint8_t, 32>(left_bytes)};
    const PrivateKey right{std::span<const std::uint8_t, 32>(right_bytes)};
    SharedSecret at_left{};
    SharedSecret at_right{};
    EXPECT_TRUE(x25519(left, x25519_public(right), at_left));
    EXPECT_TRUE(x25519(right, x25519_public(left), at_right));
    EXPECT_EQ(at_left, at_right);
  }
}

TEST(RelayId, IsTheStartOfSha256) {
  // SHA-256 of 32 zero bytes, and an identity of the published vectors.
  EXPECT_EQ(relay_id(PublicKey{}), 0x66687aadU);
  EXPECT_EQ(
      relay_id(hex_array<32>("9df28a9932e328b93d711ddc845fd8652fcae11b08e50d5010e8387c578477f5")),
      0x73b989f6U);
}

TEST(Primitives, RunInSeveralThreadsAtOnce) {
  const auto work = [] {
    TestRandom random(32);
    for (int i = 0; i < 200; ++i) {
      const Block key = random.block();
      const ByteVector message = random.bytes(160);
      EXPECT_EQ(cbcmac(key, message), oracle::cbcmac(key, message));
    }
  };
  std::thread first(work);
  std::thread second(work);
  first.join();
  second.join();
}

}  // namespace
}  // namespace allium::crypto_accel
