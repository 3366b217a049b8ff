#include "appraisal/replay.h"

#include <algorithm>

#include "attestation/verifier.h"

namespace attestry::appraisal {

Judgement judge(attestation::Verdict found, const AppraisalInputs& inputs) {
  Judgement out{.verdict = std::move(found)};
  attestation::References references{.lists = inputs.lists};
  if (inputs.nonce) references.nonce = base::ByteView{*inputs.nonce};
  if (!inputs.binding) {
    std::optional<base::ByteView> expected;
    if (inputs.report_data) expected = *inputs.report_data;
    attestation::evaluate(inputs.policy, out.verdict, expected, references);
    return out;
  }
  auto bound = attestation::bind(out.verdict, *inputs.binding);
  if (!bound) {
    out.refusal = std::move(bound).error();
    return out;
  }
  auto verified = attestation::appraise(inputs.policy, std::move(*bound), out.verdict, references);
  if (verified) {
    out.verified = std::move(*verified);
  } else {
    out.refusal = std::move(verified).error();
  }
  return out;
}

base::Result<Replay> replay(const StoredAppraisal& appraisal, const attestation::Policy* other) {
  AppraisalInputs inputs = appraisal.inputs();
  if (other != nullptr) inputs.policy = *other;
  const attestation::Verifier verifier(inputs.anchors);
  TRY(attestation::Verdict found, verifier.verify(inputs.evidence, *inputs.collateral, inputs.at));
  Judgement judged = judge(std::move(found), inputs);
  Replay out{.verdict = std::move(judged.verdict),
             .verdict_json = {},
             .same_catalogue = appraisal.catalogue() == attestation::kCatalogueVersion,
             .same_anchors = appraisal.same_anchors()};
  out.verdict_json = attestation::to_json(out.verdict);
  out.same = out.verdict_json == appraisal.verdict_json();
  return out;
}

std::optional<std::string> issuer_of_keys(const StoredAppraisal& appraisal) {
  const AppraisalInputs& inputs = appraisal.inputs();
  if (inputs.evidence.format != attestation::EvidenceFormat::maa_token) return std::nullopt;
  const auto* keys = inputs.collateral->find(attestation::CollateralKind::jwks);
  if (keys == nullptr || keys->origin.empty()) return std::nullopt;
  return keys->origin;
}

base::Result<bool> signed_under(const StoredAppraisal& appraisal, base::Bytes key_set) {
  const AppraisalInputs& inputs = appraisal.inputs();
  const auto issuer = issuer_of_keys(appraisal);
  if (!issuer) return false;
  const auto collateral = attestation::Collateral::make({attestation::CollateralItem{
      .kind = attestation::CollateralKind::jwks, .bytes = std::move(key_set), .sha256 = {}, .origin = *issuer}});
  const attestation::Verifier verifier(inputs.anchors);
  TRY(const attestation::Verdict found, verifier.verify(inputs.evidence, *collateral, inputs.at));
  const auto signature =
      std::ranges::find(found.checks, attestation::CheckId::maa_signature, &attestation::CheckResult::check);
  return signature != found.checks.end() && signature->status == attestation::CheckStatus::pass;
}

}  // namespace attestry::appraisal
