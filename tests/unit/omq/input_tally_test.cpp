// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/input_tally.hpp"

#include <string>
#include <vector>

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include "tests/unit/omq/raw_peer.hpp"

namespace allium::control {
namespace {

using test::tcp;

class InputTallyOf : public testing::Test {
 protected:
  InputTallyOf() {
    tcp::acceptor acceptor(io, {boost::asio::ip::address_v4::loopback(), 0});
    other.connect(acceptor.local_endpoint());
    acceptor.accept(own);
    tally = InputTally(own.native_handle());
  }

  /// `bytes` come, and libzmq reads so many of all that is here.
  void come(std::size_t bytes, std::size_t read) {
    boost::asio::write(other, boost::asio::buffer(std::string(bytes, 'x')));
    std::vector<char> taken(read);
    boost::asio::read(own, boost::asio::buffer(taken));
    own.wait(tcp::socket::wait_write);
  }

  [[nodiscard]] std::size_t held() {
    tally.sample();
    return tally.held();
  }

  boost::asio::io_context io;
  tcp::socket other{io};
  tcp::socket own{io};
  InputTally tally;
};

TEST(InputTally, KnowsWhatAFrameTakesInCurve) {
  EXPECT_EQ(InputTally::wire_bytes(0), 2U + 33);
  EXPECT_EQ(InputTally::wire_bytes(222), 2U + 255);
  EXPECT_EQ(InputTally::wire_bytes(223), 9U + 256);
}

TEST(InputTally, OfNoConnectionHoldsNothing) {
  InputTally tally;
  tally.sample();
  tally.settle();
  EXPECT_EQ(tally.held(), 0U);
}

TEST_F(InputTallyOf, AConnectionHoldsWhatWasReadAndNotHandedOver) {
  EXPECT_EQ(held(), 0U);
  come(1000, 1000);
  EXPECT_EQ(held(), 1000U);
  tally.took(400);
  EXPECT_EQ(held(), 600U);
  come(100, 50);  // 50 stay with the kernel
  EXPECT_EQ(held(), 650U);
  come(0, 50);
  EXPECT_EQ(held(), 700U);
  tally.took(700);
  EXPECT_EQ(held(), 0U);
}

TEST_F(InputTallyOf, AConnectionForgetsWithAMessageWhatIsNeverHandedOver) {
  come(1000, 1000);
  EXPECT_EQ(held(), 1000U);
  tally.settle();
  EXPECT_EQ(tally.held(), 1000U);  // nothing says yet that it was no message
  come(300, 300);
  tally.took(100);
  EXPECT_EQ(held(), 300U);  // the message may have begun among the 1000
}

TEST_F(InputTallyOf, AConnectionForgetsNothingThatMayBelongToTheNextMessage) {
  come(1000, 1000);
  EXPECT_EQ(held(), 1000U);  // not settled: the message that is taken next may have come long ago
  tally.took(100);
  EXPECT_EQ(held(), 900U);
  come(500, 0);
  EXPECT_EQ(held(), 900U);
  tally.settle();  // up to what has been read
  come(0, 500);
  tally.took(10);
  EXPECT_EQ(held(), 500U);
}

}  // namespace
}  // namespace allium::control
