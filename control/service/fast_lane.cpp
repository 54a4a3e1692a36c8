// SPDX-License-Identifier: Apache-2.0
#include "control/service/fast_lane.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include <boost/json/object.hpp>

#include "control/service/bt.hpp"

namespace allium::control {
namespace json = boost::json;

namespace {

constexpr std::uint8_t kFlagReplyBlock = 1;
constexpr std::size_t kReturnBytes = onion::type_info(onion::PacketType::r).x_r_bytes;
constexpr std::size_t kPieceBytes =
    kReturnBytes - InnerHeader::kBytes - FastLane::kPieceHeaderBytes;

// A page of messages that leaves room for what is around each in the answer.
constexpr std::int64_t kPageBytesMax = 32'000;

std::string_view text_of(Bytes bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<std::uint8_t> piece_of(std::uint32_t id, std::size_t index, std::size_t count,
                                   std::string_view piece) {
  std::vector<std::uint8_t> data(InnerHeader::kBytes + FastLane::kPieceHeaderBytes);
  data[0] = InnerHeader::response;
  store_be(data.data() + 2, FastLane::kPieceHeaderBytes + piece.size(), 2);
  store_be(data.data() + 4, id, 4);
  store_be(data.data() + 8, index, 2);
  store_be(data.data() + 10, count, 2);
  data.insert(data.end(), piece.begin(), piece.end());
  return data;
}

using Visit = std::function<void(json::object& params)>;

/// Calls it with the parameters of each retrieve, also of those in a batch, a sequence or an ifelse.
void for_each_retrieve(json::value& request, const Visit& visit);

void for_each_retrieve(std::string_view method, json::object& params, const Visit& visit) {
  if (method == "retrieve") {
    visit(params);
  } else if (json::value* const list = params.if_contains("requests"); list && list->is_array()) {
    for (json::value& request : list->get_array()) {
      for_each_retrieve(request, visit);
    }
  } else if (method == "ifelse") {
    for (const char* branch : {"then", "else"}) {
      if (json::value* const request = params.if_contains(branch)) {
        for_each_retrieve(*request, visit);
      }
    }
  }
}

void for_each_retrieve(json::value& request, const Visit& visit) {
  json::object* const fields = request.if_object();
  json::value* const method = fields == nullptr ? nullptr : fields->if_contains("method");
  json::value* const params = fields == nullptr ? nullptr : fields->if_contains("params");
  if (method != nullptr && method->is_string() && params != nullptr && params->is_object()) {
    for_each_retrieve(method->get_string(), params->get_object(), visit);
  }
}

/// Pages that the packets of one answer can hold; who wants more asks for the next.
void bound_pages(std::string_view method, json::object& params) {
  std::int64_t pages = 0;
  for_each_retrieve(method, params, [&pages](json::object&) { ++pages; });
  const std::int64_t bytes_max = kPageBytesMax / std::max<std::int64_t>(pages, 1);
  for_each_retrieve(method, params, [bytes_max](json::object& retrieve) {
    const json::value* const size = retrieve.if_contains("max_size");
    const bool is_bounded = size != nullptr && size->is_int64() && size->get_int64() > 0 &&
                            size->get_int64() <= bytes_max;
    const bool is_refused = size != nullptr && !size->is_number();
    if (!is_bounded && !is_refused) {
      retrieve["max_size"] = bytes_max;
    }
  });
}

/// A page holds one message at least. Who cannot have it here must be able to go on behind it.
std::string too_long(const Answer& answer) {
  const json::object* const body = answer.body.if_object();
  const json::value* const messages = body == nullptr ? nullptr : body->if_contains("messages");
  if (messages == nullptr || !messages->is_array() || messages->get_array().size() != 1) {
    return "the answer is too long for packets: ask for less (max_count, max_size), or over HTTPS";
  }
  const json::string& hash = messages->get_array().front().at("hash").as_string();
  return "message " + std::string(hash) +
         " is too long for packets: ask for it over HTTPS; what is behind it comes with this hash "
         "as last_hash";
}

}  // namespace

std::optional<InnerHeader> parse_inner_header(Bytes data) noexcept {
  if (data.size() < InnerHeader::kBytes) {
    return std::nullopt;
  }
  InnerHeader header;
  header.kind = data[0];
  header.flags = data[1];
  header.id = static_cast<std::uint32_t>(load_be(data.data() + 4, 4));
  const std::size_t byte_count = load_be(data.data() + 2, 2);
  const Bytes rest = data.subspan(InnerHeader::kBytes);
  if (header.kind > InnerHeader::datagram || (header.flags & ~kFlagReplyBlock) != 0 ||
      byte_count > rest.size()) {
    return std::nullopt;
  }
  header.content = rest.first(byte_count);
  return header;
}

void FastLane::deliver(const control_port::DeliveryRecord& record) {
  const bool is_one_shot =
      record.type == onion::PacketType::s0 || record.type == onion::PacketType::s1;
  const auto header = parse_inner_header(record.data);
  if (!header || (is_one_shot && header->flags != 0)) {
    ++counters_.malformed;
    return;
  }
  if (header->kind == InnerHeader::nothing) {
    ++counters_.nothing;
    return;
  }
  if (!is_one_shot || header->kind != InnerHeader::request || record.sealed_context.empty()) {
    ++counters_.unserved;
    return;
  }
  auto request = parse_bt(text_of(header->content));
  json::object* const fields = request ? request->if_object() : nullptr;
  const json::value* const method = fields == nullptr ? nullptr : fields->if_contains("method");
  json::value* const params = fields == nullptr ? nullptr : fields->if_contains("params");
  if (method == nullptr || !method->is_string() || params == nullptr || !params->is_object()) {
    ++counters_.malformed;
    return;
  }
  if (pending_ >= kPendingMax) {
    ++counters_.busy;
    return;
  }
  const std::string_view name = method->get_string();
  bound_pages(name, params->get_object());
  ++counters_.requests;
  ++pending_;
  control_port::DeliveryRecord way_back;
  way_back.type = record.type;
  way_back.sealed_context = record.sealed_context;
  rpc_.call(name, std::move(params->get_object()), Format::bt, RpcSource::onion,
            [this, alive = is_alive_, id = header->id,
             way_back = std::move(way_back)](const Answer& answer) {
              if (*alive) {
                --pending_;
                send_answer(way_back, id, answer);
              }
            });
}

void FastLane::send_answer(const control_port::DeliveryRecord& record, std::uint32_t id,
                           const Answer& answer) {
  const auto text_with = [](Status status, const json::value& body) {
    return serialise_bt(json::object{{"body", body}, {"code", static_cast<int>(status)}});
  };
  // The answer to an S1 itself has number 0.
  const std::size_t first_seq = record.type == onion::PacketType::s1 ? 1 : 0;
  const std::size_t pieces_max = kPiecesMax - first_seq;
  std::string text = text_with(answer.status, answer.body);
  if (text.size() > pieces_max * kPieceBytes) {
    ++counters_.too_long;
    text = text_with(Status::payload_too_large, json::value(too_long(answer)));
  }
  const std::size_t count = (text.size() + kPieceBytes - 1) / kPieceBytes;
  for (std::size_t index = 0; index < count; ++index) {
    const std::string_view piece = std::string_view(text).substr(index * kPieceBytes, kPieceBytes);
    control_port::ReturnReply reply;
    reply.sealed_context = record.sealed_context;
    reply.seq = first_seq + index;
    reply.data = piece_of(id, index, count, piece);
    send_(std::move(reply));
  }
  counters_.pieces += count;
  ++counters_.answered;
}

}  // namespace allium::control
