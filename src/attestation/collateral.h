// Collateral: the endorsements and reference values that evidence is checked against (RFC 9334 sections 8.2, 8.3).
// Immutable and digested once; where it comes from is the collateral room's business.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::attestation {

enum class CollateralKind : std::uint8_t {
  tcb_info,            ///< Intel: exact signed text of the tcbInfo member
  tcb_info_signature,  ///< Intel: 64 bytes r ‖ s
  tcb_info_chain,      ///< PEM, TCB signing certificate and root
  qe_identity,         ///< Intel: exact signed text of the enclaveIdentity member
  qe_identity_signature,
  qe_identity_chain,
  pck_crl,        ///< DER
  pck_crl_chain,  ///< PEM
  root_ca_crl,    ///< DER
  pck_chain,      ///< PEM, leaf first: only for quotes that carry no chain of their own
  vek,            ///< AMD: VCEK or VLEK certificate, DER or PEM
  amd_chain,      ///< AMD: PEM, intermediate (ASK or ASVK), then ARK
  amd_crl,        ///< AMD: DER, the ARK's
  jwks,           ///< keys of a token issuer (RFC 7517), as its /certs gives them
};
/// "tcb_info", as in bundles and in the verdict.
std::string_view to_text(CollateralKind kind) noexcept;

struct CollateralItem {
  CollateralKind kind;
  base::Bytes bytes;
  base::Digest32 sha256{};  ///< filled by Collateral::make
  /// Of a key set: the issuer whose it is, because it came from there over TLS or an operator says so. Empty: nobody
  /// vouches for it. Never from the document itself. Everything else is signed and needs none.
  std::string origin{};
};

/// What could not be read of a bundle: becomes a failed check, never an error ("field pck_crl: not hex").
struct CollateralProblem {
  CollateralKind kind;
  std::string what;
  /// Nothing was there to read (no such file, source away): the question stays open instead of being answered with no.
  bool missing = false;
};

/// At most one item of a kind. Shared, immutable, thread-safe.
class Collateral {
 public:
  static std::shared_ptr<const Collateral> make(std::vector<CollateralItem> items,
                                                std::vector<CollateralProblem> problems = {},
                                                std::optional<std::int64_t> stale_seconds = {});
  static std::shared_ptr<const Collateral> none();

  /// nullptr when there is none of that kind.
  const CollateralItem* find(CollateralKind kind) const noexcept;
  const std::vector<CollateralItem>& items() const noexcept { return items_; }
  const std::vector<CollateralProblem>& problems() const noexcept { return problems_; }
  /// SHA-256 over kinds, digests and origins of all items: the key of every cache.
  const base::Digest32& digest() const noexcept { return digest_; }
  /// Set when the vendor was away and an older copy is used within its bound (ARCHITECTURE: collateral): its age past
  /// refresh.
  std::optional<std::int64_t> stale_seconds() const noexcept { return stale_seconds_; }

 private:
  Collateral() = default;
  std::vector<CollateralItem> items_;
  std::vector<CollateralProblem> problems_;
  base::Digest32 digest_{};
  std::optional<std::int64_t> stale_seconds_;
};

/// What a verifier needs for a piece of evidence, for a source to fetch: the parameters of Intel's PCS v4 API.
struct DcapNeeds {
  bool tdx = false;  ///< /tdx/ or /sgx/ paths
  base::FixedBytes<6> fmspc{};
  bool platform_ca = false;  ///< pckcrl?ca=platform or processor
};
/// The parts of a quote that say what it needs. `leaf` is a view into the quote: the PEM of its PCK certificate, or
/// what stands in its place.
struct DcapSubject {
  bool tdx = false;
  base::ByteView leaf{};
};
/// An error when the quote cannot be read or carries no PCK chain.
base::Result<DcapSubject> dcap_subject(base::ByteView quote);
/// From the unverified PCK certificate; a function of the subject's two members alone.
base::Result<DcapNeeds> dcap_needs(const DcapSubject& subject);
/// Both steps.
base::Result<DcapNeeds> dcap_needs(base::ByteView quote);

}  // namespace attestry::attestation
