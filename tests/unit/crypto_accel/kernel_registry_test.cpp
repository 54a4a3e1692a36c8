// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/kernel_registry.hpp"

#include <cstdlib>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace allium::crypto_accel {
namespace {

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

KernelSet best() {
  const Result<KernelSet> chosen = select_kernels("");
  EXPECT_TRUE(chosen.has_value());
  return *chosen;
}

template <typename Kernel>
const Kernel* last_supported(std::span<const Kernel> kernels) {
  const Kernel* last = nullptr;
  for (const Kernel& kernel : kernels) {
    last = kernel.supported() ? &kernel : last;
  }
  return last;
}

TEST(SelectKernels, TakesTheLastThatTheCpuRunsWithoutAWish) {
  EXPECT_EQ(best().onion, last_supported(onion_kernels()));
  EXPECT_EQ(best().x25519, last_supported(x25519_kernels()));
  EXPECT_EQ(best().aead->name, "ipsec-mb");
}

TEST(SelectKernels, TakesEveryVariantByItsName) {
  for (const OnionKernel& kernel : onion_kernels()) {
    if (!kernel.supported()) {
      continue;
    }
    const std::string wish = "x25519=libsodium,onion=" + std::string(kernel.name);
    const Result<KernelSet> chosen = select_kernels(wish);
    ASSERT_TRUE(chosen.has_value()) << chosen.error().text;
    EXPECT_EQ(chosen->onion, &kernel);
    EXPECT_EQ(chosen->x25519, &x25519_kernels().front());
  }
}

TEST(SelectKernels, TakesEveryX25519ByItsNameOrSaysThatTheCpuCannot) {
  for (const X25519Kernel& kernel : x25519_kernels()) {
    const Result<KernelSet> chosen = select_kernels("x25519=" + std::string(kernel.name));
    ASSERT_EQ(chosen.has_value(), kernel.supported());
    if (chosen) {
      EXPECT_EQ(chosen->x25519, &kernel);
    } else {
      EXPECT_EQ(chosen.error().code, Errc::unavailable);
      EXPECT_TRUE(contains(chosen.error().text, "(not on this CPU)")) << chosen.error().text;
    }
  }
}

TEST(SelectKernels, TakesEveryAeadByItsName) {
  for (const AeadKernel& kernel : aead_kernels()) {
    const Result<KernelSet> chosen = select_kernels("aead=" + std::string(kernel.name));
    ASSERT_TRUE(chosen.has_value()) << chosen.error().text;
    EXPECT_EQ(chosen->aead, &kernel);
  }
}

TEST(SelectKernels, LeavesWhatTheWishDoesNotNameAtTheBest) {
  const Result<KernelSet> chosen = select_kernels("x25519=libsodium");
  ASSERT_TRUE(chosen.has_value());
  EXPECT_EQ(chosen->onion, best().onion);
}

TEST(SelectKernels, ListsTheVariantsWhereANameIsUnknown) {
  const Result<KernelSet> chosen = select_kernels("onion=abacus");
  ASSERT_FALSE(chosen.has_value());
  EXPECT_EQ(chosen.error().code, Errc::not_found);
  EXPECT_TRUE(contains(chosen.error().text, "abacus"));
  for (const OnionKernel& kernel : onion_kernels()) {
    EXPECT_TRUE(contains(chosen.error().text, kernel.name));
  }
}

TEST(SelectKernels, ListsTheKernelsWhereAKindIsUnknown) {
  const Result<KernelSet> chosen = select_kernels("onion=ipsec-mb,sha3=fast");
  ASSERT_FALSE(chosen.has_value());
  EXPECT_EQ(chosen.error().code, Errc::not_found);
  EXPECT_TRUE(contains(chosen.error().text, "sha3"));
  EXPECT_TRUE(contains(chosen.error().text, "libsodium"));
}

TEST(SelectKernels, RefusesWhatIsNoWish) {
  for (const std::string& wish : {std::string("ipsec-mb"), std::string(","),
                                  std::string("onion=ipsec-mb,,"), std::string(257, 'a')}) {
    const Result<KernelSet> chosen = select_kernels(wish);
    ASSERT_FALSE(chosen.has_value()) << wish;
    EXPECT_EQ(chosen.error().code, Errc::malformed) << wish;
  }
}

class KernelsFromEnvironment : public testing::Test {
 protected:
  // No other thread runs here.
  void TearDown() override { unsetenv("ALLIUM_KERNEL"); }  // NOLINT(concurrency-mt-unsafe)
};

TEST_F(KernelsFromEnvironment, TakesTheVariable) {
  setenv("ALLIUM_KERNEL", "onion=ipsec-mb-sse", 1);  // NOLINT(concurrency-mt-unsafe)
  const Result<KernelSet> chosen = kernels_from_environment();
  ASSERT_TRUE(chosen.has_value()) << chosen.error().text;
  EXPECT_EQ(chosen->onion->name, "ipsec-mb-sse");
}

TEST_F(KernelsFromEnvironment, NamesTheVariableInItsRefusal) {
  setenv("ALLIUM_KERNEL", "onion=abacus", 1);  // NOLINT(concurrency-mt-unsafe)
  const Result<KernelSet> chosen = kernels_from_environment();
  ASSERT_FALSE(chosen.has_value());
  EXPECT_TRUE(contains(chosen.error().text, "ALLIUM_KERNEL"));
}

TEST(DescribeKernels, HasALineAVariantAndMarksTheChosen) {
  const std::string text = describe_kernels(best());
  for (const OnionKernel& kernel : onion_kernels()) {
    EXPECT_TRUE(contains(text, "onion=" + std::string(kernel.name) + "  "));
    EXPECT_TRUE(contains(text, kernel.description));
  }
  EXPECT_TRUE(contains(text, "onion=" + std::string(best().onion->name) + "  chosen"));
  EXPECT_TRUE(contains(text, "x25519=" + std::string(best().x25519->name) + "  chosen"));
  EXPECT_TRUE(contains(text, "aead=ipsec-mb  chosen"));
}

TEST(SelfTest, PassesOnEveryVariantThatTheCpuRuns) {
  for (const OnionKernel& kernel : onion_kernels()) {
    if (!kernel.supported()) {
      continue;
    }
    const Result<void> result = self_test(KernelSet{&kernel, best().x25519, best().aead});
    EXPECT_TRUE(result.has_value()) << result.error().text;
  }
  for (const X25519Kernel& kernel : x25519_kernels()) {
    if (!kernel.supported()) {
      continue;
    }
    const Result<void> result = self_test(KernelSet{best().onion, &kernel, best().aead});
    EXPECT_TRUE(result.has_value()) << result.error().text;
  }
  for (const AeadKernel& kernel : aead_kernels()) {
    const Result<void> result = self_test(KernelSet{best().onion, best().x25519, &kernel});
    EXPECT_TRUE(result.has_value()) << result.error().text;
  }
}

// Broken twins: each does what the first variant does, and then one thing wrong.
const OnionKernel& good() {
  return onion_kernels().front();
}

void flip(Block& block) {
  block[15] ^= 1;
}

void wrong_expand_key(void* state, const Block& key, AesKey& expanded) noexcept {
  Block other = key;
  flip(other);
  good().expand_key(state, other, expanded);
}

void wrong_decrypt_blocks(void* state, const AesKey& key, LaneMask lanes,
                          const Lanes<const std::uint8_t*>& source, Lanes<Block>& plain) noexcept {
  good().decrypt_blocks(state, key, lanes, source, plain);
  flip(plain[13]);
}

void wrong_encrypt_blocks(void* state, const AesKey& key, LaneMask lanes,
                          const Lanes<Block>& source, Lanes<Block>& target) noexcept {
  good().encrypt_blocks(state, key, lanes, source, target);
  flip(target[31]);
}

void wrong_derive(void* state, const LayerShape& shape, LaneMask lanes,
                  const Lanes<Block>& secret) noexcept {
  LayerShape other = shape;
  other.packet_class ^= 1;
  good().derive(state, other, lanes, secret);
}

void wrong_layer_left(void* state, const LayerShape& shape, LaneMask lanes, const Lanes<Block>& ctx,
                      const Lanes<const std::uint8_t*>& x_l, const Lanes<const std::uint8_t*>& x_r,
                      Lanes<Block>& x_l_out) noexcept {
  good().layer_left(state, shape, lanes, ctx, x_l, x_r, x_l_out);
  flip(x_l_out[0]);
}

void wrong_header_mac(void* state, LaneMask lanes, const Lanes<const std::uint8_t*>& message,
                      std::size_t message_bytes, Lanes<Block>& mac) noexcept {
  good().header_mac(state, lanes, message, message_bytes, mac);
  flip(mac[7]);
}

void wrong_layer_right(void* state, const LayerShape& shape, LaneMask lanes,
                       const Lanes<Block>& x_l_out, const Lanes<std::uint8_t*>& x_r,
                       Lanes<Block>& w) noexcept {
  good().layer_right(state, shape, lanes, x_l_out, x_r, w);
  x_r[16][127] ^= 0x80;
}

void wrong_layer_both(void* state, const LayerShape& shape, LaneMask right,
                      const Lanes<std::uint8_t*>& x_r, Lanes<Block>& w, LaneMask left,
                      const Lanes<Block>& ctx, const Lanes<const std::uint8_t*>& x_l,
                      const Lanes<const std::uint8_t*>& x_r_in, Lanes<Block>& x_l_out,
                      Lanes<Block>& mac) noexcept {
  good().layer_both(state, shape, right, x_r, w, left, ctx, x_l, x_r_in, x_l_out, mac);
  x_r[30][3] ^= 1;
}

void wrong_header_shift(void* state, const LayerShape& shape, LaneMask lanes, const Lanes<Block>& w,
                        const Lanes<std::uint8_t*>& ahdr) noexcept {
  good().header_shift(state, shape, lanes, w, ahdr);
  ahdr[30][95] ^= 1;
}

// Wrong on the way back only.
void wrong_backward_header_shift(void* state, const LayerShape& shape, LaneMask lanes,
                                 const Lanes<Block>& w, const Lanes<std::uint8_t*>& ahdr) noexcept {
  LayerShape forward = shape;
  forward.direction = 0;
  good().header_shift(state, forward, lanes, w, ahdr);
}

void wrong_replay_tag(void* state, LaneMask lanes, const Lanes<const AesKey*>& replay_key,
                      const Lanes<const std::uint8_t*>& t, Lanes<std::uint64_t>& tag) noexcept {
  good().replay_tag(state, lanes, replay_key, t, tag);
  tag[2] ^= 1;
}

void wrong_link_tag(void* state, std::size_t header_bytes, LaneMask lanes,
                    const Lanes<const LinkKey*>& key, const Lanes<const std::uint8_t*>& datagram,
                    Lanes<std::uint64_t>& tag) noexcept {
  good().link_tag(state, header_bytes, lanes, key, datagram, tag);
  tag[31] ^= std::uint64_t{1} << 63;
}

void wrong_link_veil(void* state, std::size_t header_bytes, LaneMask lanes,
                     const Lanes<const LinkKey*>& key,
                     const Lanes<std::uint8_t*>& datagram) noexcept {
  good().link_veil(state, header_bytes, lanes, key, datagram);
  datagram[5][16] ^= 1;
}

struct Broken {
  std::string_view function;
  OnionKernel kernel;
};

template <typename Member>
Broken broken(std::string_view function, Member OnionKernel::*member, Member wrong) {
  OnionKernel kernel = good();
  kernel.*member = wrong;
  return Broken{function, kernel};
}

std::vector<Broken> all_broken() {
  return {
      broken("expand_key", &OnionKernel::expand_key, &wrong_expand_key),
      broken("decrypt_blocks", &OnionKernel::decrypt_blocks, &wrong_decrypt_blocks),
      broken("encrypt_blocks", &OnionKernel::encrypt_blocks, &wrong_encrypt_blocks),
      broken("derive", &OnionKernel::derive, &wrong_derive),
      broken("layer_left", &OnionKernel::layer_left, &wrong_layer_left),
      broken("header_mac", &OnionKernel::header_mac, &wrong_header_mac),
      broken("layer_right", &OnionKernel::layer_right, &wrong_layer_right),
      broken("layer_both", &OnionKernel::layer_both, &wrong_layer_both),
      broken("header_shift", &OnionKernel::header_shift, &wrong_header_shift),
      broken("header_shift", &OnionKernel::header_shift, &wrong_backward_header_shift),
      broken("replay_tag", &OnionKernel::replay_tag, &wrong_replay_tag),
      broken("link_tag", &OnionKernel::link_tag, &wrong_link_tag),
      broken("link_veil", &OnionKernel::link_veil, &wrong_link_veil),
  };
}

TEST(SelfTest, NamesTheFunctionThatIsWrong) {
  for (const Broken& wrong : all_broken()) {
    SCOPED_TRACE(wrong.function);
    const Result<void> result = self_test(KernelSet{&wrong.kernel, best().x25519, best().aead});
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, Errc::internal);
    EXPECT_TRUE(contains(result.error().text, "in: " + std::string(wrong.function)))
        << result.error().text;
  }
}

LaneMask wrong_run(const PrivateKey& scalar, std::span<const PublicKey> points,
                   std::span<SharedSecret> shared) noexcept {
  const LaneMask good_lanes = x25519_kernels().front().run(scalar, points, shared);
  shared.back()[0] ^= 1;
  return good_lanes;
}

LaneMask run_that_takes_zero(const PrivateKey& scalar, std::span<const PublicKey> points,
                             std::span<SharedSecret> shared) noexcept {
  static_cast<void>(x25519_kernels().front().run(scalar, points, shared));
  return first_lanes(points.size());
}

TEST(SelfTest, RefusesAWrongX25519) {
  for (const auto run : {wrong_run, run_that_takes_zero}) {
    X25519Kernel wrong = x25519_kernels().front();
    wrong.run = run;
    const Result<void> result = self_test(KernelSet{best().onion, &wrong, best().aead});
    ASSERT_FALSE(result.has_value());
    EXPECT_TRUE(contains(result.error().text, "x25519=libsodium")) << result.error().text;
  }
}

// Of every kind and length, one thing wrong.
void seal_with_a_wrong_tag(std::span<AeadJob> jobs) noexcept {
  aead_kernels().front().seal(jobs);
  for (const AeadJob& job : jobs) {
    job.target.back() ^= 1;
  }
}

void seal_long_texts_wrong(std::span<AeadJob> jobs) noexcept {
  aead_kernels().front().seal(jobs);
  for (const AeadJob& job : jobs) {
    job.target.front() ^= std::uint8_t{job.source.size() > 4096};
  }
}

void open_whatever_the_tag(std::span<AeadJob> jobs) noexcept {
  aead_kernels().front().open(jobs);
  for (AeadJob& job : jobs) {
    job.is_good = true;
  }
}

void open_and_keep_bad_texts(std::span<AeadJob> jobs) noexcept {
  aead_kernels().front().open(jobs);
  for (const AeadJob& job : jobs) {
    job.target.front() ^= std::uint8_t{!job.is_good};
  }
}

TEST(SelfTest, RefusesAWrongAeadByItsFunction) {
  struct Case {
    std::string_view function;
    decltype(AeadKernel::open) open;
    decltype(AeadKernel::seal) seal;
  };

  const AeadKernel& sound = aead_kernels().front();
  for (const Case& wrong : {Case{"in: seal", sound.open, seal_with_a_wrong_tag},
                            Case{"in: long texts;", sound.open, seal_long_texts_wrong},
                            Case{"in: open;", open_whatever_the_tag, sound.seal},
                            Case{"in: open;", open_and_keep_bad_texts, sound.seal}}) {
    AeadKernel kernel = sound;
    kernel.open = wrong.open;
    kernel.seal = wrong.seal;
    const Result<void> result = self_test(KernelSet{best().onion, best().x25519, &kernel});
    ASSERT_FALSE(result.has_value());
    EXPECT_TRUE(contains(result.error().text, "aead=one-by-one")) << result.error().text;
    EXPECT_TRUE(contains(result.error().text, wrong.function)) << result.error().text;
  }
}

}  // namespace
}  // namespace allium::crypto_accel
