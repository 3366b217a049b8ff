#include "attestation/dcap/collateral_set.h"

#include <algorithm>

#include "attestation/signature_fault.h"
#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::attestation::dcap {
namespace {

constexpr std::size_t kMaxSigningChain = 8;

/// The checks and collateral kinds of one signed document.
struct DocumentKind {
  CollateralKind text, signature, chain;
  CheckId present, chain_format, document_signature, format;
};
constexpr DocumentKind kTcbInfo = {
    CollateralKind::tcb_info,       CollateralKind::tcb_info_signature,  CollateralKind::tcb_info_chain,
    CheckId::dcap_tcb_info_present, CheckId::dcap_tcb_info_chain_format, CheckId::dcap_tcb_info_signature,
    CheckId::dcap_tcb_info_format};
constexpr DocumentKind kQeIdentity = {
    CollateralKind::qe_identity,       CollateralKind::qe_identity_signature,  CollateralKind::qe_identity_chain,
    CheckId::dcap_qe_identity_present, CheckId::dcap_qe_identity_chain_format, CheckId::dcap_qe_identity_signature,
    CheckId::dcap_qe_identity_format};

class Examination {
 public:
  Examination(const Collateral& collateral, const TrustAnchors& anchors, Signatures& signatures, CollateralSet& set)
      : collateral_(collateral), anchors_(anchors), signatures_(signatures), set_(set) {}

  void run() {
    set_.root_crl = crl(CollateralKind::root_ca_crl, CheckId::dcap_crl_root_present, CheckId::dcap_crl_root_format);
    set_.pck_crl = crl(CollateralKind::pck_crl, CheckId::dcap_crl_pck_present, CheckId::dcap_crl_pck_format);
    if (present(kTcbInfo)) {
      set_.tcb_info_chain = chain(kTcbInfo);
      signature(kTcbInfo, set_.tcb_info_chain);
      set_.tcb_info = document(kTcbInfo, parse_tcb_info);
    }
    if (present(kQeIdentity)) {
      const CollateralItem* tcb_chain = collateral_.find(CollateralKind::tcb_info_chain);
      const CollateralItem* qe_chain = collateral_.find(CollateralKind::qe_identity_chain);
      // Intel signs both with one certificate: the same bytes need not be read twice.
      const bool same = tcb_chain != nullptr && qe_chain != nullptr && tcb_chain->sha256 == qe_chain->sha256 &&
                        !set_.tcb_info_chain.certificates.empty();
      if (same) {
        pass(kQeIdentity.chain_format);
        set_.qe_identity_chain = set_.tcb_info_chain;
      } else {
        set_.qe_identity_chain = chain(kQeIdentity);
      }
      signature(kQeIdentity, set_.qe_identity_chain);
      set_.qe_identity = document(kQeIdentity, parse_qe_identity);
    }
    set_.sound = !set_.tcb_info_chain.fault && !set_.qe_identity_chain.fault && set_.root_crl && set_.pck_crl &&
                 std::ranges::all_of(set_.checks, [](const CheckResult& r) { return r.status == CheckStatus::pass; });
  }

 private:
  const CollateralProblem* problem(CollateralKind kind) const {
    const auto found = std::ranges::find(collateral_.problems(), kind, &CollateralProblem::kind);
    return found == collateral_.problems().end() ? nullptr : &*found;
  }
  bool given(CollateralKind kind) const {
    const CollateralProblem* trouble = problem(kind);
    return collateral_.find(kind) != nullptr || (trouble != nullptr && !trouble->missing);
  }

  void pass(CheckId check) { set_.checks.push_back({.check = check, .status = CheckStatus::pass}); }
  void fail(CheckId check, std::string expected, std::string actual, std::string detail) {
    set_.checks.push_back({.check = check,
                           .status = CheckStatus::fail,
                           .expected = std::move(expected),
                           .actual = std::move(actual),
                           .detail = std::move(detail)});
  }
  void fail(CheckId check, std::string_view expected, const base::Error& error) {
    fail(check, error.expected.empty() ? std::string{expected} : error.expected,
         error.found.empty() ? std::string{"unreadable"} : error.found, error.what);
  }
  /// Something that was not given leaves the question open; something that was given and is wrong does not.
  void missing(CheckId check, CollateralKind kind) {
    const CollateralProblem* trouble = problem(kind);
    set_.checks.push_back({.check = check,
                           .status = CheckStatus::fail,
                           .undecided = true,
                           .expected = std::string{to_text(kind)},
                           .actual = "not given",
                           .detail = trouble == nullptr ? std::string{} : trouble->what});
  }

  std::optional<crypto::Crl> crl(CollateralKind kind, CheckId present, CheckId format) {
    if (!given(kind)) {
      missing(present, kind);
      return std::nullopt;
    }
    pass(present);
    const CollateralItem* item = collateral_.find(kind);
    if (item == nullptr) {
      fail(format, "a CRL", "unreadable", problem(kind)->what);
      return std::nullopt;
    }
    auto parsed = crypto::Crl::parse(item->bytes);
    if (!parsed) {
      fail(format, "a CRL in " + std::string{to_text(kind)}, parsed.error());
      return std::nullopt;
    }
    if (parsed->has_unknown_critical_extension()) {
      fail(format, "no unknown critical extension", "one", std::string{to_text(kind)});
      return std::nullopt;
    }
    pass(format);
    use(*item, parsed->this_update(), parsed->next_update());
    return *std::move(parsed);
  }

  bool present(const DocumentKind& kind) {
    for (const CollateralKind part : {kind.text, kind.signature, kind.chain}) {
      if (given(part)) continue;
      missing(kind.present, part);
      return false;
    }
    pass(kind.present);
    return true;
  }

  SigningChain chain(const DocumentKind& kind) {
    SigningChain out;
    const CollateralItem* item = collateral_.find(kind.chain);
    if (item == nullptr) {
      fail(kind.chain_format, "a PEM chain", "unreadable", problem(kind.chain)->what);
      return out;
    }
    auto certificates = read_chain(item->bytes, kMaxSigningChain, signatures_);
    if (!certificates) {
      fail(kind.chain_format, "a PEM chain of 2 certificates", certificates.error());
      return out;
    }
    if (const ChainVerdict fault = judge_signing_format(*certificates)) {
      fail(kind.chain_format, fault->expected, fault->actual, fault->detail);
      return out;
    }
    pass(kind.chain_format);
    out.certificates = *std::move(certificates);
    out.validity = validity_of(out.certificates);
    out.fault = judge(out.certificates);
    return out;
  }

  ChainVerdict judge(const std::vector<crypto::Certificate>& certificates) {
    const crypto::Certificate& root = certificates[1];
    auto key = known_key(root);
    if (!key || !anchors_.trusts(Vendor::intel, root.spki())) {
      return ChainFault{"a trusted root", "key " + base::hex(crypto::sha256(root.spki())),
                        "certificate \"" + root.subject_cn() + "\""};
    }
    if (!set_.root_key) set_.root_key = std::move(key);
    return judge_signing_chain(certificates, signatures_);
  }

  void signature(const DocumentKind& kind, const SigningChain& chain) {
    if (chain.certificates.empty()) return;
    const CollateralItem* text = collateral_.find(kind.text);
    const CollateralItem* signature = collateral_.find(kind.signature);
    if (text == nullptr || signature == nullptr) {
      const CollateralKind unreadable = text == nullptr ? kind.text : kind.signature;
      return fail(kind.document_signature, "a document and its signature", "unreadable", problem(unreadable)->what);
    }
    const auto& key = chain.certificates.front().ec_key();
    if (!key || key->curve() != crypto::Curve::p256) {
      return fail(kind.document_signature, "a P-256 key", "another", "signing certificate");
    }
    const std::string names{to_text(kind.signature)};
    if (signature->bytes.size() != 64) {
      return fail(kind.document_signature, "64 bytes", std::to_string(signature->bytes.size()) + " bytes",
                  "collateral " + names);
    }
    // Over the text exactly as delivered, whatever it parses to.
    if (!key->verify_raw(text->bytes, signature->bytes)) {
      return fail(kind.document_signature, "the signature verifies under the signing certificate's key",
                  describe(*key, *text, *signature),
                  "covers all " + std::to_string(text->bytes.size()) + " bytes of collateral " +
                      std::string{to_text(kind.text)} + "; signature: collateral " + names);
    }
    pass(kind.document_signature);
  }

  /// One space that a tool has put in or taken out is the usual fault, and can be told.
  static std::string describe(const crypto::EcPublicKey& key, const CollateralItem& text,
                              const CollateralItem& signature) {
    base::Bytes dense;
    bool quoted = false;
    for (std::size_t i = 0; i < text.bytes.size(); ++i) {
      const std::uint8_t c = text.bytes[i];
      if (c == '"') quoted = !quoted;
      if (quoted && c == '\\' && i + 1 < text.bytes.size()) {
        dense.push_back(c);
        dense.push_back(text.bytes[++i]);
        continue;
      }
      if (!quoted && (c == ' ' || c == '\n' || c == '\r' || c == '\t')) continue;
      dense.push_back(c);
    }
    if (dense.size() != text.bytes.size() && key.verify_raw(dense, signature.bytes)) {
      return "the text was written anew: without its white space it verifies";
    }
    return describe_signature_fault(key, text.bytes, signature.bytes);
  }

  template <class T>
  std::optional<T> document(const DocumentKind& kind, base::Result<T> (*parse)(std::string_view)) {
    const CollateralItem* item = collateral_.find(kind.text);
    if (item == nullptr) {
      fail(kind.format, "a JSON document", "unreadable", problem(kind.text)->what);
      return std::nullopt;
    }
    auto parsed = parse(base::as_text(item->bytes));
    if (!parsed) {
      fail(kind.format, "a document as in " + std::string{to_text(kind.text)}, parsed.error());
      return std::nullopt;
    }
    pass(kind.format);
    use(*item, parsed->issue_date, parsed->next_update);
    return *std::move(parsed);
  }

  void use(const CollateralItem& item, std::optional<base::UtcTime> from, std::optional<base::UtcTime> to) {
    set_.used.push_back({item.kind, item.sha256, from, to});
  }

 public:
  /// Signatures and chains, after the documents, so that the list has every item that was judged.
  void list_supporting_items() {
    for (const DocumentKind* kind : {&kTcbInfo, &kQeIdentity}) {
      if (const CollateralItem* item = collateral_.find(kind->signature)) use(*item, {}, {});
      const SigningChain& chain = kind == &kTcbInfo ? set_.tcb_info_chain : set_.qe_identity_chain;
      const CollateralItem* item = collateral_.find(kind->chain);
      if (item != nullptr && !chain.certificates.empty()) use(*item, chain.validity.from, chain.validity.to);
    }
    std::ranges::sort(set_.used, {}, &CollateralUsed::kind);
  }

 private:
  const Collateral& collateral_;
  const TrustAnchors& anchors_;
  Signatures& signatures_;
  CollateralSet& set_;
};

}  // namespace

const CheckResult* CollateralSet::find(CheckId check) const noexcept {
  const auto found = std::ranges::find(checks, check, &CheckResult::check);
  return found == checks.end() ? nullptr : &*found;
}

std::shared_ptr<const CollateralSet> examine_collateral(const Collateral& collateral, const TrustAnchors& anchors,
                                                        Signatures& signatures) {
  auto set = std::make_shared<CollateralSet>();
  Examination examination{collateral, anchors, signatures, *set};
  examination.run();
  examination.list_supporting_items();
  return set;
}

}  // namespace attestry::attestation::dcap
