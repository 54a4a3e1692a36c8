// SPDX-License-Identifier: Apache-2.0
#include "control/service/channel_cipher.hpp"

#include <gtest/gtest.h>

#include "control/service/encoding.hpp"
#include "crypto_accel/primitives.hpp"

namespace allium::control {
namespace {

using crypto_accel::PublicKey;

PublicKey key(std::string_view hex) {
  return array_of<32>(from_hex(hex).value()).value();
}

// The pair of libsession's tests.
const PublicKey kClientSecret =
    key("ccc335912da8939e2b44816728a5a4773063efa82bf7ae2d42a0abfa2caa452d");
const PublicKey kClient = key("bbdfc83022d0aff084a6f0c529a93d1c4d728bf7e41199afed0e01ae70d20540");
const PublicKey kNodeSecret =
    key("8fcd8ad3a15c76f76f1c56dff0c529999f8c59b4acda79e05666e54d5727dca1");
const PublicKey kNode = key("caea52c5b0c316d85ffb53ea536826618b13dee40685f166f632653114526a78");

Channel channel(const PublicKey& secret, const PublicKey& other) {
  Channel channel;
  channel.client = kClient;
  channel.node = kNode;
  crypto_accel::SharedSecret shared;
  EXPECT_TRUE(crypto_accel::x25519(Secret<32>(secret), other, shared));
  channel.shared = Secret<32>(shared);
  return channel;
}

TEST(Channel, SharesTheSecretOfTheVector) {
  const Channel node = channel(kNodeSecret, kClient);
  EXPECT_EQ(to_hex(node.shared.bytes()),
            "d18901cbf26809d48c34c4fba44d3b908dbf1bdd3a7ee601a49f1e11ea70ea6e");
  EXPECT_EQ(channel(kClientSecret, kNode).shared.bytes(), node.shared.bytes());
}

TEST(Channel, OpensTheVectors) {
  const Channel node = channel(kNodeSecret, kClient);
  EXPECT_EQ(
      open(
          node, EncryptType::aes_gcm,
          from_hex("1eb6ae1cd72f60999486365749bd5dc15cc0b6a2a44d7d063daa5e93722f0c025fd00306403b61")
              .value()),
      "Hello world");
  EXPECT_EQ(
      open(
          node, EncryptType::xchacha20,
          from_hex("9e1a3abe60eff3ea5c23556cc7e225b6f94355315f7281f66ecf4dbb06e7899a52b863e03cde3b2"
                   "87d1638d765db75de02b032")
              .value()),
      "Hello world");
}

class EveryType : public testing::TestWithParam<EncryptType> {};

TEST_P(EveryType, GoesRoundInBothDirections) {
  const Channel node = channel(kNodeSecret, kClient);
  const Channel client = channel(kClientSecret, kNode);
  for (const std::size_t size : {0U, 1U, 15U, 16U, 17U, 1000U, 100'000U}) {
    const std::string plain(size, 'x');
    EXPECT_EQ(open(node, GetParam(), seal(client, GetParam(), plain, system_random())), plain);
    EXPECT_EQ(open(client, GetParam(), seal(node, GetParam(), plain, system_random())), plain);
  }
}

TEST_P(EveryType, DoesNotOpenWhatIsTooShort) {
  const Channel node = channel(kNodeSecret, kClient);
  const std::string sealed = seal(node, GetParam(), "", system_random());
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_FALSE(open(node, GetParam(), std::string_view(sealed).substr(0, size))) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, EveryType,
                         testing::Values(EncryptType::aes_gcm, EncryptType::xchacha20,
                                         EncryptType::aes_cbc),
                         [](const auto& type) {
                           std::string name(encrypt_type_name(type.param));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Channel, NoticesEveryChangedBit) {
  const Channel node = channel(kNodeSecret, kClient);
  for (const EncryptType type : {EncryptType::aes_gcm, EncryptType::xchacha20}) {
    const std::string sealed = seal(node, type, "a short text", system_random());
    for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
      std::string changed = sealed;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ 1 << bit % 8);
      EXPECT_FALSE(open(node, type, changed)) << bit;
    }
  }
}

TEST(Channel, OpensABatchInPlaceAndLeavesNothingOfWhatDoesNotOpen) {
  const Channel node = channel(kNodeSecret, kClient);
  for (const crypto_accel::AeadKernel& kernel : crypto_accel::aead_kernels()) {
    std::vector<std::string> bytes;
    std::vector<SealedBlob> blobs;
    constexpr std::array kTypes{EncryptType::aes_gcm, EncryptType::xchacha20, EncryptType::aes_cbc};
    for (std::size_t i = 0; i < 45; ++i) {
      bytes.push_back(seal(kernel, node, kTypes[i % 3], std::string(97 * i, 'x'), system_random()));
      if (i % 5 == 0) {
        bytes.back().resize(bytes.back().size() - 1);
      }
    }
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      blobs.push_back({&node, kTypes[i % 3], &bytes[i], "not yet"});
    }

    open_batch(kernel, blobs);

    for (std::size_t i = 0; i < blobs.size(); ++i) {
      EXPECT_EQ(blobs[i].plaintext.has_value(), i % 5 != 0) << i;
      EXPECT_EQ(blobs[i].plaintext.value_or(""), std::string(i % 5 == 0 ? 0 : 97 * i, 'x')) << i;
      EXPECT_TRUE(i % 5 != 0 || bytes[i].find("xxxxxxxx") == std::string::npos) << i;
    }
  }
}

TEST(EncryptType, IsKnownByItsNamesAndAliases) {
  EXPECT_EQ(parse_encrypt_type("gcm"), EncryptType::aes_gcm);
  EXPECT_EQ(parse_encrypt_type("xchacha20-poly1305"), EncryptType::xchacha20);
  EXPECT_EQ(parse_encrypt_type("cbc"), EncryptType::aes_cbc);
  for (const EncryptType type :
       {EncryptType::aes_gcm, EncryptType::xchacha20, EncryptType::aes_cbc}) {
    EXPECT_EQ(parse_encrypt_type(encrypt_type_name(type)), type);
  }
  EXPECT_FALSE(parse_encrypt_type("AES-GCM"));
  EXPECT_FALSE(parse_encrypt_type(""));
}

}  // namespace
}  // namespace allium::control
