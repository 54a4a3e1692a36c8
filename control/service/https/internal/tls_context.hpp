// SPDX-License-Identifier: Apache-2.0
#pragma once

// OpenSSL contexts as Allium sets them: TLS 1.2 and 1.3, AEAD suites with ECDHE, no compression, no
// renegotiation.
//
//   Ownership  TlsContext and TlsSession own a reference each; a context outlives its channels by
//              OpenSSL's count.
//   Errors     Errc::malformed (a certificate that does not parse or is not of its key),
//              Errc::internal.
//   Threads    the service thread.

#include <memory>

#include <openssl/ssl.h>

#include "control/service/https/certificate.hpp"
#include "control/service/https/https_client.hpp"
#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

struct OpensslFreed {
  void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }

  void operator()(SSL_SESSION* session) const noexcept { SSL_SESSION_free(session); }

  void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
};

using TlsContext = std::unique_ptr<SSL_CTX, OpensslFreed>;
using TlsSession = std::unique_ptr<SSL_SESSION, OpensslFreed>;

[[nodiscard]] Result<TlsContext> server_context(const CertificatePair& pair);

/// Keeps no sessions; the pool does.
[[nodiscard]] Result<TlsContext> client_context(Trust trust);

/// New keys for tickets: sessions begun under the old ones are not resumed any more.
void renew_ticket_keys(SSL_CTX& context, const Random& random);

}  // namespace allium::control
