// SPDX-License-Identifier: Apache-2.0
#pragma once

// The controlling side's end of the control port: one connection to an allium-dp. Every call asks and waits for
// its answer; what comes unasked (deliveries) is kept.
//
//   Units      timeouts in milliseconds, of the whole call.
//   Ownership  owns the connection. Descriptors handed to configure() stay the caller's. Messages with
//              keys are wiped once they are sent.
//   Errors     Errc::unavailable (nobody listens yet, or the other side is gone), Errc::timeout,
//              Errc::refused (with the dataplane's reason), Errc::malformed (it breaks the layout or the
//              order), Errc::io. After any but refused the connection is of no more use.
//   Threads    one.
//   Limits     kDeliveriesMax kept; later ones are dropped and counted in deliveries_lost().

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "crypto_accel/base/result.hpp"
#include "dataplane/control_port/messages.hpp"

namespace allium::control_port {

/// A memfd of zeros, sealed against shrinking and growing: for a replay set or a handle table. The caller
/// closes it. Errc::unavailable.
[[nodiscard]] Result<int> create_sealed_memory(const std::string& name, std::size_t byte_count);

class Controller {
 public:
  static constexpr std::size_t kDeliveriesMax = 256;

  /// Connects and greets.
  [[nodiscard]] static Result<Controller> connect(const std::string& path, int timeout_ms);

  ~Controller();
  Controller(Controller&& other) noexcept;
  Controller& operator=(Controller&& other) noexcept;
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  /// For poll(): readable when something came unasked, or the other side has gone.
  [[nodiscard]] int descriptor() const noexcept { return socket_; }

  /// What the dataplane said of itself.
  [[nodiscard]] const Welcome& welcome() const noexcept { return welcome_; }

  /// Hands over the memfds; the answer says from when packets are accepted.
  [[nodiscard]] Result<Accepted> configure(const Configure& message, int replay_memory,
                                           int handle_memory, int timeout_ms);

  /// Begin, chunks and commit of one snapshot. Requires begin.peer_count == peers.size().
  [[nodiscard]] Result<Accepted> publish(SnapshotBegin begin, std::vector<onion::PeerConfig> peers,
                                         int timeout_ms);

  [[nodiscard]] Result<Counters> counters(int timeout_ms);

  /// An answer of a service, or the wish for a clean end: nothing comes back.
  [[nodiscard]] Result<void> send(const Message& message, int timeout_ms);

  /// Takes what has come unasked, without waiting.
  [[nodiscard]] Result<void> read_arrived();

  /// What the services got, oldest first; the caller takes them out.
  [[nodiscard]] std::vector<DeliveryRecord>& deliveries() noexcept { return deliveries_; }

  [[nodiscard]] std::uint64_t deliveries_lost() const noexcept { return deliveries_lost_; }

 private:
  struct Descriptors;
  struct Deadline;

  explicit Controller(int socket) : socket_(socket), buffer_(kMessageBytesMax) {}

  [[nodiscard]] Result<void> wait_for(short events, const Deadline& deadline) const;
  [[nodiscard]] Result<void> send_bytes(std::vector<std::uint8_t> bytes,
                                        const Descriptors& descriptors, const Deadline& deadline);
  [[nodiscard]] Result<std::optional<Message>> receive_one();
  template <typename Answer>
  [[nodiscard]] Result<Answer> await(const Deadline& deadline);
  [[nodiscard]] Result<Accepted> await_accepted(std::uint64_t serial, const Deadline& deadline);
  void keep(Deliveries&& message);

  int socket_ = -1;
  std::vector<std::uint8_t> buffer_;
  Welcome welcome_;
  std::vector<DeliveryRecord> deliveries_;
  std::uint64_t deliveries_lost_ = 0;
};

}  // namespace allium::control_port
