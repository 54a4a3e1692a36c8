// SPDX-License-Identifier: Apache-2.0
// SHA256_Init and what goes with it: as the code under test.
#define OPENSSL_SUPPRESS_DEPRECATED

// Runs HKDF on a stack that the test owns, and looks afterwards for what must not be left there: what goes in, what comes out, the
// key between its two steps, and the states and message schedules of SHA-256, which differ with the CPU (CMakeLists.txt runs this
// for each that OpenSSL has code for).

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "crypto_accel/primitives.hpp"
#include "tests/unit/crypto_accel/test_bytes.hpp"
#include "tests/unit/crypto_accel/watched_stack.hpp"

namespace allium::crypto_accel {
namespace {

using test::ByteVector;
using test::TestRandom;
using test::WatchedStack;

struct Derivation {
  ByteVector salt;
  ByteVector input;
  ByteVector info;
  ByteVector target;
};

void derive(void* derivation) {
  auto& task = *static_cast<Derivation*>(derivation);
  hkdf_sha256(task.salt, task.input, task.info, task.target);
}

Derivation new_derivation() {
  TestRandom random(41);
  return {random.bytes(32), random.bytes(64), random.bytes(20), ByteVector(96)};
}

ByteVector hmac(const ByteVector& key, const ByteVector& text) {
  ByteVector tag(SHA256_DIGEST_LENGTH);
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), text.data(), text.size(), tag.data(),
       nullptr);
  return tag;
}

/// As SHA-256 has it in registers: words of the machine.
ByteVector words_of(ByteVector bytes) {
  for (std::size_t i = 0; i + 4 <= bytes.size(); i += 4) {
    std::swap(bytes[i], bytes[i + 3]);
    std::swap(bytes[i + 1], bytes[i + 2]);
  }
  return bytes;
}

ByteVector padded(ByteVector key, std::uint8_t pad) {
  key.resize(SHA256_CBLOCK);
  for (std::uint8_t& byte : key) {
    byte ^= pad;
  }
  return key;
}

/// The state behind one block of a padded key: who has it needs no key.
ByteVector state_of(const ByteVector& block) {
  SHA256_CTX context{};
  SHA256_Init(&context);
  SHA256_Update(&context, block.data(), block.size());
  ByteVector state(sizeof context.h);
  std::memcpy(state.data(), context.h, state.size());
  return state;
}

// FIPS 180-4, 4.2.2.
constexpr std::array<std::uint32_t, 64> kRoundConstants = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/// The message schedule of a block (FIPS 180-4, 6.2.2), and behind it the same with the rounds' constants added: what code for
/// vectors keeps in memory.
std::vector<std::uint32_t> schedule_of(const ByteVector& block) {
  std::vector<std::uint32_t> words(64);
  for (std::size_t i = 0; i < 16; ++i) {
    words[i] = static_cast<std::uint32_t>(load_be(block.data() + 4 * i, 4));
  }
  for (std::size_t i = 16; i < 64; ++i) {
    const std::uint32_t early = words[i - 15];
    const std::uint32_t late = words[i - 2];
    words[i] = words[i - 16] + words[i - 7] +
               (std::rotr(early, 7) ^ std::rotr(early, 18) ^ early >> 3) +
               (std::rotr(late, 17) ^ std::rotr(late, 19) ^ late >> 10);
  }
  for (std::size_t i = 0; i < 64; ++i) {
    words.push_back(words[i] + kRoundConstants[i]);
  }
  return words;
}

/// The block of a text that follows one block and ends in this one.
ByteVector last_block(ByteVector text) {
  const std::size_t bits = 8 * (SHA256_CBLOCK + text.size());
  text.push_back(0x80);
  text.resize(SHA256_CBLOCK);
  store_be(text.data() + SHA256_CBLOCK - 8, bits, 8);
  return text;
}

struct Secret {
  std::string name;
  ByteVector bytes;
};

std::vector<Secret> secrets_of(const Derivation& task) {
  const ByteVector between = hmac(task.salt, task.input);
  std::vector<Secret> secrets = {{"the input", task.input},
                                 {"what is between the steps", between},
                                 {"the output", task.target}};
  std::vector<ByteVector> blocks = {padded(between, 0x36), padded(between, 0x5c), task.input};
  for (const ByteVector& block : {blocks[0], blocks[1]}) {
    secrets.push_back({"the state of a padded key", state_of(block)});
  }
  // The last digest goes through the hash once more, under the other pad.
  ByteVector text = blocks[0];
  text.insert(text.end(), task.target.end() - 2 * SHA256_DIGEST_LENGTH,
              task.target.end() - SHA256_DIGEST_LENGTH);
  text.insert(text.end(), task.info.begin(), task.info.end());
  text.push_back(static_cast<std::uint8_t>(task.target.size() / SHA256_DIGEST_LENGTH));
  ByteVector digest(SHA256_DIGEST_LENGTH);
  SHA256(text.data(), text.size(), digest.data());
  secrets.push_back({"the last digest inside", digest});
  blocks.push_back(last_block(digest));
  for (std::size_t i = secrets.size(); i > 0; --i) {
    secrets.push_back({secrets[i - 1].name + " as words", words_of(secrets[i - 1].bytes)});
  }
  for (const ByteVector& block : blocks) {
    for (const std::uint32_t word : schedule_of(block)) {
      ByteVector& bytes = secrets.back().name == "a schedule"
                              ? secrets.back().bytes
                              : secrets.emplace_back("a schedule", ByteVector()).bytes;
      const auto* begin = reinterpret_cast<const std::uint8_t*>(&word);
      bytes.insert(bytes.end(), begin, begin + sizeof word);
    }
  }
  return secrets;
}

/// Words that say nothing: they are those of padding, or of no input at all.
bool is_common(Bytes bytes) {
  return std::count(bytes.begin(), bytes.end(), 0) > 8 ||
         std::count(bytes.begin(), bytes.end(), 0x36) > 8 ||
         std::count(bytes.begin(), bytes.end(), 0x5c) > 8;
}

/// The first of them that is there, in any four words of it.
std::string found_in(const WatchedStack& stack, const Derivation& task) {
  for (const Secret& secret : secrets_of(task)) {
    for (std::size_t i = 0; i + 16 <= secret.bytes.size(); i += 4) {
      const Bytes words = Bytes(secret.bytes).subspan(i, 16);
      if (!is_common(words) && stack.holds(words)) {
        return secret.name;
      }
    }
  }
  return "";
}

void leave_a_state(void* derivation) {
  const auto& task = *static_cast<Derivation*>(derivation);
  SHA256_CTX context{};
  const ByteVector block = padded(hmac(task.salt, task.input), 0x36);
  SHA256_Init(&context);
  SHA256_Update(&context, block.data(), block.size());
  asm volatile("" : : "r"(&context) : "memory");  // the compiler may not leave it out
}

TEST(HkdfWipe, FindsAStateThatIsLeft) {
  Derivation task = new_derivation();
  derive(&task);
  WatchedStack stack;
  stack.run(leave_a_state, &task);
  EXPECT_EQ(found_in(stack, task), "the state of a padded key");
}

TEST(HkdfWipe, LeavesNothingOnTheStack) {
  if (!test::kHasFramesOfProduction) {
    GTEST_SKIP() << "frames of a build that is not optimised";
  }
  Derivation task = new_derivation();
  WatchedStack stack;
  stack.run(derive, &task);
  ASSERT_NE(task.target, ByteVector(task.target.size()));
  EXPECT_EQ(found_in(stack, task), "");
}

}  // namespace
}  // namespace allium::crypto_accel
