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
  return {Code::unavailable, std::move(what), std::move(expected), std::move(found), std::string{info(check).remedy}};
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

  /// One artefact by itself.
  base::Result<Accepted> run(const TcbInfoOf&) {
    TRY_OK(examined(CollateralKind::tcb_info));
    TRY_OK(signing_chain(CollateralKind::tcb_info_chain, CheckId::dcap_tcb_info_chain, set_.tcb_info_chain));
    TRY_OK(tcb_info());
    return Accepted{set_.tcb_info->issue_date, until_, set_.tcb_info->evaluation_number};
  }
  base::Result<Accepted> run(const QeIdentityOf&) {
    TRY_OK(examined(CollateralKind::qe_identity));
    TRY_OK(signing_chain(CollateralKind::qe_identity_chain, CheckId::dcap_qe_identity_chain, set_.qe_identity_chain));
    TRY_OK(qe_identity());
    return Accepted{set_.qe_identity->issue_date, until_, set_.qe_identity->evaluation_number};
  }
  base::Result<Accepted> run(const PckCrlOf&) {
    TRY_OK(examined(CollateralKind::pck_crl));
    TRY_OK(pck_crl());
    return accepted(*set_.pck_crl);
  }
  base::Result<Accepted> run(const RootCrlOf&) {
    TRY_OK(examined(CollateralKind::root_ca_crl));
    TRY_OK(some_root());
    TRY_OK(root_crl());
    return accepted(*set_.root_crl);
  }

  /// The earliest end of everything that run() saw.
  UtcTime valid_until() const noexcept { return until_; }

 private:
  Accepted accepted(const crypto::Crl& crl) const {
    return {crl.this_update(), until_, 0, base::to_bytes(crl.number())};
  }

  /// Present, readable, and signed by the certificate in the chain beside it: all documents, or one.
  Status examined(std::optional<CollateralKind> one = {}) const {
    for (const CheckResult& result : set_.checks) {
      if (result.status == CheckStatus::pass || (one && document_of(result.check) != *one)) continue;
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
  Status same_root(CollateralKind document, CheckId check, const crypto::Certificate& other) {
    if (!root_) root_ = other;
    const bool same = base::equal(other.spki(), root_->spki());
    const bool trusted = anchors_.trusts(Vendor::intel, other.spki());
    return require(document, check, same && trusted, same ? "a trusted root" : "the root of the TCB info's chain",
                   "another root");
  }

  /// The root of whatever chain is given: a CRL brings none.
  Status some_root() {
    constexpr auto kCheck = CheckId::dcap_crl_root_signature;
    for (const auto kind :
         {CollateralKind::tcb_info_chain, CollateralKind::qe_identity_chain, CollateralKind::pck_crl_chain}) {
      const CollateralItem* item = collateral_.find(kind);
      if (item == nullptr) continue;
      const auto chain = read_chain(item->bytes, kMaxCaChain, signatures_);
      if (!chain.ok()) return refused(kind, kCheck, "a PEM chain of 2 certificates", "unreadable", chain.error().what);
      TRY_OK(require_no_fault(kind, kCheck, judge_signing_format(*chain)));
      return same_root(kind, kCheck, chain->back());
    }
    return refused(CollateralKind::root_ca_crl, kCheck, "a chain with the root's certificate", "none");
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
    const auto key = known_key(root());
    const bool good = issued && key && signatures_.good(*set_.root_crl, *key);
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

  const crypto::Certificate& root() const { return *root_; }

  const Collateral& collateral_;
  const CollateralSet& set_;
  const DcapNeeds& needs_;
  const UtcTime at_;
  const TrustAnchors& anchors_;
  Signatures& signatures_;
  std::optional<crypto::Certificate> root_;
  UtcTime until_{INT64_MAX};
};

/// What accepting it means for the artefact: whom it is for. The other half of the needs is not looked at.
DcapNeeds needs_for(const Artefact& artefact) {
  DcapNeeds out;
  if (const auto* info = std::get_if<TcbInfoOf>(&artefact)) {
    out.tdx = info->tdx;
    out.fmspc = info->fmspc;
  }
  if (const auto* identity = std::get_if<QeIdentityOf>(&artefact)) out.tdx = identity->tdx;
  if (const auto* crl = std::get_if<PckCrlOf>(&artefact)) out.platform_ca = crl->platform_ca;
  return out;
}

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

base::Result<Accepted> accept_artefact(const Artefact& artefact, const Collateral& documents, UtcTime at,
                                       const TrustAnchors& anchors, Caches& caches) {
  Signatures signatures{caches.signatures};
  const auto set = examine_collateral(documents, anchors, signatures);
  const DcapNeeds needs = needs_for(artefact);
  Acceptance acceptance{documents, *set, needs, at, anchors, signatures};
  if (const auto* info = std::get_if<TcbInfoOf>(&artefact)) return acceptance.run(*info);
  if (const auto* identity = std::get_if<QeIdentityOf>(&artefact)) return acceptance.run(*identity);
  if (const auto* crl = std::get_if<PckCrlOf>(&artefact)) return acceptance.run(*crl);
  return acceptance.run(RootCrlOf{});
}

}  // namespace attestry::attestation::dcap
