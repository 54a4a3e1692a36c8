// SPDX-License-Identifier: Apache-2.0
#pragma once

// The door for the operator of this machine: a Unix socket that answers one line with one JSON object.
//
//   Ownership  owns the socket file and removes it at its end; borrows the io_context.
//   Errors     open(): Errc::io; Errc::refused where somebody answers there already.
//   Threads    the thread that runs the io_context.
//   Limits     kLocalLineBytesMax a question, kLocalClientsMax at a time, 5 s each, or what an answer asks for. Mode 0660: whoever
//              may open the file may ask; what is not for all of them looks at Asker::is_owner.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>

#include "crypto_accel/base/result.hpp"

namespace allium::control {

inline constexpr std::size_t kLocalLineBytesMax = 4096 + 64;  // a path, and words around it
inline constexpr std::size_t kLocalClientsMax = 16;

class LocalSocket {
 public:
  using Give = std::function<void(const boost::json::object& answer)>;

  struct Asker {
    bool is_owner = false;                           ///< root, or the user of this process
    Give give;                                       ///< to be called once, now or later
    std::function<void(std::chrono::seconds)> wait;  ///< so long from now, where 5 s are too short
  };

  using Answer = std::function<void(std::string_view question, const Asker& asker)>;

  [[nodiscard]] static Result<std::unique_ptr<LocalSocket>> open(boost::asio::io_context& io,
                                                                 const std::string& path,
                                                                 Answer answer);
  ~LocalSocket();
  LocalSocket(const LocalSocket&) = delete;
  LocalSocket& operator=(const LocalSocket&) = delete;

 private:
  struct State;

  explicit LocalSocket(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;
};

/// Asks the daemon behind `path`; waits so long for each part of the answer. Errc::unavailable: nobody is there, or
/// what comes is no answer. Errc::timeout: nothing came.
[[nodiscard]] Result<boost::json::object> ask_local(const std::string& path,
                                                    std::string_view question,
                                                    std::uint64_t timeout_ms = 5000);

}  // namespace allium::control
