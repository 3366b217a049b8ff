// Rules for certificate paths that hold for every vendor (RFC 5280 section 6.1). Which certificates a path must have,
// and in which root it may end, is the platform's business.
#pragma once
#include <initializer_list>
#include <optional>
#include <span>
#include <string>

#include "base/time.h"
#include "crypto/x509.h"

namespace attestry::attestation {

/// A rule that a chain breaks: texts for the check of the caller.
struct ChainFault {
  std::string expected;
  std::string actual;
  std::string detail{};
};
using ChainVerdict = std::optional<ChainFault>;  ///< nullopt: in order

/// The first fault of several rules.
ChainVerdict first_of(std::initializer_list<ChainVerdict> verdicts);

/// When all certificates of a chain are valid at once. Both ends belong to it.
struct Validity {
  base::UtcTime from;
  base::UtcTime to;
  bool contains(base::UtcTime at) const noexcept { return from <= at && at <= to; }
};
/// Of at least one certificate.
Validity validity_of(std::span<const crypto::Certificate> chain);
/// nullopt when `at` lies within; names the certificate that is out of its time otherwise.
ChainVerdict judge_validity(std::span<const crypto::Certificate> chain, base::UtcTime at);

/// The child's issuer is the issuer's subject, byte for byte.
ChainVerdict judge_link(const crypto::Certificate& child, const crypto::Certificate& issuer);
/// RFC 5280 4.2.1.3, 4.2.1.9: may sign certificates. `below`: how many CA certificates follow in the path.
ChainVerdict judge_ca(const crypto::Certificate& certificate, unsigned below);
/// No CA, with the key usage digitalSignature.
ChainVerdict judge_end_entity(const crypto::Certificate& certificate);
ChainFault not_signed(const crypto::Certificate& child, const crypto::Certificate& issuer);

}  // namespace attestry::attestation
