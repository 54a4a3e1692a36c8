// SPDX-License-Identifier: Apache-2.0
#include "control/manage/slow_answer.hpp"

#include <utility>

#include <boost/asio/post.hpp>

namespace allium::control {

SlowAnswer::SlowAnswer(boost::asio::io_context& io)
    : io_(io), self_(std::make_shared<SlowAnswer*>(this)) {}

SlowAnswer::~SlowAnswer() {
  if (thread_.joinable()) {
    thread_.join();
  }
}

bool SlowAnswer::start(Make make, Give give) {
  if (thread_.joinable()) {
    return false;
  }
  thread_ = std::thread([&io = io_, self = std::weak_ptr(self_), make = std::move(make),
                         give = std::move(give)]() mutable {
    boost::asio::post(io, [self = std::move(self), give = std::move(give), answer = make()] {
      if (const auto still_there = self.lock()) {
        (*still_there)->thread_.join();
        give(answer);
      }
    });
  });
  return true;
}

}  // namespace allium::control
