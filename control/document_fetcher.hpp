// SPDX-License-Identifier: Apache-2.0
#pragma once

// Gets the network document from a URL into a file, again and again; the file registry watches that file. Nobody on the way is
// trusted: only what the registry would take replaces the file, so that a node that starts again still has its network.
//
//   Ownership  borrows the io_context.
//   Errors     told by on_result, each once until it changes; and when it is good again.
//   Threads    the thread that runs the io_context.

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "control/network/network_view.hpp"
#include "control/service/https/https_client.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

class DocumentFetcher {
 public:
  using Check = std::function<Result<void>(const NetworkBundle&)>;
  using OnResult = std::function<void(const Result<void>&)>;

  /// Errc::malformed: no URL of http or https.
  [[nodiscard]] static Result<std::unique_ptr<DocumentFetcher>> create(boost::asio::io_context& io,
                                                                       const std::string& url,
                                                                       std::string file,
                                                                       Check check,
                                                                       OnResult on_result);
  ~DocumentFetcher();
  DocumentFetcher(const DocumentFetcher&) = delete;
  DocumentFetcher& operator=(const DocumentFetcher&) = delete;

 private:
  DocumentFetcher(boost::asio::io_context& io, HttpsClient client, Url url, std::string file,
                  Check check, OnResult on_result);

  void fetch();
  void fetch_later(std::chrono::seconds delay);
  [[nodiscard]] Result<void> take(const Result<HttpResponse>& response);

  HttpsClient client_;
  Url url_;
  std::string file_;
  Check check_;
  OnResult on_result_;
  boost::asio::steady_timer timer_;
  std::string last_problem_;
};

}  // namespace allium::control
