// SPDX-License-Identifier: Apache-2.0

// Bursts of 1 to 32, good, bad and duplicate packets of all types mixed, give the same bytes, verdicts and counts as
// one by one; and a relay whose kernel mixes up lanes is found by that.

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "dataplane/onion/time_index.hpp"
#include "tests/fuzz/relay_under_test.hpp"

namespace allium::fuzz {
namespace {

using onion::PacketType;
using onion::Verdict;
using Input = RelayUnderTest::Input;

constexpr std::size_t kPackets = 10000;

class Mix {
 public:
  explicit Mix(RelayUnderTest& sealer) : sealer_(sealer) {}

  Input next() {
    Input input = below(4) == 0 && !sent_.empty() ? sent_[below(sent_.size())] : fresh();
    if (below(5) == 0) {
      input.datagram[below(input.byte_count)] ^= static_cast<std::uint8_t>(1U << below(8));
    }
    if (below(40) == 0) {
      input.byte_count = below(onion::kDatagramBytesMax) + 1;
    }
    sent_.push_back(input);
    return input;
  }

 private:
  std::size_t below(std::size_t bound) { return random_() % bound; }

  Input fresh() {
    Input input;
    for (std::uint8_t& byte : input.datagram) {
      byte = static_cast<std::uint8_t>(random_());
    }
    const auto type = static_cast<PacketType>(1 + below(7));
    input.byte_count = onion::type_info(type).total_bytes;
    input.source = RelayUnderTest::peer_endpoint();
    const bool is_setup = type == PacketType::s0 || type == PacketType::s1;
    if (is_setup) {
      seal_setup(input, type);
    } else if (type == PacketType::r) {
      seal_return(input);
    } else {
      seal_segment(input, type);
    }
    if (is_setup && below(2) == 0) {
      input.source = RelayUnderTest::client_endpoint(below(2) == 0);
      sealer_.seal_client(input.datagram, type, input.source);
    } else {
      sealer_.seal_link(input.datagram, type);
    }
    return input;
  }

  void seal_segment(Input& input, PacketType type) {
    Block plain{};
    const bool backward = onion::type_info(type).direction == onion::Direction::backward;
    plain[0] = backward ? 0x81 : 0x01;
    if (below(3) == 0) {  // to a service, or to a client
      plain[0] = backward ? 0x82 : 0x04;
      plain[4] = static_cast<std::uint8_t>(below(6));
    } else {
      store_be(plain.data() + 3, below(2) == 0 ? kOtherId : kPeerId, 4);
    }
    store_be(plain.data() + 1, onion::expiry_of_epoch(onion::epoch_of(kNowMs)), 2);
    store_be(plain.data() + 9, random_(), 7);
    sealer_.seal_segment(input.datagram, type, plain);
  }

  void seal_setup(Input& input, PacketType type) {
    Block rt{};
    rt[0] = below(2) == 0 ? 1 : 4;
    if (rt[0] == 1) {
      store_be(rt.data() + 1, kOtherId, 4);
    } else {
      rt[2] = static_cast<std::uint8_t>(1 + below(4));
    }
    rt[7] = static_cast<std::uint8_t>(below(4));
    sealer_.seal_setup(input.datagram, type, rt, static_cast<std::uint8_t>(1 + below(200)));
  }

  void seal_return(Input& input) {
    std::array<std::uint8_t, 24> plain{};
    store_be(plain.data(), random_(), 8);
    store_be(plain.data() + 16, kOtherId, 4);
    const std::uint64_t expiry = onion::unit10_of(kNowMs) + onion::kReturnLife10s;
    store_be(plain.data() + 22, 1U << 12 | (expiry & 0xfff), 2);
    sealer_.seal_return(input.datagram, plain, static_cast<unsigned>(below(3)));
  }

  RelayUnderTest& sealer_;
  std::mt19937_64 random_{7};
  std::vector<Input> sent_;
};

struct Difference {
  std::size_t packets = 0;
  std::size_t differing = 0;
  std::array<std::uint64_t, onion::kVerdictCount> one_by_one{};
  std::array<std::uint64_t, onion::kVerdictCount> in_bursts{};
};

Difference differences(const crypto_accel::OnionKernel* kernel) {
  RelayUnderTest alone;
  RelayUnderTest together(kernel);
  RelayUnderTest sealer;
  Mix mix(sealer);
  Difference difference;
  for (std::size_t burst_size = 1; difference.packets < kPackets;
       burst_size = burst_size % onion::kBurstMax + 1) {
    std::vector<Input> inputs;
    for (std::size_t i = 0; i < burst_size; ++i) {
      inputs.push_back(mix.next());
    }
    std::vector<Input> copies = inputs;
    const auto outcomes = together.run_burst(copies);
    for (std::size_t i = 0; i < burst_size; ++i) {
      const auto single = alone.run_burst(std::span(inputs).subspan(i, 1)).front();
      const bool same_out =
          single.outgoing == onion::Outgoing::none ||
          std::equal(inputs[i].datagram.begin(), inputs[i].datagram.begin() + single.bytes,
                     copies[i].datagram.begin());
      const bool same =
          single.verdict == outcomes[i].verdict && single.outgoing == outcomes[i].outgoing &&
          (single.outgoing == onion::Outgoing::none || single.bytes == outcomes[i].bytes) &&
          same_out;
      difference.differing += same ? 0U : 1U;
      ++difference.packets;
    }
  }
  difference.one_by_one = alone.verdicts();
  difference.in_bursts = together.verdicts();
  return difference;
}

// A kernel that shifts the header of the first lane only.
const crypto_accel::OnionKernel& lane_mixing_kernel() {
  static const crypto_accel::OnionKernel kernel = [] {
    crypto_accel::OnionKernel wrong = *crypto_accel::select_kernels("")->onion;
    static const auto right_shift = wrong.header_shift;
    wrong.header_shift = [](void* state, const crypto_accel::LayerShape& shape,
                            crypto_accel::LaneMask lanes, const crypto_accel::Lanes<Block>& w,
                            const crypto_accel::Lanes<std::uint8_t*>& ahdr) noexcept {
      right_shift(state, shape, lanes & (~lanes + 1), w, ahdr);
    };
    return wrong;
  }();
  return kernel;
}

TEST(BatchDifferential, BurstsGiveWhatOneByOneGives) {
  const Difference difference = differences(nullptr);

  EXPECT_GE(difference.packets, kPackets);
  EXPECT_EQ(difference.differing, 0U);
  EXPECT_EQ(difference.one_by_one, difference.in_bursts);
  for (const Verdict verdict :
       {Verdict::forward, Verdict::deliver, Verdict::replay, Verdict::ll_tag, Verdict::header_mac,
        Verdict::length, Verdict::rt}) {
    EXPECT_GT(difference.one_by_one[static_cast<std::size_t>(verdict)], 10U)
        << onion::verdict_name(verdict);
  }
}

TEST(BatchDifferential, FindsAKernelThatMixesUpLanes) {
  EXPECT_GT(differences(&lane_mixing_kernel()).differing, 100U);
}

}  // namespace
}  // namespace allium::fuzz
