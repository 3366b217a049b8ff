// A test PKI with the profiles of AMD's versioned keys: ARK and both intermediates (ASK for VCEKs, ASVK for VLEKs) with
// RSA, signing with RSASSA-PSS and SHA-384; VCEKs and VLEKs with P-384 and the extensions of AMD's KDS (AMD 57230).
// Everything follows from seed and product. The names are AMD's, because verifiers compare them; the CA certificates
// say "attestry forge (simulated)" in a comment. The keys have 2048 bits unless asked, for speed.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "attestation/snp/product.h"
#include "base/bytes.h"
#include "base/result.h"
#include "crypto/rsa.h"
#include "forge/pki.h"

namespace attestry::forge {

using SnpProduct = attestation::snp::Product;

/// A CA of the PKI with its key.
struct SnpCa {
  std::string name;  ///< common name: "ARK-Milan"
  crypto::RsaPrivateKey key;
  base::Bytes der;
  base::Bytes serial;
};

/// What a VCEK or VLEK says.
struct VekSpec {
  bool vlek = false;
  std::uint32_t chip = 0;    ///< each has its own key
  std::string common_name;   ///< "SEV-VCEK"
  std::string product_name;  ///< "Milan-B0"
  attestation::snp::Tcb tcb;
  std::optional<base::Bytes> hwid;
  std::optional<std::string> csp_id;
  bool is_ca = false;  ///< wrong on purpose
  Validity validity = long_validity();
};

/// What keys and chip ids are derived under: the first chip's label has no number.
std::string chip_label(std::string_view use, std::uint32_t chip);

/// Immutable, thread-safe after construction. Making one takes as long as making three RSA keys.
class SnpPki {
 public:
  /// `rsa_bits`: size of the three CA keys. AMD's have 4096, which take seconds to make.
  static base::Result<SnpPki> make(base::ByteView seed, SnpProduct product, unsigned rsa_bits = 2048);

  SnpProduct product() const noexcept { return product_; }
  const SnpCa& ark() const noexcept { return ark_; }
  const SnpCa& ask() const noexcept { return ask_; }
  const SnpCa& asvk() const noexcept { return asvk_; }

  base::Result<Issued> vek(const VekSpec& spec, const SnpCa& issuer) const;
  /// The intermediate's certificate once more, without the right to issue: wrong on purpose.
  base::Result<base::Bytes> without_ca(const SnpCa& intermediate) const;
  /// In the name of `named`, with the key of `signer`.
  base::Result<base::Bytes> crl(const SnpCa& named, const SnpCa& signer, const Validity& window,
                                const std::vector<base::Bytes>& revoked) const;

  base::Result<crypto::EcPrivateKey> derive_key(std::string_view label) const;
  base::Bytes derive_bytes(std::string_view label, std::size_t size) const;

 private:
  SnpPki(base::Bytes seed, SnpProduct product, SnpCa ark, SnpCa ask, SnpCa asvk)
      : seed_(std::move(seed)), product_(product), ark_(std::move(ark)), ask_(std::move(ask)), asvk_(std::move(asvk)) {}
  base::Bytes seed_;
  SnpProduct product_;
  SnpCa ark_;
  SnpCa ask_;
  SnpCa asvk_;
};

}  // namespace attestry::forge
