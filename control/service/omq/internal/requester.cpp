// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/requester.hpp"

#include <optional>
#include <utility>

#include <boost/asio/post.hpp>

#include "control/service/omq/internal/frames.hpp"

namespace allium::control {

Requester::Requester(boost::asio::io_context& io, std::size_t requests_max, ConnectionTable& links,
                     Dialer& dialer, Sender& sender, OmqCounters& counters)
    : io_(io),
      requests_max_(requests_max),
      links_(links),
      dialer_(dialer),
      sender_(sender),
      counters_(counters),
      requests_(io) {}

void Requester::ask(const OmqPeer& peer, std::string command, OmqParts parts,
                    std::chrono::milliseconds timeout, OmqAnswered answered, OmqPriority priority) {
  if (!is_sendable(command, parts)) {
    answer_later(std::move(answered), {Errc::out_of_range, "too much for one OMQ request"});
    return;
  }
  if (requests_.count() >= requests_max_) {
    answer_later(std::move(answered), {Errc::full, "too many OMQ requests without an answer"});
    return;
  }
  const Result<Link> link = dialer_.link_to(peer);
  if (!link) {
    answer_later(std::move(answered), link.error());
    return;
  }
  const OmqConnection number = (*link)->number;
  const std::string tag =
      requests_.add(number, command, timeout, std::move(answered),
                    [weak = weak_from_this(), number](const std::string& expired) {
                      if (const std::shared_ptr<Requester> self = weak.lock()) {
                        self->expire(expired, number);
                      }
                    });
  (*link)->is_silent = (*link)->is_silent || (*link)->requested_count == 0;
  ++(*link)->requested_count;
  ++counters_.requested;
  if (!sender_.deliver(*link, frames_of({command, tag}, std::move(parts)), priority)) {
    --(*link)->requested_count;
    if (std::optional<OmqRequest> request = requests_.take(tag, number)) {
      answer_later(std::move(request->answered), {Errc::full, "the peer does not read"});
    }
  }
}

void Requester::take_reply(const Link& link, const OmqMessage& message, OmqParts frames) {
  // By connection as well: a tag that leaked helps nobody but the peer that was asked.
  std::optional<OmqRequest> request = requests_.take(message.tag, link->number);
  if (!request) {
    ++counters_.unknown_tags;
    return;
  }
  --link->requested_count;
  frames.erase(frames.begin(), frames.begin() + static_cast<std::ptrdiff_t>(message.parts_begin));
  request->answered(std::move(frames));
}

void Requester::take_refusal(const Link& link, const OmqMessage& message) {
  std::optional<OmqRequest> request =
      message.tag.empty() ? requests_.take_oldest(link->number, message.refused_command)
                          : requests_.take(message.tag, link->number);
  if (!request) {
    ++counters_.unknown_tags;
    return;
  }
  --link->requested_count;
  request->answered(fail(Errc::refused, "the peer answers " + std::string(message.name)));
}

void Requester::connection_closed(OmqConnection connection) {
  for (OmqRequest& request : requests_.take_all(connection)) {
    answer_later(std::move(request.answered), {Errc::unavailable, "the connection was closed"});
  }
}

void Requester::answer_later(OmqAnswered answered, Error error) {
  boost::asio::post(io_, [weak = weak_from_this(), answered = std::move(answered),
                          error = std::move(error)]() mutable {
    if (!weak.expired()) {
      answered(tl::unexpected<Error>(std::move(error)));
    }
  });
}

void Requester::expire(const std::string& tag, OmqConnection connection) {
  std::optional<OmqRequest> request = requests_.take(tag, connection);
  if (!request) {
    return;
  }
  ++counters_.timeouts;
  if (const Link link = links_.find(connection)) {
    --link->requested_count;
    // Nothing has come since the request went: perhaps the connection is dead, so the next gets a
    // new one.
    if (link->requested_count == 0 && link->is_silent) {
      links_.close(*link);
    }
  }
  request->answered(fail(Errc::timeout, "no answer in time"));
}

}  // namespace allium::control
