// SPDX-License-Identifier: Apache-2.0
#include "control/service/rpc_answer.hpp"

#include <boost/json/serialize.hpp>

#include "control/service/bt.hpp"

namespace allium::control {

std::string body_text(const Answer& answer, Format format) {
  if (const auto* text = answer.body.if_string()) {
    return {text->data(), text->size()};
  }
  return format == Format::bt ? serialise_bt(answer.body) : boost::json::serialize(answer.body);
}

}  // namespace allium::control
