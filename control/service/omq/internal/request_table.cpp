// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/request_table.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "crypto_accel/base/random.hpp"

namespace allium::control {

namespace {

std::string random_tag() {
  std::array<std::uint8_t, 16> bytes{};
  system_random()(bytes);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

std::string RequestTable::add(OmqConnection connection, std::string command,
                              std::chrono::milliseconds timeout, OmqAnswered answered,
                              std::function<void(const std::string& tag)> expired) {
  std::string tag = random_tag();
  auto timer = std::make_unique<boost::asio::steady_timer>(io_, timeout);
  timer->async_wait([tag, expired = std::move(expired)](const boost::system::error_code& error) {
    if (!error) {
      expired(tag);
    }
  });
  requests_.emplace(tag, OmqRequest{.connection = connection,
                                    .command = std::move(command),
                                    .serial = ++last_serial_,
                                    .answered = std::move(answered),
                                    .timer = std::move(timer)});
  return tag;
}

std::optional<OmqRequest> RequestTable::take(std::string_view tag, OmqConnection connection) {
  const auto found = requests_.find(std::string(tag));
  if (found == requests_.end() || found->second.connection != connection) {
    return std::nullopt;
  }
  return std::move(requests_.extract(found).mapped());
}

std::optional<OmqRequest> RequestTable::take_oldest(OmqConnection connection,
                                                    std::string_view command) {
  auto oldest = requests_.end();
  for (auto i = requests_.begin(); i != requests_.end(); ++i) {
    const OmqRequest& request = i->second;
    if (request.connection == connection && request.command == command &&
        (oldest == requests_.end() || request.serial < oldest->second.serial)) {
      oldest = i;
    }
  }
  if (oldest == requests_.end()) {
    return std::nullopt;
  }
  return std::move(requests_.extract(oldest).mapped());
}

std::vector<OmqRequest> RequestTable::take_all(OmqConnection connection) {
  std::vector<OmqRequest> taken;
  for (auto i = requests_.begin(); i != requests_.end();) {
    const auto next = std::next(i);
    if (i->second.connection == connection) {
      taken.push_back(std::move(requests_.extract(i).mapped()));
    }
    i = next;
  }
  std::sort(taken.begin(), taken.end(), [](const OmqRequest& left, const OmqRequest& right) {
    return left.serial < right.serial;
  });
  return taken;
}

}  // namespace allium::control
