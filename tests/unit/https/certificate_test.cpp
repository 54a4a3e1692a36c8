// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/certificate.hpp"

#include <array>
#include <memory>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "control/service/https/internal/tls_context.hpp"

namespace allium::control {
namespace {

std::shared_ptr<X509> read_certificate(const std::string& text) {
  const std::shared_ptr<BIO> bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())),
                                 BIO_free_all);
  return {PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free};
}

TEST(Certificate, IsSelfSignedEcdsaOnP256ForLocalhost) {
  const auto pair = make_certificate();
  ASSERT_TRUE(pair) << pair.error().text;

  const auto certificate = read_certificate(pair->certificate_pem);

  ASSERT_TRUE(certificate);
  EVP_PKEY* key = X509_get0_pubkey(certificate.get());
  std::array<char, 32> group{};
  EXPECT_EQ(EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr), 1);
  EXPECT_STREQ(group.data(), "prime256v1");
  EXPECT_EQ(X509_verify(certificate.get(), key), 1);
  std::array<char, 32> name{};
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, name.data(),
                            static_cast<int>(name.size()));
  EXPECT_STREQ(name.data(), "localhost");
}

TEST(Certificate, IsValidNowAndForManyYears) {
  const auto certificate = read_certificate(make_certificate().value().certificate_pem);

  EXPECT_LT(X509_cmp_current_time(X509_get0_notBefore(certificate.get())), 0);
  std::time_t later = std::time(nullptr) + 20LL * 365 * 86'400;
  EXPECT_GT(X509_cmp_time(X509_get0_notAfter(certificate.get()), &later), 0);
}

TEST(Certificate, IsRefusedWithTheKeyOfAnother) {
  CertificatePair mixed = make_certificate().value();
  mixed.key_pem = make_certificate().value().key_pem;

  const auto context = server_context(mixed);

  ASSERT_FALSE(context);
  EXPECT_EQ(context.error().code, Errc::malformed);
}

}  // namespace
}  // namespace allium::control
