// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/crypto.hpp"

#include <x86intrin.h>

#include <array>
#include <iterator>
#include <memory>
#include <utility>

#include "crypto_accel/aead_batch.hpp"
#include "crypto_accel/base/random.hpp"
#include "crypto_accel/onion_batch.hpp"
#include "crypto_accel/x25519_batch.hpp"
#include "dataplane/onion/wire_format.hpp"
#include "tools/bench/statistics.hpp"

namespace allium::bench {
namespace {

using crypto_accel::first_lanes;
using crypto_accel::kLanesMax;
using crypto_accel::LaneMask;
using crypto_accel::Lanes;

constexpr std::size_t kSamples = 31;
constexpr std::size_t kCallsASample = 64;
constexpr std::size_t kSlowCallsASample = 1;  // longer ones would hold a slice of a neighbour each

// Cycles a packet of `calls` calls; `call(burst)` works on that many packets.
template <typename Call>
double sample_cycles(std::size_t calls, std::size_t burst, Call call) {
  call(burst);  // caches and predictors see this size before it counts
  const std::uint64_t begin = __rdtsc();
  for (std::size_t i = 0; i < calls; ++i) {
    call(burst);
  }
  return static_cast<double>(__rdtsc() - begin) / static_cast<double>(calls * burst);
}

// The median of the samples of each burst size, for each of the calls. Sizes and calls take turns, so that a neighbour
// who slows the machine down for a while slows all of them.
template <typename Call>
std::vector<std::vector<double>> median_cycles_of_each(std::size_t calls_a_sample,
                                                       const std::vector<Call>& calls) {
  std::vector<std::array<std::vector<double>, std::size(kBurstSizes)>> samples(calls.size());
  for (std::size_t i = 0; i < kSamples; ++i) {
    for (std::size_t size = 0; size < std::size(kBurstSizes); ++size) {
      for (std::size_t call = 0; call < calls.size(); ++call) {
        samples[call][size].push_back(
            sample_cycles(calls_a_sample, kBurstSizes[size], calls[call]));
      }
    }
  }
  std::vector<std::vector<double>> medians;
  for (const auto& of_one_call : samples) {
    medians.emplace_back();
    for (const std::vector<double>& values : of_one_call) {
      medians.back().push_back(median(values));
    }
  }
  return medians;
}

template <typename Call>
std::vector<double> median_cycles_by_burst(std::size_t calls_a_sample, const Call& call) {
  return median_cycles_of_each(calls_a_sample, std::vector<Call>{call}).front();
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
  Lanes<crypto_accel::LinkKey> links{};
  Lanes<const crypto_accel::LinkKey*> link{};
  Lanes<const crypto_accel::AesKey*> replay{};
  Lanes<Block> secret{};
  Lanes<Block> ctx{};
  Lanes<Block> blocks{};
  Lanes<Block> x_l_out{};
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
       b.batch.layer_left(b.shape, lanes, b.ctx, b.t_read, b.x_r_read, b.x_l_out);
     }},
    {"header_mac",
     [](Bench& b, LaneMask lanes) {
       b.batch.header_mac(lanes, b.header_read, std::size_t{b.shape.header_bytes} + 16, b.blocks);
     }},
    {"replay_tag",
     [](Bench& b, LaneMask lanes) { b.batch.replay_tag(lanes, b.replay, b.t_read, b.tags); }},
    {"layer_right",
     [](Bench& b, LaneMask lanes) { b.batch.layer_right(b.shape, lanes, b.x_l_out, b.x_r, b.w); }},
    {"header_shift",
     [](Bench& b, LaneMask lanes) { b.batch.header_shift(b.shape, lanes, b.w, b.header); }},
};

std::vector<double> by_burst(Bench& bench, Function function) {
  return median_cycles_by_burst(kCallsASample,
                                [&](std::size_t burst) { function(bench, first_lanes(burst)); });
}

// All variants that this machine runs, in turns: what is quoted of them is a ratio.
void add_x25519_figures(std::vector<CryptoFigure>& figures) {
  const Random random = system_random();
  crypto_accel::PrivateKey scalar;
  random(scalar.bytes());
  std::vector<crypto_accel::PublicKey> points(kLanesMax);
  std::vector<crypto_accel::SharedSecret> shared(kLanesMax);
  for (auto& point : points) {
    random(point);
  }
  std::vector<std::function<void(std::size_t)>> calls;
  for (const crypto_accel::X25519Kernel& kernel : crypto_accel::x25519_kernels()) {
    if (kernel.supported()) {
      figures.push_back({std::string(kernel.name), "x25519", "", {}});
      calls.emplace_back([&, run = kernel.run](std::size_t burst) {
        static_cast<void>(
            run(scalar, std::span(points).first(burst), std::span(shared).first(burst)));
      });
    }
  }
  auto medians = median_cycles_of_each(kSlowCallsASample, calls);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    figures[figures.size() - calls.size() + i].cycles_per_packet = std::move(medians[i]);
  }
}

/// Texts of one kind and size, each under its own key; sealed once, opened again and again.
class AeadBench {
 public:
  AeadBench(crypto_accel::AeadKind kind, std::size_t text_bytes) {
    const Random random = system_random();
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      random(inputs_[i]);
      sealed_[i].resize(text_bytes + crypto_accel::kAeadTagBytes);
      plain_[i].resize(text_bytes);
      jobs_[i] = {kind,      inputs_[i].data(), inputs_[i].data() + crypto_accel::kAeadKeyBytes,
                  plain_[i], sealed_[i],        false};
    }
    crypto_accel::aead_seal(crypto_accel::aead_kernels().front(), jobs_);
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      jobs_[i].source = sealed_[i];
      jobs_[i].target = plain_[i];
    }
  }

  std::vector<double> by_burst(const crypto_accel::AeadKernel& kernel) {
    return median_cycles_by_burst(kAeadCallsASample, [&](std::size_t burst) {
      crypto_accel::aead_open(kernel, std::span(jobs_).first(burst));
    });
  }

 private:
  static constexpr std::size_t kAeadCallsASample = 4;
  Lanes<std::array<std::uint8_t, crypto_accel::kAeadKeyBytes + 24>> inputs_{};
  Lanes<std::vector<std::uint8_t>> sealed_;
  Lanes<std::vector<std::uint8_t>> plain_;
  Lanes<crypto_accel::AeadJob> jobs_;
};

void add_aead_figures(const crypto_accel::AeadKernel& kernel, std::vector<CryptoFigure>& figures) {
  for (const std::size_t text_bytes : {1000U, 10'000U}) {
    const std::string size = std::to_string(text_bytes);
    AeadBench gcm(crypto_accel::AeadKind::aes256_gcm, text_bytes);
    figures.push_back({std::string(kernel.name), "gcm_" + size, "", gcm.by_burst(kernel)});
    AeadBench xchacha(crypto_accel::AeadKind::xchacha20_poly1305, text_bytes);
    figures.push_back({std::string(kernel.name), "xchacha_" + size, "", xchacha.by_burst(kernel)});
  }
}

void add_figures(const crypto_accel::OnionKernel& kernel, onion::PacketClass packet_class,
                 std::vector<CryptoFigure>& figures) {
  const auto bench = std::make_unique<Bench>(kernel, packet_class);
  bench->batch.derive(bench->shape, first_lanes(kLanesMax), bench->secret);
  for (const NamedFunction& function : kFunctions) {
    figures.push_back({std::string(kernel.name), function.name,
                       packet_class == onion::PacketClass::d ? "d" : "v",
                       by_burst(*bench, function.run)});
  }
}

}  // namespace

std::vector<CryptoFigure> measure_crypto(const std::function<void(const std::string&)>& progress) {
  std::vector<CryptoFigure> figures;
  for (const crypto_accel::OnionKernel& kernel : crypto_accel::onion_kernels()) {
    if (kernel.supported()) {
      progress("onion=" + std::string(kernel.name));
      add_figures(kernel, onion::PacketClass::d, figures);
      add_figures(kernel, onion::PacketClass::v, figures);
    }
  }
  progress("x25519, all kernels");
  add_x25519_figures(figures);
  for (const crypto_accel::AeadKernel& kernel : crypto_accel::aead_kernels()) {
    if (kernel.supported()) {
      progress("aead=" + std::string(kernel.name));
      add_aead_figures(kernel, figures);
    }
  }
  return figures;
}

}  // namespace allium::bench
