// SPDX-License-Identifier: Apache-2.0
#include "control/service/rpc_answer.hpp"

#include <utility>

#include <boost/json/serialize.hpp>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"

namespace allium::control {

std::string body_text(const Answer& answer, Format format) {
  if (const auto* text = answer.body.if_string()) {
    return {text->data(), text->size()};
  }
  return format == Format::bt ? serialise_bt(answer.body) : boost::json::serialize(answer.body);
}

boost::json::value body_value(Answer answer, Format format) {
  if (answer.is_bytes && format == Format::json) {
    return boost::json::value(to_base64(bytes_of(answer.body.get_string())));
  }
  return std::move(answer.body);
}

std::string_view content_type(const Answer& answer) noexcept {
  if (answer.is_bytes) {
    return "application/octet-stream";
  }
  return answer.body.is_string() ? "text/plain" : "application/json";
}

}  // namespace allium::control
