// SPDX-License-Identifier: Apache-2.0
#pragma once

// The start line and header of HTTP/1.1 messages as text.
//
//   Threads  reentrant.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <boost/beast/http/fields.hpp>

#include "control/service/https/http_message.hpp"

namespace allium::control {

enum class KeepAlive : std::uint8_t { no, yes };

/// What the server adds to each answer.
struct ServerHeaders {
  std::string_view server;
  std::string_view date;
  KeepAlive keep_alive = KeepAlive::yes;
};

/// Ends with the empty line. Control characters in content type and headers are left out.
[[nodiscard]] std::string answer_head(const HttpResponse& response, const ServerHeaders& added);

/// Ends with the empty line. Requires is_request_text() of `target` and `host`, and are_headers()
/// of `headers`.
[[nodiscard]] std::string request_head(std::string_view method, std::string_view host,
                                       std::string_view target, const HttpHeaders& headers,
                                       std::size_t body_bytes);

/// Not empty, and no space, control character or byte beyond ASCII: cannot end the line it is put
/// in.
[[nodiscard]] bool is_request_text(std::string_view text) noexcept;

/// Names are tokens, values without control characters, and none is one that the client itself
/// sets.
[[nodiscard]] bool are_headers(const HttpHeaders& headers) noexcept;

[[nodiscard]] HttpHeaders headers_of(const boost::beast::http::fields& fields);

/// "Wed, 25 Nov 2026 20:00:00 GMT" (RFC 9110, 5.6.7).
[[nodiscard]] std::string http_date(std::int64_t unix_seconds);

}  // namespace allium::control
