// SPDX-License-Identifier: Apache-2.0
#include "tools/client/storage_request.hpp"

#include <array>
#include <map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "control/service/bt.hpp"
#include "control/service/fast_lane.hpp"
#include "crypto_accel/base/bytes.hpp"

namespace allium::client {
namespace {

// A store is acknowledged when the swarm has it: members that do not answer cost a second or two.
constexpr std::uint64_t kTimeoutUs = 2'500'000;
constexpr std::size_t kAttempts = 2;

std::vector<std::uint8_t> inner_request(std::uint32_t id, std::string_view text) {
  std::vector<std::uint8_t> data(control::InnerHeader::kBytes);
  data[0] = control::InnerHeader::request;
  store_be(data.data() + 2, text.size(), 2);
  store_be(data.data() + 4, id, 4);
  data.insert(data.end(), text.begin(), text.end());
  return data;
}

}  // namespace

Result<StorageReply> request_storage(Wire& wire, const PathPlan& plan, std::string_view method,
                                     const boost::json::object& params, CookieJar& cookies,
                                     const Random& random) {
  const std::string text =
      control::serialise_bt(boost::json::object{{"method", method}, {"params", params}});
  if (text.size() > kRequestBytesMax) {
    return fail(Errc::out_of_range,
                fmt::format("the request has {} bytes, and a packet takes {}: use --lane compat",
                            text.size(), kRequestBytesMax));
  }
  std::array<std::uint8_t, 4> drawn;
  random(drawn);
  const auto id = static_cast<std::uint32_t>(load_be(drawn.data(), drawn.size()));

  // Answers of two attempts are two answers: their pieces do not mix.
  std::map<std::size_t, StorageAnswer> answers;
  const StorageAnswer* complete = nullptr;
  SetupExchange::Request request;
  request.type = onion::PacketType::s0;
  request.plan = plan;
  request.attempts = kAttempts;
  request.timeout_us = kTimeoutUs;
  request.service = onion::Service::storage;
  request.data = inner_request(id, text);
  request.on_packet = [&](std::size_t attempt, const onion::BackwardPacket& packet) {
    StorageAnswer& answer = answers.try_emplace(attempt, id).first->second;
    if (!answer.add(packet.view())) {
      return false;
    }
    complete = &answer;
    return true;
  };
  SetupExchange exchange(std::move(request), cookies, random);
  std::array<std::uint8_t, onion::kDatagramBytesMax> buffer;
  while (exchange.state() == SetupExchange::State::waiting) {
    if (wire.interrupted()) {
      return fail(Errc::timeout, "interrupted");
    }
    exchange.on_time(wire, wire.now());
    if (exchange.state() != SetupExchange::State::waiting) {
      break;
    }
    if (const auto arrival = wire.receive(buffer, exchange.deadline_us())) {
      exchange.on_datagram(wire, arrival->source, Bytes(buffer).first(arrival->byte_count),
                           wire.now());
    }
  }
  if (exchange.state() == SetupExchange::State::failed || complete == nullptr) {
    return tl::unexpected(exchange.failure());
  }
  Result<StorageAnswer::Content> content = complete->content();
  if (!content) {
    return tl::unexpected(content.error());
  }
  return StorageReply{*std::move(content), complete->pieces(), exchange.round_trip_us()};
}

}  // namespace allium::client
