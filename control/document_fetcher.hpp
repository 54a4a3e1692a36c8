// SPDX-License-Identifier: Apache-2.0
#pragma once

// Gets the network document from a URL into a file, again and again; the file registry watches that file. The document is signed by
// its authorities, so nobody on the way is trusted, and a file that was good stays until there is another one of the right form.
//
//   Ownership  borrows the io_context.
//   Errors     told by on_problem, each once until it changes.
//   Threads    the thread that runs the io_context.

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "control/service/https/https_client.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

class DocumentFetcher {
 public:
  using OnProblem = std::function<void(const Error&)>;

  /// Errc::malformed: no URL of http or https.
  [[nodiscard]] static Result<std::unique_ptr<DocumentFetcher>> create(boost::asio::io_context& io,
                                                                       const std::string& url,
                                                                       std::string file,
                                                                       OnProblem on_problem);
  ~DocumentFetcher();
  DocumentFetcher(const DocumentFetcher&) = delete;
  DocumentFetcher& operator=(const DocumentFetcher&) = delete;

 private:
  DocumentFetcher(boost::asio::io_context& io, HttpsClient client, Url url, std::string file,
                  OnProblem on_problem);

  void fetch();
  void fetch_later(std::chrono::seconds delay);
  [[nodiscard]] Result<void> take(const Result<HttpResponse>& response);

  HttpsClient client_;
  Url url_;
  std::string file_;
  OnProblem on_problem_;
  boost::asio::steady_timer timer_;
  std::string last_problem_;
};

}  // namespace allium::control
