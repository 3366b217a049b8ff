// What a verifier needs besides the evidence, named: each artefact is one thing that a vendor gives out by itself, and
// that is asked for, kept and replaced as a whole.
#pragma once
#include <compare>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "attestation/collateral.h"
#include "attestation/evidence.h"
#include "attestation/snp/product.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::attestation {

/// Intel: TCB info, its signature and chain.
struct TcbInfoOf {
  bool tdx = false;
  base::FixedBytes<6> fmspc{};
  friend auto operator<=>(const TcbInfoOf&, const TcbInfoOf&) = default;
};
/// Intel: QE identity, its signature and chain.
struct QeIdentityOf {
  bool tdx = false;
  friend auto operator<=>(const QeIdentityOf&, const QeIdentityOf&) = default;
};
/// Intel: CRL of a PCK CA and its chain.
struct PckCrlOf {
  bool platform_ca = false;
  friend auto operator<=>(const PckCrlOf&, const PckCrlOf&) = default;
};
/// Intel: CRL of the root.
struct RootCrlOf {
  friend auto operator<=>(const RootCrlOf&, const RootCrlOf&) = default;
};
/// AMD: the certificate of a chip's key at a TCB.
struct VcekOf {
  snp::Product product{};
  base::Bytes hwid;  ///< 64 bytes, 8 on Turin
  snp::Tcb tcb{};
  friend auto operator<=>(const VcekOf&, const VcekOf&) = default;
};
/// AMD: the certificate of a provider's key at a TCB. The provider gives it to its guests; no service of AMD has it.
struct VlekOf {
  snp::Product product{};
  snp::Tcb tcb{};
  friend auto operator<=>(const VlekOf&, const VlekOf&) = default;
};
/// AMD: intermediate and root, of VCEKs or of VLEKs.
struct AmdChainOf {
  snp::Product product{};
  bool vlek = false;
  friend auto operator<=>(const AmdChainOf&, const AmdChainOf&) = default;
};
/// AMD: the root's CRL, as it stands beside that chain.
struct AmdCrlOf {
  snp::Product product{};
  bool vlek = false;
  friend auto operator<=>(const AmdCrlOf&, const AmdCrlOf&) = default;
};
/// The keys of a token issuer.
struct JwksOf {
  std::string issuer;  ///< exactly as `iss` says it
  friend auto operator<=>(const JwksOf&, const JwksOf&) = default;
};
using Artefact =
    std::variant<TcbInfoOf, QeIdentityOf, PckCrlOf, RootCrlOf, VcekOf, VlekOf, AmdChainOf, AmdCrlOf, JwksOf>;

/// "tcb_info", "qe_identity", "pck_crl", "root_ca_crl", "vcek", "vlek", "amd_chain", "amd_crl", "jwks".
std::string_view kind_of(const Artefact& artefact) noexcept;
/// One line that names it, on the command line, in logs and in the store: "tcb_info/tdx/50806f000000",
/// "qe_identity/sgx", "pck_crl/platform", "root_ca_crl/intel", "vcek/Milan/<hwid>/bl3-tee0-snp8-ucode115",
/// "vcek/Turin/<hwid>/fmc1-bl1-tee1-snp1-ucode9", "vlek/Milan/bl3-…", "amd_chain/Genoa/vcek", "amd_crl/Genoa/vlek",
/// "jwks/https://sharedeus.eus.attest.azure.net".
std::string to_text(const Artefact& artefact);
/// The inverse, strict. Error `malformed`.
base::Result<Artefact> parse_artefact(std::string_view text);
/// The kinds of documents that make up the artefact, those that it cannot do without.
std::span<const CollateralKind> documents_of(const Artefact& artefact) noexcept;

/// One way to serve a piece of evidence: all of these.
struct Needs {
  std::vector<Artefact> artefacts;
  std::string key_id{};                       ///< of a token: must be in the key set
  std::vector<CollateralProblem> problems{};  ///< what nobody can give, and why
};

/// The ways to serve it, best first; the next one counts when the former turns out not to exist. Nothing here is
/// verified: a SEV-SNP report of version 2 names no product, so that Milan comes before Genoa (Turin's reports are of
/// version 3 at least), and a token's issuer counts only if it is one of `issuers`. Empty: evidence that needs nothing
/// (Nitro documents bring their chain), or that is too broken to say.
std::vector<Needs> needs_of(const Evidence& evidence, std::span<const std::string> issuers);
std::vector<Needs> needs_of(const DcapNeeds& needs);
/// All artefacts of `needs` are Intel's for one quote.
DcapNeeds dcap_needs_in(const Needs& needs);

/// What is to be known of an artefact that was found authentic.
struct Accepted {
  base::UtcTime issued;
  base::UtcTime expires;     ///< the earliest end of it and its chain
  std::uint64_t number = 0;  ///< tcbEvaluationDataNumber
  base::Bytes crl_number{};  ///< big-endian, no leading zeros; empty: none
};
/// Whether an authentic artefact is older than another one under the same name: who replays it must not push out the
/// newer one.
bool older(const Accepted& candidate, const Accepted& held);

/// Says of a key set among the artefact's documents whose it is; nothing in the bytes does.
void name_key_origin(const Artefact& artefact, std::vector<CollateralItem>& documents);

}  // namespace attestry::attestation
