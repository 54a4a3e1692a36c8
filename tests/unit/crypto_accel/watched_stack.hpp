// SPDX-License-Identifier: Apache-2.0
#pragma once

// A stack that the test owns: a function runs on it, and what it left there can be searched afterwards.

#include <pthread.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string_view>

#include "crypto_accel/base/bytes.hpp"

namespace allium::test {

// What is wiped are the frames of optimised code. A build that shares no stack slots has far larger ones, and holds nobody's
// secrets.
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
inline constexpr bool kHasFramesOfProduction = true;
#else
inline constexpr bool kHasFramesOfProduction = false;
#endif

class WatchedStack {
 public:
  WatchedStack() : memory_(static_cast<std::uint8_t*>(std::aligned_alloc(4096, kStackBytes))) {
    std::fill_n(memory_.get(), kStackBytes, std::uint8_t{0});
  }

  void run(void (*function)(void*), void* argument) {
    Call call{function, argument};
    pthread_attr_t attributes;
    pthread_t thread{};
    if (pthread_attr_init(&attributes) != 0 ||
        pthread_attr_setstack(&attributes, memory_.get(), kStackBytes) != 0 ||
        pthread_create(&thread, &attributes, below_a_pad, &call) != 0 ||
        pthread_join(thread, nullptr) != 0 || pthread_attr_destroy(&attributes) != 0) {
      throw std::runtime_error("no thread on a stack of its own");
    }
  }

  [[nodiscard]] bool holds(Bytes needle) const {
    const std::string_view bytes(reinterpret_cast<const char*>(memory_.get()), kStackBytes);
    return bytes.find(std::string_view(reinterpret_cast<const char*>(needle.data()),
                                       needle.size())) != std::string_view::npos;
  }

 private:
  static constexpr std::size_t kStackBytes = std::size_t{1} << 20;
  static constexpr std::size_t kPadBytes = std::size_t{64} << 10;

  struct Call {
    void (*function)(void*);
    void* argument;
  };

  struct Freed {
    void operator()(std::uint8_t* memory) const noexcept { std::free(memory); }
  };

  // What a thread does at its end writes over the pad, not over what is to be looked for.
  static void* below_a_pad(void* call) {
    volatile std::uint8_t pad[kPadBytes];
    pad[0] = 0;
    const auto& what = *static_cast<const Call*>(call);
    what.function(what.argument);
    return pad[0] == 0 ? call : nullptr;
  }

  std::unique_ptr<std::uint8_t, Freed> memory_;
};

}  // namespace allium::test
