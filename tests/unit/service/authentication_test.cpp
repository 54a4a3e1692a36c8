// SPDX-License-Identifier: Apache-2.0
#include "control/service/authentication.hpp"

#include <gtest/gtest.h>
#include <sodium.h>

#include "control/service/encoding.hpp"

namespace allium::control {
namespace {

/// Deterministic keys: nothing here depends on which.
class Key {
 public:
  explicit Key(std::uint8_t seed) {
    std::array<std::uint8_t, 32> bytes;
    bytes.fill(seed);
    crypto_sign_seed_keypair(public_key.data(), secret_.data(), bytes.data());
  }

  [[nodiscard]] Signature sign(std::string_view message) const {
    Signature signature;
    crypto_sign_detached(signature.data(), nullptr, bytes_of(message).data(), message.size(),
                         secret_.data());
    return signature;
  }

  [[nodiscard]] Account account(std::uint8_t prefix) const {
    Account account;
    account[0] = prefix;
    if (prefix == 5) {
      EXPECT_EQ(crypto_sign_ed25519_pk_to_curve25519(account.data() + 1, public_key.data()), 0);
    } else {
      std::copy(public_key.begin(), public_key.end(), account.begin() + 1);
    }
    return account;
  }

  IdentityKey public_key{};

 private:
  std::array<std::uint8_t, 64> secret_{};
};

const Key kOwner(1);
const Key kMember(2);

Authentication session_account(const Signature& signature) {
  return {kOwner.account(5), kOwner.public_key, signature, std::nullopt};
}

Token token_of(std::uint8_t prefix, std::uint8_t flags) {
  Token token{};
  token[0] = prefix;
  token[1] = flags;
  std::copy(kMember.public_key.begin(), kMember.public_key.end(), token.begin() + 4);
  return token;
}

Authentication subaccount(const Token& token, const Signature& signature) {
  return {kOwner.account(3), std::nullopt, signature,
          Subaccount{token, kOwner.sign(text_of(token))}};
}

// Vectors of libsession's tests.
TEST(SessionAccount, IsTheCurveFormOfItsEdwardsKey) {
  const std::pair<const char*, const char*> kVectors[] = {
      {"4cb76fdc6d32278e3f83dbf608360ecc6b65727934b85d2fb86862ff98c46ab7",
       "d2ad010eeb72d72e561d9de7bd7b6989af77dcabffa03a5111a6c859ae5c3a72"},
      {"5ea34e72bb044654a6a23675690ef5ffaaf1656b02f93fb76655f9cbdbe89876",
       "aa654f00fc39fc69fd0db829410ca38177d7732a8d2f0934ab3872ac56d5aa74"},
      {"f661a69453ef81a3b75bfcf954eb1f439d4d74edcab0e72a5c435ee418a907be",
       "4830367d369d94605247999a375dbd0a0f65fdec5de1535612bcb6d4de452c69"}};
  for (const auto& [ed25519, x25519] : kVectors) {
    std::array<std::uint8_t, 32> converted;
    ASSERT_EQ(crypto_sign_ed25519_pk_to_curve25519(converted.data(),
                                                   bytes_of(from_hex(ed25519).value()).data()),
              0);
    EXPECT_EQ(to_hex(converted), x25519);
  }
}

TEST(Signed, HoldsForASessionAccountWithItsEdwardsKey) {
  Authentication who = session_account(kOwner.sign("text"));
  EXPECT_TRUE(holds(who, "text", Access::read, {}));
  EXPECT_FALSE(holds(who, "texs", Access::read, {}));
  who.ed25519 = kMember.public_key;
  EXPECT_FALSE(holds(who, "text", Access::read, {})) << "not the key of this account";
  who.ed25519.reset();
  EXPECT_FALSE(holds(who, "text", Access::read, {})) << "an X25519 key verifies nothing";
  who.signature.reset();
  EXPECT_FALSE(holds(who, "text", Access::read, {}));
}

TEST(Signed, HoldsForOtherPrefixesByTheKeyItself) {
  for (const int prefix : {0x03, 0x15, 0x25, 0xff}) {
    const Authentication who = {kOwner.account(static_cast<std::uint8_t>(prefix)), std::nullopt,
                                kOwner.sign("text"), std::nullopt};
    EXPECT_TRUE(holds(who, "text", Access::write, {})) << prefix;
  }
}

TEST(Signed, HoldsForASubaccountWithTheAccessItWasGiven) {
  const Authentication who = subaccount(token_of(3, 1 | 2), kMember.sign("text"));
  EXPECT_TRUE(holds(who, "text", Access::read, {}));
  EXPECT_TRUE(holds(who, "text", Access::read | Access::write, {}));
  EXPECT_FALSE(holds(who, "text", Access::remove, {}));
  EXPECT_FALSE(holds(who, "text", Access::write | Access::remove, {}));
}

TEST(Signed, FailsForARevokedSubaccount) {
  const Token token = token_of(3, 7);
  const Authentication who = subaccount(token, kMember.sign("text"));
  EXPECT_FALSE(holds(who, "text", Access::read, {token_of(3, 1), token}));
  EXPECT_TRUE(holds(who, "text", Access::read, {token_of(3, 1)}));
}

TEST(Signed, FailsForATokenOfAnotherPrefixUnlessItMayBeAny) {
  EXPECT_FALSE(holds(subaccount(token_of(5, 7), kMember.sign("t")), "t", Access::read, {}));
  EXPECT_TRUE(holds(subaccount(token_of(5, 7 | 8), kMember.sign("t")), "t", Access::read, {}));
}

TEST(Signed, FailsForATokenThatTheAccountDidNotSign) {
  Authentication who = subaccount(token_of(3, 1), kMember.sign("text"));
  who.subaccount->token = token_of(3, 7);
  EXPECT_FALSE(holds(who, "text", Access::read, {}));
  who = subaccount(token_of(3, 7), kOwner.sign("text"));
  EXPECT_FALSE(holds(who, "text", Access::read, {})) << "the request is signed by the subaccount";
}

// What strict verifiers refuse: keys and commitments of low order, and scalars that are not canonical.
TEST(Signed, FailsForKeysOfLowOrderAndScalarsThatAreNotCanonical) {
  Authentication who = {Account{}, std::nullopt, Signature{}, std::nullopt};
  who.account[0] = 3;
  for (const std::uint8_t y : std::initializer_list<std::uint8_t>{0, 1}) {
    who.account[1] = y;
    for (const std::uint8_t r : std::initializer_list<std::uint8_t>{0, 1}) {
      who.signature = Signature{};
      (*who.signature)[0] = r;
      EXPECT_FALSE(holds(who, "text", Access::read, {}));
    }
  }
  who = session_account(kOwner.sign("text"));
  // S + L: the group order, little-endian, added to the scalar.
  const std::string order =
      from_hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").value();
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    carry += unsigned{(*who.signature)[32 + i]} + static_cast<std::uint8_t>(order[i]);
    (*who.signature)[32 + i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
  EXPECT_FALSE(holds(who, "text", Access::read, {}));
}

}  // namespace
}  // namespace allium::control
