// A stored appraisal: a verdict with everything that it is a function of, named by its content
// (docs/formats/appraisal.md). Whoever has one judges again what was judged, on any machine and without a network.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/anchors.h"
#include "attestation/binding.h"
#include "attestation/collateral.h"
#include "attestation/evidence.h"
#include "attestation/policy.h"
#include "attestation/verdict.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::appraisal {

inline constexpr int kAppraisalFormat = 1;
/// Of an exported file. Evidence and collateral of the known platforms stay below a twentieth of it.
inline constexpr std::size_t kMaxExportBytes = 24u << 20;

/// What a verdict is a function of, beside the program and its catalogue of checks.
struct AppraisalInputs {
  attestation::Evidence evidence;
  std::shared_ptr<const attestation::Collateral> collateral;  ///< never null
  base::UtcTime at;
  attestation::TrustAnchors anchors;
  attestation::Policy policy;
  std::optional<base::Bytes> report_data{};                ///< what the evidence was asked to carry
  std::optional<base::Bytes> nonce{};                      ///< and the nonce of a token or a Nitro document
  std::vector<attestation::SignedList> lists{};            ///< what conditions of the policy may look into
  std::optional<attestation::BindingStatement> binding{};  ///< of a registration: what it had to be made for
};

/// Bytes that an appraisal rests on: evidence, supplements, collateral, policy, signed lists. Several appraisals share
/// one by its digest.
struct Blob {
  base::Digest32 sha256{};
  base::ByteView bytes;  ///< of the appraisal, and as long-lived
  bool collateral = false;
};

/// Immutable.
class StoredAppraisal {
 public:
  /// `verdict_json` as attestation::to_json gave it, compact.
  static StoredAppraisal make(AppraisalInputs inputs, std::string verdict_json);

  /// From its document (any spelling of the same JSON) and the bytes that it names. Error `malformed` when something
  /// is not exactly as the format says, when bytes have another digest than the document says, or when this program
  /// does not know the format.
  using FindBlob = std::function<base::Result<base::Bytes>(const base::Digest32& sha256)>;
  static base::Result<StoredAppraisal> restore(std::string_view document, const FindBlob& find);

  /// SHA-256 of document(): what a log leaf's `appraisal` names.
  const base::Digest32& id() const noexcept { return id_; }
  /// RFC 8785.
  const std::string& document() const noexcept { return document_; }
  const std::string& verdict_json() const noexcept { return verdict_json_; }
  const AppraisalInputs& inputs() const noexcept { return inputs_; }
  /// The catalogue of checks that the verdict was made with.
  const std::string& catalogue() const noexcept { return catalogue_; }
  /// False when the production roots of this program are others than those of the program that judged.
  bool same_anchors() const noexcept { return anchors_sha256_ == inputs_.anchors.sha256(); }
  /// Evidence, supplements, collateral, policy, lists and verdict, each digest once.
  std::vector<Blob> blobs() const;

 private:
  StoredAppraisal(AppraisalInputs inputs, std::string verdict_json);
  void seal();
  AppraisalInputs inputs_;
  std::string verdict_json_;
  std::string catalogue_;
  base::Digest32 anchors_sha256_{};      ///< as recorded
  std::vector<base::Digest32> roots_;    ///< as recorded
  std::vector<std::string> list_texts_;  ///< the envelopes of inputs_.lists
  std::string document_;
  base::Digest32 id_{};
};

/// One self-contained JSON file: the document and all bytes that it names.
std::string write_export(const StoredAppraisal& appraisal);
/// Error `malformed` or `too_large`; never anything half read.
base::Result<StoredAppraisal> read_export(std::string_view json);

}  // namespace attestry::appraisal
