// SPDX-License-Identifier: Apache-2.0

// Every onion kernel against the portable one: any packets and keys of any shape, in any lanes, through all that a hop
// does. What the hop before made goes in as it came out, so a difference does not stay alone.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/onion_batch.hpp"

namespace {

namespace crypto = allium::crypto_accel;

using allium::Block;
using crypto::kLanesMax;
using crypto::LaneMask;
using crypto::Lanes;

constexpr std::size_t kDatagramBytes = 1232;

constexpr std::array<crypto::LayerShape, 7> kShapes{{
    {0, 1, 128, 1072},
    {1, 1, 128, 1072},
    {0, 2, 96, 128},
    {1, 2, 96, 128},
    {0, 3, 400, 800},
    {0, 4, 656, 544},
    {1, 5, 144, 1056},
}};

// Bytes of the input, again from its beginning where there are no more; all zero where there are none.
class Source {
 public:
  explicit Source(std::span<const std::uint8_t> data) : data_(data) {}

  void fill(std::uint8_t* target, std::size_t byte_count) {
    for (std::size_t i = 0; i < byte_count; ++i) {
      target[i] =
          data_.empty()
              ? std::uint8_t{0}
              : static_cast<std::uint8_t>(data_[next_ % data_.size()] ^ (next_ / data_.size()));
      ++next_;
    }
  }

  template <typename T>
  T take() {
    T value{};
    fill(reinterpret_cast<std::uint8_t*>(&value), sizeof value);
    return value;
  }

 private:
  std::span<const std::uint8_t> data_;
  std::size_t next_ = 0;
};

/// One kernel with a burst of its own.
struct Hop {
  Hop(const crypto::OnionKernel& kernel, Source source) : batch(kernel) {
    shape = kShapes[source.take<std::uint8_t>() % kShapes.size()];
    lanes = source.take<LaneMask>();
    right = lanes & source.take<LaneMask>();
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      source.fill(memory[i].data(), memory[i].size());
      secret[i] = source.take<Block>();
      ctx[i] = source.take<Block>();
      batch.expand_key(source.take<Block>(), links[i].mac);
      batch.expand_key(source.take<Block>(), links[i].veil);
      link[i] = &links[i];
      replay[i] = &links[i % 3].mac;
      datagram[i] = memory[i].data();
      header[i] = datagram[i] + 16;
      x_r[i] = header[i] + shape.header_bytes + 16;
      datagram_in[i] = datagram[i];
      header_in[i] = header[i];
      t[i] = header[i] + shape.header_bytes;
      x_r_in[i] = x_r[i];
    }
  }

  void run() {
    batch.link_tag(shape.header_bytes, lanes, link, datagram_in, tag_in);
    batch.link_veil(shape.header_bytes, lanes, link, datagram);
    batch.decrypt_blocks(links[0].mac, lanes, header_in, opened);
    batch.encrypt_blocks(links[1].veil, lanes, opened, sealed);
    batch.derive(shape, lanes, secret);
    batch.replay_tag(lanes, replay, t, replay_tag);
    batch.layer_left(shape, right, ctx, t, x_r_in, x_l_out);
    batch.header_mac(lanes, header_in, shape.header_bytes, mac);
    batch.layer_both(shape, right, x_r, w, lanes & ~right, ctx, t, x_r_in, x_l_out, mac);
    batch.layer_right(shape, lanes & ~right, x_l_out, x_r, w);
    batch.header_shift(shape, lanes, w, header);
    batch.link_veil(shape.header_bytes, lanes, link, datagram);
    batch.link_tag(shape.header_bytes, lanes, link, datagram_in, tag_out);
    batch.clear_traces();
  }

  [[nodiscard]] bool equals(const Hop& other) const {
    return memory == other.memory && tag_in == other.tag_in && tag_out == other.tag_out &&
           replay_tag == other.replay_tag && opened == other.opened && sealed == other.sealed &&
           x_l_out == other.x_l_out && w == other.w && mac == other.mac;
  }

  crypto::OnionBatch batch;
  crypto::LayerShape shape{};
  LaneMask lanes = 0;
  LaneMask right = 0;
  Lanes<std::array<std::uint8_t, kDatagramBytes>> memory{};
  Lanes<Block> secret{};
  Lanes<Block> ctx{};
  Lanes<Block> opened{};
  Lanes<Block> sealed{};
  Lanes<Block> x_l_out{};
  Lanes<Block> w{};
  Lanes<Block> mac{};
  Lanes<std::uint64_t> tag_in{};
  Lanes<std::uint64_t> tag_out{};
  Lanes<std::uint64_t> replay_tag{};
  Lanes<crypto::LinkKey> links{};
  Lanes<const crypto::LinkKey*> link{};
  Lanes<const crypto::AesKey*> replay{};
  Lanes<std::uint8_t*> datagram{};
  Lanes<std::uint8_t*> header{};
  Lanes<std::uint8_t*> x_r{};
  Lanes<const std::uint8_t*> datagram_in{};
  Lanes<const std::uint8_t*> header_in{};
  Lanes<const std::uint8_t*> t{};
  Lanes<const std::uint8_t*> x_r_in{};
};

// The variants that this CPU runs besides the first; says once which it does not.
std::vector<const crypto::OnionKernel*> tested_kernels() {
  std::vector<const crypto::OnionKernel*> kernels;
  for (const crypto::OnionKernel& kernel : crypto::onion_kernels().subspan(1)) {
    if (kernel.supported()) {
      kernels.push_back(&kernel);
    } else {
      std::printf("skipped: this CPU cannot run onion=%s\n", kernel.name.data());
    }
  }
  return kernels;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto kernels = tested_kernels();
  const Source source(std::span(data, size));
  const auto expected = std::make_unique<Hop>(crypto::onion_kernels().front(), source);
  expected->run();
  for (const crypto::OnionKernel* kernel : kernels) {
    const auto tested = std::make_unique<Hop>(*kernel, source);
    tested->run();
    ALLIUM_CHECK(tested->equals(*expected));
  }
  return 0;
}
