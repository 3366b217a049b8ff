// Many artefacts at once, each by its name: what a signed bundle carries to a machine without a network, and what a
// folder there keeps (docs/formats/collateral-bundle.md). Nothing here is judged: whoever uses a shelf gives what
// stands on it to the verifier or to a vault.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/artefact.h"
#include "attestation/evidence.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "collateral/artefacts.h"
#include "collateral/vault.h"

namespace attestry::collateral {

/// Of the DSSE envelope around a shelf.
inline constexpr std::string_view kShelfPayloadType = "application/vnd.attestry.collateral.v1+json";
inline constexpr std::size_t kMaxShelfBytes = 64u << 20;
/// A folder keeps its shelf in this file.
inline constexpr std::string_view kShelfFile = "attestry-collateral.json";

struct ShelfItem {
  std::string source;  ///< where it was got
  base::UtcTime fetched_at;
  /// Those of attestation::documents_of, one each and no other.
  std::vector<attestation::CollateralItem> documents;
  /// The chain that it was found authentic by, for where its signer does not stand on the shelf. Judged like all else.
  std::vector<attestation::CollateralItem> context{};
};

/// Plain data.
struct Shelf {
  base::Realm realm = base::Realm::production;
  base::UtcTime created;
  std::string origin;  ///< who made it: a server's origin, or a word of the operator's
  std::map<attestation::Artefact, ShelfItem> items;

  /// One JSON document in a fixed order: the same shelf gives the same bytes.
  std::string to_json() const;
  /// Strict: nothing unknown, every document under its own digest, every artefact whole and once. Error `malformed`,
  /// `too_large`.
  static base::Result<Shelf> parse(std::string_view json);

  /// Sorts documents, one of a kind, into artefacts and puts those that are whole here; what is left, and why, is said.
  /// `issuer` names the issuer of a key set. What `fetched_at` does not name was fetched `now`.
  std::vector<std::string> add(const std::vector<attestation::CollateralItem>& documents, const std::string& source,
                               const TimesOfKinds& fetched_at, base::UtcTime now, const std::string& issuer = {});

  /// What is here for this evidence, not judged: for the first of the ways to serve it of which everything is here, or
  /// for the first one, with what is missing as problems. A key set that was fetched more than kKeySetSeconds before
  /// `now` is missing, and the problem says how old it is.
  std::shared_ptr<const attestation::Collateral> collateral_for(const attestation::Evidence& evidence,
                                                                std::span<const std::string> issuers,
                                                                base::UtcTime now) const;
  /// The artefact's documents and those of its signer, or its context: what can be judged by itself.
  std::vector<attestation::CollateralItem> with_signer(const attestation::Artefact& artefact) const;
  /// The artefacts that `wanted` says, and the signers of them; a context only of those whose signers are not here.
  Shelf chosen(const std::function<bool(const attestation::Artefact&)>& wanted) const;
  /// Issuers whose key sets are here.
  std::vector<std::string> issuers() const;
};

/// As Verifier::accept, of what stands there under that name beside its signer. A key set counts as issued when it was
/// fetched and ends kKeySetSeconds later. Error `not_found` besides.
base::Result<attestation::Accepted> judge(const Shelf& shelf, const attestation::Artefact& artefact,
                                          const attestation::Verifier& verifier, base::UtcTime now);

/// Judges everything of `from` at `now` and puts what is authentic, and not older, on `into`. Nothing there counts as
/// fetched later than `now`. What is the same and was fetched later makes what is held fresher.
std::vector<Imported> put(Shelf& into, const Shelf& from, const attestation::Verifier& verifier, base::UtcTime now);

/// "tcb_info": the inverse of attestation::to_text.
std::optional<attestation::CollateralKind> collateral_kind_from(std::string_view text) noexcept;

/// The artefacts in the order in which each can be judged when those before it are known: signers first.
std::vector<attestation::Artefact> in_order_of_trust(const Shelf& shelf);

}  // namespace attestry::collateral
