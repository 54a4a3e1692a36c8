# SPDX-License-Identifier: Apache-2.0
# allium_dpdk: the part of DPDK that the engine needs, linked statically. With shared libraries the EAL
# would load all of the plug-in folder (some 130 drivers) at every start; so a start takes half the time
# and the program says by itself which devices it knows.
#
# libdpdk's own flags carry -march=corei7, which would override ours, so only its folders are taken.
pkg_check_modules(DPDK REQUIRED libdpdk)
pkg_check_modules(DPDK_OTHERS REQUIRED IMPORTED_TARGET libbsd libpcap)

set(dpdk_archives
  bus_vdev mempool_ring net_af_packet net_memif net_null net_pcap net_ring
  ethdev net meter mbuf mempool hash rcu ring eal telemetry kvargs)
set(dpdk_link "-Wl,--whole-archive")
foreach(archive IN LISTS dpdk_archives)
  find_library(dpdk_${archive}_path NAMES librte_${archive}.a HINTS ${DPDK_LIBRARY_DIRS} REQUIRED)
  mark_as_advanced(dpdk_${archive}_path)
  string(APPEND dpdk_link ",${dpdk_${archive}_path}")
endforeach()
string(APPEND dpdk_link ",--no-whole-archive")

add_library(allium_dpdk INTERFACE)
target_include_directories(allium_dpdk SYSTEM INTERFACE ${DPDK_INCLUDE_DIRS})
target_compile_options(allium_dpdk INTERFACE "SHELL:-include rte_config.h")
# One word, so that nothing reorders or merges it.
target_link_libraries(allium_dpdk INTERFACE
  "${dpdk_link}" PkgConfig::DPDK_OTHERS numa Threads::Threads ${CMAKE_DL_LIBS} m)
