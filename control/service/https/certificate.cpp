// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/certificate.hpp"

#include <array>
#include <cstdint>
#include <memory>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "control/service/https/internal/openssl_error.hpp"

namespace allium::control {
namespace {

constexpr long kSecondsPerDay = 86'400;
constexpr long kValidityDays = 10'000;

struct Freed {
  void operator()(BIO* bio) const noexcept { BIO_free_all(bio); }

  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }

  void operator()(X509* certificate) const noexcept { X509_free(certificate); }

  void operator()(BIGNUM* number) const noexcept { BN_clear_free(number); }
};

template <typename T>
using Owned = std::unique_ptr<T, Freed>;

bool set_serial(X509& certificate) {
  std::array<std::uint8_t, 16> drawn{};
  if (RAND_bytes(drawn.data(), static_cast<int>(drawn.size())) != 1) {
    return false;
  }
  drawn[0] &= 0x7f;  // positive, at most 20 octets (RFC 5280, 4.1.2.2)
  const Owned<BIGNUM> number(BN_bin2bn(drawn.data(), static_cast<int>(drawn.size()), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(&certificate)) != nullptr;
}

bool set_name(X509& certificate) {
  static constexpr std::array<unsigned char, 10> kCommonName = {"localhost"};
  X509_NAME* name = X509_get_subject_name(&certificate);
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, kCommonName.data(),
                                    static_cast<int>(kCommonName.size() - 1), -1, 0) == 1 &&
         X509_set_issuer_name(&certificate, name) == 1;
}

Owned<X509> sign_certificate(EVP_PKEY& key) {
  Owned<X509> certificate(X509_new());
  const bool done =
      certificate && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
      set_serial(*certificate) && set_name(*certificate) &&
      X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kSecondsPerDay) != nullptr &&
      X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kValidityDays * kSecondsPerDay) !=
          nullptr &&
      X509_set_pubkey(certificate.get(), &key) == 1 &&
      X509_sign(certificate.get(), &key, EVP_sha256()) != 0;
  return done ? std::move(certificate) : nullptr;
}

std::string text_of(BIO& bio) {
  char* data = nullptr;
  const long byte_count = BIO_get_mem_data(&bio, &data);
  return {data, static_cast<std::size_t>(byte_count)};
}

}  // namespace

CertificatePair::~CertificatePair() {
  OPENSSL_cleanse(key_pem.data(), key_pem.size());
}

Result<CertificatePair> make_certificate() {
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  if (!key) {
    return openssl_failed("cannot make a P-256 key");
  }
  const Owned<X509> certificate = sign_certificate(*key);
  if (!certificate) {
    return openssl_failed("cannot make a certificate");
  }
  const Owned<BIO> certificate_text(BIO_new(BIO_s_mem()));
  const Owned<BIO> key_text(BIO_new(BIO_s_secmem()));
  if (!certificate_text || !key_text ||
      PEM_write_bio_X509(certificate_text.get(), certificate.get()) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                    nullptr) != 1) {
    return openssl_failed("cannot write the certificate");
  }
  CertificatePair pair;
  pair.certificate_pem = text_of(*certificate_text);
  pair.key_pem = text_of(*key_text);
  return pair;
}

}  // namespace allium::control
