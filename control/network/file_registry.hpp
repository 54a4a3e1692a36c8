// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where a node's list of nodes comes from. One driver today: a network bundle in a file, which is looked at again when it changes; the
// interface is what a driver for a chain daemon has to offer as well.
//
//   Ownership  borrows the io_context.
//   Errors     a document that does not hold is told of and left aside; the one before stays in force. It is read again at every
//              look: one from the future holds in time, and a clock can be set.
//              Where the serial cannot be remembered (a full disk), the document holds all the same, and no older one is taken before
//              the process ends; it is said once, and tried again at every look.
//   Threads    the thread that runs the io_context.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "control/network/network_view.hpp"
#include "control/network/service_nodes.hpp"

namespace allium::control {

struct RegistryState {
  std::shared_ptr<const ServiceNodes> nodes;
  /// Where the registry is a network document: what is verified, and as it was signed. Else null and empty.
  std::shared_ptr<const NetworkDocument> document;
  SignedNetworkDocument signed_document;
  std::uint64_t height = 0;         ///< rises with every change
  std::uint64_t valid_until_s = 0;  ///< Unix seconds
};

class Registry {
 public:
  using OnState = std::function<void(const RegistryState&)>;
  using OnProblem = std::function<void(const Error&)>;

  Registry() = default;
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  virtual ~Registry() = default;

  /// Calls `on_state` now, if it can, with every change, and when what was refused meanwhile is good again; `on_problem` with every
  /// new refusal.
  virtual void start(OnState on_state, OnProblem on_problem) = 0;
};

struct FileRegistryOptions {
  std::string path;  ///< the bundle (FORMAT.md)
  std::string
      memory_path;  ///< keeps the highest serial, against roll-back over restarts; empty: nothing does
  Authorities authorities;
  std::chrono::milliseconds interval{1000};
};

class FileRegistry final : public Registry {
 public:
  FileRegistry(boost::asio::io_context& io, FileRegistryOptions options);
  ~FileRegistry() override;

  void start(OnState on_state, OnProblem on_problem) override;

  /// Whether `bundle` could take the place of what is in force: signed, valid now, neither older nor another one of the same serial.
  [[nodiscard]] Result<NetworkDocument> check(const NetworkBundle& bundle) const;

 private:
  void look();
  void look_later();
  [[nodiscard]] Result<void> read_document();
  void remember();
  void complain(const Error& error);

  FileRegistryOptions options_;
  boost::asio::steady_timer timer_;
  OnState on_state_;
  OnProblem on_problem_;
  std::uint64_t known_serial_ = 0;
  std::string known_digest_;
  bool is_memory_damaged_ = false;
  bool is_memory_behind_ = false;
  bool is_memory_complained_of_ = false;
  bool is_to_be_told_ = false;  ///< again: there was a problem since
  std::uint64_t told_serial_ = 0;
  std::string read_;  ///< of the file that was read last and held: inode, size, time of change
  std::string last_problem_;
  std::uint64_t valid_until_s_ = 0;
};

}  // namespace allium::control
