// SPDX-License-Identifier: Apache-2.0
#include "control/service/descriptor_shares.hpp"

#include <sys/resource.h>

#include <algorithm>

namespace allium::control {
namespace {

// 512 connections to nodes, which take four each (libzmq's own and their monitors'), as many kept ones to HTTPS servers, the store's 256
// files, the connections of service nodes, and those that libzmq has accepted before they could be counted.
constexpr std::uint64_t kReserveMax = 3072;

}  // namespace

DescriptorShares share_descriptors(std::uint64_t limit, const DescriptorShares& full) {
  const std::uint64_t given = limit - std::min(kReserveMax, limit / 2);
  const std::uint64_t wanted = full.https + full.omq_clients + full.omq_silent;
  if (given >= wanted) {
    return full;
  }
  const auto part = [given, wanted](std::size_t of) {
    return std::max<std::size_t>(1, of * given / wanted);
  };
  return {part(full.https), part(full.omq_clients), part(full.omq_silent)};
}

std::uint64_t descriptor_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

}  // namespace allium::control
