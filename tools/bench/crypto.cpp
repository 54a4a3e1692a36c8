// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/crypto.hpp"

#include <x86intrin.h>

#include <algorithm>
#include <iterator>
#include <memory>

#include "crypto_accel/base/random.hpp"
#include "crypto_accel/onion_batch.hpp"
#include "crypto_accel/x25519_batch.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::bench {
namespace {

using crypto_accel::first_lanes;
using crypto_accel::kLanesMax;
using crypto_accel::LaneMask;
using crypto_accel::Lanes;

constexpr std::size_t kSamples = 31;
constexpr std::size_t kCallsASample = 64;
constexpr std::size_t kSlowCallsASample = 1;

template <typename Call>
double median_cycles(std::size_t calls, std::size_t packets, Call call) {
  std::vector<double> samples;
  call();
  for (std::size_t i = 0; i < kSamples; ++i) {
    const std::uint64_t begin = __rdtsc();
    for (std::size_t j = 0; j < calls; ++j) {
      call();
    }
    samples.push_back(static_cast<double>(__rdtsc() - begin) /
                      static_cast<double>(calls * packets));
  }
  std::nth_element(samples.begin(), samples.begin() + kSamples / 2, samples.end());
  return samples[kSamples / 2];
}

/// A burst of packets of one class, with keys.
struct Bench {
  Bench(const crypto_accel::OnionKernel& kernel, onion::PacketClass packet_class)
      : batch(kernel),
        shape(onion::layer_shape(
            onion::type_info(onion::data_type(packet_class, onion::Direction::forward)))),
        memory(kLanesMax * onion::kDatagramBytesMax) {
    const Random random = system_random();
    random(memory);
    const auto& info = onion::type_info(onion::data_type(packet_class, onion::Direction::forward));
    for (std::size_t lane = 0; lane < kLanesMax; ++lane) {
      random(secret[lane]);
      datagram[lane] = memory.data() + lane * onion::kDatagramBytesMax;
      datagram_read[lane] = datagram[lane];
      header[lane] = datagram[lane] + onion::kLinkHeaderBytes;
      header_read[lane] = header[lane];
      t_read[lane] = datagram[lane] + info.t_offset;
      x_r[lane] = datagram[lane] + info.x_r_offset;
      x_r_read[lane] = x_r[lane];
      Block key;
      random(key);
      batch.expand_key(key, links[lane].mac);
      batch.expand_key(key, links[lane].veil);
      link[lane] = &links[lane];
      replay[lane] = &links[0].mac;
      ctx[lane] = onion::layer_context(onion::Direction::forward, shape.packet_class, 1);
    }
  }

  crypto_accel::OnionBatch batch;
  crypto_accel::LayerShape shape;
  std::vector<std::uint8_t> memory;
  Lanes<crypto_accel::LinkKey> links;
  Lanes<const crypto_accel::LinkKey*> link{};
  Lanes<const crypto_accel::AesKey*> replay{};
  Lanes<Block> secret{};
  Lanes<Block> ctx{};
  Lanes<Block> blocks{};
  Lanes<Block> w{};
  Lanes<std::uint64_t> tags{};
  Lanes<std::uint8_t*> datagram{};
  Lanes<std::uint8_t*> header{};
  Lanes<std::uint8_t*> x_r{};
  Lanes<const std::uint8_t*> datagram_read{};
  Lanes<const std::uint8_t*> header_read{};
  Lanes<const std::uint8_t*> t_read{};
  Lanes<const std::uint8_t*> x_r_read{};
};

using Function = void (*)(Bench& bench, LaneMask lanes);

struct NamedFunction {
  const char* name;
  Function run;
};

constexpr NamedFunction kFunctions[] = {
    {"link_tag",
     [](Bench& b, LaneMask lanes) {
       b.batch.link_tag(b.shape.header_bytes, lanes, b.link, b.datagram_read, b.tags);
     }},
    {"link_veil",
     [](Bench& b, LaneMask lanes) {
       b.batch.link_veil(b.shape.header_bytes, lanes, b.link, b.datagram);
     }},
    {"segment_open",
     [](Bench& b, LaneMask lanes) {
       b.batch.decrypt_blocks(b.links[0].mac, lanes, b.header_read, b.blocks);
     }},
    {"session_secret",
     [](Bench& b, LaneMask lanes) {
       b.batch.encrypt_blocks(b.links[0].mac, lanes, b.secret, b.blocks);
     }},
    {"derive", [](Bench& b, LaneMask lanes) { b.batch.derive(b.shape, lanes, b.secret); }},
    {"layer_left",
     [](Bench& b, LaneMask lanes) {
       b.batch.layer_left(b.shape, lanes, b.ctx, b.t_read, b.x_r_read, b.blocks);
     }},
    {"header_mac",
     [](Bench& b, LaneMask lanes) {
       b.batch.header_mac(lanes, b.header_read, std::size_t{b.shape.header_bytes} + 16, b.blocks);
     }},
    {"replay_tag",
     [](Bench& b, LaneMask lanes) { b.batch.replay_tag(lanes, b.replay, b.t_read, b.tags); }},
    {"layer_right",
     [](Bench& b, LaneMask lanes) { b.batch.layer_right(b.shape, lanes, b.blocks, b.x_r, b.w); }},
    {"header_shift",
     [](Bench& b, LaneMask lanes) { b.batch.header_shift(b.shape, lanes, b.w, b.header); }},
};

std::vector<double> by_burst(Bench& bench, Function function) {
  std::vector<double> cycles;
  for (const std::size_t burst : kBurstSizes) {
    const LaneMask lanes = first_lanes(burst);
    cycles.push_back(median_cycles(kCallsASample, burst, [&] { function(bench, lanes); }));
  }
  return cycles;
}

std::vector<double> x25519_by_burst(const crypto_accel::X25519Kernel& kernel) {
  const Random random = system_random();
  crypto_accel::PrivateKey scalar;
  random(scalar.bytes());
  std::vector<crypto_accel::PublicKey> points(kLanesMax);
  std::vector<crypto_accel::SharedSecret> shared(kLanesMax);
  for (auto& point : points) {
    random(point);
  }
  std::vector<double> cycles;
  for (const std::size_t burst : kBurstSizes) {
    cycles.push_back(median_cycles(kSlowCallsASample, burst, [&] {
      static_cast<void>(
          kernel.run(scalar, std::span(points).first(burst), std::span(shared).first(burst)));
    }));
  }
  return cycles;
}

}  // namespace

std::vector<CryptoFigure> measure_crypto(const std::function<void(const std::string&)>& progress) {
  std::vector<CryptoFigure> figures;
  for (const crypto_accel::OnionKernel& kernel : crypto_accel::onion_kernels()) {
    if (!kernel.supported()) {
      continue;
    }
    progress("onion=" + std::string(kernel.name));
    for (const onion::PacketClass packet_class : {onion::PacketClass::d, onion::PacketClass::v}) {
      const auto bench = std::make_unique<Bench>(kernel, packet_class);
      bench->batch.derive(bench->shape, first_lanes(kLanesMax), bench->secret);
      for (const NamedFunction& function : kFunctions) {
        figures.push_back({std::string(kernel.name), function.name,
                           packet_class == onion::PacketClass::d ? "d" : "v",
                           by_burst(*bench, function.run)});
      }
    }
  }
  for (const crypto_accel::X25519Kernel& kernel : crypto_accel::x25519_kernels()) {
    if (kernel.supported()) {
      progress("x25519=" + std::string(kernel.name));
      figures.push_back({std::string(kernel.name), "x25519", "", x25519_by_burst(kernel)});
    }
  }
  return figures;
}

}  // namespace allium::bench
