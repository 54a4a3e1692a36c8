// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/kernel_registry.hpp"

#include <cstdlib>

namespace allium::crypto_accel {
namespace {

// Longer wishes are refused unread: they come from outside.
constexpr std::size_t kWishBytesMax = 256;

template <typename Kernel>
std::string names_of(std::span<const Kernel> kernels) {
  std::string names;
  for (const Kernel& kernel : kernels) {
    names += names.empty() ? "" : ", ";
    names += kernel.name;
    names += kernel.supported() ? "" : " (not on this CPU)";
  }
  return names;
}

// Variants stand in the order of what they need, so the last one that runs is the best.
template <typename Kernel>
const Kernel* best_of(std::span<const Kernel> kernels) noexcept {
  const Kernel* best = nullptr;
  for (const Kernel& kernel : kernels) {
    best = kernel.supported() ? &kernel : best;
  }
  return best;
}

template <typename Kernel>
Result<const Kernel*> find(std::string_view kind, std::span<const Kernel> kernels,
                           std::string_view name) {
  for (const Kernel& kernel : kernels) {
    if (kernel.name != name) {
      continue;
    }
    if (!kernel.supported()) {
      return fail(Errc::unavailable, "this CPU cannot run " + std::string(kind) + "=" +
                                         std::string(name) + "; there is: " + names_of(kernels));
    }
    return &kernel;
  }
  return fail(Errc::not_found, "no " + std::string(kind) + " kernel is called \"" +
                                   std::string(name) + "\"; there is: " + names_of(kernels));
}

std::string how_to_wish() {
  return "write onion=NAME,x25519=NAME,aead=NAME with onion one of: " + names_of(onion_kernels()) +
         "; x25519 one of: " + names_of(x25519_kernels()) +
         "; aead one of: " + names_of(aead_kernels());
}

// One KIND=NAME of a wish.
Result<void> apply(std::string_view part, KernelSet& chosen) {
  const std::size_t equals = part.find('=');
  if (equals == std::string_view::npos) {
    return fail(Errc::malformed, "\"" + std::string(part) + "\" names no kernel: " + how_to_wish());
  }
  const std::string_view kind = part.substr(0, equals);
  const std::string_view name = part.substr(equals + 1);
  if (kind == "onion") {
    return find(kind, onion_kernels(), name).map([&](const OnionKernel* found) {
      chosen.onion = found;
    });
  }
  if (kind == "x25519") {
    return find(kind, x25519_kernels(), name).map([&](const X25519Kernel* found) {
      chosen.x25519 = found;
    });
  }
  if (kind == "aead") {
    return find(kind, aead_kernels(), name).map([&](const AeadKernel* found) {
      chosen.aead = found;
    });
  }
  return fail(Errc::not_found,
              "there is no kernel \"" + std::string(kind) + "\": " + how_to_wish());
}

template <typename Kernel>
std::string describe(std::string_view kind, std::span<const Kernel> kernels, const Kernel* chosen) {
  std::string lines;
  for (const Kernel& kernel : kernels) {
    // A test may choose a kernel that is not in the list, so names decide.
    const bool is_chosen = chosen != nullptr && chosen->name == kernel.name;
    lines += std::string(kind) + "=" + std::string(kernel.name);
    lines += is_chosen ? "  chosen" : kernel.supported() ? "  supported" : "  unsupported";
    lines += "  " + std::string(kernel.description) + "\n";
  }
  return lines;
}

}  // namespace

Result<KernelSet> select_kernels(std::string_view wish) {
  KernelSet chosen{best_of(onion_kernels()), best_of(x25519_kernels()), best_of(aead_kernels())};
  if (chosen.onion == nullptr) {
    return fail(Errc::unavailable,
                "this CPU lacks AES-NI, PCLMUL or SSE4.2, which every onion kernel needs");
  }
  if (chosen.x25519 == nullptr || chosen.aead == nullptr) {
    return fail(Errc::unavailable, "libsodium does not start on this machine");
  }
  if (wish.size() > kWishBytesMax) {
    return fail(Errc::malformed, "the choice of kernels is too long: " + how_to_wish());
  }
  while (!wish.empty()) {
    const std::size_t comma = wish.find(',');
    if (const Result<void> applied = apply(wish.substr(0, comma), chosen); !applied) {
      return tl::unexpected<Error>(applied.error());
    }
    wish = comma == std::string_view::npos ? std::string_view{} : wish.substr(comma + 1);
  }
  return chosen;
}

Result<KernelSet> kernels_from_environment() {
  // Called before any thread starts, as the header says.
  const char* wish = std::getenv("ALLIUM_KERNEL");  // NOLINT(concurrency-mt-unsafe)
  return select_kernels(wish == nullptr ? "" : wish)
      .map_error([](Error error) {
        error.text = "ALLIUM_KERNEL: " + error.text;
        return error;
      })
      .and_then([](const KernelSet& chosen) -> Result<KernelSet> {
        return self_test(chosen).map([&] { return chosen; });
      });
}

std::string describe_kernels(const KernelSet& chosen) {
  return describe("onion", onion_kernels(), chosen.onion) +
         describe("x25519", x25519_kernels(), chosen.x25519) +
         describe("aead", aead_kernels(), chosen.aead);
}

}  // namespace allium::crypto_accel
