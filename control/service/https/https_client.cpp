// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/https_client.hpp"

#include <charconv>
#include <system_error>
#include <utility>

#include <boost/asio/post.hpp>

#include "control/service/https/internal/client_core.hpp"
#include "control/service/https/internal/client_exchange.hpp"
#include "control/service/https/internal/message_text.hpp"

namespace allium::control {
namespace {

/// Url's parts come from strangers: a line break in one would be a request of their own to somebody
/// else.
const char* fault_of(const Url& url, const HttpHeaders& headers) {
  if (url.scheme != "http" && url.scheme != "https") {
    return "the scheme is neither http nor https";
  }
  if (!is_request_text(url.host) || url.host.find_first_of("/@?#[]") != std::string::npos ||
      url.port == 0) {
    return "the host or port is not valid";
  }
  if (!is_request_text(url.target) || url.target.front() != '/') {
    return "the target is not valid";
  }
  return are_headers(headers) ? nullptr : "a header is not valid";
}

/// Without the port where it is the scheme's own (RFC 9110, 7.2).
std::string host_header(const Url& url) {
  const bool is_ipv6 = url.host.find(':') != std::string::npos;
  const std::string host = is_ipv6 ? '[' + url.host + ']' : url.host;
  const int default_port = url.scheme == "https" ? 443 : 80;
  return url.port == default_port ? host : host + ':' + std::to_string(url.port);
}

}  // namespace

Result<HttpsClient> HttpsClient::create(boost::asio::io_context& service, ClientOptions options) {
  auto core = std::make_shared<ClientCore>(service, std::move(options));
  auto context = client_context(Trust::anyone);
  if (!context) {
    return tl::unexpected(std::move(context.error()));
  }
  core->trusting_context = std::move(*context);
  return HttpsClient(std::move(core));
}

HttpsClient::HttpsClient(std::shared_ptr<ClientCore> core) noexcept : core_(std::move(core)) {}

HttpsClient::HttpsClient(HttpsClient&&) noexcept = default;

HttpsClient& HttpsClient::operator=(HttpsClient&& other) noexcept {
  if (this != &other) {
    stop();
    core_ = std::move(other.core_);
  }
  return *this;
}

HttpsClient::~HttpsClient() {
  stop();
}

void HttpsClient::post(const Url& url, const HttpHeaders& headers, std::string body,
                       std::chrono::milliseconds timeout, Callback callback) {
  send("POST", url, headers, std::move(body), timeout, std::move(callback));
}

void HttpsClient::get(const Url& url, std::chrono::milliseconds timeout, Callback callback) {
  send("GET", url, {}, {}, timeout, std::move(callback));
}

void HttpsClient::send(std::string_view method, const Url& url, const HttpHeaders& headers,
                       std::string body, std::chrono::milliseconds timeout, Callback callback) {
  if (const char* fault = fault_of(url, headers); fault != nullptr) {
    boost::asio::post(core_->service, [core = core_, fault, callback = std::move(callback)] {
      if (!core->stopped) {
        callback(fail(Errc::malformed, std::string("cannot send: ") + fault));
      }
    });
    return;
  }
  HttpHeaders all = headers;
  if (!core_->options.user_agent.empty() && header_of(headers, "User-Agent").empty()) {
    all.emplace_back("User-Agent", core_->options.user_agent);
  }
  std::string head = request_head(method, host_header(url), url.target, all, body.size());
  auto exchange = std::make_shared<ClientExchange>(
      core_, url, method == "GET" ? Repeat::allowed : Repeat::forbidden, std::move(callback));
  boost::asio::post(core_->service, [core = core_, exchange, head = std::move(head),
                                     body = std::move(body), timeout]() mutable {
    if (!core->stopped) {
      exchange->start(std::move(head), std::move(body), timeout);
    }
  });
}

void HttpsClient::stop() {
  if (!core_) {
    return;
  }
  core_->stopped = true;
  while (!core_->exchanges.empty()) {
    // Kept alive by what it waits for; abandon() takes it out.
    (*core_->exchanges.begin())->shared_from_this()->abandon();
  }
  core_->pool->close();
}

const ClientCounters& HttpsClient::counters() const noexcept {
  return core_->counters;
}

std::size_t HttpsClient::idle_connections() const noexcept {
  return core_->pool->idle_count();
}

std::optional<Url> parse_url(std::string_view text) {
  Url url;
  const std::size_t scheme_end = text.find("://");
  url.scheme = text.substr(0, scheme_end);
  if (scheme_end == std::string_view::npos || (url.scheme != "http" && url.scheme != "https")) {
    return std::nullopt;
  }
  text.remove_prefix(scheme_end + 3);
  const std::size_t authority_end = std::min(text.find('/'), text.size());
  std::string_view authority = text.substr(0, authority_end);
  url.target = authority_end < text.size() ? text.substr(authority_end) : "/";
  url.port = url.scheme == "http" ? 80 : 443;
  const std::size_t bracket = authority.starts_with('[') ? authority.find(']') : 0;
  const std::size_t colon =
      bracket == std::string_view::npos ? bracket : authority.find(':', bracket);
  if (colon != std::string_view::npos) {
    const std::string_view port = authority.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), url.port);
    if (error != std::errc() || end != port.data() + port.size() || url.port == 0) {
      return std::nullopt;
    }
    authority = authority.substr(0, colon);
  }
  if (authority.starts_with('[')) {
    if (!authority.ends_with(']')) {
      return std::nullopt;
    }
    authority = authority.substr(1, authority.size() - 2);
  }
  url.host = authority;
  const bool is_sound = !url.host.empty() && url.host.find('@') == std::string::npos &&
                        is_request_text(url.host) && is_request_text(url.target);
  return is_sound ? std::optional(std::move(url)) : std::nullopt;
}

}  // namespace allium::control
