// SPDX-License-Identifier: Apache-2.0
#pragma once

// The two answers that the start-up self-test knows: the packets that the middle relay of SPEC.md
// section 15.1 (two hops, class V) takes in and sends out, one in each direction, with the values
// in between and the keys of the link to the other relay; X25519 and the AEADs have their own.

#include <array>
#include <cstddef>
#include <cstdint>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/onion_batch.hpp"
#include "crypto_accel/x25519_batch.hpp"

namespace allium::crypto_accel {

constexpr std::uint8_t hex_digit(char digit) noexcept {
  return static_cast<std::uint8_t>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

/// The bytes of a literal; one of another length does not compile.
template <std::size_t N>
consteval std::array<std::uint8_t, N> from_hex(const char (&digits)[2 * N + 1]) {
  std::array<std::uint8_t, N> bytes{};
  for (std::size_t i = 0; i < N; ++i) {
    bytes[i] =
        static_cast<std::uint8_t>(hex_digit(digits[2 * i]) << 4 | hex_digit(digits[2 * i + 1]));
  }
  return bytes;
}

struct KnownHop {
  LayerShape shape;
  Block secret;
  Block ctx;
  std::array<std::uint8_t, 112> mac_message;
  Block gamma;
  std::array<std::uint8_t, 96> header_in;
  std::array<std::uint8_t, 96> header_out;
  Block t_in;
  Block t_out;
  std::array<std::uint8_t, 128> x_r_in;
  std::array<std::uint8_t, 128> x_r_out;
  Block w;
  std::array<std::uint8_t, 8> replay_tag;
  Block link_mac_key;
  Block link_veil_key;
  std::array<std::uint8_t, 128> link_datagram;  ///< up to X_R, as on the wire
  std::array<std::uint8_t, 96> link_header;     ///< HR without the veil
};

/// Node keys of the relay: A opens segments, B makes secrets, R makes replay tags.
inline constexpr Block kKnownSegmentKey = from_hex<16>("55604bb86f85bb3140d14433e6d01c29");
inline constexpr Block kKnownSecretKey = from_hex<16>("7ace06f4c4ddeea5a39af35305b8c1e9");
inline constexpr Block kKnownReplayKey = from_hex<16>("d84b87ee8403b614b59cef4fd83898ad");

inline constexpr Block kKnownSegment = from_hex<16>("10dd16b1f8ba83e1eaa45d9ace542de8");
inline constexpr Block kKnownSegmentPlain = from_hex<16>("0198c00554f61900000415ff2956b7ba");
inline constexpr Block kKnownSecretInput = from_hex<16>("010415ff2956b7ba98c0000000000000");

inline constexpr std::array<KnownHop, 2> kKnownHops{{
    {.shape = {.direction = 0, .packet_class = 2, .header_bytes = 96, .x_r_bytes = 128},
     .secret = from_hex<16>("c483e18fa195e95cc5c3a3bd13d371eb"),
     .ctx = from_hex<16>("00023e5e000000000000000000000000"),
     .mac_message = from_hex<112>(
         "00023e5e00000000000000000000000010dd16b1f8ba83e1eaa45d9ace542de8f0d83728ef637926"
         "606828ea926e6ba31bee09cb7bf5fd7b5a1bf71662c626bdd92b630e049ff23ef7b41e58a3ff7393"
         "38dd4e07784d191a63b65096be33f6c8d5979177f6df1ec6c2295726f50312f7"),
     .gamma = from_hex<16>("0b51f3c812e7b5f0f852bbe782ea2a14"),
     .header_in = from_hex<96>(
         "10dd16b1f8ba83e1eaa45d9ace542de80b51f3c812e7b5f0f852bbe782ea2a14f0d83728ef637926"
         "606828ea926e6ba31bee09cb7bf5fd7b5a1bf71662c626bdd92b630e049ff23ef7b41e58a3ff7393"
         "38dd4e07784d191a63b65096be33f6c8"),
     .header_out = from_hex<96>(
         "4d2bf59bfbcadeccf0530037a50b4dae489d9ef1d47abcf3e7e278d6d7f1249f3768148ec0a06bf8"
         "cda13202a8c6b0388d28131f7fef18e86f47d6bddb7291a3b06af20bd2c1a6737e51bb75efc341c0"
         "377a7d10ef11da61b527d4847724b524"),
     .t_in = from_hex<16>("131bcfa677c4de74dc6b4f0572db6611"),
     .t_out = from_hex<16>("d5979177f6df1ec6c2295726f50312f7"),
     .x_r_in = from_hex<128>(
         "1f6c823d9ad27644c2788a801c07b28b87a5d753fd45a680ef5b04a722238d69646cc6313900d8bc"
         "da8179fc449edb9b2acb8c19e868f29ebf08a312d8f960635d072d7745cba06e29756d963229bec2"
         "c682b905cbc6bee65ad6039f460c625c34b93f324af6986eb830d092921725461ba716b82874a9e2"
         "5a9525b6eeeea0ae"),
     .x_r_out = from_hex<128>(
         "c2fe16619812167f6708535510b8b54bee0e63c502f4dbb8475ca2c63935c0c1d0ed5777e5621c0c"
         "609466c20a862d071a090f8c0fe70859615754f8a51c322b6ec51a23089da501ab6f7b77341a5889"
         "3c17179a030ae083ebc612f11ffc5a26d2904b5ab9e638a9578abdf79a7edc5246a8162f2c7af464"
         "32002a831cfe75cd"),
     .w = from_hex<16>("fc17a7aaaf897d0e751c6fe64b87014d"),
     .replay_tag = from_hex<8>("9cf3f115e1a190cf"),
     .link_mac_key = from_hex<16>("ac80fbb0f9b6992ee9405f5c60d5c283"),
     .link_veil_key = from_hex<16>("b75ad233a4e5a4c8527919928b010559"),
     .link_datagram = from_hex<128>(
         "13ce5e1809f4a08c29aecd4394879912864941f10d5811f4427f3a9dc6a7e8a98ec216fcbe0f0a0a"
         "d7e6a753bba116c69b0b235c097ea8188d5b7854a8bc941fcc833b1a3a43233aac52cfef30d0fd34"
         "0d6a375a0ed906484d2cd57299075cd8035cf553cf4339bf5d6b68e6c2506994d5979177f6df1ec6"
         "c2295726f50312f7"),
     .link_header = from_hex<96>(
         "4d2bf59bfbcadeccf0530037a50b4dae489d9ef1d47abcf3e7e278d6d7f1249f3768148ec0a06bf8"
         "cda13202a8c6b0388d28131f7fef18e86f47d6bddb7291a3b06af20bd2c1a6737e51bb75efc341c0"
         "377a7d10ef11da61b527d4847724b524")},
    {.shape = {.direction = 1, .packet_class = 2, .header_bytes = 96, .x_r_bytes = 128},
     .secret = from_hex<16>("c483e18fa195e95cc5c3a3bd13d371eb"),
     .ctx = from_hex<16>("01023e5e000000000000000000000000"),
     .mac_message = from_hex<112>(
         "010200000000000000000000000000008346f9e2c0f1837bacdad357ac57169623ce8dd679314be3"
         "30a989760d9e9f4c825d181989653b8c6002a85eee983c96b8a306f01ac3bf57a5647f6fae0aa6e8"
         "86c02b00d76cb936fe960331824db48200000000000000000000000000000000"),
     .gamma = from_hex<16>("92251dd5060cebdb4c8b9c2d9965d5fc"),
     .header_in = from_hex<96>(
         "8346f9e2c0f1837bacdad357ac57169692251dd5060cebdb4c8b9c2d9965d5fc23ce8dd679314be3"
         "30a989760d9e9f4c825d181989653b8c6002a85eee983c96b8a306f01ac3bf57a5647f6fae0aa6e8"
         "86c02b00d76cb936fe960331824db482"),
     .header_out = from_hex<96>(
         "33cee58008bdbd5fd3d4bfd3628a4ec61c307acfa594f6d5e8bd8a1e9360286a01904a5c4f682de2"
         "b9dfdc8dd967df7ef0df0ed9a32e3bc6b3f370b06da888970b35dd0827dc9bd71221d49a98364d4a"
         "e0c1f474c8e6af240467fd6b048e0097"),
     .t_in = from_hex<16>("2de50b5edcce94f10b15f1076b3a1a0f"),
     .t_out = from_hex<16>("c1a343232ed59af05998c94a86fe4aae"),
     .x_r_in = from_hex<128>(
         "6b17feef790abdb7cd35089773fb04edaa02c039e06cd0cbb3d8ba756172a9c2b12b2841b05e9f55"
         "8ff8225baa686689060b15216e2033344cb27ebda3eda9027205c1ec1bcd57986e02ac1adca82a11"
         "e3d0a684c3a5bb527aefbc4cd3dbe83fb24b887e36bc011fdb4c9cac7bc01af493961c07d4bcc4f0"
         "2af5b03386df67e0"),
     .x_r_out = from_hex<128>(
         "8b8141c95925c7c04cdf8a4e412912daf205f7029817be8f7edaef7d31b10ada523dbac36d21aee8"
         "9bdbf761ad25d6e3c2b9099a984428d3272c7f2e59b99f5122c8487676a4fc03e4bb824b38132943"
         "1e1f7527bd76ab6ee34a9076221c89b9bcbc37454faaf9105864ca48e3c9a68e08ceb5cf5959d4a1"
         "18aec408fbcf5fb8"),
     .w = from_hex<16>("a2f5ce1b6cf0b76de54254f04b687f43"),
     .replay_tag = from_hex<8>("418b7dbf9077406c"),
     .link_mac_key = from_hex<16>("70c500d421e0cbfd755ef72fdf73c6ba"),
     .link_veil_key = from_hex<16>("c1658d13465b771cccc07f7047cbaa6e"),
     .link_datagram = from_hex<128>(
         "14ce5e25e14c1ae0437bca21af4d94381f827b12f0254ec7f0a75ce0e44c5ff749750803e8c2edf3"
         "7daf7165b78f000d3f2cda278df40c842bb019e2b6ce118180adeb2b30fd0dd71692ffaf105519b6"
         "e18f03f61994c7bd48d6edfbd351a4be456a3e6dc3e23d5d225314bff280a7462de50b5edcce94f1"
         "0b15f1076b3a1a0f"),
     .link_header = from_hex<96>(
         "8346f9e2c0f1837bacdad357ac57169692251dd5060cebdb4c8b9c2d9965d5fc23ce8dd679314be3"
         "30a989760d9e9f4c825d181989653b8c6002a85eee983c96b8a306f01ac3bf57a5647f6fae0aa6e8"
         "86c02b00d76cb936fe960331824db482")},
}};

/// RFC 7748, section 6.1: Bob's private key, Alice's public key, their secret.
inline constexpr std::array<std::uint8_t, 32> kKnownScalar =
    from_hex<32>("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
inline constexpr PublicKey kKnownPoint =
    from_hex<32>("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
inline constexpr SharedSecret kKnownShared =
    from_hex<32>("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");

template <std::size_t kNonceBytes, std::size_t kTextBytes>
struct KnownAead {
  std::array<std::uint8_t, 32> key;
  std::array<std::uint8_t, kNonceBytes> nonce;
  std::array<std::uint8_t, kTextBytes> text;
  std::array<std::uint8_t, kTextBytes + 16> sealed;
};

/// Test case 15 of the GCM specification.
inline constexpr KnownAead<12, 64> kKnownGcm{
    from_hex<32>("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"),
    from_hex<12>("cafebabefacedbaddecaf888"),
    from_hex<64>("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"),
    from_hex<80>("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                 "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
                 "b094dac5d93471bdec1a502270e3cc6c")};

/// "Hello world", as onion requests are sealed.
inline constexpr KnownAead<24, 11> kKnownXchacha{
    from_hex<32>("37a3af90eb276c0b4069998e97edf956b6933bd3c77d330a072cdf274e757ab5"),
    from_hex<24>("9e1a3abe60eff3ea5c23556cc7e225b6f94355315f7281f6"),
    from_hex<11>("48656c6c6f20776f726c64"),
    from_hex<27>("6ecf4dbb06e7899a52b863e03cde3b287d1638d765db75de02b032")};

}  // namespace allium::crypto_accel
