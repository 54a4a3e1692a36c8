// SPDX-License-Identifier: Apache-2.0

// What a stranger sends to the OMQ port. The first byte says how far he is: bytes from the start on, or a handshake that is right and then
// commands of CURVE whose boxes are right, cut into pieces.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "control/service/omq/internal/curve_server.hpp"
#include "control/service/omq/internal/zmtp_frames.hpp"
#include "crypto_accel/base/check.hpp"
#include "tests/unit/omq/curve_client.hpp"

namespace {

using allium::Bytes;
using allium::control::CurveServer;
using allium::control::OmqIdentity;
using allium::control::ZmtpReader;
using allium::control::test::CurveClient;
using allium::control::test::key_pair;

constexpr std::size_t kFrameMax = 4096;

std::span<std::uint8_t> bytes_of(std::string& text) {
  return {reinterpret_cast<std::uint8_t*>(text.data()), text.size()};
}

/// All frames of these bytes, in pieces of so many.
void read_all(Bytes wire, std::size_t piece, CurveServer& server) {
  ZmtpReader reader;
  bool has_greeting = false;
  for (std::size_t at = 0; at < wire.size(); at += piece) {
    reader.put(wire.subspan(at, std::min(piece, wire.size() - at)));
    if (!has_greeting) {
      const auto greeting = reader.take_greeting();
      if (!greeting) {
        continue;
      }
      has_greeting = true;
      static_cast<void>(allium::control::is_zmtp_greeting(*greeting));
    }
    while (const auto frame = reader.take_frame(kFrameMax)) {
      ALLIUM_CHECK(frame->body.size() <= kFrameMax);
      static_cast<void>(server.welcome(frame->body));
      static_cast<void>(server.initiated_by(frame->body));
      static_cast<void>(server.open(frame->body));
    }
    ALLIUM_CHECK(reader.held() <= 2 * (kFrameMax + piece) + 64);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const OmqIdentity identity(key_pair(1).secret);
  static const auto own = key_pair(78);
  if (size < 2) {
    return 0;
  }
  const Bytes rest(data + 2, size - 2);
  CurveServer server(identity);
  if ((data[0] & 1) == 0) {
    read_all(rest, 1 + data[1], server);
    return 0;
  }
  CurveClient client(identity.key, own);
  std::string hello = client.hello();
  const auto welcome = server.welcome(bytes_of(hello));
  ALLIUM_CHECK(welcome && client.take_welcome(*welcome));
  // Any metadata: nothing of it is looked at.
  const std::string text(rest.begin(), rest.end());
  std::string initiate = client.initiate(text.substr(0, 1024));
  ALLIUM_CHECK(server.initiated_by(bytes_of(initiate)) == own.key);
  std::string message = client.message(text, (data[0] & 2) != 0, (data[0] & 4) != 0);
  const std::string good = message;
  const auto opened = server.open(bytes_of(message));
  ALLIUM_CHECK(opened && opened->text.size() == text.size());
  std::string changed = good;
  changed[data[1] % changed.size()] ^= 1;
  ALLIUM_CHECK(!server.open(bytes_of(changed)));
  return 0;
}
