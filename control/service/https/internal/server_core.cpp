// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/internal/server_core.hpp"

#include <ctime>
#include <utility>

#include "control/service/https/internal/message_text.hpp"

namespace allium::control {

ServerCore::ServerCore(boost::asio::io_context& io, ServerOptions the_options,
                       const Random& the_random, Handler the_handler)
    : service(io),
      options(std::move(the_options)),
      random(the_random),
      handler(std::move(the_handler)),
      server_header("Oxen Storage Server/" + options.version),
      addresses(0, AddressBlockHash(random)),
      sweep_timer(io) {}

void ServerCore::stop() {
  stopped = true;
  sweep_timer.cancel();
  acceptors.clear();
  while (!sessions.empty()) {
    const auto session = sessions.front();
    session->close();
  }
}

const std::string& ServerCore::date() {
  const std::int64_t now_s = std::time(nullptr);
  if (now_s != date_seconds) {
    date_seconds = now_s;
    date_text = http_date(now_s);
  }
  return date_text;
}

}  // namespace allium::control
