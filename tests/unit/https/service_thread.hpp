// SPDX-License-Identifier: Apache-2.0
#pragma once

// A service thread for tests that speak to it from outside with calls that block.

#include <future>
#include <thread>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace allium::control::test {

class ServiceThread {
 public:
  ServiceThread() : work_(io_.get_executor()), thread_([this] { io_.run(); }) {}

  ServiceThread(const ServiceThread&) = delete;
  ServiceThread& operator=(const ServiceThread&) = delete;

  ~ServiceThread() {
    io_.stop();
    thread_.join();
  }

  [[nodiscard]] boost::asio::io_context& io() noexcept { return io_; }

  /// The function's result, computed on the service thread.
  template <typename Function>
  auto on(Function function) {
    std::packaged_task<decltype(function())()> task(std::move(function));
    auto result = task.get_future();
    boost::asio::post(io_, [&task] { task(); });
    return result.get();
  }

 private:
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
};

}  // namespace allium::control::test
