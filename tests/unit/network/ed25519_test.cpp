// SPDX-License-Identifier: Apache-2.0
#include "control/network/ed25519.hpp"

#include <gtest/gtest.h>

#include "tests/unit/network/test_network.hpp"

namespace allium::control {
namespace {

using test::key_of;

TEST(Ed25519, AnswersTheFirstVectorOfRfc8032) {
  static constexpr std::array<std::uint8_t, 32> kSeed = {
      0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a,
      0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32,
      0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
  const Random fixed{nullptr, [](void*, std::uint8_t* target, std::size_t count) noexcept {
                       std::copy_n(kSeed.begin(), count, target);
                     }};

  const IdentitySecret secret = IdentitySecret::generate(fixed);
  const Signature signature = secret.sign({});

  EXPECT_EQ(load_be(secret.public_key().data(), 8), 0xd75a980182b10ab7U);
  EXPECT_EQ(load_be(signature.data(), 8), 0xe5564300c360ac72U);
  EXPECT_TRUE(signature_holds(secret.public_key(), {}, signature));
}

// Vectors of Session's clients.
TEST(Ed25519, HasTheMontgomeryFormThatOtherClientsGiveIt) {
  const std::pair<const char*, const char*> kVectors[] = {
      {"4cb76fdc6d32278e3f83dbf608360ecc6b65727934b85d2fb86862ff98c46ab7",
       "d2ad010eeb72d72e561d9de7bd7b6989af77dcabffa03a5111a6c859ae5c3a72"},
      {"5ea34e72bb044654a6a23675690ef5ffaaf1656b02f93fb76655f9cbdbe89876",
       "aa654f00fc39fc69fd0db829410ca38177d7732a8d2f0934ab3872ac56d5aa74"},
      {"f661a69453ef81a3b75bfcf954eb1f439d4d74edcab0e72a5c435ee418a907be",
       "4830367d369d94605247999a375dbd0a0f65fdec5de1535612bcb6d4de452c69"},
  };
  for (const auto& [edwards, montgomery] : kVectors) {
    const auto converted = x25519_of(parse_identity_key(edwards).value());
    ASSERT_TRUE(converted);
    EXPECT_EQ(identity_key_text(*converted), montgomery);
  }
}

TEST(Ed25519, RefusesAnyChangedBit) {
  const IdentitySecret secret = key_of(1);
  std::array<std::uint8_t, 20> message{};
  const Signature good = secret.sign(message);

  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    Signature bad = good;
    bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ 1U << bit % 8);
    EXPECT_FALSE(signature_holds(secret.public_key(), message, bad));
  }
  message[19] ^= 1;
  EXPECT_FALSE(signature_holds(secret.public_key(), message, good));
  message[19] ^= 1;
  EXPECT_FALSE(signature_holds(key_of(2).public_key(), message, good));
  EXPECT_TRUE(signature_holds(secret.public_key(), message, good));
}

TEST(Ed25519, RefusesASignerOfLowOrder) {
  // The neutral element: a signature of R = neutral, S = 0 would hold for every message under it.
  IdentityKey neutral{};
  neutral[0] = 1;
  Signature forged{};
  forged[0] = 1;

  EXPECT_FALSE(signature_holds(neutral, {}, forged));
}

}  // namespace
}  // namespace allium::control
