// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a storage RPC gives back, before an endpoint writes it out: a status and a body that is a JSON object, a text, or
// bytes.

#include <functional>
#include <string>
#include <string_view>

#include <boost/json/value.hpp>

namespace allium::control {

/// The ones that Session's storage RPC uses (HTTP's numbers).
enum class Status : int {
  ok = 200,
  bad_request = 400,
  unauthorised = 401,
  forbidden = 403,
  not_found = 404,
  not_acceptable = 406,
  payload_too_large = 413,
  misdirected = 421,
  too_many_requests = 429,
  internal = 500,
  bad_gateway = 502,
  unavailable = 503,
  gateway_timeout = 504,
};

/// In what spelling a request came, and its answer goes back.
enum class Format : std::uint8_t { json, bt };

struct Answer {
  Status status = Status::ok;
  boost::json::value body;  ///< a string is a text as such, or bytes
  bool is_bytes = false;    ///< the body is a string that is no text
};

using Reply = std::function<void(Answer)>;

[[nodiscard]] inline Answer refuse(Status status, std::string_view text) {
  return {status, boost::json::value(text)};
}

/// The body as it goes out: texts and bytes as they are, objects as JSON or bt.
[[nodiscard]] std::string body_text(const Answer& answer, Format format);

/// The body as a part of something larger: JSON has bytes as base64.
[[nodiscard]] boost::json::value body_value(Answer answer, Format format);

/// As HTTP has it, of a body in JSON.
[[nodiscard]] std::string_view content_type(const Answer& answer) noexcept;

}  // namespace allium::control
