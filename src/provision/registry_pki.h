// Certificates and report data of the registry's dialect (docs/formats/registry.md). The CA certificate is a function
// of its key, so that every replica and every restart serves the same bytes.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "crypto/x509.h"
#include "curves/address.h"
#include "keys/registry_kdf.h"

namespace attestry::provision {

/// O=SimpleKMS, CN="CA for <40 hex>.app"; pathlen 1; valid from 2020 on without an end.
base::Result<std::string> registry_ca_pem(const keys::RegistryAppKeys& keys, const curves::Address& contract);
/// "PUBLIC KEY" PEM of the app key.
std::string registry_app_pubkey_pem(const keys::RegistryAppKeys& keys);
/// "EC PRIVATE KEY" PEM of the app key.
crypto::Secret registry_app_privkey_pem(const keys::RegistryAppKeys& keys);

/// Which names a request may have in its certificate.
struct LeafRules {
  /// CN must be "<40 hex of the contract>.app", DNS names equal or under it or one of `domains`, addresses one of
  /// `ips`. Otherwise everything is copied as it is asked for.
  bool strict = true;
  std::vector<std::string> domains{};
  std::vector<base::Bytes> ips{};
};
inline constexpr std::int64_t kRegistryLeafSeconds = 365 * 86400;

/// For one year from `now` on, or up to `lifetime` seconds when that is less. Error `denied` when the rules forbid a
/// name.
base::Result<std::string> registry_leaf_pem(const keys::RegistryAppKeys& keys, const curves::Address& contract,
                                            const crypto::CsrFull& csr, const LeafRules& rules, base::UtcTime now,
                                            crypto::Random& random, std::int64_t lifetime = kRegistryLeafSeconds);
/// "<40 hex>.app".
std::string registry_app_name(const curves::Address& contract);

/// Report data: contract ‖ SHA-256(…) ‖ 12 zero bytes.
using ReportData = base::FixedBytes<64>;
ReportData pki_report_data(const curves::Address& contract, std::string_view ca_pem, std::string_view app_pub_pem);
ReportData secrets_report_data(const curves::Address& contract, const curves::Address& kms_operator,
                               std::string_view leaf_pem, base::ByteView app_privkey_pem);
/// An int256 as the contract has it: big-endian two's complement.
using OnboardNonce = base::FixedBytes<32>;
OnboardNonce onboard_nonce(std::uint64_t value) noexcept;
ReportData onboard_report_data(const curves::Address& kms_contract, base::ByteView pubkey_pem,
                               const OnboardNonce& nonce, const curves::Address& operator_address);
/// Keccak-256 of the ABI encoding (bytes pubkey, int256 nonce, address operator, bytes attestation).
base::Digest32 onboard_request_hash(base::ByteView pubkey_pem, const OnboardNonce& nonce,
                                    const curves::Address& operator_address, base::ByteView attestation);

}  // namespace attestry::provision
