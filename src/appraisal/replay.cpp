#include "appraisal/replay.h"

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

}  // namespace attestry::appraisal
