// SPDX-License-Identifier: Apache-2.0
#include "control/service/record_exchange.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "control/service/bt.hpp"
#include "crypto_accel/base/bytes.hpp"
#include "dataplane/onion/time_index.hpp"

namespace allium::control {
namespace json = boost::json;

namespace {

constexpr std::size_t kNumberBytes = 12;
constexpr std::size_t kRefusalsMax = 16;  // of one message
constexpr const char* kCommand = "sn.allium_records";

Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string numbers_text(const RecordBook::Numbers& numbers) {
  std::string text;
  for (const auto& [id, number] : numbers) {
    std::array<std::uint8_t, kNumberBytes> one;
    store_be(one.data(), id, 4);
    store_be(one.data() + 4, number, 8);
    text.append(one.begin(), one.end());
  }
  return text;
}

/// None: not a list of numbers.
std::optional<RecordBook::Numbers> parse_numbers(std::string_view text) {
  if (text.size() % kNumberBytes != 0 || text.size() > kRelaysMax * kNumberBytes) {
    return std::nullopt;
  }
  RecordBook::Numbers numbers;
  for (Bytes left = bytes_of(text); !left.empty(); left = left.subspan(kNumberBytes)) {
    numbers[static_cast<std::uint32_t>(load_be(left.data(), 4))] = load_be(left.data() + 4, 8);
  }
  return numbers;
}

json::array records_list(const std::vector<SignedNodeRecord>& records) {
  json::array list;
  for (const SignedNodeRecord& record : records) {
    list.push_back(json::array{
        record.text, std::string_view(reinterpret_cast<const char*>(record.signature.data()),
                                      record.signature.size())});
  }
  return list;
}

std::optional<SignedNodeRecord> record_of(const json::value& item) {
  const json::array* const pair = item.if_array();
  if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_string() || !(*pair)[1].is_string()) {
    return std::nullopt;
  }
  const json::string& signature = (*pair)[1].get_string();
  SignedNodeRecord record;
  if (signature.size() != record.signature.size()) {
    return std::nullopt;
  }
  record.text = (*pair)[0].get_string();
  std::copy(signature.begin(), signature.end(), record.signature.begin());
  return record;
}

}  // namespace

RecordExchange::RecordExchange(ExchangeSurroundings surroundings)
    : around_(std::move(surroundings)) {}

RecordExchange::~RecordExchange() {
  *is_alive_ = false;
}

void RecordExchange::set_document(std::shared_ptr<const NetworkDocument> document,
                                  SignedNetworkDocument signed_document) {
  book_.set_document(std::move(document));
  signed_document_ = std::move(signed_document);
  heard_.clear();
  for (const SignedNodeRecord& record : std::exchange(remembered_, {})) {
    static_cast<void>(book_.take(record, around_.now_ms() / 1000));  // what has run out is no news
  }
  if (own_) {
    const SignedNodeRecord own = *own_;
    publish(own);
  }
  if (is_started_) {
    hurry_ms_ = kHurriedMs;
    ask_later(0);
  }
  changed();
}

void RecordExchange::publish(const SignedNodeRecord& own) {
  own_ = own;
  if (book_.document() == nullptr) {
    return;  // told when there is somebody to tell
  }
  if (book_.take(own, around_.now_ms() / 1000) == RecordNews::newer) {
    changed();
  }
  to_tell_.clear();
  for (const ServiceNode& node : around_.membership.nodes()->all()) {
    if (node.ed25519 != around_.membership.own()) {
      to_tell_.push_back(node.ed25519);
    }
  }
  tell_next();
}

void RecordExchange::changed() {
  bundle_text_.clear();
  around_.on_change();
}

void RecordExchange::tell_next() {
  while (telling_ < kTellingMax && !to_tell_.empty()) {
    const auto nodes = around_.membership.nodes();
    const ServiceNode* const node = nodes->find_ed25519(to_tell_.front());
    to_tell_.pop_front();
    if (node != nullptr) {
      ++telling_;
      ask(*node, [this] {
        --telling_;
        tell_next();
      });
    }
  }
}

void RecordExchange::start() {
  is_started_ = true;
  ask_later(0);
}

bool RecordExchange::is_complete() const {
  const std::uint64_t hour = onion::hour_of(around_.now_ms());
  const std::size_t others = std::max<std::size_t>(around_.membership.nodes()->all().size(), 1) - 1;
  return book_.missing(hour) == 0 && book_.missing(hour + 1) == 0 &&
         heard_.size() >= std::min(kHeardNeeded, others);
}

// By chance: every other time one whose own record is missing or whose time is not known, if there is one.
std::optional<ServiceNode> RecordExchange::anybody() {
  const auto nodes = around_.membership.nodes();
  std::vector<const ServiceNode*> others;
  std::vector<const ServiceNode*> unknown;
  for (const ServiceNode& node : nodes->all()) {
    if (node.ed25519 != around_.membership.own()) {
      others.push_back(&node);
      if (book_.find(node.ed25519) == nullptr || !heard_.contains(node.ed25519)) {
        unknown.push_back(&node);
      }
    }
  }
  if (others.empty()) {
    return std::nullopt;
  }
  std::array<std::uint8_t, 9> drawn;
  around_.random(drawn);
  const bool wants_unknown = (drawn.back() & 1) != 0 && !unknown.empty();
  const std::vector<const ServiceNode*>& among = wants_unknown ? unknown : others;
  return *among[load_be(drawn.data(), 8) % among.size()];
}

void RecordExchange::ask_later(std::uint64_t delay_ms) {
  // Of two plans the later one holds.
  const std::uint64_t round = ++asking_round_;
  around_.peers.after(delay_ms, [this, round, alive = is_alive_] {
    if (!*alive || round != asking_round_) {
      return;
    }
    const std::uint64_t next_ms = is_complete() ? kCalmMs : hurry_ms_;
    hurry_ms_ = std::min(2 * hurry_ms_, kCalmMs);
    if (const auto node = anybody()) {
      ask(*node, [] {});
    }
    ask_later(next_ms);
  });
}

void RecordExchange::ask(const ServiceNode& node, std::function<void()> then) {
  const std::uint64_t sent_ms = around_.now_ms();
  json::object question = {{"h", numbers_text(book_.numbers())}, {"t", sent_ms}};
  if (own_) {
    question["r"] = records_list({*own_});
  }
  ++counters_.asked;
  around_.peers.request(
      node, kCommand, {serialise_bt(question)}, kTimeoutMs,
      [this, alive = is_alive_, key = node.ed25519, sent_ms,
       then = std::move(then)](const Result<PeerParts>& parts) {
        if (!*alive) {
          return;
        }
        const auto answer = parts && parts->size() == 1 ? parse_bt(parts->front())
                                                        : fail(Errc::malformed, "no answer");
        if (!answer || !answer->is_object()) {
          ++counters_.unanswered;
          then();
          return;
        }
        heard_.insert(key);
        const json::object& fields = answer->get_object();
        if (const json::value* time = fields.if_contains("t");
            around_.on_time && time != nullptr && time->is_int64() && time->get_int64() > 0) {
          around_.on_time(key, static_cast<std::uint64_t>(time->get_int64()), sent_ms,
                          around_.now_ms());
        }
        if (const json::value* list = fields.if_contains("r")) {
          take_all(*list);
        }
        then();
      });
}

void RecordExchange::take_all(const json::value& list) {
  const json::array* const items = list.if_array();
  if (items == nullptr || items->size() > kRelaysMax) {
    ++counters_.refused;
    return;
  }
  const std::uint64_t now_s = around_.now_ms() / 1000;
  bool is_any_new = false;
  std::size_t refused = 0;
  for (const json::value& item : *items) {
    const auto record = record_of(item);
    const Result<RecordNews> taken =
        record ? book_.take(*record, now_s) : fail(Errc::malformed, "not a record");
    if (!taken) {
      ++counters_.refused;
      counters_.last_refusal = taken.error().text;
      // Each costs a signature's check: whoever sends so many that do not hold is not heard to the end.
      if (++refused >= kRefusalsMax) {
        break;
      }
    } else if (*taken == RecordNews::newer) {
      ++counters_.taken;
      is_any_new = true;
    } else if (*taken == RecordNews::older) {
      ++counters_.older;
    }
  }
  if (is_any_new) {
    hurry_ms_ = kHurriedMs;
    changed();
  }
}

void RecordExchange::answer(std::string_view part, const std::function<void(PeerParts)>& reply) {
  const auto question = parse_bt(part);
  if (!question || !question->is_object() || book_.document() == nullptr) {
    reply({"400", book_.document() == nullptr ? "no network document yet" : "expected a bt dict"});
    return;
  }
  const json::object& fields = question->get_object();
  json::object answer = {{"t", around_.now_ms()}};
  if (const json::value* have = fields.if_contains("h"); have != nullptr && have->is_string()) {
    const auto numbers = parse_numbers(have->get_string());
    if (!numbers) {
      reply({"400", "h: expected 12 bytes a relay"});
      return;
    }
    answer["r"] = records_list(book_.newer_than(*numbers, kAnswerBytesMax));
  }
  if (const json::value* list = fields.if_contains("r")) {
    take_all(*list);
  }
  reply({serialise_bt(answer)});
}

const std::string& RecordExchange::bundle_text() {
  if (bundle_text_.empty() && book_.document() != nullptr) {
    NetworkBundle bundle;
    bundle.document = signed_document_;
    bundle.records = book_.all();
    bundle_text_ = serialise(bundle).value_or("");
  }
  return bundle_text_;
}

}  // namespace allium::control
