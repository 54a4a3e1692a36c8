// SPDX-License-Identifier: Apache-2.0

// What strangers send to a service node, by the first byte: bt, the envelopes and layers of onion requests, pushed messages, base64,
// whole storage requests in JSON and bt to a node that has nothing, lists of subscriptions, what a member asks of the store, and what
// one says to a client's command.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <boost/json/serialize.hpp>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/internal/member_entry.hpp"
#include "control/service/onion_layer.hpp"
#include "control/service/replica_fetch.hpp"
#include "control/service/storage_rpc.hpp"
#include "control/service/swarm_peers.hpp"
#include "crypto_accel/base/check.hpp"
#include "tests/fuzz/lonely_node.hpp"

namespace allium::control {
namespace {

void check_bt(std::string_view text) {
  const auto value = parse_bt(text);
  if (value) {
    const std::string again = serialise_bt(*value);
    ALLIUM_CHECK(serialise_bt(parse_bt(again).value()) == again);
  }
}

void check_node_envelope(std::string_view text) {
  const auto envelope = parse_node_envelope(text);
  if (envelope) {
    const auto again = parse_node_envelope(serialise_node_envelope(*envelope));
    ALLIUM_CHECK(again && again->blob == envelope->blob && again->hop == envelope->hop);
  }
}

void check_pushed(std::string_view text) {
  const auto messages = parse_pushed(text);
  if (messages) {
    ALLIUM_CHECK(parse_pushed(serialise_replicas(*messages)).value() == *messages);
  }
}

/// What is split off a list is what the list was made of.
void check_split(std::string_view text) {
  const auto parts = split_bt_list(text, 1000);
  if (parts) {
    std::string again = "l";
    for (const std::string_view part : *parts) {
      again += part;
    }
    ALLIUM_CHECK(again + 'e' == text);
  }
}

class NoTransport final : public PeerTransport {
 public:
  void request(const ServiceNode&, std::string, PeerParts, std::uint64_t,
               std::function<void(Result<PeerParts>)>) override {}

  void after(std::uint64_t, std::function<void()>) override {}
};

/// What one reads of its own disk: behind the two lines that say what it is and of which store.
void check_held(std::string_view text) {
  const std::string store = "store-1";
  const internal::HeldPoints held("allium-held 5\nstore " + store + '\n' + std::string(text),
                                  store);
  const std::string again = held.text(store);
  ALLIUM_CHECK(internal::HeldPoints(again, store).text(store) == again);
}

/// What a node asks for.
void check_fetch(std::string_view text) {
  LonelyNode node;
  NoTransport transport;
  ReplicaFetch fetch({node.store,
                      node.membership,
                      transport,
                      [] { return kNowMs; },
                      [](const std::function<void()>& what) { what(); },
                      [](std::string_view, const std::function<void(PeerParts)>&) {},
                      [](const NodeKey&) {},
                      {}},
                     {});
  int replies = 0;
  fetch.answer(node.identity.public_key(), text, [&replies](const PeerParts& parts) {
    ++replies;
    ALLIUM_CHECK(!parts.empty());
  });
  ALLIUM_CHECK(replies == 1);
}

void check_base64(std::string_view text) {
  const auto bytes = from_base64(text);
  if (bytes) {
    ALLIUM_CHECK(from_base64(to_base64(bytes_of(*bytes))) == *bytes);
  }
}

/// Every request ends in one reply.
void check_rpc(std::string_view text) {
  LonelyNode node;
  int replies = 0;
  node.rpc.call_json(text, RpcSource::client, [&replies](const Answer& answer) {
    ++replies;
    ALLIUM_CHECK(!body_text(answer, Format::json).empty());
  });
  ALLIUM_CHECK(replies == 1);
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) {
    return;
  }
  node.rpc.call_params(text.substr(0, end), text.substr(end + 1), RpcSource::late_peer,
                       [&replies](const Answer& answer, Format format) {
                         ++replies;
                         ALLIUM_CHECK(!body_text(answer, format).empty());
                       });
  ALLIUM_CHECK(replies == 2);
}

/// Whatever a member says, to a command of that name, the client gets text, and not much of it.
void check_member(std::string_view text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view method = text.substr(0, end);
  const std::string said(text.substr(std::min(end + 1, text.size())));
  MemberReply answered{{}, MemberReply::Kind::answered, {}, {}, {}};
  if (auto body = parse_bt(said); body && body->is_object()) {
    answered.body = std::move(body->get_object());
  }
  const MemberReply refused{{}, MemberReply::Kind::refused, {}, said.substr(0, 3), said};
  for (const MemberReply& reply : {answered, refused}) {
    const std::string entry =
        boost::json::serialize(internal::member_entry(method, reply, Format::json));
    ALLIUM_CHECK(entry.size() <= internal::kMemberEntryBytesMax);
    ALLIUM_CHECK(
        std::all_of(entry.begin(), entry.end(), [](char c) { return c >= ' ' && c <= '~'; }));
  }
}

void check(std::uint8_t what, std::string_view text) {
  switch (what % 11) {
    case 0:
      check_bt(text);
      break;
    case 1:
      static_cast<void>(parse_client_envelope(text));
      break;
    case 2:
      check_node_envelope(text);
      break;
    case 3:
      static_cast<void>(parse_onion_layer(text, 0));
      break;
    case 4:
      check_pushed(text);
      break;
    case 5:
      check_base64(text);
      break;
    case 7:
      check_split(text);
      break;
    case 8:
      check_fetch(text);
      break;
    case 9:
      check_member(text);
      break;
    case 10:
      check_held(text);
      break;
    default:
      check_rpc(text);
  }
}

}  // namespace
}  // namespace allium::control

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0) {
    allium::control::check(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  }
  return 0;
}
