// Collateral against this quote and this time: revocation, validity, and that it is for this TEE and platform.
#include <algorithm>

#include "attestation/dcap/judge.h"
#include "base/encoding.h"

namespace attestry::attestation::dcap {

void Judge::revocation() {
  root_crl();
  pck_crl();
  if (recorder_.may_run(CheckId::dcap_crl_intermediate_revoked)) {
    not_revoked(CheckId::dcap_crl_intermediate_revoked, *set_->root_crl, platform_->chain[1]);
  }
  if (recorder_.may_run(CheckId::dcap_crl_pck_revoked)) {
    not_revoked(CheckId::dcap_crl_pck_revoked, *set_->pck_crl, platform_->chain[0]);
  }
}

void Judge::root_crl() {
  replay(set_->checks, CheckId::dcap_crl_root_present);
  replay(set_->checks, CheckId::dcap_crl_root_format);
  if (recorder_.may_run(CheckId::dcap_crl_root_signature)) {
    // The root of the platform's chain; where that one is not trusted, the root of the collateral's.
    const bool by_platform = platform_ && platform_->root_key;
    const auto& key = by_platform ? platform_->root_key : set_->root_key;
    const crypto::Certificate* root = by_platform ? &platform_->chain[2] : nullptr;
    if (root == nullptr && key) {
      const bool first = !set_->tcb_info_chain.certificates.empty() && !set_->tcb_info_chain.fault;
      root = first ? &set_->tcb_info_chain.certificates[1] : nullptr;
    }
    const bool issued = root == nullptr ||
                        (base::equal(set_->root_crl->issuer_der(), root->subject_der()) && root->key_usage_crl_sign());
    const bool good = key && issued && signatures_.good(*set_->root_crl, *key);
    const std::string_view fault = !key      ? "there is no trusted root to verify it with"
                                   : !issued ? "it names another issuer"
                                             : "its signature does not verify: the list was changed, or another key "
                                               "signed it";
    require(CheckId::dcap_crl_root_signature, good, "issued and signed by the trusted root", good ? "" : fault,
            good ? "" : "collateral root_ca_crl");
  }
  if (recorder_.may_run(CheckId::dcap_crl_root_validity)) {
    crl_validity(CheckId::dcap_crl_root_validity, *set_->root_crl);
  }
}

void Judge::pck_crl() {
  replay(set_->checks, CheckId::dcap_crl_pck_present);
  replay(set_->checks, CheckId::dcap_crl_pck_format);
  if (recorder_.may_run(CheckId::dcap_crl_pck_issuer)) {
    const bool same = base::equal(set_->pck_crl->issuer_der(), platform_->chain[0].issuer_der());
    const bool root = base::equal(set_->pck_crl->issuer_der(), platform_->chain[2].subject_der());
    require(CheckId::dcap_crl_pck_issuer, same, same ? "" : "a CRL of \"" + platform_->chain[0].issuer_cn() + "\"",
            same   ? ""
            : root ? "the root CA's CRL"
                   : "a CRL of another CA",
            same ? "" : "collateral pck_crl");
  }
  if (recorder_.may_run(CheckId::dcap_crl_pck_signature)) {
    const auto& key = platform_->intermediate_key;
    const bool good = key && key->key.curve() == crypto::Curve::p256 && platform_->chain[1].key_usage_crl_sign() &&
                      signatures_.good(*set_->pck_crl, *key);
    require(CheckId::dcap_crl_pck_signature, good, "signed by the PCK CA",
            "its signature does not verify: the list was changed, or another key signed it", "collateral pck_crl");
  }
  if (recorder_.may_run(CheckId::dcap_crl_pck_validity)) {
    crl_validity(CheckId::dcap_crl_pck_validity, *set_->pck_crl);
  }
}

void Judge::crl_validity(CheckId check, const crypto::Crl& crl) {
  if (!crl.next_update()) return recorder_.fail(check, "a CRL with nextUpdate", "without");
  document_validity(check, crl.this_update(), *crl.next_update());
}

void Judge::document_validity(CheckId check, base::UtcTime issued, base::UtcTime next) {
  if (issued <= at_ && at_ <= next) return recorder_.pass(check);
  recorder_.fail(check, base::to_rfc3339(issued) + " to " + base::to_rfc3339(next), base::to_rfc3339(at_),
                 at_ < issued ? "issued after the time of the verification" : "expired");
}

void Judge::not_revoked(CheckId check, const crypto::Crl& crl, const crypto::Certificate& certificate) {
  if (!crl.revokes(certificate.serial())) return recorder_.pass(check);
  recorder_.fail(check, "not in the CRL", "revoked",
                 certificate.subject_cn() + ", serial " + base::hex(certificate.serial()));
}

void Judge::signing_chain(CheckId check, const SigningChain& chain) {
  if (chain.fault) return record(check, chain.fault);
  // With several test roots: the signer must be vouched for by the root of the platform, not by any of them.
  if (platform_ && platform_->root_key && !base::equal(chain.certificates[1].spki(), platform_->chain[2].spki())) {
    return recorder_.fail(check, "the root of the PCK chain", "another trusted root");
  }
  record(check, judge_validity(chain.certificates, at_));
}

void Judge::tcb_info() {
  replay(set_->checks, CheckId::dcap_tcb_info_present);
  replay(set_->checks, CheckId::dcap_tcb_info_chain_format);
  if (recorder_.may_run(CheckId::dcap_tcb_info_chain)) {
    signing_chain(CheckId::dcap_tcb_info_chain, set_->tcb_info_chain);
  }
  if (recorder_.may_run(CheckId::dcap_crl_tcb_signing_revoked)) {
    not_revoked(CheckId::dcap_crl_tcb_signing_revoked, *set_->root_crl, set_->tcb_info_chain.certificates[0]);
  }
  replay(set_->checks, CheckId::dcap_tcb_info_signature);
  replay(set_->checks, CheckId::dcap_tcb_info_format);
  if (recorder_.may_run(CheckId::dcap_tcb_info_id)) {
    const bool tdx = verdict_tee_is_tdx();
    require(CheckId::dcap_tcb_info_id, (set_->tcb_info->tee == Tee::tdx) == tdx, tdx ? "TDX" : "SGX",
            set_->tcb_info->id.empty() ? "SGX (version 2)" : set_->tcb_info->id);
  }
  if (recorder_.may_run(CheckId::dcap_tcb_info_version)) {
    require(CheckId::dcap_tcb_info_version, set_->tcb_info->tcb_type == 0, "tcbType 0",
            std::to_string(set_->tcb_info->tcb_type));
  }
  if (recorder_.may_run(CheckId::dcap_tcb_info_validity)) {
    document_validity(CheckId::dcap_tcb_info_validity, set_->tcb_info->issue_date, set_->tcb_info->next_update);
  }
  if (recorder_.may_run(CheckId::dcap_tcb_info_fmspc)) {
    const bool same = set_->tcb_info->fmspc == platform_->extension->fmspc;
    require(CheckId::dcap_tcb_info_fmspc, same, base::hex(platform_->extension->fmspc),
            base::hex(set_->tcb_info->fmspc));
  }
  if (recorder_.may_run(CheckId::dcap_tcb_info_pceid)) {
    const bool same = set_->tcb_info->pceid == platform_->extension->pceid;
    require(CheckId::dcap_tcb_info_pceid, same, base::hex(platform_->extension->pceid),
            base::hex(set_->tcb_info->pceid));
  }
}

void Judge::qe_identity() {
  replay(set_->checks, CheckId::dcap_qe_identity_present);
  replay(set_->checks, CheckId::dcap_qe_identity_chain_format);
  if (recorder_.may_run(CheckId::dcap_qe_identity_chain)) {
    signing_chain(CheckId::dcap_qe_identity_chain, set_->qe_identity_chain);
  }
  if (recorder_.may_run(CheckId::dcap_crl_qe_signing_revoked)) {
    not_revoked(CheckId::dcap_crl_qe_signing_revoked, *set_->root_crl, set_->qe_identity_chain.certificates[0]);
  }
  replay(set_->checks, CheckId::dcap_qe_identity_signature);
  replay(set_->checks, CheckId::dcap_qe_identity_format);
  if (recorder_.may_run(CheckId::dcap_qe_identity_id)) {
    const std::string_view wanted = verdict_tee_is_tdx() ? "TD_QE" : "QE";
    require(CheckId::dcap_qe_identity_id, set_->qe_identity->id == wanted, wanted, set_->qe_identity->id);
  }
  if (recorder_.may_run(CheckId::dcap_qe_identity_version)) {
    require(CheckId::dcap_qe_identity_version, set_->qe_identity->version == 2, "2",
            std::to_string(set_->qe_identity->version));
  }
  if (recorder_.may_run(CheckId::dcap_qe_identity_validity)) {
    document_validity(CheckId::dcap_qe_identity_validity, set_->qe_identity->issue_date,
                      set_->qe_identity->next_update);
  }
}

/// The header's word, which the check dcap.quote.tee_type found to be one of the two.
bool Judge::verdict_tee_is_tdx() const {
  const auto header = read_header(evidence_);
  return header && header->tee_type == kTeeTypeTdx;
}

/// What was used and until when all of it holds. Only a complete set has an end: an unknown part could expire any time.
void Judge::summarize() {
  verdict_.collateral = set_->used;
  if (!platform_ || platform_->chain.empty() || !set_->tcb_info || !set_->qe_identity || !set_->root_crl ||
      !set_->pck_crl || !set_->root_crl->next_update() || !set_->pck_crl->next_update() ||
      set_->tcb_info_chain.certificates.empty() || set_->qe_identity_chain.certificates.empty()) {
    return;
  }
  verdict_.valid_until =
      std::min({platform_->validity.to, set_->tcb_info_chain.validity.to, set_->qe_identity_chain.validity.to,
                set_->tcb_info->next_update, set_->qe_identity->next_update, *set_->root_crl->next_update(),
                *set_->pck_crl->next_update()});
}

}  // namespace attestry::attestation::dcap
