// SPDX-License-Identifier: Apache-2.0
#pragma once

// HTTP requests and answers (RFC 9110) as the server's handlers and the client's callers see them.
//
//   Ownership  values.
//   Threads    reentrant.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/ip/address.hpp>

namespace allium::control {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

/// The first header of that name, in any case; empty where there is none. Valid as long as
/// `headers`.
[[nodiscard]] std::string_view header_of(const HttpHeaders& headers,
                                         std::string_view name) noexcept;

struct HttpRequest {
  std::string method;  ///< as sent: "POST"
  std::string target;  ///< as sent: path and query
  HttpHeaders headers;
  std::string body;
  boost::asio::ip::address peer;  ///< IPv4 where it came mapped into IPv6

  [[nodiscard]] std::string_view header(std::string_view name) const noexcept {
    return header_of(headers, name);
  }

  [[nodiscard]] std::string_view host() const noexcept { return header("Host"); }
};

struct HttpResponse {
  unsigned status = 200;
  std::string content_type;  ///< empty: the header is left out
  std::string body;
  HttpHeaders headers;  ///< besides Content-Type and what the connection itself needs
};

}  // namespace allium::control
