// SPDX-License-Identifier: Apache-2.0
#pragma once

// tls.pem in alliumd's data directory: the key and the certificate of its HTTPS endpoints, made at the first start.
//
//   Errors    Errc::io, Errc::malformed (torn, or no pair), Errc::refused; the text names the file.
//   Threads   the service thread, before there is another.

#include <string>

#include "control/manage/event_log.hpp"
#include "control/service/https/certificate.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

/// A file that others may read is made private, and the log says so: its key may have been copied.
[[nodiscard]] Result<CertificatePair> load_or_make_certificate(const std::string& path,
                                                               const EventLog& log);

}  // namespace allium::control
