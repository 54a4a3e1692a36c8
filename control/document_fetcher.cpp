// SPDX-License-Identifier: Apache-2.0
#include "control/document_fetcher.hpp"

#include <chrono>
#include <utility>

namespace allium::control {
namespace {

constexpr std::chrono::seconds kInterval{60};
constexpr std::chrono::seconds kRetry{5};
constexpr std::chrono::seconds kTimeout{20};

}  // namespace

Result<std::unique_ptr<DocumentFetcher>> DocumentFetcher::create(boost::asio::io_context& io,
                                                                 const std::string& url,
                                                                 std::string file, Check check,
                                                                 OnResult on_result) {
  auto parsed = parse_url(url);
  if (!parsed) {
    return fail(Errc::malformed, url + " is no URL: http://host:port/path, or https");
  }
  ClientOptions options;
  options.answer_body_bytes_max = kBundleBytesMax;
  auto client = HttpsClient::create(io, options);
  if (!client) {
    return tl::unexpected(client.error());
  }
  std::unique_ptr<DocumentFetcher> fetcher(
      new DocumentFetcher(io, *std::move(client), *std::move(parsed), std::move(file),
                          std::move(check), std::move(on_result)));
  fetcher->fetch();
  return fetcher;
}

DocumentFetcher::DocumentFetcher(boost::asio::io_context& io, HttpsClient client, Url url,
                                 std::string file, Check check, OnResult on_result)
    : client_(std::move(client)),
      url_(std::move(url)),
      file_(std::move(file)),
      check_(std::move(check)),
      on_result_(std::move(on_result)),
      timer_(io) {}

// Callbacks of a client that is gone are never called.
DocumentFetcher::~DocumentFetcher() = default;

void DocumentFetcher::fetch() {
  client_.get(url_, kTimeout, [this](const Result<HttpResponse>& response) {
    const Result<void> taken = take(response);
    const std::string problem = taken ? std::string() : taken.error().text;
    if (std::exchange(last_problem_, problem) != problem) {
      on_result_(taken);
    }
    fetch_later(taken ? kInterval : kRetry);
  });
}

void DocumentFetcher::fetch_later(std::chrono::seconds delay) {
  timer_.expires_after(delay);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) {
      fetch();
    }
  });
}

Result<void> DocumentFetcher::take(const Result<HttpResponse>& response) {
  if (!response) {
    return tl::unexpected(response.error());
  }
  if (response->status != 200) {
    return fail(Errc::unavailable,
                url_.host + " answers " + std::to_string(response->status) + " for " + url_.target);
  }
  const auto bundle = parse_network_bundle(response->body);
  if (!bundle) {
    return fail(bundle.error().code, url_.host + ": " + bundle.error().text);
  }
  if (const Result<void> checked = check_(*bundle); !checked) {
    return fail(checked.error().code, url_.host + ": " + checked.error().text);
  }
  return write_bundle_file(file_, *bundle);
}

}  // namespace allium::control
