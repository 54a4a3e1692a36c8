// SPDX-License-Identifier: Apache-2.0

// Every variant against libsodium's own AEADs, one text at a time.

#include "crypto_accel/aead_batch.hpp"

#include <algorithm>
#include <deque>
#include <ostream>
#include <vector>

#include <gtest/gtest.h>
#include <sodium.h>

#include "tests/unit/crypto_accel/guarded_buffer.hpp"
#include "tests/unit/crypto_accel/test_bytes.hpp"

namespace allium::crypto_accel {

// GoogleTest finds it by the argument's namespace; test names would have addresses in them without.
// NOLINTNEXTLINE(readability-identifier-naming): the name is GoogleTest's
static void PrintTo(const AeadKernel* kernel, std::ostream* stream) {
  *stream << kernel->name;
}

namespace {

using test::ByteVector;
using test::GuardedBuffer;
using test::hex;
using test::Placement;
using test::TestRandom;

constexpr AeadKind kGcm = AeadKind::aes256_gcm;
constexpr AeadKind kXchacha = AeadKind::xchacha20_poly1305;
constexpr std::array<AeadKind, 2> kKinds{kGcm, kXchacha};

/// What a text is, and what it has to become.
struct Text {
  AeadKind kind;
  ByteVector key;
  ByteVector nonce;
  ByteVector plain;
  ByteVector sealed;
};

void seal_by_libsodium(Text& text) {
  text.sealed.resize(text.plain.size() + kAeadTagBytes);
  const auto seal = text.kind == kGcm ? crypto_aead_aes256gcm_encrypt
                                      : crypto_aead_xchacha20poly1305_ietf_encrypt;
  seal(text.sealed.data(), nullptr, text.plain.data(), text.plain.size(), nullptr, 0, nullptr,
       text.nonce.data(), text.key.data());
}

Text random_text(TestRandom& random, AeadKind kind, std::size_t text_bytes) {
  Text text{kind,
            random.bytes(kAeadKeyBytes),
            random.bytes(aead_nonce_bytes(kind)),
            random.bytes(text_bytes),
            {}};
  seal_by_libsodium(text);
  return text;
}

AeadJob job_of(const Text& text, Bytes source, MutableBytes target) {
  return {text.kind, text.key.data(), text.nonce.data(), source, target, false};
}

class AeadKernelTest : public testing::TestWithParam<const AeadKernel*> {
 protected:
  void SetUp() override {
    if (!GetParam()->supported()) {
      GTEST_SKIP() << "this machine cannot run " << GetParam()->name;
    }
    ASSERT_EQ(crypto_aead_aes256gcm_is_available(), 1);
  }
};

std::vector<const AeadKernel*> all_kernels() {
  std::vector<const AeadKernel*> kernels;
  for (const AeadKernel& kernel : aead_kernels()) {
    kernels.push_back(&kernel);
  }
  return kernels;
}

INSTANTIATE_TEST_SUITE_P(Kernels, AeadKernelTest, testing::ValuesIn(all_kernels()),
                         [](const auto& tested) {
                           std::string name(tested.param->name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Test cases 13 to 15 of the GCM specification; an onion request's "Hello world".
std::vector<Text> known_answers() {
  const ByteVector zero_key(kAeadKeyBytes);
  const ByteVector zero_nonce(aead_nonce_bytes(kGcm));
  return {
      {kGcm, zero_key, zero_nonce, {}, hex("530f8afbc74536b9a963b4f1c4cb738b")},
      {kGcm, zero_key, zero_nonce, ByteVector(16),
       hex("cea7403d4d606b6e074ec5d3baf39d18 d0d1c8a799996bf0265b98b5d48ab919")},
      {kGcm, hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"),
       hex("cafebabefacedbaddecaf888"),
       hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
           "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"),
       hex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
           "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
           "b094dac5d93471bdec1a502270e3cc6c")},
      {kXchacha, hex("37a3af90eb276c0b4069998e97edf956b6933bd3c77d330a072cdf274e757ab5"),
       hex("9e1a3abe60eff3ea5c23556cc7e225b6f94355315f7281f6"), hex("48656c6c6f20776f726c64"),
       hex("6ecf4dbb06e7899a52b863e03cde3b287d1638d765db75de02b032")},
  };
}

TEST_P(AeadKernelTest, GivesThePublishedAnswers) {
  for (const Text& known : known_answers()) {
    ByteVector sealed(known.sealed.size());
    AeadJob sealing = job_of(known, known.plain, sealed);
    aead_seal(*GetParam(), std::span(&sealing, 1));
    EXPECT_TRUE(sealing.is_good);
    EXPECT_EQ(sealed, known.sealed);

    ByteVector plain(known.plain.size());
    AeadJob opening = job_of(known, known.sealed, plain);
    aead_open(*GetParam(), std::span(&opening, 1));
    EXPECT_TRUE(opening.is_good);
    EXPECT_EQ(plain, known.plain);
  }
}

/// A batch of mixed kinds and sizes; some texts in place, some with a wrong tag.
class MixedBatch {
 public:
  MixedBatch(TestRandom& random, std::size_t count) : random_(random) {
    for (std::size_t i = 0; i < count; ++i) {
      texts_.push_back(random_text(random, kKinds[random.word() % 2], size()));
    }
  }

  void seal(const AeadKernel& kernel) {
    lay_out([](const Text& text) { return text.plain; },
            [](const Text& text) { return text.sealed.size(); });
    aead_seal(kernel, jobs_);
  }

  void open(const AeadKernel& kernel) {
    lay_out([this](const Text& text) { return perhaps_changed(text); },
            [](const Text& text) { return text.plain.size(); });
    aead_open(kernel, jobs_);
  }

  void expect_sealed() const {
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      EXPECT_TRUE(jobs_[i].is_good);
      EXPECT_TRUE(std::ranges::equal(jobs_[i].target, texts_[i].sealed)) << describe(i);
    }
  }

  void expect_opened() const {
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      EXPECT_EQ(jobs_[i].is_good, !is_changed_[i]) << describe(i);
      const ByteVector& plain = texts_[i].plain;
      EXPECT_TRUE(
          std::ranges::equal(jobs_[i].target, is_changed_[i] ? ByteVector(plain.size()) : plain))
          << describe(i);
    }
  }

 private:
  std::size_t size() {
    constexpr std::array<std::size_t, 12> kSizes{0,  1,    15,   16,   17,   64,
                                                 65, 1000, 2047, 2048, 4100, 100'000};
    // The long one seldom: it would take most of the time.
    return kSizes[random_.word() % (random_.word() % 8 == 0 ? 12 : 11)];
  }

  ByteVector perhaps_changed(const Text& text) {
    ByteVector sealed = text.sealed;
    is_changed_.push_back(random_.word() % 3 == 0);
    if (is_changed_.back()) {
      sealed[random_.word() % sealed.size()] ^= static_cast<std::uint8_t>(1U << random_.word() % 8);
    }
    return sealed;
  }

  template <typename Source, typename Size>
  void lay_out(Source source_of, Size target_bytes_of) {
    jobs_.clear();
    buffers_.clear();
    is_changed_.clear();
    for (const Text& text : texts_) {
      ByteVector& source = buffers_.emplace_back(source_of(text));
      const std::size_t source_bytes = source.size();
      const std::size_t target_bytes = target_bytes_of(text);
      const bool is_in_place = random_.word() % 2 == 0;
      source.resize(is_in_place ? std::max(source_bytes, target_bytes) : source_bytes);
      ByteVector& target = is_in_place ? source : buffers_.emplace_back(target_bytes, 0xa5);
      jobs_.push_back(job_of(text, Bytes(source).first(source_bytes),
                             MutableBytes(target).first(target_bytes)));
    }
  }

  [[nodiscard]] std::string describe(std::size_t i) const {
    return "job " + std::to_string(i) + " of " + std::to_string(texts_.size()) + ", " +
           (texts_[i].kind == kGcm ? "gcm, " : "xchacha, ") +
           std::to_string(texts_[i].plain.size()) + " bytes";
  }

  TestRandom& random_;
  std::vector<Text> texts_;
  std::deque<ByteVector> buffers_;
  std::vector<AeadJob> jobs_;
  std::vector<bool> is_changed_;
};

TEST_P(AeadKernelTest, DoesWithBatchesOfEveryCountWhatLibsodiumDoesOneByOne) {
  TestRandom random(21);
  for (std::size_t count = 0; count <= 40; ++count) {
    for (int round = 0; round < 4; ++round) {
      MixedBatch batch(random, count);
      batch.seal(*GetParam());
      batch.expect_sealed();
      batch.open(*GetParam());
      batch.expect_opened();
    }
  }
}

TEST_P(AeadKernelTest, TakesEveryLengthInOneBatch) {
  TestRandom random(22);
  for (const AeadKind kind : kKinds) {
    std::vector<Text> texts;
    for (std::size_t text_bytes = 0; text_bytes <= 600; ++text_bytes) {
      texts.push_back(random_text(random, kind, text_bytes));
    }
    std::vector<ByteVector> targets;
    for (const Text& text : texts) {
      targets.emplace_back(text.plain.size());
    }
    std::vector<AeadJob> jobs;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      jobs.push_back(job_of(texts[i], texts[i].sealed, targets[i]));
    }

    aead_open(*GetParam(), jobs);

    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_TRUE(jobs[i].is_good) << i;
      EXPECT_EQ(targets[i], texts[i].plain) << i;
    }
  }
}

TEST_P(AeadKernelTest, NoticesEveryChangedBitAndGivesNothingOut) {
  TestRandom random(23);
  for (const AeadKind kind : kKinds) {
    const Text text = random_text(random, kind, 21);
    const std::size_t bit_count = 8 * text.sealed.size();
    std::vector<ByteVector> changed(bit_count, text.sealed);
    std::vector<ByteVector> targets(bit_count, ByteVector(text.plain.size(), 0xa5));
    std::vector<AeadJob> jobs;
    for (std::size_t bit = 0; bit < bit_count; ++bit) {
      changed[bit][bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
      jobs.push_back(job_of(text, changed[bit], targets[bit]));
    }

    aead_open(*GetParam(), jobs);

    for (std::size_t bit = 0; bit < bit_count; ++bit) {
      EXPECT_FALSE(jobs[bit].is_good) << bit;
      EXPECT_EQ(targets[bit], ByteVector(text.plain.size())) << bit;
    }
  }
}

TEST_P(AeadKernelTest, TouchesNothingBesideItsBuffers) {
  TestRandom random(24);
  GuardedBuffer source;
  GuardedBuffer target;
  for (const std::size_t text_bytes : {0U, 1U, 15U, 16U, 17U, 63U, 64U, 65U, 255U, 1000U, 2100U}) {
    for (const Placement::Edge edge : {Placement::Edge::front, Placement::Edge::back}) {
      for (const AeadKind kind : kKinds) {
        const Text text = random_text(random, kind, text_bytes);
        const ByteVector empty_plain(text_bytes);
        const ByteVector empty_sealed(text.sealed.size());

        AeadJob opening = job_of(text, {source.place({edge, 0}, text.sealed), text.sealed.size()},
                                 {target.place({edge, 0}, empty_plain), text_bytes});
        aead_open(*GetParam(), std::span(&opening, 1));
        EXPECT_TRUE(opening.is_good);
        EXPECT_TRUE(std::ranges::equal(opening.target, text.plain));

        AeadJob sealing = job_of(text, {source.place({edge, 0}, text.plain), text_bytes},
                                 {target.place({edge, 0}, empty_sealed), text.sealed.size()});
        aead_seal(*GetParam(), std::span(&sealing, 1));
        EXPECT_TRUE(std::ranges::equal(sealing.target, text.sealed));
      }
    }
  }
}

TEST_P(AeadKernelTest, TakesTextsAsLargeAsRequestsAre) {
  TestRandom random(25);
  for (const AeadKind kind : kKinds) {
    const Text text = random_text(random, kind, (std::size_t{10} << 20) + 3);
    ByteVector buffer = text.plain;
    buffer.resize(text.sealed.size());
    AeadJob sealing = job_of(text, Bytes(buffer).first(text.plain.size()), buffer);
    aead_seal(*GetParam(), std::span(&sealing, 1));
    EXPECT_TRUE(buffer == text.sealed);

    AeadJob opening = job_of(text, buffer, MutableBytes(buffer).first(text.plain.size()));
    aead_open(*GetParam(), std::span(&opening, 1));
    EXPECT_TRUE(opening.is_good);
    EXPECT_TRUE(std::ranges::equal(opening.target, text.plain));
  }
}

TEST(AeadDeathTest, EndsTheProgramWhereSizesDoNotFit) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const AeadKernel& kernel = aead_kernels().front();
  TestRandom random(26);
  const Text text = random_text(random, kGcm, 10);
  ByteVector target(11);
  AeadJob job = job_of(text, text.sealed, target);
  EXPECT_DEATH(aead_open(kernel, std::span(&job, 1)), "check failed");
  job = job_of(text, Bytes(text.sealed).first(15), {});
  EXPECT_DEATH(aead_open(kernel, std::span(&job, 1)), "check failed");
  job = job_of(text, text.plain, target);
  EXPECT_DEATH(aead_seal(kernel, std::span(&job, 1)), "check failed");
}

}  // namespace
}  // namespace allium::crypto_accel
