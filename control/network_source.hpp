// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where this node has the network document from, as its configuration says: a file of this machine, or a URL that is fetched into a
// file. And what is wrong with it, which the log is told and the status shows.
//
//   Ownership  owns registry and fetcher; borrows the io_context and the log.
//   Errors     Errc::malformed: no URL. What goes wrong later is in problem() and fetch_problem().
//   Threads    the thread that runs the io_context.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "control/document_fetcher.hpp"
#include "control/manage/configuration.hpp"
#include "control/manage/event_log.hpp"
#include "control/network/file_registry.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

class NetworkSource {
 public:
  using OnNetwork = std::function<void(const RegistryState&)>;

  NetworkSource(boost::asio::io_context& io, const EventLog& log) : io_(io), log_(log) {}

  NetworkSource(const NetworkSource&) = delete;
  NetworkSource& operator=(const NetworkSource&) = delete;

  /// Calls `on_network` now, if it can, and with every change.
  [[nodiscard]] Result<void> start(const Configuration& configuration, OnNetwork on_network);

  /// No more of it.
  void stop();

  /// Of the document in force; 0: there is none yet.
  [[nodiscard]] std::uint64_t height() const noexcept { return height_; }

  /// Unix seconds.
  [[nodiscard]] std::uint64_t valid_until_s() const noexcept { return valid_until_s_; }

  /// Why the newest document is not in force; empty where it is.
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

  /// Why none is fetched; empty where it is, or is a file.
  [[nodiscard]] const std::string& fetch_problem() const noexcept { return fetch_problem_; }

 private:
  [[nodiscard]] Result<void> start_fetcher(const std::string& url, const std::string& file);

  boost::asio::io_context& io_;
  const EventLog& log_;
  std::unique_ptr<FileRegistry> registry_;
  std::unique_ptr<DocumentFetcher> fetcher_;  ///< null: the document is a file of this machine
  std::uint64_t height_ = 0;
  std::uint64_t valid_until_s_ = 0;
  std::string problem_;
  std::string fetch_problem_;
};

}  // namespace allium::control
