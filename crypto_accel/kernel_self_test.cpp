// SPDX-License-Identifier: Apache-2.0

// The start-up self-test: the worked example of SPEC.md section 15.1 through every function of the
// chosen kernels, the same packet in all lanes. Every function starts from the example's own
// values, not from what the one before made, so that a wrong one is named alone.

#include <algorithm>
#include <cstring>
#include <vector>

#include "crypto_accel/base/secret.hpp"
#include "crypto_accel/kernel_registry.hpp"
#include "crypto_accel/kernels/known_answers.hpp"

namespace allium::crypto_accel {
namespace {

constexpr LaneMask kAllLanes = first_lanes(kLanesMax);

template <typename Target, typename Value>
Lanes<Target> in_all_lanes(const Value& value) {
  Lanes<Target> lanes{};
  lanes.fill(value);
  return lanes;
}

// The same bytes once a lane, to be changed in place.
template <std::size_t N>
class LaneBuffers {
 public:
  explicit LaneBuffers(const std::array<std::uint8_t, N>& bytes) {
    buffers_.fill(bytes);
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      pointers_[i] = buffers_[i].data();
    }
  }

  [[nodiscard]] const Lanes<std::uint8_t*>& pointers() const { return pointers_; }

  [[nodiscard]] bool equal(std::size_t lane, const std::array<std::uint8_t, N>& bytes) const {
    return buffers_[lane] == bytes;
  }

  [[nodiscard]] bool all_equal(const std::array<std::uint8_t, N>& bytes) const {
    return std::all_of(buffers_.begin(), buffers_.end(),
                       [&](const auto& buffer) { return buffer == bytes; });
  }

 private:
  Lanes<std::array<std::uint8_t, N>> buffers_;
  Lanes<std::uint8_t*> pointers_{};
};

template <typename T>
bool all_equal(const Lanes<T>& lanes, const T& value) {
  return std::all_of(lanes.begin(), lanes.end(), [&](const T& lane) { return lane == value; });
}

class OnionTrial {
 public:
  explicit OnionTrial(const OnionKernel& kernel) : batch_(kernel) {}

  ~OnionTrial() { wipe(&link_, sizeof link_); }

  OnionTrial(const OnionTrial&) = delete;
  OnionTrial& operator=(const OnionTrial&) = delete;

  std::vector<std::string_view> run() {
    blocks();
    for (const KnownHop& hop : kKnownHops) {
      layer(hop);
      link(hop);
    }
    blame();
    return wrong_;
  }

 private:
  void expect(std::string_view function, bool right) {
    if (!right && !is_wrong(function)) {
      wrong_.push_back(function);
    }
  }

  [[nodiscard]] bool is_wrong(std::string_view function) const {
    return std::find(wrong_.begin(), wrong_.end(), function) != wrong_.end();
  }

  void blocks() {
    AesKey key{};
    Lanes<Block> result{};
    batch_.expand_key(kKnownSegmentKey, key);
    batch_.decrypt_blocks(key, kAllLanes, in_all_lanes<const std::uint8_t*>(kKnownSegment.data()),
                          result);
    expect("decrypt_blocks", all_equal(result, kKnownSegmentPlain));
    batch_.expand_key(kKnownSecretKey, key);
    batch_.encrypt_blocks(key, kAllLanes, in_all_lanes<Block>(kKnownSecretInput), result);
    expect("encrypt_blocks", all_equal(result, kKnownHops[0].secret));
  }

  void layer(const KnownHop& hop) {
    Lanes<Block> result{};
    batch_.derive(hop.shape, kAllLanes, in_all_lanes<Block>(hop.secret));
    batch_.layer_left(hop.shape, kAllLanes, in_all_lanes<Block>(hop.ctx),
                      in_all_lanes<const std::uint8_t*>(hop.t_in.data()),
                      in_all_lanes<const std::uint8_t*>(hop.x_r_in.data()), result);
    expect("layer_left", all_equal(result, hop.t_out));

    batch_.header_mac(kAllLanes, in_all_lanes<const std::uint8_t*>(hop.mac_message.data()),
                      hop.mac_message.size(), result);
    expect("header_mac", all_equal(result, hop.gamma));

    const LaneBuffers right(hop.x_r_in);
    batch_.layer_right(hop.shape, kAllLanes, in_all_lanes<Block>(hop.t_out), right.pointers(),
                       result);
    expect("layer_right", right.all_equal(hop.x_r_out) && all_equal(result, hop.w));

    constexpr LaneMask kRight = 0x55555555;
    const LaneBuffers both(hop.x_r_in);
    auto left_out = in_all_lanes<Block>(hop.t_out);
    for (std::size_t lane = 1; lane < kLanesMax; lane += 2) {
      left_out[lane] = Block{};
    }
    // Of T's new value behind the message; what is expected is the MAC of both in one piece.
    Lanes<Block> before_end{};
    Lanes<Block> whole{};
    std::vector<std::uint8_t> text(hop.mac_message.begin(), hop.mac_message.end());
    text.insert(text.end(), hop.t_out.begin(), hop.t_out.end());
    const auto text_at = in_all_lanes<const std::uint8_t*>(text.data());
    batch_.header_mac(kAllLanes, text_at, text.size() - kBlockBytes, before_end);
    batch_.header_mac(kAllLanes, text_at, text.size(), whole);
    Lanes<Block> mac = before_end;
    batch_.layer_both(hop.shape, kRight, both.pointers(), result, ~kRight,
                      in_all_lanes<Block>(hop.ctx),
                      in_all_lanes<const std::uint8_t*>(hop.t_in.data()),
                      in_all_lanes<const std::uint8_t*>(hop.x_r_in.data()), left_out, mac);
    bool is_both_right = all_equal(left_out, hop.t_out);
    for (std::size_t lane = 0; lane < kLanesMax; ++lane) {
      const bool is_ciphered = (kRight >> lane & 1) != 0;
      is_both_right &= both.equal(lane, is_ciphered ? hop.x_r_out : hop.x_r_in);
      is_both_right &= mac[lane] == (is_ciphered ? before_end[lane] : whole[lane]);
    }
    expect("layer_both", is_both_right);

    const LaneBuffers header(hop.header_in);
    batch_.header_shift(hop.shape, kAllLanes, in_all_lanes<Block>(hop.w), header.pointers());
    expect("header_shift", header.all_equal(hop.header_out));

    AesKey replay_key{};
    Lanes<std::uint64_t> tag{};
    batch_.expand_key(kKnownReplayKey, replay_key);
    batch_.replay_tag(kAllLanes, in_all_lanes<const AesKey*>(&replay_key),
                      in_all_lanes<const std::uint8_t*>(hop.t_in.data()), tag);
    expect("replay_tag", all_equal(tag, load_be(hop.replay_tag.data(), 8)));
  }

  void link(const KnownHop& hop) {
    Lanes<std::uint64_t> tag{};
    batch_.expand_key(hop.link_mac_key, link_.mac);
    batch_.expand_key(hop.link_veil_key, link_.veil);
    const auto key = in_all_lanes<const LinkKey*>(&link_);
    batch_.link_tag(hop.shape.header_bytes, kAllLanes, key,
                    in_all_lanes<const std::uint8_t*>(hop.link_datagram.data()), tag);
    expect("link_tag", all_equal(tag, load_be(hop.link_datagram.data() + 8, 8)));

    auto opened = hop.link_datagram;
    std::copy(hop.link_header.begin(), hop.link_header.end(), opened.begin() + kBlockBytes);
    const LaneBuffers datagram(hop.link_datagram);
    batch_.link_veil(hop.shape.header_bytes, kAllLanes, key, datagram.pointers());
    expect("link_veil", datagram.all_equal(opened));
  }

  // The keys themselves are not seen from outside. Where everything that needs them is wrong, it is
  // the function that makes them that is to blame.
  void blame() {
    const auto all_wrong = [this](std::initializer_list<std::string_view> functions) {
      return std::all_of(functions.begin(), functions.end(),
                         [this](std::string_view function) { return is_wrong(function); });
    };
    if (all_wrong({"layer_left", "header_mac", "layer_right", "layer_both", "header_shift",
                   "replay_tag"})) {
      wrong_.insert(wrong_.begin(), "derive");
    }
    if (all_wrong({"decrypt_blocks", "encrypt_blocks", "link_tag", "link_veil"})) {
      wrong_.insert(wrong_.begin(), "expand_key");
    }
  }

  OnionBatch batch_;
  std::vector<std::string_view> wrong_;
  LinkKey link_{};
};

// Lane 1 is the point 0, which has to be refused; the others have the known secret.
bool x25519_is_right(const X25519Kernel& kernel) {
  constexpr std::size_t kBadLane = 1;
  const PrivateKey scalar{std::span<const std::uint8_t, 32>(kKnownScalar)};
  auto points = in_all_lanes<PublicKey>(kKnownPoint);
  auto expected = in_all_lanes<SharedSecret>(kKnownShared);
  points[kBadLane] = PublicKey{};
  expected[kBadLane] = SharedSecret{};
  Lanes<SharedSecret> shared{};
  const LaneMask good = kernel.run(scalar, points, shared);
  return good == (kAllLanes & ~(LaneMask{1} << kBadLane)) && shared == expected;
}

// A known text alone in a batch: sealed, opened, and opened with one bit of its tag wrong.
template <std::size_t kNonceBytes, std::size_t kTextBytes>
bool seals(const AeadKernel& kernel, AeadKind kind,
           const KnownAead<kNonceBytes, kTextBytes>& known) {
  auto sealed = decltype(known.sealed){};
  AeadJob job{kind, known.key.data(), known.nonce.data(), known.text, sealed, false};
  aead_seal(kernel, std::span(&job, 1));
  return sealed == known.sealed;
}

template <std::size_t kNonceBytes, std::size_t kTextBytes>
bool opens(const AeadKernel& kernel, AeadKind kind,
           const KnownAead<kNonceBytes, kTextBytes>& known) {
  auto changed = known.sealed;
  changed.back() ^= 1;
  std::array<std::uint8_t, kTextBytes> right{};
  auto wrong = known.text;
  std::array<AeadJob, 2> jobs{
      AeadJob{kind, known.key.data(), known.nonce.data(), known.sealed, right, false},
      AeadJob{kind, known.key.data(), known.nonce.data(), changed, wrong, true}};
  aead_open(kernel, jobs);
  return jobs[0].is_good && right == known.text && !jobs[1].is_good &&
         wrong == std::array<std::uint8_t, kTextBytes>{};
}

// Long texts may take another way through a kernel; no standard has an answer of that length, so the first variant
// gives it.
bool long_text_is_right(const AeadKernel& kernel, AeadKind kind) {
  constexpr std::size_t kLongTextBytes = 5000;
  const std::vector<std::uint8_t> text(kLongTextBytes, 0x5a);
  std::vector<std::uint8_t> expected(kLongTextBytes + kAeadTagBytes);
  std::vector<std::uint8_t> sealed(expected.size());
  const auto job = [kind](Bytes source, MutableBytes target) {
    return AeadJob{kind, kKnownXchacha.key.data(), kKnownXchacha.nonce.data(), source, target,
                   false};
  };
  AeadJob by_first = job(text, expected);
  AeadJob by_tested = job(text, sealed);
  aead_seal(aead_kernels().front(), std::span(&by_first, 1));
  aead_seal(kernel, std::span(&by_tested, 1));
  std::vector<std::uint8_t> opened(kLongTextBytes);
  AeadJob opening = job(expected, opened);
  aead_open(kernel, std::span(&opening, 1));
  return sealed == expected && opening.is_good && opened == text;
}

// Names the functions that are wrong.
std::string wrong_in_aead(const AeadKernel& kernel) {
  std::string wrong;
  const auto expect = [&wrong](std::string_view function, bool right) {
    wrong += right ? "" : wrong.empty() ? "" : ", ";
    wrong += right ? "" : function;
  };
  expect("seal", seals(kernel, AeadKind::aes256_gcm, kKnownGcm) &&
                     seals(kernel, AeadKind::xchacha20_poly1305, kKnownXchacha));
  expect("open", opens(kernel, AeadKind::aes256_gcm, kKnownGcm) &&
                     opens(kernel, AeadKind::xchacha20_poly1305, kKnownXchacha));
  expect("long texts", long_text_is_right(kernel, AeadKind::aes256_gcm) &&
                           long_text_is_right(kernel, AeadKind::xchacha20_poly1305));
  return wrong;
}

std::string refusal(std::string_view kind, std::string_view name, std::string_view functions) {
  return "self-test: " + std::string(kind) + "=" + std::string(name) +
         " gives wrong answers in: " + std::string(functions) +
         "; choose another with ALLIUM_KERNEL, and report this";
}

}  // namespace

Result<void> self_test(const KernelSet& kernels) {
  std::string wrong;
  for (const std::string_view function : OnionTrial(*kernels.onion).run()) {
    wrong += wrong.empty() ? "" : ", ";
    wrong += function;
  }
  if (!wrong.empty()) {
    return fail(Errc::internal, refusal("onion", kernels.onion->name, wrong));
  }
  if (!x25519_is_right(*kernels.x25519)) {
    return fail(Errc::internal, refusal("x25519", kernels.x25519->name, "run"));
  }
  if (const std::string functions = wrong_in_aead(*kernels.aead); !functions.empty()) {
    return fail(Errc::internal, refusal("aead", kernels.aead->name, functions));
  }
  return {};
}

}  // namespace allium::crypto_accel
