// Judging again what was judged: the same inputs, the same code path, at the same time.
#pragma once
#include <optional>
#include <string>

#include "appraisal/stored_appraisal.h"
#include "attestation/binding.h"
#include "base/result.h"

namespace attestry::appraisal {

/// What registrations and verifications make of their inputs.
struct Judgement {
  attestation::Verdict verdict;
  /// Of a registration: the proof, when the policy accepted.
  std::optional<attestation::Verified> verified{};
  /// Of a registration: why there is no proof.
  std::optional<base::Error> refusal{};
};

/// Binding and policy on what the verifier found: the one path of a registration (with `inputs.binding`) and of a
/// verification (without).
Judgement judge(attestation::Verdict found, const AppraisalInputs& inputs);

struct Replay {
  attestation::Verdict verdict;
  std::string verdict_json;
  bool same = false;            ///< byte for byte what is stored
  bool same_catalogue = false;  ///< otherwise another verdict is no surprise
  bool same_anchors = false;
};

/// Of a token: the issuer whose key set the verdict rests on. That the keys are the issuer's was known from the TLS
/// connection that they came by; an appraisal in a file only says so, and whoever writes one can say anything.
std::optional<std::string> issuer_of_keys(const StoredAppraisal& appraisal);
/// Whether the token is signed by a key of `key_set`, which the caller vouches for as the issuer's. Error `malformed`.
base::Result<bool> signed_under(const StoredAppraisal& appraisal, base::Bytes key_set);

/// `other`: a policy instead of the stored one. Errors only where a verifier has them.
base::Result<Replay> replay(const StoredAppraisal& appraisal, const attestation::Policy* other = nullptr);

}  // namespace attestry::appraisal
