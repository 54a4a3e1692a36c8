// SPDX-License-Identifier: Apache-2.0
#pragma once

// An answer that takes long, made on a thread of its own, one at a time: the service thread goes on.
//
//   Ownership  owns the thread; borrows the io_context, which has to live longer.
//   Threads    the thread that runs the io_context; `make` alone runs on the other one. The destructor waits for what is being
//              made, and nobody is given it.

#include <functional>
#include <memory>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>

namespace allium::control {

class SlowAnswer {
 public:
  using Make = std::function<boost::json::object()>;  ///< throws nothing
  using Give = std::function<void(const boost::json::object& answer)>;

  explicit SlowAnswer(boost::asio::io_context& io);
  ~SlowAnswer();
  SlowAnswer(const SlowAnswer&) = delete;
  SlowAnswer& operator=(const SlowAnswer&) = delete;

  /// Gives what `make` made, or an error where the system has no thread for it; false where another is being made, and nothing is called.
  [[nodiscard]] bool start(const Make& make, const Give& give);

 private:
  boost::asio::io_context& io_;
  std::thread thread_;
  std::shared_ptr<SlowAnswer*> self_;  ///< what was posted may come when this is gone
};

}  // namespace allium::control
