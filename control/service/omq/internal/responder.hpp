// SPDX-License-Identifier: Apache-2.0
#pragma once

// Others' commands: whether they may be, their handlers, and the replies that go back, now or later.
//
//   Ownership  owns the handlers; borrows what it is made with. Shared, since an OmqReply watches it for as long as it is kept.
//   Threads    the service thread.
//   Limits     OmqLimits::served, node_served and node_served_bytes; over them a request is answered 503.

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "control/service/omq/internal/connection_table.hpp"
#include "control/service/omq/internal/sender.hpp"
#include "control/service/omq/omq_endpoint.hpp"
#include "control/service/omq/omq_message.hpp"

namespace allium::control {

class Responder : public std::enable_shared_from_this<Responder> {
 public:
  using Link = ConnectionTable::Link;

  /// Null: that connection is over.
  using FindNow = std::function<Link(OmqConnection connection)>;

  Responder(const OmqLimits& limits, const OmqEndpoint::IsServiceNode& is_service_node,
            FindNow find_now, Sender& sender, OmqCounters& counters);

  /// Requires a name that is not there yet.
  void add(std::string name, OmqAccess access, OmqForm form, OmqHandler handler,
           OmqPriority priority);

  /// Carries a command out or refuses it.
  void serve(const Link& link, const OmqMessage& message, OmqParts frames);

  /// The answer to a request of that connection, for OmqReply.
  void reply(OmqConnection connection, const std::string& tag, OmqParts parts,
             OmqPriority priority);

  /// A request is not answered: whoever asked has gone.
  void gone();

 private:
  struct Registered {
    OmqAccess access;
    OmqForm form;
    OmqHandler handler;
    OmqPriority priority;
  };

  void call(const Link& link, const Registered& command, OmqParts frames);
  void refuse(const Link& link, const Registered& command, std::span<const std::string> frames);
  [[nodiscard]] bool may_serve(const Link& link, std::size_t bytes) const;

  const OmqLimits& limits_;
  const OmqEndpoint::IsServiceNode& is_service_node_;
  FindNow find_now_;
  Sender& sender_;
  OmqCounters& counters_;
  std::map<std::string, Registered, std::less<>> commands_;
};

}  // namespace allium::control
