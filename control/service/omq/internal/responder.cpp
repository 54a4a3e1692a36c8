// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/responder.hpp"

#include <iterator>
#include <utility>

#include "control/service/omq/internal/frames.hpp"
#include "crypto_accel/base/check.hpp"

namespace allium::control {

struct OmqReply::Target {
  Target(std::weak_ptr<Responder> responder_, const ConnectionTable::Link& link_, std::string tag_,
         std::size_t bytes_, OmqPriority priority_)
      : responder(std::move(responder_)),
        link(link_),
        connection(link_->number),
        tag(std::move(tag_)),
        bytes(bytes_),
        priority(priority_) {}

  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  ~Target() {
    const std::string unanswered = take_tag();
    const std::shared_ptr<Responder> alive = responder.lock();
    if (alive && !unanswered.empty()) {
      alive->gone();
    }
  }

  /// Also gives its place among the requests being served back. Empty: taken before, or a push.
  [[nodiscard]] std::string take_tag() {
    std::string taken = std::exchange(tag, {});
    const ConnectionTable::Link alive = link.lock();
    if (alive && !taken.empty()) {
      --alive->served_count;
      alive->served_bytes -= bytes;
    }
    return taken;
  }

  std::weak_ptr<Responder> responder;
  std::weak_ptr<OmqLink> link;
  OmqConnection connection;
  std::string tag;
  std::size_t bytes;  // of the request
  OmqPriority priority;
};

void OmqReply::operator()(OmqParts parts) const {
  const std::string tag = target_->take_tag();
  const std::shared_ptr<Responder> responder = target_->responder.lock();
  if (responder && !tag.empty()) {
    responder->reply(target_->connection, tag, std::move(parts), target_->priority);
  }
}

Responder::Responder(const OmqLimits& limits, const OmqEndpoint::IsServiceNode& is_service_node,
                     FindNow find_now, Sender& sender, OmqCounters& counters)
    : limits_(limits),
      is_service_node_(is_service_node),
      find_now_(std::move(find_now)),
      sender_(sender),
      counters_(counters) {}

void Responder::add(std::string name, OmqAccess access, OmqForm form, OmqHandler handler,
                    OmqPriority priority) {
  const bool is_new =
      commands_.emplace(std::move(name), Registered{access, form, std::move(handler), priority})
          .second;
  ALLIUM_CHECK(is_new);
}

void Responder::serve(const Link& link, const OmqMessage& message, OmqParts frames) {
  ++counters_.received;
  const auto command = commands_.find(message.name);
  if (command == commands_.end()) {
    ++counters_.refused_unknown;
    sender_.deliver(link, {"UNKNOWNCOMMAND", frames[0]});
    return;
  }
  if (command->second.access == OmqAccess::service_node && !is_service_node_(link->key)) {
    ++counters_.refused_forbidden;
    refuse(link, command->second, frames);
    return;
  }
  if (command->second.form == OmqForm::request && omq_request_tag(frames).empty()) {
    ++counters_.refused_no_tag;
    sender_.deliver(link, {"NO_REPLY_TAG", frames[0]});
    return;
  }
  call(link, command->second, std::move(frames));
}

void Responder::refuse(const Link& link, const Registered& command,
                       std::span<const std::string> frames) {
  const std::string_view tag = omq_request_tag(frames);
  if (command.form == OmqForm::request && !tag.empty()) {
    sender_.deliver(link, {"FORBIDDEN_SN", std::string(kReplyName), std::string(tag)});
  } else {
    sender_.deliver(link, {"FORBIDDEN_SN", frames[0]});
  }
}

void Responder::call(const Link& link, const Registered& command, OmqParts frames) {
  std::string tag;
  const std::size_t bytes = bytes_of(frames);
  if (command.form == OmqForm::request) {
    if (!may_serve(link, bytes)) {
      ++counters_.refused_busy;
      sender_.deliver(link,
                      {std::string(kReplyName), frames[1], "503", "too many requests at once"});
      return;
    }
    ++link->served_count;
    link->served_bytes += bytes;
    tag = frames[1];
  } else if (frames.size() > kOmqPartsMax + 1) {
    ++counters_.malformed;
    return;
  }
  const auto first = frames.begin() + (command.form == OmqForm::request ? 2 : 1);
  const OmqReply reply(std::make_shared<OmqReply::Target>(weak_from_this(), link, std::move(tag),
                                                          bytes, command.priority));
  command.handler({.name = frames[0],
                   .parts = {std::make_move_iterator(first), std::make_move_iterator(frames.end())},
                   .peer = link->key,
                   .is_service_node = is_service_node_(link->key),
                   .connection = link->number,
                   .address = link->address},
                  reply);
}

bool Responder::may_serve(const Link& link, std::size_t bytes) const {
  if (!link->is_outgoing && !is_service_node_(link->key)) {
    return link->served_count < limits_.served;
  }
  return link->served_count < limits_.node_served &&
         (link->served_count == 0 || link->served_bytes + bytes <= limits_.node_served_bytes);
}

void Responder::gone() {
  ++counters_.unsent_gone;
}

void Responder::reply(OmqConnection connection, const std::string& tag, OmqParts parts,
                      OmqPriority priority) {
  ALLIUM_CHECK(parts.size() <= kOmqPartsMax);
  const Link link = find_now_(connection);
  if (!link) {
    gone();
    return;
  }
  if (kReplyName.size() + tag.size() + bytes_of(parts) > kOmqMessageBytesMax) {
    ++counters_.answers_oversized;
    parts = {"413", "the answer is larger than a message may be"};
  }
  if (sender_.deliver(link, frames_of({kReplyName, tag}, std::move(parts)), priority)) {
    ++counters_.answered;
  }
}

}  // namespace allium::control
