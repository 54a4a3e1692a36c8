// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/dialer.hpp"

#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/omq/raw_peer.hpp"

namespace allium::control {
namespace {

// Nobody listens at the peers' ends: a connection is one from the moment on that libzmq has been told.
class OmqDialer : public testing::Test {
 protected:
  static OmqPeer peer(std::uint8_t seed, std::uint16_t port = 9) {
    return {test::key_pair(seed).key, {boost::asio::ip::address_v4::loopback(), port}};
  }

  std::shared_ptr<Dialer> dialer() {
    return std::make_shared<Dialer>(io, context, identity, options, links, [](OmqConnection) {});
  }

  boost::asio::io_context io;
  OmqOptions options;
  OmqIdentity identity{test::key_pair(1).secret};
  ZmqContext context{16};
  OutputPool pool{options.limits, [](const std::shared_ptr<Output>&) {}};
  std::vector<OmqConnection> closed;
  ConnectionTable links{options.limits, pool, [] { return std::make_shared<PipeTally>([] {}); },
                        [this](const OmqLink& link) { closed.push_back(link.number); }};
};

TEST_F(OmqDialer, KeepsOneConnectionToAPeer) {
  const auto opened = dialer();
  const auto first = opened->link_to(peer(2));
  const auto again = opened->link_to(peer(2));
  const auto other = opened->link_to(peer(3));

  ASSERT_TRUE(first && again && other);
  EXPECT_EQ(*first, *again);
  EXPECT_NE(*first, *other);
  EXPECT_EQ(links.outgoing_count(), 2U);
}

TEST_F(OmqDialer, FollowsAPeerThatHasMovedWhenNothingIsOpenAnyMore) {
  const auto opened = dialer();
  const auto before = opened->link_to(peer(2, 9));
  ASSERT_TRUE(before);
  (*before)->requested_count = 1;
  const auto meanwhile = opened->link_to(peer(2, 10));
  (*before)->requested_count = 0;
  const auto after = opened->link_to(peer(2, 10));

  ASSERT_TRUE(meanwhile && after);
  EXPECT_EQ(*meanwhile, *before);
  EXPECT_EQ((*after)->endpoint, peer(2, 10).endpoint);
  EXPECT_EQ(closed, std::vector<OmqConnection>{(*before)->number});
}

TEST_F(OmqDialer, OpensNoMoreThanItMayWhenAllAreInUse) {
  options.limits.peers = 1;
  const auto opened = dialer();
  const auto busy = opened->link_to(peer(2));
  ASSERT_TRUE(busy);
  (*busy)->served_count = 1;
  const auto refused = opened->link_to(peer(3));
  (*busy)->served_count = 0;
  const auto taken = opened->link_to(peer(3));

  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::full);
  EXPECT_TRUE(taken);
  EXPECT_EQ(closed, std::vector<OmqConnection>{(*busy)->number});
}

TEST_F(OmqDialer, ClosesWhatIsIdleAndNothingElse) {
  options.peer_idle = std::chrono::milliseconds(0);
  const auto opened = dialer();
  const auto busy = opened->link_to(peer(2));
  const auto idle = opened->link_to(peer(3));
  ASSERT_TRUE(busy && idle);
  (*busy)->requested_count = 1;
  opened->close_idle();

  EXPECT_EQ(closed, std::vector<OmqConnection>{(*idle)->number});
  EXPECT_FALSE((*busy)->is_closed);
}

}  // namespace
}  // namespace allium::control
