// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/crypto.hpp"

#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "crypto_accel/aead_batch.hpp"
#include "crypto_accel/base/random.hpp"
#include "crypto_accel/onion_batch.hpp"
#include "crypto_accel/x25519_batch.hpp"
#include "dataplane/onion/wire_format.hpp"
#include "tools/bench/crypto_floor.hpp"
#include "tools/bench/onion_chain.hpp"
#include "tools/bench/packet_ring.hpp"
#include "tools/bench/statistics.hpp"

namespace allium::bench {
namespace {

using crypto_accel::first_lanes;
using crypto_accel::kLanesMax;
using crypto_accel::LaneMask;
using crypto_accel::Lanes;

// Many short samples: the scheduler of a shared machine interrupts a sample of 2 ms more often than not, one of 0.2 ms seldom.
constexpr std::size_t kSamples = 101;
constexpr std::size_t kSamplesQuick = 25;
constexpr std::size_t kPacketsASample = 256;
constexpr std::size_t kSlowPacketsASample = 1;     // one call, whatever the burst
constexpr std::size_t kBigRingBytes = 36'000'000;  // as the loop of the forward bench
constexpr std::uint64_t kSlot = 225'001'054;

/// Something that is measured beside others.
struct Entrant {
  CryptoFigure figure;
  std::size_t packets = kPacketsASample;   ///< a sample, at least a burst
  std::function<void(std::size_t)> work;   ///< on so many packets
  std::optional<std::size_t> yardstick{};  ///< the entrant that it is compared with
};

using Entrants = std::vector<Entrant>;

double sample_cycles(const Entrant& entrant, std::size_t burst) {
  const std::size_t calls = std::max<std::size_t>(entrant.packets / burst, 1);
  entrant.work(burst);  // caches and predictors see this size before it counts
  const std::uint64_t begin = __rdtsc();
  for (std::size_t i = 0; i < calls; ++i) {
    entrant.work(burst);
  }
  return static_cast<double>(__rdtsc() - begin) / static_cast<double>(calls * burst);
}

// All samples of an entrant, by burst size.
using Samples = std::array<std::vector<double>, std::size(kBurstSizes)>;

// In every sample all entrants and burst sizes take turns, so that a neighbour who slows the machine down for a while
// slows all of them, and their ratios hold.
std::vector<Samples> take_turns(const Entrants& entrants, std::size_t sample_count) {
  std::vector<Samples> samples(entrants.size());
  for (std::size_t i = 0; i < sample_count; ++i) {
    for (std::size_t size = 0; size < std::size(kBurstSizes); ++size) {
      for (std::size_t entrant = 0; entrant < entrants.size(); ++entrant) {
        samples[entrant][size].push_back(sample_cycles(entrants[entrant], kBurstSizes[size]));
      }
    }
  }
  return samples;
}

std::vector<Quartiles> quartiles_of(const Samples& samples) {
  std::vector<Quartiles> quartiles;
  for (const std::vector<double>& values : samples) {
    quartiles.push_back({quantile(values, 0.25), median(values), quantile(values, 0.75)});
  }
  return quartiles;
}

// Of the ratios of each sample: no ratios of medians.
std::vector<Quartiles> ratios_of(const Samples& samples, const Samples& yardstick) {
  Samples ratios;
  for (std::size_t size = 0; size < samples.size(); ++size) {
    for (std::size_t i = 0; i < samples[size].size(); ++i) {
      ratios[size].push_back(samples[size][i] / yardstick[size][i]);
    }
  }
  return quartiles_of(ratios);
}

void measure(Entrants entrants, std::size_t sample_count, std::vector<CryptoFigure>& figures) {
  const std::vector<Samples> samples = take_turns(entrants, sample_count);
  for (std::size_t i = 0; i < entrants.size(); ++i) {
    CryptoFigure& figure = figures.emplace_back(std::move(entrants[i].figure));
    figure.cycles_per_packet = quartiles_of(samples[i]);
    if (const auto yardstick = entrants[i].yardstick) {
      const CryptoFigure& other = figures[figures.size() - 1 - i + *yardstick];
      figure.yardstick = other.kernel + " " + other.function;
      figure.over_yardstick = ratios_of(samples[i], samples[*yardstick]);
    }
  }
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

template <typename Kernel>
std::vector<const Kernel*> supported(std::span<const Kernel> kernels) {
  std::vector<const Kernel*> found;
  for (const Kernel& kernel : kernels) {
    if (kernel.supported()) {
      found.push_back(&kernel);
    }
  }
  return found;
}

const char* name_of(onion::PacketClass packet_class) {
  return packet_class == onion::PacketClass::d ? "d" : "v";
}

// Every function of every onion kernel, alone.
Entrants onion_functions(onion::PacketClass packet_class) {
  Entrants entrants;
  for (const crypto_accel::OnionKernel* kernel : supported(crypto_accel::onion_kernels())) {
    const auto bench = std::make_shared<Bench>(*kernel, packet_class);
    bench->batch.derive(bench->shape, first_lanes(kLanesMax), bench->secret);
    for (const NamedFunction& function : kFunctions) {
      entrants.push_back(
          {{std::string(kernel->name), function.name, name_of(packet_class)},
           kPacketsASample,
           [bench, run = function.run](std::size_t burst) { run(*bench, first_lanes(burst)); }});
    }
  }
  return entrants;
}

ChainKeys random_chain_keys(const Random& random) {
  ChainKeys keys;
  for (Block* key : {&keys.segment, &keys.secret, &keys.replay}) {
    random(*key);
  }
  for (ChainLinkKeys& link : keys.links) {
    for (Block* key : {&link.mac_in, &link.veil_in, &link.mac_out, &link.veil_out}) {
      random(*key);
    }
  }
  return keys;
}

// The floor, then the whole chain of every onion kernel, over the same packets in turns.
Entrants chains(onion::PacketClass packet_class, const std::string& suffix,
                const std::shared_ptr<PacketRing>& ring) {
  const Random random = system_random();
  Entrants entrants;
  const auto floor = std::make_shared<CryptoFloor>(packet_class, random);
  entrants.push_back({{"ipsec-mb", "floor" + suffix, name_of(packet_class)},
                      kPacketsASample,
                      [floor, ring](std::size_t burst) { floor->run(ring->burst(burst)); }});
  const ChainKeys keys = random_chain_keys(random);
  for (const crypto_accel::OnionKernel* kernel : supported(crypto_accel::onion_kernels())) {
    const auto chain = std::make_shared<OnionChain>(*kernel, packet_class, kSlot, keys);
    entrants.push_back({{std::string(kernel->name), "chain" + suffix, name_of(packet_class)},
                        kPacketsASample,
                        [chain, ring](std::size_t burst) { chain->run(ring->burst(burst)); },
                        0});
  }
  return entrants;
}

std::size_t datagram_bytes(onion::PacketClass packet_class) {
  return onion::type_info(onion::data_type(packet_class, onion::Direction::forward)).total_bytes;
}

void measure_onion(onion::PacketClass packet_class, std::size_t samples,
                   std::vector<CryptoFigure>& figures) {
  const Random random = system_random();
  const std::size_t bytes = datagram_bytes(packet_class);
  measure(onion_functions(packet_class), samples, figures);
  measure(chains(packet_class, "", std::make_shared<PacketRing>(kLanesMax, bytes, random)), samples,
          figures);
  const std::size_t packets = kBigRingBytes / bytes;
  const auto ring = std::make_shared<PacketRing>(packets, bytes, random);
  Entrants entrants = chains(packet_class, "_l3", ring);
  for (Entrant& entrant : entrants) {
    entrant.figure.loop_bytes = packets * bytes;
    entrant.figure.loop_huge_percent = ring->huge_percent();
  }
  measure(std::move(entrants), samples, figures);
}

/// Points and scalar of a burst of key agreements.
struct X25519Bench {
  X25519Bench() {
    const Random random = system_random();
    random(scalar.bytes());
    for (auto& point : points) {
      random(point);
    }
  }

  crypto_accel::PrivateKey scalar;
  Lanes<crypto_accel::PublicKey> points{};
  Lanes<crypto_accel::SharedSecret> shared{};
};

// The first kernel of the list is the portable one, which the others are compared with.
Entrants x25519_kernels() {
  Entrants entrants;
  const auto bench = std::make_shared<X25519Bench>();
  for (const crypto_accel::X25519Kernel* kernel : supported(crypto_accel::x25519_kernels())) {
    entrants.push_back({{std::string(kernel->name), "x25519", ""},
                        kSlowPacketsASample,
                        [bench, kernel](std::size_t burst) {
                          static_cast<void>(kernel->run(bench->scalar,
                                                        std::span(bench->points).first(burst),
                                                        std::span(bench->shared).first(burst)));
                        },
                        entrants.empty() ? std::nullopt : std::optional<std::size_t>(0)});
  }
  return entrants;
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

  void open(const crypto_accel::AeadKernel& kernel, std::size_t burst) {
    crypto_accel::aead_open(kernel, std::span(jobs_).first(burst));
  }

 private:
  Lanes<std::array<std::uint8_t, crypto_accel::kAeadKeyBytes + 24>> inputs_{};
  Lanes<std::vector<std::uint8_t>> sealed_;
  Lanes<std::vector<std::uint8_t>> plain_;
  Lanes<crypto_accel::AeadJob> jobs_;
};

Entrants aead_texts(crypto_accel::AeadKind kind, const std::string& kind_name) {
  Entrants entrants;
  for (const std::size_t text_bytes : {1000U, 10'000U}) {
    const auto bench = std::make_shared<AeadBench>(kind, text_bytes);
    for (const crypto_accel::AeadKernel* kernel : supported(crypto_accel::aead_kernels())) {
      entrants.push_back(
          {{std::string(kernel->name), kind_name + "_" + std::to_string(text_bytes), ""},
           kSlowPacketsASample,
           [bench, kernel](std::size_t burst) { bench->open(*kernel, burst); }});
    }
  }
  return entrants;
}

}  // namespace

std::vector<CryptoFigure> measure_crypto(bool is_quick,
                                         const std::function<void(const std::string&)>& progress) {
  const std::size_t samples = is_quick ? kSamplesQuick : kSamples;
  std::vector<CryptoFigure> figures;
  progress("onion kernels, class d");
  measure_onion(onion::PacketClass::d, samples, figures);
  progress("onion kernels, class v");
  measure_onion(onion::PacketClass::v, samples, figures);
  progress("x25519 kernels");
  measure(x25519_kernels(), samples, figures);
  progress("aead kernels");
  measure(aead_texts(crypto_accel::AeadKind::aes256_gcm, "gcm"), samples, figures);
  measure(aead_texts(crypto_accel::AeadKind::xchacha20_poly1305, "xchacha"), samples, figures);
  return figures;
}

}  // namespace allium::bench
