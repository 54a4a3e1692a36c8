// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/zap.hpp"

#include <array>
#include <cstddef>
#include <cstring>

#include <sodium.h>

#include "crypto_accel/base/check.hpp"

namespace allium::control {

namespace {

constexpr std::size_t kQuestionFrames =
    7;  // version, id, domain, address, routing id, mechanism, key

std::string user_id_of(const X25519Key& key) {
  std::array<char, 65> hex{};
  sodium_bin2hex(hex.data(), hex.size(), key.data(), key.size());
  return hex.data();
}

std::optional<X25519Key> curve_key_in(std::span<const std::string> question) {
  X25519Key key{};
  const bool is_curve = question.size() == kQuestionFrames && question[2] == kZapDomain &&
                        question[5] == "CURVE" && question[6].size() == key.size();
  if (!is_curve) {
    return std::nullopt;
  }
  std::memcpy(key.data(), question[6].data(), key.size());
  return key;
}

}  // namespace

std::vector<std::string> zap_reply(std::span<const std::string> question, const Admit& admit) {
  ALLIUM_CHECK(question.size() >= 2);
  const std::optional<X25519Key> key = curve_key_in(question);
  if (!key) {
    return {"1.0", question[1], "400", "no", "", ""};
  }
  if (!admit(*key, question[3])) {
    // Not 400, after which a client of libzmq never comes again.
    return {"1.0", question[1], "300", "not now", "", ""};
  }
  return {"1.0", question[1], "200", "OK", user_id_of(*key), ""};
}

std::optional<X25519Key> key_of_user_id(std::string_view user_id) noexcept {
  X25519Key key{};
  std::size_t length = 0;
  if (sodium_hex2bin(key.data(), key.size(), user_id.data(), user_id.size(), nullptr, &length,
                     nullptr) != 0 ||
      length != key.size()) {
    return std::nullopt;
  }
  return key;
}

}  // namespace allium::control
