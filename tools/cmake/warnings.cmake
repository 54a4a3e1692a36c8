# SPDX-License-Identifier: Apache-2.0
# allium_options: the flags of every target of ours. Libraries come in as system headers and are not
# judged by them.
add_library(allium_options INTERFACE)
target_include_directories(allium_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(allium_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wcast-align
  -Wformat=2 -Wundef -Wnon-virtual-dtor -Woverloaded-virtual
  $<$<CXX_COMPILER_ID:GNU>:-Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wuseless-cast
    -Wno-restrict>  # false alarms of GCC 12 in std::string (GCC bug 105651)
  $<$<BOOL:${ALLIUM_WERROR}>:-Werror>
  -fstack-protector-strong
  # The baseline of every binary: x86-64-v2 with AES-NI and PCLMUL. Wider code is chosen at run time.
  -march=x86-64-v2 -maes -mpclmul)
if(NOT ALLIUM_SANITIZE AND NOT ALLIUM_FUZZ)
  target_compile_options(allium_options INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2>)
endif()
target_link_options(allium_options INTERFACE -Wl,-z,relro,-z,now)

# Code of the packet path carries no exceptions and no RTTI.
add_library(allium_packet_options INTERFACE)
target_link_libraries(allium_packet_options INTERFACE allium_options)
target_compile_options(allium_packet_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti>)
