// Collateral from files: the QuoteCollateralV3 JSON, Intel's own signed documents, and folders of them.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/collateral.h"
#include "base/bytes.h"
#include "base/time.h"

namespace attestry::collateral {

using TimesOfKinds = std::map<attestation::CollateralKind, base::UtcTime>;

/// The earliest that `times` says of these documents, but never later than `now`; `now` when it names none of them.
base::UtcTime oldest_of(const std::vector<attestation::CollateralItem>& documents, const TimesOfKinds& times,
                        base::UtcTime now);

/// Of a file; nullopt when it cannot be known, as of standard input.
std::optional<base::UtcTime> modified_at(const std::string& path);

/// What was read so far. Nothing here fails: what cannot be read becomes a problem, which the verifier turns into a
/// failed check. Plain data; of several items of a kind the last one added counts.
struct Bundle {
  std::vector<attestation::CollateralItem> items;
  std::vector<attestation::CollateralProblem> problems;
  /// When the files were last modified that the items came from, as far as they came from files: an item was at its
  /// source no later than that.
  TimesOfKinds modified{};

  /// Replaces what an earlier source said about the same kind. `origin` as of CollateralItem.
  void set(attestation::CollateralKind kind, base::Bytes bytes, std::string origin = {});
  /// Whose the bundle's key set is, if it has one: for the operator to say, never for a document.
  void set_key_origin(const std::string& issuer);
  void set_problem(attestation::CollateralKind kind, std::string what, bool missing = false);
  /// Everything in `later` replaces what is here of the same kind.
  void merge(Bundle later);

  std::shared_ptr<const attestation::Collateral> collateral() const;
};

/// One JSON document, at most 8 MiB: either a bundle (`tcb_info`, `tcb_info_signature`, `tcb_info_issuer_chain`,
/// `qe_identity`, …, `pck_crl` and `root_ca_crl` as hex; unknown members are ignored), or a reply of Intel's service as
/// it is (`{"tcbInfo":…,"signature":"hex"}`, `{"enclaveIdentity":…,"signature":"hex"}`), whose signed text is taken
/// byte for byte. `source` names the document in problems. A key set has no origin. A document that is no JSON is a
/// problem of every kind that a bundle has.
Bundle read_bundle(base::ByteView json, std::string_view source);

/// A file as read_bundle takes it, or a key set as it was fetched, or a folder: `collateral.json`, or the files of
/// Intel's sample application (tcbInfo.json, qeIdentity.json, tcbSignChain.pem, pckSignChain.pem, pckCert.pem,
/// rootCaCrl.der, intermediateCaCrl.der), AMD's (vcek.der or vlek.der, also as .pem, cert_chain.pem, crl.der) and
/// jwks.json. A root certificate in the folder is never an anchor. A path that cannot be read is a problem of every
/// kind; a folder without any of these files is an empty bundle.
Bundle read_bundle_path(const std::string& path);

/// The bundle's JSON, which read_bundle reads back to the same items. Items that are no text where text belongs are
/// left out.
std::string write_bundle(const attestation::Collateral& collateral);

}  // namespace attestry::collateral
