// Intel's certificate chains (PCK certificate profile 1.3; RFC 5280 section 6.1): leaf, intermediate, root for a
// platform; signing certificate and root for TCB info and QE identity.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "attestation/chain_rules.h"
#include "attestation/dcap/cache.h"
#include "base/bytes.h"
#include "base/result.h"
#include "crypto/x509.h"

namespace attestry::attestation::dcap {

/// Certification data of quotes: a PEM chain, leaf first.
inline constexpr std::uint16_t kCertDataPckChain = 5;

/// At least one certificate; more than `max` are an error `malformed`, as is anything but PEM certificates.
base::Result<std::vector<crypto::Certificate>> read_chain(base::ByteView pem, std::size_t max, Signatures& call);
base::Result<std::vector<crypto::Certificate>> read_chain(base::ByteView pem, std::size_t max);

/// Leaf, intermediate, root, in this order: exactly three, only the last one self-issued.
ChainVerdict judge_pck_format(std::span<const crypto::Certificate> chain);
/// Issuer and subject names link, and the common names are those of Intel's profile.
ChainVerdict judge_pck_names(std::span<const crypto::Certificate> chain);
/// CA flags, path lengths, key usages, critical extensions.
ChainVerdict judge_pck_constraints(std::span<const crypto::Certificate> chain);
/// The leaf under the intermediate, the intermediate under the root. The root's own signature is not computed: what
/// makes it trusted is its key.
ChainVerdict judge_pck_signatures(std::span<const crypto::Certificate> chain, Signatures& signatures);

/// Exactly two, the last one self-issued.
ChainVerdict judge_signing_format(std::span<const crypto::Certificate> chain);
/// Names, constraints and signature of a signing chain; not its root's key and not its times.
ChainVerdict judge_signing_chain(std::span<const crypto::Certificate> chain, Signatures& signatures);

/// The chain of a PCK CRL, PCK CA and root, of the CA that was asked for: names, constraints and the CA's signature;
/// not its root's key and not its times.
ChainVerdict judge_pck_ca_chain(std::span<const crypto::Certificate> chain, bool platform_ca, Signatures& signatures);

}  // namespace attestry::attestation::dcap
