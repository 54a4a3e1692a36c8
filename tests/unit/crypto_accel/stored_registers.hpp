// SPDX-License-Identifier: Apache-2.0
#pragma once

// The vector and mask registers of AVX-512 as a call left them; nothing of the compiler's is between.

#include <array>
#include <cstdint>

namespace allium::test {

struct StoredRegisters {
  alignas(64) std::array<std::array<std::uint8_t, 64>, 32> zmm;
  std::array<std::uint64_t, 8> masks;
};

#define ALLIUM_STORE_ZMM(number) "vmovdqu64 %%zmm" #number ", 64*" #number "(%0)\n\t"
#define ALLIUM_STORE_MASK(number) "kmovw %%k" #number ", 8*" #number "(%1)\n\t"

inline void store_registers(StoredRegisters& stored) {
  __asm__ volatile(
      ALLIUM_STORE_ZMM(0) ALLIUM_STORE_ZMM(1) ALLIUM_STORE_ZMM(2) ALLIUM_STORE_ZMM(3)
          ALLIUM_STORE_ZMM(4) ALLIUM_STORE_ZMM(5) ALLIUM_STORE_ZMM(6) ALLIUM_STORE_ZMM(7)
              ALLIUM_STORE_ZMM(8) ALLIUM_STORE_ZMM(9) ALLIUM_STORE_ZMM(10) ALLIUM_STORE_ZMM(11)
                  ALLIUM_STORE_ZMM(12) ALLIUM_STORE_ZMM(13) ALLIUM_STORE_ZMM(14)
                      ALLIUM_STORE_ZMM(15) ALLIUM_STORE_ZMM(16) ALLIUM_STORE_ZMM(17)
                          ALLIUM_STORE_ZMM(18) ALLIUM_STORE_ZMM(19) ALLIUM_STORE_ZMM(20)
                              ALLIUM_STORE_ZMM(21) ALLIUM_STORE_ZMM(22) ALLIUM_STORE_ZMM(23)
                                  ALLIUM_STORE_ZMM(24) ALLIUM_STORE_ZMM(25) ALLIUM_STORE_ZMM(26)
                                      ALLIUM_STORE_ZMM(27) ALLIUM_STORE_ZMM(28) ALLIUM_STORE_ZMM(29)
                                          ALLIUM_STORE_ZMM(30) ALLIUM_STORE_ZMM(31)
                                              ALLIUM_STORE_MASK(0) ALLIUM_STORE_MASK(1)
                                                  ALLIUM_STORE_MASK(2) ALLIUM_STORE_MASK(3)
                                                      ALLIUM_STORE_MASK(4) ALLIUM_STORE_MASK(5)
                                                          ALLIUM_STORE_MASK(6) ALLIUM_STORE_MASK(7)
      :
      : "r"(stored.zmm.data()), "r"(stored.masks.data())
      : "memory");
}

#undef ALLIUM_STORE_ZMM
#undef ALLIUM_STORE_MASK

}  // namespace allium::test
