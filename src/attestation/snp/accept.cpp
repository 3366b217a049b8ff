#include "attestation/snp/accept.h"

#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::attestation::snp {
namespace {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using base::UtcTime;

/// Names the document and the check that it did not pass.
Error refused(CollateralKind document, CheckId check, std::string expected, std::string found,
              std::string_view detail = {}) {
  std::string what = std::string{to_text(document)} + ": " + std::string{info(check).id} + " failed";
  if (!detail.empty()) what += ": " + std::string{detail};
  return {Code::unavailable, std::move(what), std::move(expected), std::move(found), std::string{info(check).remedy}};
}

Status good(CollateralKind document, CheckId check, const Finding& fault) {
  if (!fault) return base::done();
  return refused(document, check, fault->expected, fault->actual, fault->detail);
}

Status require(CollateralKind document, CheckId check, bool holds, std::string_view expected, std::string_view found) {
  if (holds) return base::done();
  return refused(document, check, std::string{expected}, std::string{found});
}

/// The checks of a verdict that need no report. Those that do need one are made about what was asked for instead.
class Acceptance {
 public:
  Acceptance(const Collateral& documents, UtcTime at, const TrustAnchors& anchors, Caches& caches)
      : documents_(documents), at_(at), anchors_(anchors), caches_(caches) {}

  Result<Accepted> run(const AmdChainOf& wanted) {
    TRY_OK(chain(wanted.product, wanted.vlek));
    return Accepted{std::max(chain_->intermediate().not_before(), chain_->ark().not_before()), until_};
  }

  Result<Accepted> run(const AmdCrlOf& wanted) {
    constexpr auto kDocument = CollateralKind::amd_crl;
    TRY_OK(chain(wanted.product, wanted.vlek));
    const CollateralItem* item = documents_.find(kDocument);
    if (item == nullptr) return refused(kDocument, CheckId::snp_crl_present, to_name(kDocument), "none");
    const auto list = examine_crl(item->bytes, chain_.get());
    TRY_OK(good(kDocument, CheckId::snp_crl_format, list->format));
    TRY_OK(require(kDocument, CheckId::snp_crl_issuer,
                   base::equal(list->crl->issuer_der(), chain_->ark().subject_der()), chain_->ark().subject_cn(),
                   "another issuer"));
    TRY_OK(good(kDocument, CheckId::snp_crl_signature, list->signature));
    TRY_OK(lasts(kDocument, CheckId::snp_crl_validity, list->crl->this_update(), *list->crl->next_update()));
    return Accepted{list->crl->this_update(), until_, 0, base::to_bytes(list->crl->number())};
  }

  Result<Accepted> run(const VcekOf& wanted) {
    TRY_OK(vek(wanted.product, wanted.tcb, false));
    const auto& hwid = vek_->extensions->hwid;
    TRY_OK(require(CollateralKind::vek, CheckId::snp_chip_id, hwid && base::equal(*hwid, wanted.hwid),
                   base::hex(wanted.hwid), hwid ? base::hex(*hwid) : "none"));
    return Accepted{vek_->certificate->not_before(), until_};
  }

  Result<Accepted> run(const VlekOf& wanted) {
    TRY_OK(vek(wanted.product, wanted.tcb, true));
    return Accepted{vek_->certificate->not_before(), until_};
  }

 private:
  static std::string to_name(CollateralKind kind) { return std::string{to_text(kind)}; }

  Status lasts(CollateralKind document, CheckId check, UtcTime from, UtcTime to) {
    until_ = std::min(until_, to);
    if (from <= at_ && at_ <= to) return base::done();
    return refused(document, check, base::to_rfc3339(from) + " to " + base::to_rfc3339(to), base::to_rfc3339(at_),
                   at_ < from ? "issued in the future" : "expired");
  }
  Status lasts(CollateralKind document, const crypto::Certificate& certificate) {
    return lasts(document, CheckId::snp_chain_validity, certificate.not_before(), certificate.not_after());
  }

  Status chain(Product product, bool vlek) {
    constexpr auto kDocument = CollateralKind::amd_chain;
    const CollateralItem* item = documents_.find(kDocument);
    if (item == nullptr) return refused(kDocument, CheckId::snp_chain_present, to_name(kDocument), "none");
    chain_ = caches_.chains.find(item->sha256);
    if (!chain_) {
      chain_ = examine_chain(item->bytes, anchors_);
      if (chain_->sound()) caches_.chains.put(item->sha256, chain_);
    }
    chain_id_ = item->sha256;
    TRY_OK(good(kDocument, CheckId::snp_chain_format, chain_->format));
    TRY_OK(good(kDocument, CheckId::snp_chain_root, chain_->root));
    TRY_OK(good(kDocument, CheckId::snp_chain_names, judge_names(*chain_, product, vlek)));
    TRY_OK(good(kDocument, CheckId::snp_chain_constraints, chain_->constraints));
    TRY_OK(good(kDocument, CheckId::snp_chain_signature, chain_->signature));
    for (const crypto::Certificate& certificate : chain_->certificates) TRY_OK(lasts(kDocument, certificate));
    return base::done();
  }

  Status vek(Product product, const Tcb& tcb, bool vlek) {
    constexpr auto kDocument = CollateralKind::vek;
    TRY_OK(chain(product, vlek));
    const CollateralItem* item = documents_.find(kDocument);
    if (item == nullptr) return refused(kDocument, CheckId::snp_vek_present, to_name(kDocument), "none");
    const base::Digest32 id = crypto::sha256({item->sha256, chain_id_});
    vek_ = caches_.veks.find(id);
    if (!vek_) {
      vek_ = examine_vek(item->bytes, chain_.get());
      if (vek_->sound()) caches_.veks.put(id, vek_);
    }
    TRY_OK(good(kDocument, CheckId::snp_vek_format, vek_->format));
    TRY_OK(good(kDocument, CheckId::snp_vek_extensions, vek_->extension_fault));
    const std::string_view name = vlek ? "SEV-VLEK" : "SEV-VCEK";
    TRY_OK(require(kDocument, CheckId::snp_vek_kind, vek_->certificate->subject_cn() == name, name,
                   vek_->certificate->subject_cn()));
    const VekExtensions& extensions = *vek_->extensions;
    TRY_OK(require(kDocument, CheckId::snp_vek_kind, extensions.hwid.has_value() != vlek, vlek ? "no hwID" : "hwID",
                   vlek ? "hwID" : "no hwID"));
    TRY_OK(require(kDocument, CheckId::snp_vek_product, extensions.product() == product, to_text(product),
                   extensions.product_name));
    const auto packed = tcb_of(extensions, product);
    const TcbBytes wanted = pack_tcb(product, tcb);
    TRY_OK(require(kDocument, CheckId::snp_tcb_reported, packed == wanted, base::hex(wanted),
                   packed ? base::hex(*packed) : "the components of another product"));
    TRY_OK(good(kDocument, CheckId::snp_chain_names, judge_names(*vek_->certificate, *chain_, product, vlek)));
    TRY_OK(good(kDocument, CheckId::snp_chain_constraints, vek_->constraints));
    TRY_OK(good(kDocument, CheckId::snp_vek_signature, vek_->signature));
    return lasts(kDocument, *vek_->certificate);
  }

  const Collateral& documents_;
  const UtcTime at_;
  const TrustAnchors& anchors_;
  Caches& caches_;
  base::Digest32 chain_id_{};
  std::shared_ptr<const Chain> chain_;
  std::shared_ptr<const Vek> vek_;
  UtcTime until_{INT64_MAX};
};

}  // namespace

Result<Accepted> accept_artefact(const Artefact& artefact, const Collateral& documents, UtcTime at,
                                 const TrustAnchors& anchors, Caches& caches) {
  Acceptance acceptance{documents, at, anchors, caches};
  if (const auto* chain = std::get_if<AmdChainOf>(&artefact)) return acceptance.run(*chain);
  if (const auto* crl = std::get_if<AmdCrlOf>(&artefact)) return acceptance.run(*crl);
  if (const auto* vlek = std::get_if<VlekOf>(&artefact)) return acceptance.run(*vlek);
  if (const auto* vcek = std::get_if<VcekOf>(&artefact)) return acceptance.run(*vcek);
  return Error{Code::internal, "not an artefact of AMD's: " + to_text(artefact)};
}

}  // namespace attestry::attestation::snp
