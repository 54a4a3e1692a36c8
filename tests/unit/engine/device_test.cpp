// SPDX-License-Identifier: Apache-2.0
// Queues of a device, and how flows come to them. No NIC is here: net_null says what it can, as one does.
#include <gtest/gtest.h>

#include "dataplane/engine/eal.hpp"
#include "ring_world.hpp"

namespace allium::dataplane {
namespace {

TEST(Device, SpreadsFlowsOverSeveralQueuesWhereItCan) {
  rte_mempool* pool = test_pool();
  const auto port = find_device(kNullDevice);
  ASSERT_TRUE(port) << port.error().text;
  const auto several = start_device(*port, {2, 512}, pool);
  ASSERT_TRUE(several) << several.error().text;
  EXPECT_TRUE(several->hashes_flows);
}

TEST(Device, HasMoreQueuesThanItIsAskedFor) {
  rte_mempool* pool = test_pool();
  const auto port = find_device(kNullDevice);
  ASSERT_TRUE(port) << port.error().text;
  const auto started = start_device(*port, {60'000, 512}, pool);
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().text.find("no more --workers than that"), std::string::npos)
      << started.error().text;
}

}  // namespace
}  // namespace allium::dataplane
