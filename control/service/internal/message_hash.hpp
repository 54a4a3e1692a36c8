// SPDX-License-Identifier: Apache-2.0
#pragma once

// The name of a message: base64 without padding of BLAKE2b-256 over account, namespace and data, so that the same data
// is the same message (session storage RPC, "Message hash").

#include <string>
#include <string_view>

#include "control/service/namespaces.hpp"
#include "storage/account.hpp"

namespace allium::control::internal {

[[nodiscard]] std::string message_hash(const storage::Account& account, Namespace space,
                                       std::string_view data);

}  // namespace allium::control::internal
