#include "attestation/dcap/accept.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "attestation/catalogue.h"
#include "base/encoding.h"

namespace attestry::attestation::dcap {
namespace {

using base::Code;
using base::Error;
using base::Status;
using base::UtcTime;

constexpr std::size_t kMaxCaChain = 8;

/// The document that a check of CollateralSet::checks is about.
CollateralKind document_of(CheckId check) {
  const std::string_view id = info(check).id;
  if (id.starts_with("dcap.crl.root.")) return CollateralKind::root_ca_crl;
  if (id.starts_with("dcap.crl.pck.")) return CollateralKind::pck_crl;
  return id.starts_with("dcap.qe_identity.") ? CollateralKind::qe_identity : CollateralKind::tcb_info;
}

/// Names the document and the check that it did not pass.
Error refused(CollateralKind document, CheckId check, std::string expected, std::string found,
              std::string_view detail = {}) {
  std::string what = std::string{to_text(document)} + ": " + std::string{info(check).id} + " failed";
  if (!detail.empty()) what += ": " + std::string{detail};
  return {Code::unavailable, std::move(what), std::move(expected), std::move(found)};
}

Status require(CollateralKind document, CheckId check, bool good, std::string_view expected, std::string_view found) {
  if (good) return base::done();
  return refused(document, check, std::string{expected}, std::string{found});
}

Status require_no_fault(CollateralKind document, CheckId check, const ChainVerdict& fault) {
  if (!fault) return base::done();
  return refused(document, check, fault->expected, fault->actual, fault->detail);
}

/// The checks of a verdict that need no quote. Those that do need one are made about what was asked for instead.
class Acceptance {
 public:
  Acceptance(const Collateral& collateral, const CollateralSet& set, const DcapNeeds& needs, UtcTime at,
             const TrustAnchors& anchors, Signatures& signatures)
      : collateral_(collateral), set_(set), needs_(needs), at_(at), anchors_(anchors), signatures_(signatures) {}

  Status run() {
    TRY_OK(examined());
    TRY_OK(signing_chain(CollateralKind::tcb_info_chain, CheckId::dcap_tcb_info_chain, set_.tcb_info_chain));
    TRY_OK(signing_chain(CollateralKind::qe_identity_chain, CheckId::dcap_qe_identity_chain, set_.qe_identity_chain));
    TRY_OK(root_crl());
    TRY_OK(pck_crl());
    TRY_OK(tcb_info());
    return qe_identity();
  }

  /// The earliest end of everything that run() saw.
  UtcTime valid_until() const noexcept { return until_; }

 private:
  /// Present, readable, and signed by the certificate in the chain beside it.
  Status examined() const {
    for (const CheckResult& result : set_.checks) {
      if (result.status == CheckStatus::pass) continue;
      return refused(document_of(result.check), result.check, result.expected, result.actual, result.detail);
    }
    return base::done();
  }

  Status lasts(CollateralKind document, CheckId check, UtcTime from, UtcTime to) {
    until_ = std::min(until_, to);
    if (from <= at_ && at_ <= to) return base::done();
    return refused(document, check, base::to_rfc3339(from) + " to " + base::to_rfc3339(to), base::to_rfc3339(at_),
                   at_ < from ? "issued in the future" : "expired");
  }

  Status crl_lasts(CollateralKind document, CheckId check, const crypto::Crl& crl) {
    if (!crl.next_update()) return refused(document, check, "a CRL with nextUpdate", "without");
    return lasts(document, check, crl.this_update(), *crl.next_update());
  }

  /// One root vouches for a whole set: a set of several test roots would be refused with every quote.
  Status same_root(CollateralKind document, CheckId check, const crypto::Certificate& other) const {
    const bool same = base::equal(other.spki(), root().spki());
    return require(document, check, same && anchors_.trusts(Vendor::intel, other.spki()), "the root of the TCB info's chain",
                   "another root");
  }

  Status chain_lasts(CollateralKind document, CheckId check, std::span<const crypto::Certificate> chain) {
    until_ = std::min(until_, validity_of(chain).to);
    return require_no_fault(document, check, judge_validity(chain, at_));
  }

  Status signing_chain(CollateralKind document, CheckId check, const SigningChain& chain) {
    TRY_OK(require_no_fault(document, check, chain.fault));
    TRY_OK(same_root(document, check, chain.certificates[1]));
    return chain_lasts(document, check, chain.certificates);
  }

  Status root_crl() {
    constexpr auto kDocument = CollateralKind::root_ca_crl;
    const bool issued = base::equal(set_.root_crl->issuer_der(), root().subject_der()) && root().key_usage_crl_sign();
    const bool good = issued && set_.root_key && signatures_.good(*set_.root_crl, *set_.root_key);
    TRY_OK(require(kDocument, CheckId::dcap_crl_root_signature, good, "issued and signed by the trusted root",
                   "not signed by it"));
    return crl_lasts(kDocument, CheckId::dcap_crl_root_validity, *set_.root_crl);
  }

  /// In a verdict the CA comes with the quote; here it is the one in the chain of the CRL (PCS v4:
  /// SGX-PCK-CRL-Issuer-Chain).
  Status pck_crl() {
    constexpr auto kDocument = CollateralKind::pck_crl;
    constexpr auto kChain = CollateralKind::pck_crl_chain;
    constexpr auto kSigned = CheckId::dcap_crl_pck_signature;
    const CollateralItem* item = collateral_.find(kChain);
    if (item == nullptr) return refused(kChain, kSigned, "the chain of the PCK CRL", "not given");
    const auto chain = read_chain(item->bytes, kMaxCaChain, signatures_);
    if (!chain.ok()) return refused(kChain, kSigned, "a PEM chain of 2 certificates", "unreadable", chain.error().what);
    TRY_OK(require_no_fault(kChain, kSigned, judge_signing_format(*chain)));
    TRY_OK(same_root(kChain, kSigned, (*chain)[1]));
    TRY_OK(require_no_fault(kChain, kSigned, judge_pck_ca_chain(*chain, needs_.platform_ca, signatures_)));
    TRY_OK(chain_lasts(kChain, kSigned, *chain));

    const crypto::Certificate& ca = chain->front();
    TRY_OK(require(kDocument, CheckId::dcap_crl_pck_issuer, base::equal(set_.pck_crl->issuer_der(), ca.subject_der()),
                   ca.subject_cn(), "another CA"));
    const auto key = known_key(ca);
    const bool good = key && key->key.curve() == crypto::Curve::p256 && ca.key_usage_crl_sign() &&
                      signatures_.good(*set_.pck_crl, *key);
    TRY_OK(require(kDocument, kSigned, good, "signed by the PCK CA", "not signed by it"));
    return crl_lasts(kDocument, CheckId::dcap_crl_pck_validity, *set_.pck_crl);
  }

  Status tcb_info() {
    constexpr auto kDocument = CollateralKind::tcb_info;
    const TcbInfo& info = *set_.tcb_info;
    TRY_OK(require(kDocument, CheckId::dcap_tcb_info_id, (info.tee == Tee::tdx) == needs_.tdx,
                   needs_.tdx ? "TDX" : "SGX", info.tee == Tee::tdx ? "TDX" : "SGX"));
    TRY_OK(require(kDocument, CheckId::dcap_tcb_info_version, info.tcb_type == 0, "tcbType 0",
                   std::to_string(info.tcb_type)));
    TRY_OK(require(kDocument, CheckId::dcap_tcb_info_fmspc, info.fmspc == needs_.fmspc, base::hex(needs_.fmspc),
                   base::hex(info.fmspc)));
    return lasts(kDocument, CheckId::dcap_tcb_info_validity, info.issue_date, info.next_update);
  }

  Status qe_identity() {
    constexpr auto kDocument = CollateralKind::qe_identity;
    const QeIdentity& identity = *set_.qe_identity;
    const std::string_view wanted = needs_.tdx ? "TD_QE" : "QE";
    TRY_OK(require(kDocument, CheckId::dcap_qe_identity_id, identity.id == wanted, wanted, identity.id));
    TRY_OK(require(kDocument, CheckId::dcap_qe_identity_version, identity.version == 2, "2",
                   std::to_string(identity.version)));
    return lasts(kDocument, CheckId::dcap_qe_identity_validity, identity.issue_date, identity.next_update);
  }

  const crypto::Certificate& root() const { return set_.tcb_info_chain.certificates[1]; }

  const Collateral& collateral_;
  const CollateralSet& set_;
  const DcapNeeds& needs_;
  const UtcTime at_;
  const TrustAnchors& anchors_;
  Signatures& signatures_;
  UtcTime until_{INT64_MAX};
};

}  // namespace

base::Result<UtcTime> accept_collateral(const Collateral& collateral, const DcapNeeds& needs, UtcTime at,
                                        const TrustAnchors& anchors, Caches& caches) {
  Signatures signatures{caches.signatures};
  auto set = caches.collateral.find(collateral.digest());
  const bool known = set != nullptr;
  if (!known) set = examine_collateral(collateral, anchors, signatures);
  Acceptance acceptance{collateral, *set, needs, at, anchors, signatures};
  TRY_OK(acceptance.run());
  if (!known && set->sound) caches.collateral.put(collateral.digest(), set);
  return acceptance.valid_until();
}

}  // namespace attestry::attestation::dcap
