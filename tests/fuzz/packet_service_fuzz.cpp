// SPDX-License-Identifier: Apache-2.0

// What comes by packets and from other nodes, by the first byte: the pieces of an answer to a client, a request to the storage
// service, a question of the record exchange.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "control/service/fast_lane.hpp"
#include "control/service/record_exchange.hpp"
#include "crypto_accel/base/check.hpp"
#include "tests/fuzz/lonely_node.hpp"
#include "tools/client/storage_answer.hpp"

namespace allium::control {
namespace {

/// Pieces of 2 bytes of length each, to one client.
void check_answer(Bytes input) {
  client::StorageAnswer answer(0x01020304);
  while (input.size() > 2) {
    const std::size_t byte_count =
        std::min<std::size_t>(load_be(input.data(), 2), input.size() - 2);
    const bool is_complete = answer.add(input.subspan(2, byte_count));
    ALLIUM_CHECK(answer.pieces() <= client::StorageAnswer::kPiecesMax);
    if (is_complete) {
      static_cast<void>(answer.content());
      return;
    }
    input = input.subspan(2 + byte_count);
  }
}

/// A request has at most one answer, of numbered packets that fit.
void check_request(Bytes input) {
  LonelyNode node;
  std::uint64_t sent = 0;
  FastLane lane(node.rpc, [&sent](const control_port::ReturnReply& reply) {
    ALLIUM_CHECK(reply.seq == sent && reply.data.size() <= 1056);
    ++sent;
  });
  control_port::DeliveryRecord record;
  record.type = onion::PacketType::s0;
  record.data.assign(input.begin(), input.end());
  record.data.resize(800);
  record.sealed_context.assign(48, 0);
  lane.deliver(record);
  ALLIUM_CHECK(lane.counters().answered <= 1 && sent <= FastLane::kPiecesMax);
}

class Nobody final : public PeerTransport {
  void request(const ServiceNode&, std::string, PeerParts, std::uint64_t,
               std::function<void(Result<PeerParts>)>) override {}

  void after(std::uint64_t, std::function<void()>) override {}
};

/// Every question has one answer.
void check_exchange(Bytes input) {
  LonelyNode node;
  Nobody nobody;
  RecordExchange exchange(
      {node.membership, nobody, system_random(), [] { return kNowMs; }, [] {}, {}});
  exchange.set_document(std::make_shared<const NetworkDocument>(), {});
  std::size_t answers = 0;
  exchange.answer({reinterpret_cast<const char*>(input.data()), input.size()},
                  [&answers](const PeerParts&) { ++answers; });
  ALLIUM_CHECK(answers == 1);
}

}  // namespace
}  // namespace allium::control

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const allium::Bytes input(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      allium::control::check_answer(input);
      break;
    case 1:
      allium::control::check_request(input);
      break;
    default:
      allium::control::check_exchange(input);
      break;
  }
  return 0;
}
