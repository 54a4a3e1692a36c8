// SPDX-License-Identifier: Apache-2.0
#include "control/manage/slow_answer.hpp"

#include <string>
#include <system_error>

#include <boost/asio/post.hpp>

namespace allium::control {

SlowAnswer::SlowAnswer(boost::asio::io_context& io)
    : io_(io), self_(std::make_shared<SlowAnswer*>(this)) {}

SlowAnswer::~SlowAnswer() {
  if (thread_.joinable()) {
    thread_.join();
  }
}

bool SlowAnswer::start(const Make& make, const Give& give) {
  if (thread_.joinable()) {
    return false;
  }
  try {
    thread_ = std::thread([&io = io_, self = std::weak_ptr(self_), make, give] {
      boost::asio::post(io, [self, give, answer = make()] {
        if (const auto still_there = self.lock()) {
          (*still_there)->thread_.join();
          give(answer);
        }
      });
    });
  } catch (const std::system_error& error) {
    give({{"error", std::string("no thread can be started: ") + error.what()}});
  }
  return true;
}

}  // namespace allium::control
