// SPDX-License-Identifier: Apache-2.0
#pragma once

// The node's TLS certificate: self-signed ECDSA P-256, CN "localhost". Clients never verify it; a
// node is known by its X25519 key (session storage RPC, section "TLS").
//
//   Ownership  values. The key is not a secret of the network's: whoever has it can read transport
//              encryption of connections that he intercepts actively, nothing of the onion layers
//              within. It is wiped nonetheless.
//   Errors     Errc::internal (OpenSSL, with its words).
//   Threads    reentrant.

#include <string>

#include "crypto_accel/base/result.hpp"

namespace allium::control {

struct CertificatePair {
  CertificatePair() = default;
  CertificatePair(const CertificatePair&) = default;
  CertificatePair& operator=(const CertificatePair&) = default;
  CertificatePair(CertificatePair&&) = default;
  CertificatePair& operator=(CertificatePair&&) = default;
  ~CertificatePair();

  std::string certificate_pem;
  std::string key_pem;  ///< PKCS #8, not encrypted
};

/// A new key and its certificate, valid from a day ago (clocks differ) for 10,000 days.
[[nodiscard]] Result<CertificatePair> make_certificate();

}  // namespace allium::control
