// SPDX-License-Identifier: Apache-2.0
#pragma once

// The controlling side's end of the control port: one connection to an allium-dp.
//
//   Ownership  owns the connection; copies of messages that wait to be sent are wiped when they are gone.
//   Errors     Errc::not_found (nobody listens yet), Errc::unavailable (the other side is gone),
//              Errc::malformed (it breaks the layout), Errc::full (it does not read), Errc::io.
//   Threads    one. Nothing blocks: poll descriptor() for reading, and for writing while wants_write().
//   Limits     kQueueBytesMax that wait; one message a call of receive().

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "crypto_accel/base/result.hpp"
#include "dataplane/control_port/messages.hpp"
#include "dataplane/control_port/persistent_memory.hpp"

namespace allium::control_port {

class Controller {
 public:
  /// Enough for the snapshot of a full network, twice.
  static constexpr std::size_t kQueueBytesMax = std::size_t{4} << 20;

  /// Connects and sends Hello.
  [[nodiscard]] static Result<Controller> connect(const std::string& path);

  ~Controller();
  Controller(Controller&& other) noexcept;
  Controller& operator=(Controller&& other) noexcept;
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  [[nodiscard]] int descriptor() const noexcept { return socket_; }

  [[nodiscard]] bool wants_write() const noexcept { return !queue_.empty(); }

  /// Sends or queues one message.
  [[nodiscard]] Result<void> send(const Message& message);

  /// Sends or queues Configure with its descriptors. `memory` is borrowed until it is sent.
  [[nodiscard]] Result<void> configure(const PersistentMemory& memory,
                                       std::uint64_t slot_floor_if_new);

  /// Begin, chunks and commit. Requires begin.peer_count == peers.size(). All is queued or nothing is.
  [[nodiscard]] Result<void> send_snapshot(SnapshotBegin begin,
                                           std::vector<onion::PeerConfig> peers);

  /// Sends what the socket takes of the queue.
  [[nodiscard]] Result<void> flush();

  /// The next message; none: nothing has come.
  [[nodiscard]] Result<std::optional<Message>> receive();

 private:
  struct Outgoing {
    std::vector<std::uint8_t> bytes;
    int replay = -1;  ///< passed along where both are there
    int handles = -1;
  };

  explicit Controller(int socket) : socket_(socket), buffer_(kMessageBytesMax) {}

  [[nodiscard]] Result<void> enqueue(std::vector<Outgoing> messages);
  [[nodiscard]] bool send_now(const Outgoing& message) const noexcept;

  int socket_ = -1;
  std::deque<Outgoing> queue_;
  std::size_t queued_bytes_ = 0;
  std::vector<std::uint8_t> buffer_;
};

}  // namespace allium::control_port
