// SPDX-License-Identifier: Apache-2.0

// The oracle is worth something only if it is right by itself: published answers.

#include "tests/oracle/onion_oracle.hpp"

#include <gtest/gtest.h>

#include "tests/unit/crypto_accel/test_bytes.hpp"

namespace allium::oracle {
namespace {

using test::hex;
using test::hex_block;

TEST(OnionOracle, EncryptsAsFips197) {
  const Block key = hex_block("000102030405060708090a0b0c0d0e0f");
  const Block plain = hex_block("00112233445566778899aabbccddeeff");
  const Block cipher = hex_block("69c4e0d86a7b0430d8cdb78070b4c55a");
  EXPECT_EQ(aes_encrypt(key, plain), cipher);
  EXPECT_EQ(aes_decrypt(key, cipher), plain);
}

TEST(OnionOracle, HashesAsTheGcmSpecification) {
  const Block h = hex_block("66e94bd4ef8a2c3b884cfa59ca342b2e");
  EXPECT_EQ(ghash(h, {}, hex("0388dace60b6a392f328c2b971b2fe78")),
            hex_block("f38cbb1ad69223dcc3457ae5b6b0f885"));
}

TEST(OnionOracle, MacsAsRfc4493) {
  const Block key = hex_block("2b7e151628aed2a6abf7158809cf4f3c");
  EXPECT_EQ(cmac(key, {}), hex_block("bb1d6929e95937287fa37d129b756746"));
  EXPECT_EQ(cmac(key, hex("6bc1bee22e409f96e93d7e117393172a")),
            hex_block("070a16b46b4d4144f79bdd9dd04a287c"));
}

// SPEC.md section 15.1, relay index 5, VF in.
TEST(OnionOracle, DerivesAndTagsAsTheWorkedExample) {
  const LayerKeys keys = layer_keys(hex_block("c483e18fa195e95cc5c3a3bd13d371eb"), 0, 2);
  EXPECT_EQ(keys.k_et, hex_block("5ab0de01e39fec5c34e1beb4d3352f79"));
  EXPECT_EQ(keys.k_s, hex_block("c8013ac978bbf3136161f524ae220641"));
  EXPECT_EQ(keys.k_m, hex_block("3f23e81a915cd2123a9f6372bb1e3697"));
  EXPECT_EQ(keys.h, hex_block("afba0ab2146c63c9e5aeeb75d9cb2568"));
  EXPECT_EQ(keys.h_s, hex_block("64c3441fe81d465296fbf24f2f47c22c"));
  EXPECT_EQ(replay_tag(hex_block("d84b87ee8403b614b59cef4fd83898ad"), keys,
                       hex_block("131bcfa677c4de74dc6b4f0572db6611")),
            0x9cf3f115e1a190cf);
}

TEST(OnionOracle, MacsTheHeaderOfTheWorkedExample) {
  const LayerKeys keys = layer_keys(hex_block("c483e18fa195e95cc5c3a3bd13d371eb"), 0, 2);
  const ByteVector header =
      hex("10dd16b1f8ba83e1eaa45d9ace542de8 0b51f3c812e7b5f0f852bbe782ea2a14"
          "f0d83728ef637926606828ea926e6ba3 1bee09cb7bf5fd7b5a1bf71662c626bd"
          "d92b630e049ff23ef7b41e58a3ff7393 38dd4e07784d191a63b65096be33f6c8");
  EXPECT_EQ(header_mac(keys, layer_ctx(0, 2, 225001054 % 65536), header,
                       hex_block("d5979177f6df1ec6c2295726f50312f7")),
            hex_block("0b51f3c812e7b5f0f852bbe782ea2a14"));
}

// Same hop, its answer's last link: the tag in the packet that the client gets.
TEST(OnionOracle, TagsTheLastLinkOfTheWorkedExample) {
  const LayerKeys keys = layer_keys(hex_block("c483e18fa195e95cc5c3a3bd13d371eb"), 1, 2);
  EXPECT_EQ(client_tag(keys, 2, 225001054 % 65536, hex_block("2de50b5edcce94f10b15f1076b3a1a0f")),
            hex("2be03f9762d2aa92ce1b0f84"));
}

TEST(OnionOracle, DecryptsWhatItEncrypts) {
  test::TestRandom random(5);
  const LayerKeys keys = layer_keys(random.block(), 1, 5);
  const Block ctx = layer_ctx(1, 5, 77);
  const Block x_l = random.block();
  const ByteVector x_r = random.bytes(1056);

  const Layer sealed = encrypt_layer(keys, ctx, x_l, x_r);
  const Layer opened = decrypt_layer(keys, ctx, sealed.x_l, sealed.x_r);

  EXPECT_EQ(opened.x_l, x_l);
  EXPECT_EQ(opened.x_r, x_r);
  EXPECT_EQ(opened.v, sealed.v);
  EXPECT_EQ(opened.w, sealed.w);
}

}  // namespace
}  // namespace allium::oracle
