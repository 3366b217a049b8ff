#include "collateral/internal/take_apart.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "attestation/snp/chain.h"
#include "base/encoding.h"
#include "base/json.h"
#include "collateral/internal/subject.h"
#include "crypto/x509.h"

namespace attestry::collateral::internal {
namespace {

using attestation::Artefact;
using attestation::CollateralItem;
using attestation::CollateralKind;
using attestation::snp::Product;
using base::Code;
using base::Error;
using base::Result;

Error unknown(std::string_view what) { return {Code::malformed, std::string{what}}; }

Result<crypto::Certificate> certificate_in(base::ByteView der_or_pem) {
  if (!der_or_pem.empty() && der_or_pem.front() == 0x30) return crypto::Certificate::parse(der_or_pem);
  TRY(const auto blocks, base::pem_decode(base::as_text(der_or_pem)));
  if (blocks.empty()) return unknown("no certificate");
  return crypto::Certificate::parse(blocks.front().der);
}

Result<Artefact> tcb_info_of(const CollateralItem& item) {
  TRY(const TcbInfoSubject subject, tcb_info_subject(item.bytes));
  return Artefact{attestation::TcbInfoOf{subject.tdx, subject.fmspc}};
}

Result<Artefact> qe_identity_of(const CollateralItem& item) {
  TRY(const auto document, base::JsonDocument::parse(std::string{base::as_text(item.bytes)}, {.max_bytes = 8u << 20}));
  TRY(const base::JsonValue id, document->root().get("id"));
  TRY(const std::string name, id.string("id"));
  if (name != "QE" && name != "TD_QE") return unknown("the identity of another enclave: " + name.substr(0, 40));
  return Artefact{attestation::QeIdentityOf{name == "TD_QE"}};
}

Result<Artefact> pck_crl_of(const CollateralItem& item) {
  TRY(const crypto::Crl crl, crypto::Crl::parse(item.bytes));
  return Artefact{attestation::PckCrlOf{base::as_text(crl.issuer_der()).find("Platform") != std::string_view::npos}};
}

Result<Artefact> vek_of(const CollateralItem& item) {
  TRY(const crypto::Certificate certificate, certificate_in(item.bytes));
  TRY(const auto extensions, attestation::snp::parse_vek_extensions(certificate));
  const auto product = extensions.product();
  if (!product) return unknown("an unknown product");
  const auto packed = tcb_of(extensions, *product);
  if (!packed) return unknown("the TCB components of another product");
  const auto tcb = unpack_tcb(*product, *packed);
  if (extensions.hwid) return Artefact{attestation::VcekOf{*product, *extensions.hwid, tcb}};
  return Artefact{attestation::VlekOf{*product, tcb}};
}

/// "ARK-Milan"
std::optional<Product> product_of_root(std::string_view common_name) {
  for (const Product product : {Product::milan, Product::genoa, Product::turin}) {
    if (common_name == "ARK-" + std::string{to_text(product)}) return product;
  }
  return std::nullopt;
}

Result<Artefact> amd_chain_of(const CollateralItem& item) {
  TRY(const crypto::Certificate intermediate, certificate_in(item.bytes));
  const auto product = product_of_root(intermediate.issuer_cn());
  if (!product) return unknown("an unknown product");
  return Artefact{attestation::AmdChainOf{*product, intermediate.subject_cn().starts_with("SEV-VLEK-")}};
}

/// Both chains end in one root, and the list names what that root issued: it stands for both.
Result<std::vector<Artefact>> amd_crls_of(const CollateralItem& item) {
  TRY(const crypto::Crl crl, crypto::Crl::parse(item.bytes));
  for (const Product product : {Product::milan, Product::genoa, Product::turin}) {
    if (base::as_text(crl.issuer_der()).find("ARK-" + std::string{to_text(product)}) == std::string_view::npos)
      continue;
    return std::vector<Artefact>{attestation::AmdCrlOf{product, false}, attestation::AmdCrlOf{product, true}};
  }
  return unknown("an unknown product");
}

class Sorter {
 public:
  Sorter(const std::vector<CollateralItem>& documents, const std::string& issuer)
      : documents_(documents), issuer_(issuer) {}

  Apart run() {
    one(CollateralKind::tcb_info, tcb_info_of);
    one(CollateralKind::qe_identity, qe_identity_of);
    one(CollateralKind::pck_crl, pck_crl_of);
    if (find(CollateralKind::root_ca_crl) != nullptr) add(attestation::RootCrlOf{});
    one(CollateralKind::amd_chain, amd_chain_of);
    one(CollateralKind::vek, vek_of);
    if (const CollateralItem* crl = find(CollateralKind::amd_crl)) {
      const auto artefacts = amd_crls_of(*crl);
      if (!artefacts.ok()) refuse(crl->kind, artefacts.error().text());
      for (const Artefact& artefact : artefacts.ok() ? *artefacts : std::vector<Artefact>{}) add(artefact);
    }
    if (find(CollateralKind::jwks) != nullptr) {
      if (issuer_.empty()) {
        refuse(CollateralKind::jwks, "nothing in a key set says whose it is: name its issuer");
      } else {
        add(attestation::JwksOf{issuer_});
      }
    }
    return std::move(out_);
  }

 private:
  const CollateralItem* find(CollateralKind kind) const {
    const auto found = std::ranges::find(documents_, kind, &CollateralItem::kind);
    return found == documents_.end() ? nullptr : &*found;
  }
  void refuse(CollateralKind kind, const std::string& why) { out_.refused.emplace_back(kind, why); }
  void one(CollateralKind kind, Result<Artefact> (*read)(const CollateralItem&)) {
    const CollateralItem* item = find(kind);
    if (item == nullptr) return;
    auto artefact = read(*item);
    if (artefact.ok()) {
      add(*std::move(artefact));
    } else {
      refuse(kind, artefact.error().text());
    }
  }
  void add(Artefact artefact) {
    Part part{.artefact = std::move(artefact), .documents = {}, .context = {}};
    const auto kinds = documents_of(part.artefact);
    for (const CollateralKind kind : kinds) {
      if (const CollateralItem* item = find(kind)) part.documents.push_back(*item);
    }
    if (const auto* keys = std::get_if<attestation::JwksOf>(&part.artefact))
      part.documents.front().origin = keys->issuer;
    for (const CollateralKind kind : {CollateralKind::amd_chain, CollateralKind::tcb_info_chain,
                                      CollateralKind::qe_identity_chain, CollateralKind::pck_crl_chain}) {
      const CollateralItem* item = find(kind);
      if (item != nullptr && std::ranges::find(kinds, kind) == kinds.end()) part.context.push_back(*item);
    }
    out_.parts.push_back(std::move(part));
  }

  const std::vector<CollateralItem>& documents_;
  const std::string& issuer_;
  Apart out_;
};

}  // namespace

Apart take_apart(const std::vector<CollateralItem>& documents, const std::string& issuer) {
  return Sorter{documents, issuer}.run();
}

}  // namespace attestry::collateral::internal
