// The operator's signature in an instance's certificate request (docs/formats/registry.md).
#pragma once
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/x509.h"
#include "curves/address.h"
#include "curves/secp256k1.h"

namespace attestry::provision {

/// Extensions that a request of the registry's dialect may carry.
inline constexpr std::string_view kOperatorSignatureOid = "1.3.6.1.4.1.66704.98670.17";
inline constexpr std::string_view kDcapEvidenceOid = "1.3.6.1.4.1.66704.98645.1";
inline constexpr std::string_view kMaaEvidenceOid = "1.3.6.1.4.1.66704.98645.2";

/// v1: what the operator's key signs is a digest of the key's PEM text and nothing else.
enum class OperatorDigest : std::uint8_t { sha256, keccak256 };
base::Digest32 operator_digest(base::ByteView spki, OperatorDigest kind);

/// v2: bound to a contract, a chain, a use and a time.
struct OperatorStatement {
  std::uint64_t chain_id = 0;
  curves::Address contract{};
  std::string use;  ///< "instance", "onboard"
  base::UtcTime not_before{};
  base::UtcTime not_after{};
};
/// The EIP-712 digest over the statement and the request's key.
base::Digest32 operator_statement_digest(const OperatorStatement& statement, base::ByteView spki);
/// The extension's contents: v1 r ‖ s ‖ v, or v2.
base::Result<base::Bytes> sign_operator_v1(const curves::Secp256k1PrivateKey& key, base::ByteView spki,
                                           OperatorDigest kind);
base::Result<base::Bytes> sign_operator_v2(const curves::Secp256k1PrivateKey& key, base::ByteView spki,
                                           const OperatorStatement& statement);

struct OperatorRules {
  bool v1 = false;                                 ///< the dialect's setting
  OperatorDigest digest = OperatorDigest::sha256;  ///< of v1
  std::uint64_t chain_id = 0;
  curves::Address contract{};
  std::string_view use = "instance";
  base::UtcTime now{};
  std::int64_t max_seconds = 86400;  ///< of a v2 statement, from not_before to not_after
};
struct Operator {
  curves::Address address{};  ///< zero when the request has no signature
  int version = 0;            ///< 0 none, 1, 2
};
/// The last such extension counts. Error `malformed` for one that is no signature, v = 27 or 28 included; `denied` for
/// a v1 signature where the rules want v2, and for a v2 one made for something or some time else.
base::Result<Operator> recover_operator(const crypto::CsrFull& csr, const OperatorRules& rules);

}  // namespace attestry::provision
